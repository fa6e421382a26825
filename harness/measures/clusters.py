"""Which evaluation pairs are resampled together: those of one clean prompt, whatever result they stand in.

A task may ask one prompt against many others: its pairs are then no independent draws, and are drawn whole. Each prompt
draws its own counts, from a stream that its number alone seeds. So two results that share a prompt (another basis,
another seed, another task) share its counts, and no result need know of the others.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from basisbench.measures.metrics import Floats

Integers = NDArray[np.int64]


def cluster_number(name: object) -> int:
    """Return the number of what `name` names, of a clean prompt its tokens: a hash, the same in all results.

    From 0 to 2^63 - 1.
    """
    return int.from_bytes(hashlib.sha256(repr(name).encode()).digest()[:8]) >> 1


def apart(n: int, seed: object = 0) -> Integers:
    """Return the numbers of n clusters that share nothing with those of another `seed`, [n]."""
    return np.random.Generator(np.random.Philox(key=cluster_number(seed))).integers(2**63 - 1, size=n)


def draw_weights(cluster: Integers, n_resamples: int) -> Floats:
    """Return weights of N pairs whose rows sum to 1: 1/N each for the point, then R resamples, [1 + R, N].

    `cluster` [N] numbers each pair's clean prompt. In a resample each prompt counts a Poisson number of times, of mean
    1, with all its pairs: the bootstrap of clusters (Davison and Hinkley 1997, section 3.8), its counts independent
    (Hanley and MacGibbon 2006). Of n effective clusters resampled means spread too little, by sqrt((n - 1) / n), and
    weights are moved that much further from 1/N (the rescaling of Rao and Wu 1988), so that some are below 0. With one
    cluster there is nothing to resample: all rows are the point.
    """
    n = effective_clusters(cluster)
    weights = np.full((1 + n_resamples, len(cluster)), 1 / len(cluster))
    numbers, index = np.unique(cluster, return_inverse=True)
    if len(numbers) == 1:
        return weights
    counts = [np.random.Generator(np.random.Philox(key=number)).poisson(1, n_resamples) for number in numbers.tolist()]
    drawn = np.array(counts, dtype=np.float64).T[:, index]
    total = drawn.sum(axis=1, keepdims=True)
    shares = np.divide(drawn, total, out=weights[1:].copy(), where=total > 0)
    weights[1:] += np.sqrt(n / (n - 1)) * (shares - weights[1:])
    return weights


def effective_clusters(cluster: Integers) -> float:
    """Return how many clusters of one size would say as much as these: N^2 over the sum of the squared sizes.

    The number of clusters where all are of one size, near 1 where one holds almost all pairs (Kish 1965).
    """
    sizes = np.unique(cluster, return_counts=True)[1]
    return float(sizes.sum() ** 2 / (sizes**2).sum())
