"""Samples to rows: what tells rows apart, how it is worded, and what a row measured on each task and over all.

1. Samples with equal settings, but for task and seed, are a row; settings in which rows differ go into its label.
2. A row's samples of one task are averaged over seeds, point by point and replicate by replicate.
3. The means over tasks are taken in the same way, where the row has all tasks of its question.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from basisbench.errors import printable
from basisbench.leaderboard.board import Measures, TaskEntry
from basisbench.leaderboard.cells import Sample
from basisbench.leaderboard.inference import quantiles
from basisbench.measures.metrics import Floats
from basisbench.results.schema import Interval
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

Spread = tuple[Number, Number, Number]


@dataclass(frozen=True)
class Average:
    """A mean of points [3] and of replicates [3, R]: auc_f, auc_c and log10 nodes@0.8."""

    point: Floats
    replicates: Floats


@dataclass(frozen=True)
class Cells:
    """A row on one task: its samples by seed, the degenerate ones among them, and the average of the others."""

    task: str
    samples: tuple[Sample, ...]
    degenerate: tuple[Sample, ...]
    average: Average | None

    @property
    def pairs(self) -> tuple[tuple[int, str], ...]:
        """What must be equal for two rows to be compared on the task: the seeds averaged and their pairs."""
        return tuple((sample.cell.seed, sample.pairs) for sample in self.samples)

    @cached_property
    def measures(self) -> Measures | None:
        """Return its numbers, None if there are none."""
        return _of_samples(self.average, self.samples, seed_spread([self])) if self.average else None

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

    def measured(self, tasks: Sequence[str]) -> list[Cells]:
        """Return its cells of those of `tasks` that it has."""
        return [self.cells[task] for task in tasks if task in self.cells and self.cells[task].samples]

    def average(self, tasks: Sequence[str]) -> Average:
        """Return the mean over `tasks`, all of which it has measured."""
        averages = [cells.average for cells in self.measured(tasks) if cells.average]
        return Average(
            np.mean([part.point for part in averages], axis=0), np.mean([part.replicates for part in averages], axis=0)
        )

    def overall(self, tasks: Sequence[str]) -> Measures:
        """Return the numbers over `tasks`, all of which it has measured."""
        cells = self.measured(tasks)
        measures = [found for part in cells if (found := part.measures)]
        return _of_tasks(self.average(tasks), measures, seed_spread(cells))


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


def seed_spread(cells: Sequence[Cells]) -> Spread:
    """Return the standard deviation over seeds of the mean over tasks; None unless all have the same seeds, 2+."""
    seeds = [tuple(sample.cell.seed for sample in part.samples) for part in cells]
    if len(set(seeds)) != 1 or len(seeds[0]) < 2:
        return None, None, None
    by_seed = np.mean([[sample.point for sample in part.samples] for part in cells], axis=0)
    auc_f, auc_c, nodes = by_seed.std(axis=0, ddof=1).tolist()
    return auc_f, auc_c, nodes


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
    average = None
    if good:
        replicates = good[0].replicates if len(good) == 1 else np.mean([part.replicates for part in good], axis=0)
        average = Average(np.mean([part.point for part in good], axis=0), replicates)
    return Cells(task, good, bad, average)


def _of_samples(average: Average, samples: Sequence[Sample], spread: Spread) -> Measures:
    return _measures(
        average,
        spread,
        units=_geometric_mean([sample.units for sample in samples]),
        errors=_mean([sample.errors for sample in samples]),
        unreached=sum(sample.units is None for sample in samples),
        cells=len(samples),
        seconds=_mean([sample.seconds for sample in samples]),
        memory=[sample.peak_memory_bytes for sample in samples],
    )


def _of_tasks(average: Average, tasks: Sequence[Measures], spread: Spread) -> Measures:
    return _measures(
        average,
        spread,
        units=_geometric_mean([task.units_at_08 for task in tasks]),
        errors=_mean([task.errors_at_08 for task in tasks]),
        unreached=sum(task.unreached for task in tasks),
        cells=sum(task.cells for task in tasks),
        seconds=_mean([task.seconds for task in tasks]),
        memory=[task.peak_memory_bytes for task in tasks],
    )


def _measures(
    average: Average,
    spread: Spread,
    *,
    units: Number,
    errors: Number,
    unreached: int,
    cells: int,
    seconds: Number,
    memory: Sequence[int | None],
) -> Measures:
    low, high = quantiles(average.replicates)
    auc_f, auc_c, nodes = (
        Interval(value=v, low=a, high=b)
        for v, a, b in zip(average.point.tolist(), low.tolist(), high.tolist(), strict=True)
    )
    return Measures(
        auc_f=auc_f,
        auc_c=auc_c,
        nodes_at_08=power(nodes),
        auc_f_sd=spread[0],
        auc_c_sd=spread[1],
        nodes_at_08_sd=spread[2],
        units_at_08=units,
        errors_at_08=errors,
        unreached=unreached,
        cells=cells,
        seconds=seconds,
        peak_memory_bytes=max((used for used in memory if used is not None), default=None),
    )


def power(interval: Interval) -> Interval:
    """Return 10 to the power of an interval of log10."""
    value, low, high = (
        None if part is None else _power(part) for part in (interval.value, interval.low, interval.high)
    )
    return Interval(value=value, low=low, high=high)


def _power(exponent: float) -> float:
    # counts went through a logarithm: 100 comes back as 100, not as 100.00000000000001
    return float(f"{10**exponent:.12g}")


def _mean(values: Sequence[Number]) -> Number:
    present = [value for value in values if value is not None]
    return float(np.mean(present)) if len(present) == len(values) else None


def _geometric_mean(values: Sequence[Number]) -> Number:
    present = [value for value in values if value is not None]
    if len(present) < len(values):
        return None
    return _power(float(np.mean(np.log10(present)))) if all(present) else 0.0
