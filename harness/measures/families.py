"""From tasks to families, and from these tasks to tasks like them.

Tasks of one family (four kinds of agreement, four of capitals) say much the same of a basis, so families and not tasks
are the sample in a claim about other tasks. A number over tasks is the mean over families of each family's mean.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from basisbench.measures.intervals import CONFIDENCE
from basisbench.measures.metrics import Floats

MAX_EXACT = 20
"""Up to so many families all sign flips are counted; beyond, Student's t says the same."""
SURE = 1 - CONFIDENCE


def family_weights(families: Sequence[str]) -> Floats:
    """Return the weight of each of T tasks in the mean over families of the families' means: [T], sum 1."""
    sizes = Counter(families)
    return np.array([1 / (len(sizes) * sizes[family]) for family in families])


def family_means(values: Floats, families: Sequence[str]) -> Floats:
    """Return the means over each family's tasks of values [..., T], as [..., F], families in the order met."""
    names = list(dict.fromkeys(families))
    members = np.array([[family == name for family in families] for name in names], dtype=np.float64)
    means: Floats = values @ (members / members.sum(axis=1, keepdims=True)).T
    return means


def weighted_median(values: Floats, weights: Floats) -> Floats:
    """Return the median of values [T, ...] that count `weights` [T]: [...].

    The value at which half of the weight is reached; the mean of two where it is reached exactly between them.
    """
    order = np.argsort(values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0)
    reached = np.cumsum(weights[order], axis=0) / weights.sum()
    lower, upper = (np.argmax(reached >= half, axis=0)[None] for half in (0.5 - 1e-9, 0.5 + 1e-9))
    pair = np.take_along_axis(ordered, lower, axis=0) + np.take_along_axis(ordered, upper, axis=0)
    median: Floats = pair[0] / 2
    return median


def sign_flip(differences: Floats) -> Floats:
    """Return the two-sided p of each row's mean of differences [m, F] over F families, under flips of their signs: [m].

    The exact test of paired samples that are symmetric around 0 (Fisher 1935): the share of the 2^F flips whose mean is
    at least as far from 0. With more than 20 families Student's t.
    """
    if differences.shape[1] > MAX_EXACT:
        return np.array([_student(row)[0] for row in differences])
    return np.array([_exact_p(row) for row in differences])


def smallest_p(n_families: int) -> float:
    """Return the least p that `sign_flip` can give over so many families."""
    return min(1.0, 2.0 ** (1 - n_families)) if n_families <= MAX_EXACT else 0.0


def typical_interval(differences: Floats) -> tuple[float, float]:
    """Return the 95 % interval of the mean difference over families like these F: what `sign_flip` does not reject.

    Of the means of all subsets of families, each of the 2^F gaps between them holds the centre of symmetry with the
    same probability (Hartigan 1969, typical values). Infinite where F is too small (5 or fewer) to exclude anything.
    """
    n = len(differences)
    if n > MAX_EXACT:
        return _student(differences)[1]
    left_out = int(SURE / 2 * 2**n + 1e-9)
    if not left_out:
        return -np.inf, np.inf
    sums, counts = np.zeros(1), np.zeros(1)
    for difference in differences:
        sums, counts = np.append(sums, sums + difference), np.append(counts, counts + 1)
    means = np.partition(sums[1:] / counts[1:], [left_out - 1, 2**n - 1 - left_out])
    return float(means[left_out - 1]), float(means[2**n - 1 - left_out])


def holm(p: Floats) -> Floats:
    """Return p values [m] after Holm's step-down correction (Holm 1979): [m]."""
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, stepped)
    return adjusted


def standardised(differences: Floats) -> float | None:
    """Return the mean of differences [F] over their standard deviation (Cohen's d_z); None where that is 0 or F 1."""
    if len(differences) < 2:
        return None
    deviation = float(differences.std(ddof=1))
    return float(differences.mean()) / deviation if deviation > 1e-12 * np.abs(differences).max() else None


def _exact_p(difference: Floats) -> float:
    # the other half of the flips are these with all signs turned, equally far from 0
    sums = difference[-1:]
    for part in difference[:-1]:
        sums = np.append(sums + part, sums - part)
    observed, slack = abs(difference.sum()), 1e-12 * np.abs(difference).sum()
    return float((np.abs(sums) >= observed - slack).mean())


def _student(difference: Floats) -> tuple[float, tuple[float, float]]:
    """Return the two-sided p and the interval of a mean by Student's t."""
    from scipy import special

    n, mean = len(difference), float(difference.mean())
    error = float(difference.std(ddof=1)) / np.sqrt(n)
    half = float(special.stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * error
    if error == 0:
        return float(mean == 0), (mean, mean)
    return float(2 * special.stdtr(n - 1, -abs(mean) / error)), (mean - half, mean + half)
