"""Overlap of circuits: which nodes the circuits of two tasks, or of two methods, have in common.

Across tasks (layer, unit) are compared, since positions differ; across methods, within a task, whole nodes.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from basisbench.figures.circuits import Node, first_nodes, jaccard, units_of
from basisbench.figures.heatmaps import heatmaps
from basisbench.figures.panels import Drawing, Value, captioned
from basisbench.figures.series import Comparison, LeftOutError, Series
from basisbench.figures.style import Style
from basisbench.measures.metrics import Floats

SUMMARY = ("k", "jaccard", "jaccard_low", "jaccard_high", "seeds")
Pairs = dict[tuple[Series, Series], list[float]]
"""The overlap of two series' circuits, a value for each seed that both have."""


def overlap_tasks(comparison: Comparison, style: Style, k: int) -> Drawing:
    """Draw the Jaccard index of the (layer, unit) among the first k nodes, between tasks: a map a basis and method.

    Drawn is the mean over seeds; raises LeftOutError if no basis and method has two tasks.
    """
    pairs = _overlaps(comparison, k, units_of, lambda series: (series.basis, series.method, series.panel.setting))
    if not pairs:
        raise LeftOutError("no basis and method has results on two tasks")
    tasks = sorted({series.panel.task for pair in pairs for series in pair})
    maps: dict[tuple[str, ...], Floats] = {}
    for (a, b), values in pairs.items():
        title = (a.basis, a.method, *comparison.said(a.panel.setting))
        square = maps.setdefault(title, np.full((len(tasks), len(tasks)), np.nan))
        i, j = tasks.index(a.panel.task), tasks.index(b.panel.task)
        square[i, j] = square[j, i] = np.mean(values)
    caption = captioned(comparison, f"Jaccard index of the (layer, unit) among the top {k:,} nodes of two tasks")
    rows = [
        (*a.panel.setting, a.basis, a.method, a.panel.task, b.panel.task, k, *_summary(values))
        for (a, b), values in pairs.items()
    ]
    header = (*comparison.settings, "basis", "method", "task_a", "task_b", *SUMMARY)
    return Drawing(heatmaps(maps, tasks, tasks, caption, style), caption, header, rows)


def overlap_methods(comparison: Comparison, style: Style, k: int) -> Drawing:
    """Draw the Jaccard index of the first k nodes between methods, tasks by bases: a map for two methods.

    Drawn is the mean over seeds; raises LeftOutError if no task and basis has two methods.
    """
    pairs = _overlaps(comparison, k, set, lambda series: (series.panel, series.basis))
    if not pairs:
        raise LeftOutError("no task and basis has results of two methods")
    tasks = sorted({series.panel.task for pair in pairs for series in pair})
    bases = [basis for basis in comparison.look.bases if any(a.basis == basis for a, _ in pairs)]
    maps: dict[tuple[str, ...], Floats] = {}
    for (a, b), values in pairs.items():
        title = (f"{a.method} and {b.method}", *comparison.said(a.panel.setting))
        found = maps.setdefault(title, np.full((len(tasks), len(bases)), np.nan))
        found[tasks.index(a.panel.task), bases.index(a.basis)] = np.mean(values)
    caption = captioned(comparison, f"Jaccard index of the top {k:,} nodes of two methods")
    rows = [
        (a.panel.task, *a.panel.setting, a.basis, a.method, b.method, k, *_summary(values))
        for (a, b), values in pairs.items()
    ]
    header = ("task", *comparison.settings, "basis", "method_a", "method_b", *SUMMARY)
    return Drawing(heatmaps(maps, tasks, bases, caption, style), caption, header, rows)


def _overlaps(
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


def _summary(values: Sequence[float]) -> tuple[Value, ...]:
    return float(np.mean(values)), min(values), max(values), len(values)
