"""Rows to ranks and comparisons: within one question, on equal pairs only, over all its tasks."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from basisbench.leaderboard.board import Comparison
from basisbench.leaderboard.inference import holm, quantiles, ranks, sign_flip, smallest_p, standardised
from basisbench.leaderboard.rows import Average, RowCells
from basisbench.measures.metrics import Floats
from basisbench.measures.statistic import SIZE, STATISTICS, Statistic, board_statistics, power_of_ten
from basisbench.results.schema import Interval


@dataclass(frozen=True)
class Ranked:
    """The rows of one question that have all its `tasks` on equal pairs, best first, and why the others do not.

    `averages` holds each ranked row's average over tasks, `ranks` its rank; `notes` are by row key.
    """

    by: Statistic
    tasks: tuple[str, ...]
    rows: tuple[RowCells, ...]
    averages: dict[str, Average]
    ranks: dict[str, Interval]
    notes: dict[str, str]

    @property
    def best(self) -> RowCells | None:
        """The first row that is no control."""
        return next((row for row in self.rows if not row.control), None)


def rank_rows(rows: Sequence[RowCells], by: Statistic) -> Ranked:
    """Rank the `rows` of one question by the statistic `by`.

    Its tasks are those that any row but controls has measured. Where rows were measured on other pairs, those on the
    pairs that most rows share are ranked.
    """
    bases = [row for row in rows if not row.control] or list(rows)
    tasks = tuple(sorted({task for row in bases for task, cells in row.cells.items() if cells.samples}))
    notes: dict[str, str] = {}
    complete: list[RowCells] = []
    for row in rows:
        absent = [task for task in tasks if task not in row.cells]
        degenerate = [task for task in tasks if task in row.cells and not row.cells[task].samples]
        parts = [f"{what}: {', '.join(names)}" for what, names in (("no", absent), ("degenerate", degenerate)) if names]
        if parts or not tasks:
            notes[row.key] = "; ".join(["not ranked", *parts])
        else:
            complete.append(row)
    shared = Counter(_pairs(row, tasks) for row in complete if not row.control) or Counter(
        _pairs(row, tasks) for row in complete
    )
    usual = shared.most_common(1)[0][0] if shared else ()
    ranked = [row for row in complete if _pairs(row, tasks) == usual]
    for row in complete:
        other = [task for task, pairs, wanted in zip(tasks, _pairs(row, tasks), usual, strict=True) if pairs != wanted]
        if other:
            notes[row.key] = f"not ranked; other pairs or seeds than most: {', '.join(other)}"
    averages = {row.key: row.average(tasks) for row in ranked}
    for row in ranked:
        if np.isnan(averages[row.key].point[place(by)]):
            notes[row.key] = f"not ranked; {by.name} is not defined"
            del averages[row.key]
    ranked = [row for row in ranked if row.key in averages]
    if not ranked:
        return Ranked(by, tasks, (), {}, {}, notes)
    point, replicates = _larger_is_better(list(averages.values()), by)
    found = dict(zip(averages, ranks(point, replicates), strict=True))
    order = np.argsort(-point, kind="stable")
    return Ranked(by, tasks, tuple(ranked[i] for i in order), averages, found, notes)


def compare(rows: Sequence[RowCells], reference: RowCells, ranked: Ranked) -> dict[str, Comparison]:
    """Compare each of `rows`, ranked ones, with `reference`; Holm's correction is over these comparisons.

    Returns the comparisons, row minus reference, by row key.
    """
    rows = [row for row in rows if row.key != reference.key]
    if not rows:
        return {}
    column, size = place(ranked.by), place(STATISTICS.get(SIZE))
    by_task = np.array([_points(row, ranked.tasks) - _points(reference, ranked.tasks) for row in rows])[:, :, column]
    p = sign_flip(by_task)
    corrected = holm(p)
    return {
        row.key: Comparison(
            reference=reference.key,
            difference=_difference(ranked.averages[row.key], ranked.averages[reference.key], column),
            node_ratio=_difference(ranked.averages[row.key], ranked.averages[reference.key], size).mapped(power_of_ten),
            effect_size=standardised(by_task[i]),
            p=float(p[i]),
            holm=float(corrected[i]),
            smallest_holm=min(1.0, len(rows) * smallest_p(len(ranked.tasks))),
            comparisons=len(rows),
            tasks=len(ranked.tasks),
        )
        for i, row in enumerate(rows)
    }


def _pairs(row: RowCells, tasks: Sequence[str]) -> tuple[object, ...]:
    return tuple(row.cells[task].pairs for task in tasks)


def place(statistic: Statistic) -> int:
    """Return where a statistic stands among those of boards: which row of points [S] and replicates [S, R] is its."""
    return board_statistics().index(statistic)


def _points(row: RowCells, tasks: Sequence[str]) -> Floats:
    """Return a row's statistics on each task: [T, S]."""
    return np.array([cells.average.point for cells in row.measured(tasks) if cells.average])


def _larger_is_better(averages: Sequence[Average], by: Statistic) -> tuple[Floats, Floats]:
    column = place(by)
    point = by.sign * np.array([average.point[column] for average in averages])
    return point, by.sign * np.array([average.replicates[column] for average in averages])


def _difference(a: Average, b: Average, column: int) -> Interval:
    low, high = quantiles(a.replicates[column] - b.replicates[column])
    return Interval.of(a.point[column] - b.point[column], float(low), float(high))
