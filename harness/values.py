"""Types of the values that everything may use; nothing heavy is imported here."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

# No control characters: these strings reach terminals.
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$", max_length=500)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Size = Annotated[int, Field(ge=1, le=2**53)]
Number = float | None  # null where the number is not defined
Numbers = list[Number]

Rank = Literal["abs", "signed"]
Positions = Literal["kept", "pooled"]
ErrorTreatment = Literal["score", "keep", "remove"]
LARGEST = 10_000
LEAST_RANKED = 1_000
"""A result keeps at least so many nodes of its ranking, or all: what overlaps, profiles and validation look at."""


def size_grid(largest: int = LARGEST) -> list[int]:
    """Circuit sizes 1-2-3-5-7-10 a decade up to `largest`."""
    sizes = [step * 10**decade for decade in range(len(str(largest))) for step in (1, 2, 3, 5, 7)]
    return [size for size in sizes if size <= largest]


Answers = Literal["first", "whole"]

Split = Literal["discovery", "evaluation", "heldout", "heldout_templates"]
EvaluationSplit = Literal["evaluation", "heldout", "heldout_templates"]
"""Splits that a result is evaluated on: never that which its nodes were scored on."""

DictionaryKind = Literal["sae", "transcoder"]
