"""What tasks made of other people's files share: their columns, repeats, and the order of a seed."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from datasets import Dataset, Features, Value

from basisbench.values import Split

Row = dict[str, Any]

SPLITS: tuple[Split, ...] = get_args(Split)
_SPANS = [{"name": Value("string"), "start": Value("int64"), "end": Value("int64")}]
FEATURES = Features(
    {name: Value("string") for name in ("clean", "corrupt", "answer", "foil", "case")}
    | {"clean_spans": _SPANS, "corrupt_spans": _SPANS, "candidates": [Value("string")]}
)
OF_SEVERAL = Features(FEATURES | {"answer": [Value("string")], "foil": [Value("string")]})

log = logging.getLogger("basisbench")


@dataclass(frozen=True)
class Report:
    """What reading a split found, in rows: those kept, repeats, and those that an earlier split holds."""

    rows: int
    duplicates: int
    leaked: int


def texts(answer: str | Sequence[str]) -> tuple[str, ...]:
    """Return one answer or several as a tuple."""
    return (answer,) if isinstance(answer, str) else tuple(answer)


def separate(rows: Sequence[Row], earlier: Iterable[Row]) -> tuple[list[Row], Report]:
    """Return the rows that neither repeat nor stand in an `earlier` split, in their order, and what was left out.

    A row repeats another if both prompts and both answers are equal; it stands in an earlier split if a row
    there has its clean prompt and one of its answers.
    """
    unique: dict[tuple[object, ...], Row] = {}
    for row in rows:
        key = (row["clean"], row["corrupt"], frozenset(texts(row["answer"])), frozenset(texts(row["foil"])))
        unique.setdefault(key, row)
    seen = {(row["clean"], answer) for row in earlier for answer in texts(row["answer"])}
    kept = [
        row for row in unique.values() if not any((row["clean"], answer) in seen for answer in texts(row["answer"]))
    ]
    return kept, Report(len(kept), len(rows) - len(unique), len(unique) - len(kept))


def warn(name: str, split: Split, report: Report) -> None:
    """Log a warning if rows of a split were left out."""
    if report.duplicates or report.leaked:
        log.warning(
            "%s, %s: left out %d repeated rows and %d that stand in an earlier split; %d rows remain",
            *(name, split, report.duplicates, report.leaked, report.rows),
        )


def draw(rows: Sequence[Row], n: int, seed: int) -> Dataset:
    """The first `n` rows in the order of `seed`; if any row of all has several answers, every row has a list."""
    order = np.random.default_rng(seed).permutation(len(rows))[:n]
    # Asked of all rows, not of the first n: these must be the first n of any longer draw.
    if all(isinstance(row[side], str) for row in rows for side in ("answer", "foil")):
        return Dataset.from_list([rows[i] for i in order], features=FEATURES)
    several = [rows[i] | {side: list(texts(rows[i][side])) for side in ("answer", "foil")} for i in order]
    return Dataset.from_list(several, features=OF_SEVERAL)
