"""Ranks of numbers, the one way in which they are taken."""

from typing import Literal

from basisbench.measures.metrics import Floats


def places(values: Floats, ties: Literal["min", "average"] = "average") -> Floats:
    """Return the rank, from 1 for the smallest, of each of values [m, ...] along the first axis.

    Equal ones share the mean of their ranks, or the smallest.
    """
    from scipy import stats  # takes longer to import than all else that reads results

    ranks: Floats = stats.rankdata(values, method=ties, axis=0)
    return ranks
