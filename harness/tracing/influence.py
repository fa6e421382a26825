"""Influence on the logits along all paths of a graph, and pruning by it.

1. Normalise by target: A[s, t] = |w_st| / sum over s' of |w_s't|, biases left out. Every target shares out 1.
2. With p equal parts for the logits, the influence of node s is (A p + A^2 p + ...)_s = ((1 - A)^-1 p - p)_s: direct
   and indirect paths. Nodes stand in the order of their layers, so 1 - A is triangular.
3. Prune: drop nodes, then edges, of least influence, for as long as the influence that is left, over paths that remain
   and with A as it was, is at least the share asked for.

Steps 1 and 2 are those of Ameisen et al. 2025 (transformer-circuits.pub/2025/attribution-graphs/methods.html).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from harness.errors import UserError
from harness.metrics import Floats
from harness.tracing.nodes import Node

if TYPE_CHECKING:
    from harness.tracing.graph import Graph

Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]
ROUNDING = 1e-9


def normalised(weight: Floats, source: Integers, target: Integers, is_bias: Mask) -> Floats:
    """By edge its part of all that enters its target, biases left out: [E] from [E], [E], [E] and [N]."""
    size = np.where(is_bias[source], 0.0, np.abs(weight))
    total = np.bincount(target, size, len(is_bias))[target]
    return np.divide(size, total, out=np.zeros_like(size), where=total > 0)


def logit_weights(nodes: Sequence[Node]) -> Floats:
    """What influence starts from, [N]: equal parts for the logits, 1 in all."""
    is_logit = np.array([node.kind == "logit" for node in nodes], dtype=np.float64)
    result: Floats = is_logit / is_logit.sum()
    return result


def influence(source: Integers, target: Integers, share: Floats, start: Floats) -> Floats:
    """Influence of each node, direct and indirect, [N], from edges and what the logits start with, [N]."""
    return reach(source, target, share, start) - start


def directly(source: Integers, target: Integers, share: Floats, start: Floats) -> Floats:
    """The part of influence that passes through no other node, A p, [N]."""
    return np.bincount(source, share * start[target], len(start)).astype(np.float64)


def reach(source: Integers, target: Integers, share: Floats, start: Floats) -> Floats:
    """Influence with paths of no length: (1 - A)^-1 p, [N]."""
    # only targets are on the way of a path: a system of their size, whatever else flows in
    targets, column = np.unique(target, return_inverse=True)
    place = np.full(len(start), -1)
    place[targets] = np.arange(len(targets))
    between = place[source] >= 0
    matrix = np.eye(len(targets))
    matrix[place[source[between]], column[between]] -= share[between]
    reached = solve_triangular(matrix, start[targets], unit_diagonal=True) if len(targets) else start[targets]
    return start + np.bincount(source, share * reached[column], len(start)).astype(np.float64)


def prune(graph: Graph, share: float) -> Graph:
    """Return the graph without nodes and edges of least influence; at least `share` of its influence is left.

    Half of what may go goes with nodes and the rest with edges. Logits and the bias stay. `Graph.kept` states what is
    left of the graph that was traced, and influences are over what is left. Raises UserError for a
    share outside 0 to 1.
    """
    if not 0 <= share <= 1:
        raise UserError(f"cannot keep a share of {share} of the influence: valid: 0 to 1")
    edges, start = graph.edges, logit_weights(graph.nodes)
    whole = float(graph.influence.sum())

    def left(chosen: Mask) -> Floats:
        some = edges[chosen]
        return influence(some.source, some.target, some.share, start)

    def fewest(order: Integers, choose: Callable[[Integers], Mask], least: float) -> Mask:
        """The edges that `choose` makes of the shortest beginning of `order` that leaves the share `least`."""
        low, high = 0, len(order)
        while low < high:
            middle = (low + high) // 2
            if left(choose(order[:middle])).sum() >= (least - ROUNDING) * whole:
                high = middle
            else:
                low = middle + 1
        return choose(order[:low])

    is_bias = np.array([node.kind == "bias" for node in graph.nodes])
    always = is_bias | (start > 0)

    def between(nodes: Integers) -> Mask:
        is_kept: Mask = always.copy()
        is_kept[nodes] = True
        both: Mask = is_kept[edges.source] & is_kept[edges.target]
        return both

    nodes = np.argsort(-graph.influence, kind="stable")
    chosen = fewest(nodes[~always[nodes]], between, (1 + share) / 2)
    some = edges[chosen]
    passed = edges.share * reach(some.source, some.target, some.share, start)[edges.target]
    order = np.argsort(-passed, kind="stable")
    biases = chosen & is_bias[edges.source]

    def with_biases(some: Integers) -> Mask:
        result: Mask = biases.copy()
        result[some] = True
        return result

    chosen = fewest(order[(chosen & ~biases)[order]], with_biases, share)
    found = left(chosen)
    is_kept = always | (found > 0)
    chosen &= is_kept[edges.source] & is_kept[edges.target]
    place = np.cumsum(is_kept) - 1
    some = edges[chosen]
    return replace(
        graph,
        nodes=tuple(node for node, kept in zip(graph.nodes, is_kept, strict=True) if kept),
        edges=replace(some, source=place[some.source], target=place[some.target]),
        activation=graph.activation[is_kept],
        attribution=graph.attribution[is_kept],
        influence=found[is_kept],
        direct=directly(some.source, some.target, some.share, start)[is_kept],
        kept=graph.kept * float(found.sum()) / whole if whole > 0 else graph.kept,
    )


def explained(graph: Graph) -> float:
    """The share of what enters a graph's nodes, weighted by their influence, that units and embeddings bring.

    The rest comes from errors and from units that were not traced (Ameisen et al. 2025, completeness score).
    """
    edges = graph.edges
    passed = edges.share * (graph.influence + logit_weights(graph.nodes))[edges.target]
    known = np.array([node.kind in ("unit", "embedding") for node in graph.nodes])[edges.source]
    total = float(passed.sum())
    return float(passed[known].sum()) / total if total > 0 else 0.0
