"""A result's curve to a sample: its statistics of the board, their bootstrap replicates and the numbers of its columns.

One set of resamples a task, the same for every row, so that rows can be compared pair by pair. Summaries in the files
are not believed.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from basisbench.leaderboard.columns import COLUMNS
from basisbench.measures.curve import Curve, has_effect, weigh
from basisbench.measures.metrics import Floats, scoring_metric
from basisbench.measures.statistic import SIZE, board_statistics
from basisbench.results.schema import Cell, Result
from basisbench.values import Number

BLOCK = 2048
"""Weightings computed at a time: more would fill the memory."""

Weights = Callable[[str, int], Floats]
"""Takes a task and its number of pairs, gives weights [1 + R, N]."""


@dataclass(frozen=True)
class Sample:
    """One cell: its settings, its statistics and their replicates, and its numbers by column.

    `point` [S] and `replicates` [S, R] hold the statistics of boards, each on its own scale (`Statistic.scaled`), NaN
    where one is not defined, and empty where `degenerate`. `pairs` says which pairs they were measured on, `control`
    whether its basis or its method is a control.
    """

    name: str
    cell: Cell
    model_hash: str
    pairs: str
    control: bool
    degenerate: bool
    point: Floats
    replicates: Floats
    numbers: dict[str, Number]
    machine: tuple[str, str, str]


def draw_weights(task: str, n: int, n_resamples: int) -> Floats:
    """Return the weights of a task's n pairs: 1/n for the point, then a resample's counts over n, [1 + R, n].

    The seed is made of the task's name: one task's resamples are the same for every row and seed, another task's are
    independent of them.
    """
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(task.encode()).digest()[:8]))
    point = np.full(n, 1 / n)
    weights: Floats = np.concatenate([point[None], rng.multinomial(n, point, n_resamples) / n])
    return weights


def measure(result: Result, curve: Curve, weights: Weights) -> Sample:
    """Return the sample of a result that has this curve."""
    names = [statistic.name for statistic in board_statistics()]
    point, replicates = np.full(len(names), np.nan), np.zeros((len(names), 0))
    numbers: dict[str, Number] = {}
    degenerate = result.degenerate or not has_effect(curve, scoring_metric(result.cell.metric))
    if not degenerate:
        found = statistics(curve, weights(result.cell.task, curve.n), result.cell.metric)
        point, replicates = found[:, 0], found[:, 1:]
        reached = int(np.searchsorted(np.log10(curve.size), point[names.index(SIZE)] - 1e-9))
        at = reached if reached < curve.size.size else None
        numbers = {column.name: column.measured.of(result, curve, at) for column in COLUMNS if column.measured}
    return Sample(
        name=result.name,
        cell=result.cell,
        model_hash=result.environment.model_hash,
        pairs=f"{result.data.hash} {curve.n}",
        control=bool(result.controls),
        degenerate=degenerate,
        point=point,
        replicates=replicates,
        numbers=numbers,
        machine=result.environment.machine,
    )


def statistics(curve: Curve, weights: Floats, metric_name: str) -> Floats:
    """Return the statistics of boards under weights [R, N], each on its own scale, as [S, R]."""
    metric, wanted = scoring_metric(metric_name), board_statistics()
    found = np.empty((len(wanted), len(weights)))
    for first in range(0, len(weights), BLOCK):
        block = slice(first, first + BLOCK)
        weighed = weigh(curve, weights[block], metric)
        for row, statistic in zip(found, wanted, strict=True):
            row[block] = statistic.scaled(statistic.compute(weighed))
    return found
