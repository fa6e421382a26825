"""Intervals from resamples: tails as wide as Student's, and areas under |x| cleared of what noise adds to |x|.

An area of a curve is made of distances |x| of a mean from its ideal. Noise of x makes |x| larger on average wherever x
is near 0 (and min(1, |x|) smaller near 1), so the mean over many tasks, whose own noise is small, is off by more than
its interval. And resampling adds the same noise again.

1. `corrected_distance`: from each |x| the bias is taken that the bootstrap estimates, E|x + noise| - |x|, in closed
   form (the bias correction of Efron and Tibshirani 1993, chapter 10). It is part of the statistic, so that it is made
   anew in every resample, and what it costs in spread is in the interval.
2. `interval`: percentiles of the resamples, as far out as Student's t is (Hesterberg 2015, section 5.1).
3. `centred`: of corrected areas the resamples are laid around the point, since what bias is left in the point is in
   them once more.

docs/statistics.md has the coverage, from simulated boards.
"""

from functools import lru_cache

import numpy as np

from basisbench.measures.metrics import Floats

CONFIDENCE = 0.95
FARTHEST = 2.0
"""Ratios beyond count as this far off when their spread is taken: in few resamples the divisor is near 0."""


def corrected_distance(x: Floats, cap: float = 1.0) -> Floats:
    """Return min(cap, |x|) of x [..., 1 + R], a point and its resamples, each less the bias that noise of x gives it.

    With z normal and s the standard deviation of the resamples, the bias is E min(cap, |x + s z|) - min(cap, |x|) =
    s (2 g(x / s) - g((|x| - cap) / s)), g(d) = E max(0, z - |d|); the far side, s g((|x| + cap) / s), is left out.
    Without resamples, R = 0, there is no noise to correct for.
    """
    distance = np.abs(x)
    if x.shape[-1] == 1:
        return np.minimum(cap, distance)
    spread = np.clip(x[..., 1:], -FARTHEST, FARTHEST).std(axis=-1, keepdims=True)
    scale = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 0)
    bias = 2 * _overshoot(distance * scale)
    if np.isfinite(cap):
        bias -= _overshoot(np.abs(distance - cap) * scale)
        distance = np.minimum(cap, distance, out=distance)
    corrected: Floats = distance - spread * bias
    return corrected


def _overshoot(d: Floats) -> Floats:
    """Return E max(0, z - d) of a standard normal z for d >= 0, to 0.0008: a tenth of the time of the exact form."""
    return 0.3989422804 * np.exp(-d * (1.25 + 0.32 * d))


def interval(point: Floats, replicates: Floats, degrees: float, *, centred: bool = False) -> tuple[Floats, Floats]:
    """Return both ends of the 95 % interval of points [...] from their replicates [..., R].

    `degrees` of freedom: one less than the clusters that were resampled (see `clusters.effective_clusters`). `centred`
    lays the replicates around the point. NaN with no degrees, where nothing was resampled.
    """
    if degrees <= 0:
        return np.full(np.shape(point), np.nan), np.full(np.shape(point), np.nan)
    tail = tail_probability(degrees)
    low, high = np.quantile(replicates, [tail, 1 - tail], axis=-1)
    shift = np.mean(replicates, axis=-1) - point if centred else 0.0
    return low - shift, high - shift


@lru_cache(maxsize=4096)
def tail_probability(degrees: float) -> float:
    """Return the share of resamples to leave out on each side: that of a normal beyond the 2.5 % of Student's t."""
    from scipy import special  # takes longer to import than all else that reads results

    return float(special.ndtr(-special.stdtrit(degrees, (1 + CONFIDENCE) / 2)))


def pooled_degrees(variances: Floats, degrees: Floats) -> float:
    """Return the degrees of freedom of a sum of independent parts with these variances [T] (Satterthwaite 1946).

    0 if a part has none, or too few to vary.
    """
    if not (degrees > 0).all():
        return 0.0
    total = float(variances.sum())
    if total <= 0:
        return float(degrees.sum())
    return total**2 / float((variances**2 / degrees).sum())
