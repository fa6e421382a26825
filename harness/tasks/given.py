"""What tasks of given pairs share: no pair twice, none of an earlier split, the order of a seed."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from basisbench.tasks.pair import Pair
from basisbench.values import Split

log = logging.getLogger("basisbench")


@dataclass(frozen=True)
class Report:
    """What reading a split found, in pairs: those kept, repeats, and those that an earlier split holds."""

    kept: int
    duplicates: int
    leaked: int


def separate(pairs: Sequence[Pair], earlier: Iterable[Pair]) -> tuple[list[Pair], Report]:
    """Return the pairs that neither repeat nor stand in an `earlier` split, in their order, and what was left out.

    A pair repeats another if both prompts and both answers are equal; it stands in an earlier split if a pair
    there has its clean prompt and one of its answers.
    """
    unique: dict[tuple[object, ...], Pair] = {}
    for pair in pairs:
        unique.setdefault((pair.clean, pair.corrupt, frozenset(pair.answers), frozenset(pair.foils)), pair)
    seen = {(pair.clean, answer) for pair in earlier for answer in pair.answers}
    kept = [pair for pair in unique.values() if not any((pair.clean, answer) in seen for answer in pair.answers)]
    return kept, Report(len(kept), len(pairs) - len(unique), len(unique) - len(kept))


def warn(name: str, split: Split, report: Report) -> None:
    """Log a warning if pairs of a split were left out."""
    if report.duplicates or report.leaked:
        log.warning(
            "%s, %s: left out %d repeated pairs and %d that stand in an earlier split; %d pairs remain",
            *(name, split, report.duplicates, report.leaked, report.kept),
        )


def draw(pairs: Sequence[Pair], n: int, seed: int) -> list[Pair]:
    """The first `n` pairs in the order of `seed`."""
    return [pairs[i] for i in np.random.default_rng(seed).permutation(len(pairs))[:n]]
