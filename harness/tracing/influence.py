"""Influence on the logits along all paths of a graph.

1. Normalise by target: A[s, t] = |w_st| / sum over s' of |w_s't|, biases left out. Every target shares out 1.
2. With p equal parts for the logits, the influence of node s is (A p + A^2 p + ...)_s = ((1 - A)^-1 p - p)_s: direct
   and indirect paths. Nodes stand in the order of their layers, so 1 - A is triangular.

Both are those of Ameisen et al. 2025 (transformer-circuits.pub/2025/attribution-graphs/methods.html).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from basisbench.measures.metrics import Floats
from basisbench.tracing.nodes import Node

Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]


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
