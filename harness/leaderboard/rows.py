"""Samples to rows: what tells rows apart, how it is worded, and what a row measured on each task and over all.

1. Samples with equal settings, but for task and seed, are a row; settings in which rows differ go into its label.
2. A row's samples of one task are averaged over seeds, and then over tasks (`averages`): all of them, or those that
   rows have in common.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from basisbench.errors import printable
from basisbench.leaderboard.averages import Average, average_points, over_seeds, over_tasks
from basisbench.leaderboard.board import Measures, TaskEntry
from basisbench.leaderboard.columns import COLUMNS
from basisbench.leaderboard.samples import Key, Sample
from basisbench.measures.metrics import Floats
from basisbench.measures.statistic import board_statistics
from basisbench.results.settings import (
    CONDITIONS,
    QUESTION,
    identity_of,
    options_of,
    settings_of,
    shared,
    varying,
)
from basisbench.values import Number


@dataclass(frozen=True)
class Cells:
    """A row on one task: its samples by seed, and the degenerate ones apart from the others."""

    task: str
    samples: tuple[Sample, ...]
    degenerate: tuple[Sample, ...]

    @property
    def family(self) -> str:
        """The family of the task."""
        return (*self.samples, *self.degenerate)[0].family

    def among(self, keys: Collection[Key]) -> "Cells":
        """Return it with those of its samples that are among `keys`."""
        kept = tuple(sample for sample in self.samples if sample.key in keys)
        return self if kept == self.samples else replace(self, samples=kept)

    @cached_property
    def average(self) -> Average:
        """The average over its seeds, of which there must be one."""
        return over_seeds([sample.average for sample in self.samples])

    @cached_property
    def point(self) -> Floats:
        """The same without replicates: statistics of boards on their own scales, [S]."""
        return average_points(np.array([sample.point for sample in self.samples]))

    @cached_property
    def measures(self) -> Measures | None:
        """Return its numbers, None if there are none."""
        if not self.samples:
            return None
        return _measures(self.average, seed_spread([self]), [sample.numbers for sample in self.samples])

    def entry(self) -> TaskEntry:
        """Return what the board says of it."""
        every = (*self.samples, *self.degenerate)
        return TaskEntry(
            task=printable(self.task),
            status="measured" if self.samples else "degenerate" if self.degenerate else "missing",
            measures=self.measures,
            seeds=tuple(sample.cell.seed for sample in self.samples),
            degenerate_seeds=tuple(sample.cell.seed for sample in self.degenerate),
            results=tuple(sample.name for sample in every),
        )


@dataclass(frozen=True)
class RowCells:
    """A row before it is ranked. `question` and `conditions` hold settings by name, `shown` those in its label."""

    key: str
    label: str
    basis: str
    method: str
    question: Mapping[str, str]
    conditions: Mapping[str, str]
    shown: Mapping[str, str]
    control: bool
    cells: Mapping[str, Cells]

    def keys(self, place: int) -> frozenset[Key]:
        """Return of which cells it has the statistic of boards at `place`."""
        every = (sample for cells in self.cells.values() for sample in cells.samples)
        return frozenset(sample.key for sample in every if np.isfinite(sample.point[place]))

    def measured(self, keys: Collection[Key]) -> list[Cells]:
        """Return its cells that are among `keys`, a task each, by task."""
        found = [cells.among(keys) for _, cells in sorted(self.cells.items())]
        return [cells for cells in found if cells.samples]

    def point(self, keys: Collection[Key]) -> Floats:
        """Return the average over its cells among `keys`, of which it must have one: [S]."""
        cells = self.measured(keys)
        return average_points(np.array([part.point for part in cells]), [part.family for part in cells])

    def overall(self, keys: Collection[Key]) -> Measures:
        """Return the numbers over its cells among `keys`, of which it must have one."""
        cells = self.measured(keys)
        average = over_tasks([part.average for part in cells], [part.family for part in cells])
        return _measures(average, seed_spread(cells), [part.measures.numbers for part in cells if part.measures])


def make_rows(samples: Sequence[Sample]) -> tuple[list[RowCells], str, list[str]]:
    """Return the rows of `samples` by label, the settings that all share, and a note for each cell met twice."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(identity_of(sample.cell, sample.model_hash), []).append(sample)
    settings = [settings_of(group[0].cell, group[0].model_hash) for group in groups.values()]
    differ = varying(settings)
    cells = [group[0].cell for group in groups.values()]
    names = [(cell.basis, cell.method, *(each[d] for d in differ)) for cell, each in zip(cells, settings, strict=True)]
    notes: list[str] = []
    rows: list[RowCells] = []
    for (identity, group), cell, each, name in zip(groups.items(), cells, settings, names, strict=True):
        # the same name for other weights: their hash tells them apart
        shown = {d: each[d] for d in differ} | (options_of(cell) if names.count(name) > 1 else {})
        shown = {printable(name): printable(value) for name, value in shown.items()}
        words = (printable(cell.basis), printable(cell.method), *(f"{name} {value}" for name, value in shown.items()))
        rows.append(
            RowCells(
                key=hashlib.sha256(identity.encode()).hexdigest()[:12],
                label=", ".join(words),
                basis=cell.basis,
                method=cell.method,
                question={name: each[name] for name in QUESTION},
                conditions={name: each[name] for name in CONDITIONS},
                shown=shown,
                control=any(sample.control for sample in group),
                cells=_by_task(group, notes),
            )
        )
    seeds = sorted({sample.cell.seed for sample in samples})
    return sorted(rows, key=lambda row: (row.label, row.key)), shared(settings, seeds), notes


