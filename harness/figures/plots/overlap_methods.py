"""Overlap across methods: which nodes the circuits that two methods find have in common."""

import numpy as np

from basisbench.figures.heatmaps import heatmaps
from basisbench.figures.overlap import SUMMARY, overlaps, spread
from basisbench.figures.panels import Drawing, captioned
from basisbench.figures.plot import Plot
from basisbench.figures.series import Comparison, LeftOutError
from basisbench.figures.style import Style
from basisbench.measures.metrics import Floats


def overlap_methods(comparison: Comparison, style: Style, k: int) -> Drawing:
    """Draw the Jaccard index of the first k nodes between methods, tasks by bases: a map for two methods.

    Drawn is the mean over seeds; raises LeftOutError if no task and basis has two methods.
    """
    pairs = overlaps(comparison, k, set, lambda series: (series.panel, series.basis))
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
        (a.panel.task, *a.panel.setting, a.basis, a.method, b.method, k, *spread(values))
        for (a, b), values in pairs.items()
    ]
    header = ("task", *comparison.settings, "basis", "method_a", "method_b", *SUMMARY)
    return Drawing(heatmaps(maps, tasks, bases, caption, style), caption, header, rows)


RECORDS = (
    Plot(
        "overlap-methods",
        "which nodes the circuits of two methods share, tasks by bases",
        "two methods on a task and basis",
        overlap_methods,
    ),
)
