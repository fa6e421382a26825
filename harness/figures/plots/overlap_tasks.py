"""Overlap across tasks: which (layer, unit) the circuits of two tasks have in common."""

import numpy as np

from basisbench.figures.circuits import units_of
from basisbench.figures.heatmaps import heatmaps
from basisbench.figures.overlap import SUMMARY, overlaps, spread
from basisbench.figures.panels import Drawing, captioned
from basisbench.figures.plot import Plot
from basisbench.figures.series import Comparison, LeftOutError
from basisbench.figures.style import Style
from basisbench.measures.metrics import Floats


def overlap_tasks(comparison: Comparison, style: Style, k: int) -> Drawing:
    """Draw the Jaccard index of the (layer, unit) among the first k nodes, between tasks: a map a basis and method.

    Drawn is the mean over seeds; raises LeftOutError if no basis and method has two tasks.
    """
    pairs = overlaps(comparison, k, units_of, lambda series: (series.basis, series.method, series.panel.setting))
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
        (*a.panel.setting, a.basis, a.method, a.panel.task, b.panel.task, k, *spread(values))
        for (a, b), values in pairs.items()
    ]
    header = (*comparison.settings, "basis", "method", "task_a", "task_b", *SUMMARY)
    return Drawing(heatmaps(maps, tasks, tasks, caption, style), caption, header, rows)


RECORDS = (
    Plot(
        "overlap-tasks",
        "which units the circuits of two tasks share, a map a basis and method",
        "a basis and method on two tasks",
        overlap_tasks,
    ),
)
