"""What statistics of boards are on average over seeds and over tasks, how they differ, and how sure that is.

1. Over seeds of a task: prompts that seeds share count alike in their resamples, so their overlap is in the average.
2. Over tasks: families of tasks weigh alike, and tasks within a family.
3. Differences are taken task by task, and on the same resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from basisbench.measures.families import family_weights
from basisbench.measures.intervals import interval, pooled_degrees
from basisbench.measures.metrics import Floats
from basisbench.measures.statistic import board_statistics
from basisbench.results.schema import Interval


@dataclass(frozen=True)
class Average:
    """The statistics of boards, each on its own scale: points [S], replicates [S, R], and degrees of freedom [S]."""

    point: Floats
    replicates: Floats
    degrees: Floats

    def minus(self, other: "Average") -> "Average":
        """Return what this has more of than `other`, resample by resample; as sure as the less sure of both."""
        degrees = np.minimum(self.degrees, other.degrees)
        return Average(self.point - other.point, self.replicates - other.replicates, degrees)

    def interval(self, place: int) -> Interval:
        """Return the statistic at `place` with its interval, on its own scale."""
        statistic, point = board_statistics()[place], self.point[place]
        low, high = interval(point, self.replicates[place], float(self.degrees[place]), centred=statistic.centred)
        return Interval.of(float(point), float(low), float(high))


def over_seeds(parts: Sequence[Average]) -> Average:
    """Return the average over seeds of one task: as sure as the least sure of them, since they may share prompts."""
    if len(parts) == 1:
        return parts[0]
    degrees = np.min([part.degrees for part in parts], axis=0)
    return Average(*_averaged(parts, np.ones(len(parts))), degrees)


def over_tasks(parts: Sequence[Average], families: Sequence[str]) -> Average:
    """Return the average over tasks of these families."""
    if len(parts) == 1:
        return parts[0]
    weights = family_weights(families)
    variances = np.array([part.replicates.var(axis=1) for part in parts]) * weights[:, None] ** 2
    every = np.array([part.degrees for part in parts])
    degrees = np.array([pooled_degrees(*of_one) for of_one in zip(variances.T, every.T, strict=True)])
    return Average(*_averaged(parts, weights), degrees)


def average_points(points: Floats, families: Sequence[str] | None = None) -> Floats:
    """Return the average of points [K, ..., S] over seeds, or over tasks of these families, as [..., S]."""
    weights = np.ones(len(points)) if families is None else family_weights(families)
    columns = [one.averaged(points[..., place], weights) for place, one in enumerate(board_statistics())]
    return np.stack(columns, axis=-1)


def _averaged(parts: Sequence[Average], weights: Floats) -> tuple[Floats, Floats]:
    found = [
        statistic.averaged(np.stack([np.append(part.point[at], part.replicates[at]) for part in parts]), weights)
        for at, statistic in enumerate(board_statistics())
    ]
    both = np.array(found)
    return both[:, 0], both[:, 1:]
