"""Pruning a graph: nodes, then edges, of least influence are dropped, for as long as enough is left.

What is left is the influence over paths that remain, with the shares of edges (`basisbench.tracing.influence`) as they
were in the whole graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from basisbench.errors import UserError
from basisbench.measures.metrics import Floats
from basisbench.tracing.graph import Graph
from basisbench.tracing.influence import Integers, Mask, directly, influence, logit_weights, reach

ROUNDING = 1e-9


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
