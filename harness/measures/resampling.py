"""Resampling of pairs: values with their intervals, from one bootstrap over evaluation pairs."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from basisbench.measures.clusters import Integers, apart, draw_weights, effective_clusters
from basisbench.measures.intervals import interval
from basisbench.measures.metrics import Floats


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval; NaN where it is not defined."""

    value: float
    low: float
    high: float

    def within(self, least: float, most: float) -> "Estimate":
        """Return it with what lies beyond `least` or `most` moved there."""
        return Estimate(*(float(np.clip(part, least, most)) for part in (self.value, self.low, self.high)))


@dataclass(frozen=True)
class Band:
    """Values and their pointwise 95 % intervals: arrays of one shape, [P] along a curve."""

    value: Floats
    low: Floats
    high: Floats

    def estimate(self) -> Estimate:
        """Return the one value of a band of shape []."""
        return Estimate(float(self.value), float(self.low), float(self.high))


def resampled(
    compute: Callable[[Floats], Mapping[str, Floats]],
    pairs: int | Integers,
    seed: int = 0,
    n_resamples: int = 2000,
    centred: Collection[str] = (),
) -> dict[str, Band]:
    """Return a band for each array that `compute` makes of weights over n pairs.

    `pairs` are the numbers of their clusters [n], or how many there are where each is its own: then `seed` says which
    resamples. `compute` takes weights [1 + R, n], those of the point first, and returns arrays [..., 1 + R]; those
    that are `centred` have corrected points (see `intervals`). With one cluster there is no interval: its ends are NaN.
    """
    cluster = apart(pairs, seed) if isinstance(pairs, int) else pairs
    degrees = effective_clusters(cluster) - 1
    bands: dict[str, Band] = {}
    for name, values in compute(draw_weights(cluster, n_resamples)).items():
        point, replicates = values[..., 0], values[..., 1:]
        replicates = np.where(np.isnan(replicates), 0, replicates)  # what has no point gets no interval below
        low, high = interval(point, replicates, degrees, centred=name in centred)
        nothing = np.where(np.isnan(point), np.nan, 0.0)
        bands[name] = Band(point, low + nothing, high + nothing)
    return bands