def seed_spread(cells: Sequence[Cells]) -> dict[str, Number]:
    """Return the standard deviation over seeds of the average over tasks, by statistic and on the scale of each.

    None unless all have the same seeds, two or more.
    """
    names = [statistic.name for statistic in board_statistics()]
    seeds = [tuple(sample.cell.seed for sample in part.samples) for part in cells]
    if len(set(seeds)) != 1 or len(seeds[0]) < 2:
        return dict.fromkeys(names)
    by_task = np.array([[sample.point for sample in part.samples] for part in cells])
    by_seed = average_points(by_task, [part.family for part in cells])
    spreads = by_seed.std(axis=0, ddof=1).tolist()
    return {name: None if np.isnan(spread) else spread for name, spread in zip(names, spreads, strict=True)}


def _by_task(group: Sequence[Sample], notes: list[str]) -> dict[str, Cells]:
    kept: dict[tuple[str, int], Sample] = {}
    for sample in group:
        first = kept.setdefault((sample.cell.task, sample.cell.seed), sample)
        if not np.array_equal(first.point, sample.point, equal_nan=True):
            notes.append(
                printable(f"{sample.name} and {first.name} are one cell with other numbers: the latter counts")
            )
    by_task: dict[str, list[Sample]] = {}
    for _, sample in sorted(kept.items(), key=lambda item: item[0]):
        by_task.setdefault(sample.cell.task, []).append(sample)
    return {task: _cells(task, samples) for task, samples in by_task.items()}


def _cells(task: str, samples: Sequence[Sample]) -> Cells:
    good = tuple(sample for sample in samples if not sample.degenerate)
    bad = tuple(sample for sample in samples if sample.degenerate)
    return Cells(task, good, bad)


def _measures(average: Average, spreads: dict[str, Number], parts: Sequence[Mapping[str, Number]]) -> Measures:
    """Return the numbers of an average; `parts` are those of columns in each of what was averaged."""
    statistics = {
        statistic.name: average.interval(place).mapped(statistic.told)
        for place, statistic in enumerate(board_statistics())
    }
    numbers = {
        column.name: column.measured.over([part[column.name] for part in parts])
        for column in COLUMNS
        if column.measured
    }
    return Measures(statistics, spreads, numbers)
