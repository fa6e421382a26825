"""Overlap of circuits: which nodes the circuits of two series have in common.

Across tasks (layer, unit) are compared, since positions differ; across methods, within a task, whole nodes.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from basisbench.figures.circuits import Node, first_nodes, jaccard
from basisbench.figures.series import Comparison, Series
from basisbench.writing import Value

SUMMARY = ("k", "jaccard", "jaccard_low", "jaccard_high", "seeds")
Pairs = dict[tuple[Series, Series], list[float]]
"""The overlap of two series' circuits, a value for each seed that both have."""


def overlaps(
    comparison: Comparison, k: int, kind: Callable[[Sequence[Node]], set[Node]], group: Callable[[Series], object]
) -> Pairs:
    """Return the overlaps of every two series of a group, of the set that `kind` makes of the first k nodes."""
    circuits = {
        series: {r.cell.seed: kind(first_nodes(comparison.ranking(r), k)) for r in series.results}
        for series in comparison.series
    }
    found: Pairs = {}
    for a, b in combinations(comparison.series, 2):
        if group(a) == group(b):
            values = [jaccard(mine, circuits[b][seed]) for seed, mine in circuits[a].items() if seed in circuits[b]]
            if values:
                found[a, b] = values
    return found


def spread(values: Sequence[float]) -> tuple[Value, ...]:
    """Return what `SUMMARY` names after k: mean, lowest and highest of the overlaps, and how many there are."""
    return float(np.mean(values)), min(values), max(values), len(values)
