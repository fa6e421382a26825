"""Groups of nodes that serve the same prompts: hierarchical clustering of attribution profiles.

1. A node's profile is its share of the metric in each prompt of a task (`basisbench.tracing.shares.profiles`).
2. The distance of two nodes is 1 - r, r the correlation of their profiles over prompts: nodes that help the same
   prompts are near, whatever their size; nodes of which one helps where the other hurts are furthest. A node that is
   the same in all prompts has no correlation: such nodes are a group of their own, and so are those set apart.
3. Average linkage (scipy), cut into the number of groups, from 2 to MOST_GROUPS, with the largest mean silhouette
   width (Rousseeuw 1987, J. Comput. Appl. Math. 20, 53-65); a node alone in its group counts as 0.
4. Stability: prompts are drawn again with replacement, nodes are clustered anew into as many groups, and each group is
   held against the most similar one by Jaccard overlap; the mean over RESAMPLES draws (Hennig 2007, Comput. Stat. Data
   Anal. 52, 258-271, who calls 0.75 and more stable).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from basisbench.errors import UserError
from basisbench.measures.metrics import Floats

MOST_GROUPS = 12
RESAMPLES = 100
LEAST_PROMPTS = 4
STEADY = 1e-6
"""A profile that varies by less than this share of the largest share in it is the same in all prompts."""

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Cluster:
    """Indices of a group's nodes, ascending, its stability from 0 to 1, and what it is if it was not clustered."""

    members: tuple[int, ...]
    stability: float
    kind: str = ""


@dataclass(frozen=True)
class Clustering:
    """Groups, the largest |total share| first, and the mean silhouette width of those that were clustered."""

    clusters: tuple[Cluster, ...]
    silhouette: float
    n_prompts: int

    @property
    def criterion(self) -> str:
        """How many groups there are and why, in a line."""
        clustered = sum(not cluster.kind for cluster in self.clusters)
        return (
            f"average linkage of 1 - correlation over {self.n_prompts} prompts; {clustered} groups have the largest "
            f"mean silhouette width, {self.silhouette:.2f}"
        )

    @property
    def stability(self) -> float:
        """Mean over clustered nodes of their group's stability."""
        clustered = [cluster for cluster in self.clusters if not cluster.kind]
        nodes = sum(len(cluster.members) for cluster in clustered)
        return sum(len(c.members) * c.stability for c in clustered) / nodes if nodes else 1.0


def cluster_nodes(profiles: Floats, apart: Collection[int] = (), seed: int = 0) -> Clustering:
    """Group nodes by their profiles [N, P]; those in `apart` are a group of their own.

    Raises UserError for fewer than LEAST_PROMPTS prompts: a correlation over them says nothing.
    """
    n, prompts = profiles.shape
    if prompts < LEAST_PROMPTS:
        raise UserError(f"{prompts} prompts are too few to group nodes by: valid: {LEAST_PROMPTS} or more")
    steady = profiles.std(1) <= STEADY * np.abs(profiles).max(1, initial=0.0)
    set_apart = np.isin(np.arange(n), list(apart))
    free = np.flatnonzero(~steady & ~set_apart)
    clusters = [
        Cluster(tuple(np.flatnonzero(chosen).tolist()), 1.0, kind)
        for chosen, kind in ((set_apart, "set apart"), (steady & ~set_apart, "the same in all prompts"))
        if chosen.any()
    ]
    labels, silhouette = _best_cut(distances(profiles[free]))
    stability = _stability(profiles[free], labels, seed)
    clusters += [
        Cluster(tuple(free[labels == label].tolist()), stability[number])
        for number, label in enumerate(np.unique(labels))
    ]
    total = profiles.mean(1)
    clusters.sort(key=lambda cluster: -abs(total[list(cluster.members)].sum()))
    return Clustering(tuple(clusters), silhouette, prompts)


def distances(profiles: Floats) -> Floats:
    """1 - correlation of each two profiles [N, P], [N, N]; two of which one is constant are at 1."""
    centred = profiles - profiles.mean(1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 0)
    result: Floats = np.clip(1 - unit @ unit.T, 0, 2)
    np.fill_diagonal(result, 0)
    return result


def silhouette_width(distance: Floats, labels: Integers) -> float:
    """Mean over nodes of (b - a) / max(a, b): a the mean distance to its own group, b to the nearest other one."""
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    if len(groups) < 2:
        return 0.0
    to_group = np.stack([distance[:, members].sum(1) for members in groups], 1)
    sizes = np.array([len(members) for members in groups])
    own = np.searchsorted(np.unique(labels), labels)
    rows = np.arange(len(labels))
    alone = sizes[own] == 1
    a = to_group[rows, own] / np.maximum(sizes[own] - 1, 1)
    means = to_group / sizes
    means[rows, own] = np.inf
    b = means.min(1)
    larger = np.maximum(a, b)
    width = np.divide(b - a, larger, out=np.zeros_like(a), where=larger > 0)
    return float(np.where(alone, 0, width).mean())


def _cut(distance: Floats, count: int) -> Integers:
    """Labels [N] of `count` groups at the most."""
    labels: Integers = fcluster(linkage(squareform(distance, checks=False), "average"), count, "maxclust").astype(
        np.int64
    )
    return labels


def _best_cut(distance: Floats) -> tuple[Integers, float]:
    n = len(distance)
    if n < 3:
        return np.ones(n, np.int64), 0.0
    cuts = [_cut(distance, count) for count in range(2, min(MOST_GROUPS, n - 1) + 1)]
    widths = [silhouette_width(distance, labels) for labels in cuts]
    best = int(np.argmax(widths))
    return cuts[best], widths[best]


def _stability(profiles: Floats, labels: Integers, seed: int) -> list[float]:
    """Mean Jaccard overlap of each group with its best match when prompts are drawn again."""
    names = np.unique(labels)
    if len(names) < 2:
        return [1.0] * len(names)
    draw = np.random.default_rng(seed)
    found: Sequence[NDArray[np.bool_]] = [labels == name for name in names]
    total = np.zeros(len(names))
    for _ in range(RESAMPLES):
        again = _cut(distances(profiles[:, draw.integers(profiles.shape[1], size=profiles.shape[1])]), len(names))
        others = [again == label for label in np.unique(again)]
        total += [max((own & other).sum() / (own | other).sum() for other in others) for own in found]
    return [float(value) for value in total / RESAMPLES]
