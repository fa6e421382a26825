"""What `basisbench read` is asked."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from basisbench.settings.common import BASIS, SERVES, TEXT, TEXT_TOKENS, ModelConfig, Name, Names, once, split_line
from basisbench.settings.setting import Setting
from basisbench.values import Size

TOKENS = 10_000
"""Tokens of a named text that are looked at, unless others are asked for."""


def _unit(value: object) -> object:
    """Layer and unit out of ``12:345``; raises ValueError for any other text."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d{1,9}):(\d{1,12})", value)
    if not match:
        raise ValueError(f"'{value}' is no unit: valid: layer:unit, separated by commas, as in 12:345,7:88")
    return int(match[1]), int(match[2])


Unit = Annotated[tuple[int, int], BeforeValidator(_unit)]
Units = Annotated[list[Unit], Field(min_length=1), BeforeValidator(split_line), AfterValidator(once)]


class ReadConfig(ModelConfig):
    """Which units are read, on what text; `sign` is the direction that a label is of."""

    units: Annotated[Units, Setting("Units: layer:unit, separated by commas, as in 12:345,7:88")]
    basis: Annotated[Name, BASIS] = "neurons"
    text: Annotated[Names | None, replace(TEXT, default="what ships with the program")] = None
    text_tokens: Annotated[Size | None, replace(TEXT_TOKENS, default=f"of --text {TOKENS}, else all")] = None
    serves: Annotated[Names | None, replace(SERVES, default="none")] = None
    sign: Annotated[
        Literal["+", "-"] | None,
        Setting("Label for activations above (+) or below (-) zero", default="that of the largest activation"),
    ] = None
