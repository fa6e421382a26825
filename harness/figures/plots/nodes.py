"""Bars from 1 node to the circuit size that reaches a threshold of faithfulness, a column a threshold.

A row that reaches it with all nodes only has no size to show: its bar is pale and runs off the axis, to "all".
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from basisbench.figures.panels import Drawing, captioned, clean, finish, log_counts, new_figure
from basisbench.figures.plot import Plot
from basisbench.figures.series import Comparison, LeftOutError, Panel, Series, spread_of
from basisbench.figures.style import INK, PALE_INK, Look, Style, short
from basisbench.measures.statistic import STATISTICS, Statistic
from basisbench.writing import Value, compact

HATCHES = (None, "/////", ".....", "xxxxx", "-----", "|||||", "+++++", "ooooo")
BEYOND = 4.0
"""Times the largest size measured: where "all" stands."""
MOST_BARS = 400


@dataclass(frozen=True)
class _Bar:
    """A series at a threshold: nodes and the ends of their spread; `total` of them are all there are."""

    series: Series
    statistic: Statistic
    value: float
    low: float
    high: float
    total: int


def nodes(comparison: Comparison, style: Style, k: int = 0) -> Drawing:
    """Draw the sizes that have a `panel` (`measures.statistic`) of every series, with their intervals: a column each.

    Of several seeds the median is drawn (of an even number the higher middle) and their range: a mean would turn
    one seed that takes all nodes into a size that no seed has.
    """
    sizes = [statistic for statistic in STATISTICS if statistic.panel]
    bars = {(series, size): bar for series in comparison.series for size in sizes if (bar := _bar(series, size))}
    if not bars:
        raise LeftOutError("every result is degenerate: no threshold is defined")
    drawn = [series for series in comparison.series if any((series, size) in bars for size in sizes)]
    if len(drawn) > MOST_BARS:
        raise LeftOutError(
            f"{len(drawn)} bars a column are too many (at most {MOST_BARS}): name some --bases, --methods"
        )
    top = float(max(series.results[0].curve.size[-1] for series in drawn))
    places, ticks = _places(comparison, drawn)
    thickness = 0.085 if style.titled else 0.06
    thicknesses = max(places.values()) + 2
    height = style.fitted(max(1.0, thickness * thicknesses) + 0.75, 0.6 * thickness * thicknesses + 0.75)
    figure = new_figure(style.width or 10.0, height)
    axes = figure.subplots(1, len(sizes), squeeze=False, sharey=True)[0]
    for axis, size in zip(axes, sizes, strict=True):
        axis.set_title(size.name, loc="left", fontweight="bold")
        axis.set_xlabel(size.axis)
        _dress(axis, top, float(figure.get_size_inches()[0]))
        for series in drawn:
            if bar := bars.get((series, size)):
                _draw(axis, bar, places[series], top, comparison.look)
        axis.set_ylim(max(places.values()) + 1, -1)
        axis.tick_params(axis="y", length=0)
    letters = max(16, int(figure.get_size_inches()[0] * 4))
    axes[0].set_yticks(list(ticks.values()), ["\n".join(_short(comparison, panel, letters)) for panel in ticks])
    seeds = sorted({len(series.usable) for series in drawn})
    caption = captioned(
        comparison,
        f"nodes until faithfulness stays at the threshold or above; {'; '.join(map(spread_of, seeds))}; "
        "pale: not within the sizes measured",
    )
    finish(figure, caption, _handles(comparison.look), style)
    return Drawing(figure, caption, *_table(comparison, list(bars.values())))


def _bar(series: Series, size: Statistic) -> _Bar | None:
    found = [result.statistic(size.name) for result in series.usable]
    values = [interval.value for interval in found if interval.value is not None]
    if not values:
        return None
    if len(found) == 1:
        low, high = (end if end is not None else values[0] for end in (found[0].low, found[0].high))
    else:
        low, high = min(values), max(values)
    value = statistics.median_high(values)
    return _Bar(series, size, value, low, high, max(result.total_nodes for result in series.usable))


def _places(comparison: Comparison, drawn: Sequence[Series]) -> tuple[dict[Series, float], dict[Panel, float]]:
    """Return where each bar stands, panel by panel with a gap between, and the middle of each panel."""
    places: dict[Series, float] = {}
    ticks: dict[Panel, float] = {}
    below = 0.0
    for panel in comparison.panels:
        members = [series for series in drawn if series.panel == panel]
        places |= {series: below + i for i, series in enumerate(members)}
        if members:
            ticks[panel] = below + (len(members) - 1) / 2
            below += len(members) + 1.5
    return places, ticks


def _short(comparison: Comparison, panel: Panel, letters: int) -> list[str]:
    return [short(line, letters) for line in comparison.title(panel)]


def _dress(axis: Axes, top: float, width: float) -> None:
    log_counts(axis)
    clean(axis, along="x")
    narrow = width < 5
    decades = [10.0**power for power in range(0, int(np.log10(top)) + 1, 2 if narrow else 1)]
    shown = [decade for decade in decades if not narrow or decade < top / 3]
    axis.set_xticks([*shown, top * BEYOND], [*(compact(decade) for decade in shown), "all"])
    axis.set_xlim(0.8, top * BEYOND * 1.15)
    axis.axvline(top * BEYOND**0.5, color=PALE_INK, linewidth=0.6, linestyle=(0, (2, 2)), zorder=1)


def _draw(axis: Axes, bar: _Bar, place: float, top: float, look: Look) -> None:
    colour, _ = look.bases[bar.series.basis]
    hatch = HATCHES[list(look.lines).index(bar.series.method) % len(HATCHES)]

    def at(count: float) -> float:
        return count if count <= top else top * BEYOND

    reached = bar.value <= top
    axis.barh(
        place,
        at(bar.value) - 0.8,
        left=0.8,
        height=0.86,
        facecolor=colour if hatch is None else "white",
        edgecolor=colour,
        hatch=hatch,
        linewidth=0.5,
        alpha=None if reached else 0.3,
    )
    axis.plot([at(bar.low), at(bar.high)], [place, place], color=INK, linewidth=0.7, zorder=3)
    for end, sign in ((bar.low, "|"), (bar.high, "|" if bar.high <= top else ">")):
        axis.plot(at(end), place, sign, color=INK, markersize=2.4, markeredgewidth=0.7, zorder=3)


def _handles(look: Look) -> list[Line2D | Patch]:
    bases = [Patch(facecolor=colour, label=short(name)) for name, (colour, _) in look.bases.items()]
    if len(look.lines) == 1:
        return [*bases]
    hatches = zip(look.lines, HATCHES * len(look.lines), strict=False)
    return [
        *bases,
        *(
            Patch(facecolor=INK if hatch is None else "white", edgecolor=INK, hatch=hatch, label=short(name))
            for name, hatch in hatches
        ),
    ]


def _table(comparison: Comparison, bars: Sequence[_Bar]) -> tuple[tuple[str, ...], list[tuple[Value, ...]]]:
    header = ("task", *comparison.settings, "basis", "method", "spread", "statistic", "threshold")
    rows: list[tuple[Value, ...]] = []
    for bar in bars:
        series = bar.series
        start = (series.panel.task, *series.panel.setting, series.basis, series.method)
        size = (spread_of(len(series.usable)), bar.statistic.name, bar.statistic.threshold)
        numbers = (bar.value, bar.low, bar.high, bar.total)
        rows.append((*start, *size, *numbers, str(bar.value >= bar.total).lower()))
    return (*header, "nodes", "nodes_low", "nodes_high", "total_nodes", "all"), rows


RECORDS = (
    Plot(
        "nodes",
        "nodes until faithfulness stays at a threshold, with intervals",
        "a result that is not degenerate",
        nodes,
    ),
)
