"""Circuits as sets of nodes, and how alike two of them are.

A circuit of size k is the first k nodes of a ranking. Nodes with score 0 are in none here: their order is that of
their numbers, and two rankings that agree on it agree on nothing (`exact:K` scores all but K nodes 0).
"""

from collections.abc import Collection, Sequence

import numpy as np

from basisbench.measures.metrics import Floats
from basisbench.measures.ranks import places
from basisbench.results.files import CircuitArrays, RankingArrays

Node = tuple[int, ...]
FEWEST = 10
"""Nodes whose ranks can be correlated: of fewer the correlation is noise."""


def nodes_of(ranking: RankingArrays) -> list[Node]:
    """Return (layer, position, unit) of the nodes that have a score, in order; a node named twice counts once.

    Position is -1 where positions are pooled, unit -1 for the error.
    """
    scored = ranking.score != 0
    columns = (ranking.layer[scored].tolist(), ranking.position[scored].tolist(), ranking.unit[scored].tolist())
    return list(dict.fromkeys(zip(*columns, strict=True)))


def first_nodes(ranking: RankingArrays, k: int) -> list[Node]:
    """Return the first k of `nodes_of`; of circuits that need not hold each other, the largest of at most k nodes."""
    if not isinstance(ranking, CircuitArrays):
        return nodes_of(ranking)[:k]
    size = max((size for size in ranking.sizes.tolist() if size <= k), default=None)
    return [] if size is None else [(layer, slot, unit) for layer, slot, unit in ranking.circuit(size).tolist()]


def units_of(nodes: Collection[Node]) -> set[Node]:
    """Return the distinct (layer, unit) among `nodes`: what can be shared by tasks, whose positions differ."""
    return {(layer, unit) for layer, _, unit in nodes}


def jaccard(a: Collection[Node], b: Collection[Node]) -> float:
    """Return how many members `a` and `b` share, of all that either has (Jaccard 1912); NaN where neither has any."""
    either = len(set(a) | set(b))
    return len(set(a) & set(b)) / either if either else float("nan")


def shared_ranks(a: Sequence[Node], b: Sequence[Node]) -> tuple[Floats, Floats]:
    """Return the ranks in `a` and in `b`, from 0, of the nodes that both hold, in the order of `a`."""
    rank = {node: i for i, node in enumerate(b)}
    pairs = [(i, rank[node]) for i, node in enumerate(a) if node in rank]
    ranks = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return ranks[:, 0], ranks[:, 1]


def overlap_at(ranks: tuple[Floats, Floats], k: int) -> float:
    """Return the share of the first k nodes of one ranking that are among the first k of the other."""
    return float((np.maximum(*ranks) < k).sum()) / k


def correlation_at(ranks: tuple[Floats, Floats], k: int) -> float:
    """Return Spearman's rank correlation over the nodes that are among the first k of both; NaN of fewer than ten."""
    a, b = (side[np.maximum(*ranks) < k] for side in ranks)
    if len(a) < FEWEST:
        return float("nan")
    return float(np.corrcoef(places(a), places(b))[0, 1])
