"""What tasks of given pairs share: each split read once, no pair twice, none of an earlier split, a seed's order."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from basisbench.errors import printable
from basisbench.tasks.pair import Pair
from basisbench.values import Split

Stamp = tuple[tuple[str | int, ...], ...]
"""What differs if a file is another, whatever its time of change says."""

log = logging.getLogger("basisbench")


@dataclass(frozen=True)
class Lot:
    """What the rows of one split make: pairs, and how many rows make none, with the first one's place and reason."""

    pairs: tuple[Pair, ...]
    refused: int = 0
    why: str = ""


@dataclass(frozen=True)
class Report:
    """What reading a split found: pairs that are kept, repeats, those that an earlier split holds, rows that make none.

    `why` is the place and the reason of the first row that makes none.
    """

    kept: int
    duplicates: int
    leaked: int
    refused: int = 0
    why: str = ""

    @property
    def left_out(self) -> str:
        """What was left out, in words; empty if nothing."""
        found = [f"{self.refused} rows that make no pair (the first: {self.why})"] if self.refused else []
        if self.duplicates or self.leaked:
            found += [f"{self.duplicates} repeated pairs and {self.leaked} that stand in an earlier split"]
        return ", ".join(found)


@dataclass(frozen=True, eq=False)
class Splits:
    """The splits of a task of given pairs, each read again only where its files have changed.

    `name` is the task's; `files` names those of a split, `load` reads them.
    """

    name: str
    files: Callable[[Split], Sequence[Path]]
    load: Callable[[Split], Lot]
    _lots: dict[Split, tuple[Stamp, Lot]] = field(default_factory=dict, repr=False)
    _said: dict[Split, Report] = field(default_factory=dict, repr=False)

    def read(self, split: Split, earlier: Sequence[Split]) -> tuple[list[Pair], Report]:
        """Return the pairs of a split that neither repeat nor stand in an `earlier` one, and what was left out.

        They are in the data's order. Raises what `files` and `load` do.
        """
        lot = self._lot(split)
        return separate(lot, [pair for other in earlier for pair in self._lot(other).pairs])

    def say(self, split: Split, report: Report) -> None:
        """Log a warning if something of a split was left out, once."""
        if report.left_out and report != self._said.get(split):
            words = printable(report.left_out)
            log.warning("%s, %s: left out %s; %d pairs remain", self.name, split, words, report.kept)
        self._said[split] = report

    def _lot(self, split: Split) -> Lot:
        now = stamp(self.files(split))
        known = self._lots.get(split)
        if known is None or known[0] != now:
            known = self._lots[split] = now, self.load(split)
        return known[1]


def stamp(files: Iterable[Path]) -> Stamp:
    """Path, size, times and inode of files; a time of change can be set back, but not that of the inode's."""
    stats = [(str(file), file.stat()) for file in files]
    return tuple((name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_dev) for name, s in stats)


def separate(lot: Lot, earlier: Iterable[Pair]) -> tuple[list[Pair], Report]:
    """Return the pairs that neither repeat nor stand in an `earlier` split, in their order, and what was left out.

    A pair repeats another if both prompts and both answers are equal; it stands in an earlier split if a pair
    there has its clean prompt and one of its answers.
    """
    unique: dict[tuple[object, ...], Pair] = {}
    for pair in lot.pairs:
        unique.setdefault((pair.clean, pair.corrupt, frozenset(pair.answers), frozenset(pair.foils)), pair)
    seen = {(pair.clean, answer) for pair in earlier for answer in pair.answers}
    kept = [pair for pair in unique.values() if not any((pair.clean, answer) in seen for answer in pair.answers)]
    return kept, Report(len(kept), len(lot.pairs) - len(unique), len(unique) - len(kept), lot.refused, lot.why)


def draw(pairs: Sequence[Pair], n: int, seed: int) -> list[Pair]:
    """The first `n` pairs in the order of `seed`."""
    return [pairs[i] for i in np.random.default_rng(seed).permutation(len(pairs))[:n]]
