"""A result's curve to a sample: its statistics of the board, their bootstrap replicates and the numbers of its columns.

A prompt has its resamples of its own (`measures.clusters`), so that rows can be compared pair by pair. Summaries in the
files are not believed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from basisbench.leaderboard.averages import Average
from basisbench.leaderboard.columns import COLUMNS
from basisbench.measures.clusters import Integers, effective_clusters
from basisbench.measures.curve import Curve, has_effect, weigh
from basisbench.measures.metrics import Floats, scoring_metric
from basisbench.measures.statistic import SIZE, board_statistics
from basisbench.results.schema import Cell, Result
from basisbench.values import Number

Weights = Callable[[bytes], Floats]
"""Takes the numbers of pairs' prompts, as bytes, gives weights [1 + R, N]."""
Key = tuple[str, int, str]
"""What a cell shares with those that can be compared with it: its task, its seed and its pairs."""


@dataclass(frozen=True)
class Sample:
    """One cell: its settings, its statistics and their replicates, and its numbers by column.

    `point` [S] and `replicates` [S, R] hold the statistics of boards, each on its own scale (`Statistic.scaled`), NaN
    where one is not defined, and empty where `degenerate`; `degrees` of freedom are one less than its effective
    prompts. `pairs` says which pairs they were measured on, `control` whether its basis or its method is a control.
    """

    name: str
    cell: Cell
    family: str
    model_hash: str
    pairs: str
    control: bool
    degenerate: bool
    point: Floats
    replicates: Floats
    degrees: float
    numbers: dict[str, Number]
    machine: tuple[str, str, str]

    @property
    def key(self) -> Key:
        """What is equal in cells that can be compared."""
        return self.cell.task, self.cell.seed, self.pairs

    @property
    def average(self) -> Average:
        """The sample as the average of itself."""
        return Average(self.point, self.replicates, np.full(len(self.point), self.degrees))


def measure(result: Result, curve: Curve, weights: Weights) -> Sample:
    """Return the sample of a result that has this curve."""
    names = [statistic.name for statistic in board_statistics()]
    point, replicates = np.full(len(names), np.nan), np.zeros((len(names), 0))
    numbers: dict[str, Number] = {}
    degenerate = result.degenerate or not has_effect(curve, scoring_metric(result.cell.metric))
    if not degenerate:
        found = statistics(curve, weights(curve.cluster.tobytes()), result.cell.metric)
        point, replicates = found[:, 0], found[:, 1:]
        reached = int(np.searchsorted(np.log10(curve.size), point[names.index(SIZE)] - 1e-9))
        at = reached if reached < curve.size.size else None
        numbers = {column.name: column.measured.of(result, curve, at) for column in COLUMNS if column.measured}
    return Sample(
        name=result.name,
        cell=result.cell,
        family=result.family,
        model_hash=result.environment.model_hash,
        pairs=f"{result.data.hash} {curve.n}",
        control=bool(result.controls),
        degenerate=degenerate,
        point=point,
        replicates=replicates,
        degrees=effective_clusters(curve.cluster) - 1,
        numbers=numbers,
        machine=result.environment.machine,
    )


def statistics(curve: Curve, weights: Floats, metric_name: str) -> Floats:
    """Return the statistics of boards under weights [1 + R, N], each on its own scale, as [S, 1 + R]."""
    weighed = weigh(curve, weights, scoring_metric(metric_name))
    return np.array([statistic.scaled(statistic.compute(weighed)) for statistic in board_statistics()])


def clusters_in(numbers: bytes) -> Integers:
    """Return the numbers of prompts that `Weights` takes."""
    return np.frombuffer(numbers, dtype=np.int64)
