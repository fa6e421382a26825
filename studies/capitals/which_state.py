"""Which neurons at the city's last token tell the state, and how many it takes.

1. Between-states share of a neuron's variance over cities, eta^2 = SS_between / SS_total (Fisher's correlation ratio).
2. Its p value by permuting cities among states, Holm-corrected over the neurons asked about.
3. The state told by k neurons: leave one city out, take the nearest mean of the other cities' states (z-scored), count
   how often it is the right one. Chance is what permuted states give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from basisbench.measures.families import holm
from basisbench.measures.metrics import Floats
from basisbench.measures.resampling import Estimate, resampled

PERMUTATIONS = 10_000
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Selectivity:
    """Of K neurons: `eta2` [K], `p` [K] after Holm's correction, `null` [K] the mean eta^2 of permuted states."""

    eta2: Floats
    p: Floats
    null: Floats


def eta_squared(values: Floats, group: Integers) -> Floats:
    """Between-groups share of the variance of values [P, K] over P items, [K]; 0 for a constant column."""
    member = np.eye(int(group.max()) + 1)[group]
    centred = values - values.mean(0)
    sums = member.T @ centred
    between = (sums**2 / member.sum(0)[:, None]).sum(0)
    total = (centred**2).sum(0)
    result: Floats = np.divide(between, total, out=np.zeros_like(total), where=total > 0)
    return result


def selectivity(values: Floats, group: Integers, seed: int = 0, permutations: int = PERMUTATIONS) -> Selectivity:
    """Test the neurons of `values` [P, K]; groups of one item say nothing and should be left out before."""
    found = eta_squared(values, group)
    draw = np.random.default_rng(seed)
    at_least, total = np.ones_like(found), np.zeros_like(found)
    for _ in range(permutations):
        permuted = eta_squared(values, draw.permutation(group))
        at_least += permuted >= found - 1e-12
        total += permuted
    return Selectivity(found, holm(at_least / (permutations + 1)), total / permutations)


def told(values: Floats, group: Integers) -> Floats:
    """Whether each left-out item's group is told by the nearest mean of the others, 0 or 1 [P]."""
    deviation = values.std(0)
    z = (values - values.mean(0)) / np.where(deviation > 0, deviation, 1)
    member = np.eye(int(group.max()) + 1)[group]
    sums, counts = member.T @ z, member.sum(0)
    hits = np.zeros(len(group))
    for item, own in enumerate(group.tolist()):
        left = counts.copy()
        left[own] -= 1
        means = sums.copy()
        means[own] -= z[item]
        means /= np.maximum(left, 1)[:, None]
        distance = ((means - z[item]) ** 2).sum(1)
        distance[left == 0] = np.inf
        hits[item] = distance.argmin() == own
    return hits


def accuracy(values: Floats, group: Integers, seed: int = 0) -> Estimate:
    """How often the state is told, with a 95 % bootstrap interval over cities."""
    hits = told(values, group)
    return resampled(lambda weights: {"": weights @ hits}, len(hits), seed)[""].estimate()


def with_others(group: Integers) -> Integers:
    """Indices of the items whose group has another item."""
    counts = np.bincount(group)
    return np.flatnonzero(counts[group] > 1)


def columns(recorded: Floats, nodes: Sequence[tuple[int, int]]) -> Floats:
    """The neurons (layer, unit) of a recording [P, layers, units] as [P, K]."""
    layers, units = np.array(nodes, np.int64).reshape(-1, 2).T
    chosen: Floats = recorded[:, layers, units]
    return chosen
