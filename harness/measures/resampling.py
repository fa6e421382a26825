"""Resampling of pairs: values with their intervals, from one bootstrap over evaluation pairs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basisbench.measures.metrics import Floats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % percentile interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Band:
    """Values and their pointwise 95 % percentile intervals: arrays of one shape, [P] along a curve."""

    value: Floats
    low: Floats
    high: Floats

    def estimate(self) -> Estimate:
        """Return the one value of a band of shape []."""
        return Estimate(float(self.value), float(self.low), float(self.high))


def resampled(
    compute: Callable[[Floats], Mapping[str, Floats]], n: int, seed: int = 0, n_resamples: int = 2000
) -> dict[str, Band]:
    """Return a band for each array that `compute` makes of weights over n pairs.

    `compute` takes weights [R, n] whose rows sum to 1 and returns arrays [..., R]; it is called once for the
    point (R = 1) and once for all resamples. The same n, seed and n_resamples give the same resamples.
    Percentile intervals (Efron and Tibshirani 1993, chapter 13); with n = 1 they equal the points.
    """
    from scipy import stats  # takes longer to import than all else that reads results

    point = {name: values[..., 0] for name, values in compute(np.full((1, n), 1 / n)).items()}
    if n == 1:
        return {name: Band(value, value, value) for name, value in point.items()}

    def statistic(indices: NDArray[np.int64], axis: int) -> Floats:
        arrays = compute(_weights(indices))
        rows: Floats = np.concatenate([array.reshape(-1, len(indices)) for array in arrays.values()])
        rows[np.isnan(rows)] = 0  # scipy warns of NaN; what has no point gets no interval below
        return rows

    interval = stats.bootstrap(
        (np.arange(n),),
        statistic,
        n_resamples=n_resamples,
        vectorized=True,
        axis=-1,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=seed,
    ).confidence_interval
    ends = np.cumsum([value.size for value in point.values()])[:-1]
    lows, highs = np.split(interval.low, ends), np.split(interval.high, ends)
    return {
        name: Band(value, *(np.where(np.isnan(value), np.nan, end.reshape(value.shape)) for end in (low, high)))
        for (name, value), low, high in zip(point.items(), lows, highs, strict=True)
    }


def _weights(indices: NDArray[Any]) -> Floats:
    """Return how often each row of indices [R, N] names each of the N pairs, over N: [R, N]."""
    rows, n = indices.shape
    counts = np.bincount((np.arange(rows)[:, None] * n + indices).ravel(), minlength=rows * n)
    weights: Floats = counts.reshape(rows, n) / n
    return weights
