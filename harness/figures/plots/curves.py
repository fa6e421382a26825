"""The curves: faithfulness and completeness against circuit size, a panel a task, and their mean over tasks."""

from collections.abc import Sequence
from functools import reduce
from typing import Literal

import numpy as np

from basisbench.figures.panels import Drawing, Line, Row, array, captioned, lined, table_of
from basisbench.figures.plot import Plot
from basisbench.figures.series import (
    Comparison,
    Panel,
    Series,
    complete,
    mean_band,
    mean_panel,
    over_seeds,
    spread_of,
)
from basisbench.figures.style import Style
from basisbench.measures.metrics import Floats
from basisbench.measures.resampling import Band
from basisbench.measures.statistic import SIZE, STATISTICS
from basisbench.results.schema import Result

Quantity = Literal["faithfulness", "completeness"]
QUANTITIES: tuple[Quantity, Quantity] = ("faithfulness", "completeness")
LOWEST, HIGHEST = -0.25, 1.5


def curves(comparison: Comparison, style: Style, k: int = 0) -> Drawing:
    """Draw a panel a task and setting, and the mean over the tasks of a setting where there are several.

    Bands are 95 % bootstrap intervals, or the range over seeds where there are several. Triangles at the edge stand
    for values beyond it. The mean is over series that have every task of the setting, on the sizes all of them have.
    """
    lines = [line for series in comparison.series if (line := _line(series))]
    for setting in sorted({panel.setting for panel in comparison.panels}):
        lines += _means(comparison, setting)
    waited = STATISTICS.get(SIZE).threshold
    threshold = ((waited, 0.5, False),) if waited is not None else ()
    rows = [
        Row(name, f"{name}\n(ideal: {ideal})", "nodes kept", _limits(lines, name), 0.2, guides=guides)
        for name, ideal, guides in (
            ("faithfulness", 1, ((1, 0.9, True), *threshold)),
            ("completeness", 0, ((0, 0.9, True),)),
        )
    ]
    caption = captioned(comparison, _caption(comparison))
    figure = lined(comparison, lines, rows, comparison.look, style, caption, _notes(comparison))
    return Drawing(figure, caption, *table_of(comparison, lines, rows, "method", "nodes"))


def _line(series: Series) -> Line | None:
    if not series.usable:
        return None
    size, bands = _bands(series.usable)
    averaged = {name: over_seeds(parts) for name, parts in bands.items()}
    return Line(series.panel, series.basis, series.method, spread_of(len(series.usable)), size, averaged)


def _bands(results: Sequence[Result]) -> tuple[Floats, dict[str, list[Band]]]:
    """Return the sizes that all `results` have, [P], and by quantity a band [P] for each of them."""
    size = reduce(np.intersect1d, (array(result.curve.size) for result in results))
    bands: dict[str, list[Band]] = {name: [] for name in QUANTITIES}
    for result in results:
        shared = np.isin(result.curve.size, size)
        for name, found in bands.items():
            found.append(Band(*(array(getattr(result.curve, name + end))[shared] for end in ("", "_low", "_high"))))
    return size, bands


def _means(comparison: Comparison, setting: tuple[str, ...]) -> list[Line]:
    means = []
    for (basis, method), tasks in complete(comparison, setting).items():
        size, bands = _bands([result for results in tasks for result in results])
        n = len(tasks[0])
        if size.size:
            by_task = {name: [parts[i : i + n] for i in range(0, len(parts), n)] for name, parts in bands.items()}
            mean = {name: mean_band(parts) for name, parts in by_task.items()}
            spread = spread_of(n) + (" of independent tasks" if n == 1 else "")
            means.append(Line(mean_panel(len(tasks), setting), basis, method, spread, size, mean))
    return means


def _limits(lines: Sequence[Line], name: str) -> tuple[float, float]:
    values = np.concatenate([[0.0, 1.0], *(line.bands[name].value for line in lines)])
    return max(LOWEST, np.nanmin(values) - 0.08), min(HIGHEST, np.nanmax(values) + 0.08)


def _notes(comparison: Comparison) -> dict[Panel, list[str]]:
    """Return what is not drawn, by panel."""
    notes: dict[Panel, list[str]] = {}
    for panel in comparison.panels:
        series = comparison.of(panel)
        lost = {one.basis for one in series if len(one.usable) < len(one.results)}
        if lost:
            named = sorted(lost) if any(one.usable for one in series) else ["all"]
            notes[panel] = ["not drawn, as", "F(full) - F(empty)", "is too near 0:", *named]
    return notes


def _caption(comparison: Comparison) -> str:
    results = comparison.results
    ablations = ", ".join(dict.fromkeys(result.cell.ablation for result in results))
    counts = sorted({result.data.evaluation.usable for result in results})
    pairs = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    seeds = {len(series.usable) for series in comparison.series if series.usable}
    spreads = ["95 % bootstrap intervals"] if 1 in seeds or not seeds else []
    if repeats := sorted(seeds - {1}):
        spreads.append(f"the range of {' or '.join(map(str, repeats))} seeds around their mean")
    return f"{ablations} ablation, {pairs} evaluation pairs, {'; '.join(spreads)}"


RECORDS = (
    Plot("curves", "faithfulness and completeness against size, a panel a task, and their mean", "any result", curves),
)
