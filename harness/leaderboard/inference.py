"""Tests across tasks: sign flips, Holm's correction, effect sizes, ranks under resampling."""

from typing import Literal

import numpy as np

from basisbench.measures.metrics import Floats
from basisbench.measures.ranks import places
from basisbench.measures.resampling import CONFIDENCE
from basisbench.results.schema import Interval

MAX_EXACT = 14
"""Up to so many tasks all sign flips are enumerated; beyond, DRAWN of them are drawn."""
DRAWN = 20_000


def sign_flip(differences: Floats) -> Floats:
    """Return the two-sided p of each row's mean of differences [m, T] over T tasks, under flips of their signs: [m].

    The exact permutation test of paired samples (Fisher 1935): the share of the 2^T flips whose mean is at least as
    far from 0. With more than 14 tasks the share among 20,000 drawn flips, the observed one counted too (Phipson and
    Smyth 2010).
    """
    m, n_tasks = differences.shape
    exact = n_tasks <= MAX_EXACT
    if exact:
        # the other half of the flips are these with all signs turned, equally far from 0
        bits = np.arange(2 ** max(n_tasks - 1, 0))[:, None] >> np.arange(n_tasks) & 1
    else:
        bits = np.random.default_rng(0).integers(0, 2, (DRAWN, n_tasks))
    signs = 1.0 - 2.0 * bits
    p = np.ones(m)
    for row, difference in enumerate(differences):
        observed = abs(difference.sum())
        at_least = int((np.abs(signs @ difference) >= observed - 1e-12 * np.abs(difference).sum()).sum())
        p[row] = at_least / len(signs) if exact else (at_least + 1) / (DRAWN + 1)
    return p


def smallest_p(n_tasks: int) -> float:
    """Return the least p that `sign_flip` can give over so many tasks."""
    return min(1.0, 2.0 ** (1 - n_tasks)) if n_tasks <= MAX_EXACT else 1 / (DRAWN + 1)


def holm(p: Floats) -> Floats:
    """Return p values [m] after Holm's step-down correction (Holm 1979): [m]."""
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, stepped)
    return adjusted


def standardised(difference: Floats) -> float | None:
    """Return the mean of differences [T] over their standard deviation (Cohen's d_z); None where that is 0 or T 1."""
    if len(difference) < 2:
        return None
    deviation = float(difference.std(ddof=1))
    return float(difference.mean()) / deviation if deviation > 1e-12 * np.abs(difference).max() else None


def ranks(point: Floats, replicates: Floats) -> list[Interval]:
    """Return the rank of each of m rows, 1 for the largest, from points [m] and replicates [m, R]; ties share the best.

    A rank's interval is that of the row's ranks within the replicates, in each of which all rows see the same pairs.
    """
    value, within = places(-point, ties="min"), places(-replicates, ties="min")
    low, high = quantiles(within, method="nearest")
    return [Interval.of(*of_one) for of_one in zip(value, low, high, strict=True)]


def quantiles(replicates: Floats, method: Literal["linear", "nearest"] = "linear") -> tuple[Floats, Floats]:
    """Return both ends of the 95 % percentile interval of replicates [..., R] as [...]."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail], axis=-1, method=method)
    return np.asarray(low), np.asarray(high)
