"""Cost against quality: the seconds that attribution took against the headline statistic, `auc_f`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from basisbench.figures.panels import (
    Drawing,
    Row,
    basis_handles,
    captioned,
    dress_y,
    finish,
    panel_grid,
    sorted_panels,
)
from basisbench.figures.plot import Plot
from basisbench.figures.series import (
    Comparison,
    LeftOutError,
    Panel,
    complete,
    interval_band,
    mean_band,
    mean_panel,
    over_seeds,
    spread_of,
)
from basisbench.figures.style import INK, Look, Style, short
from basisbench.measures.resampling import Band
from basisbench.measures.statistic import HEADLINE, STATISTICS
from basisbench.results.schema import Result
from basisbench.writing import Value

Fill = Literal["full", "none", "left", "top", "right", "bottom"]
FILLS: tuple[Fill, ...] = ("full", "none", "left", "top", "right", "bottom")
APART = 3.0
"""Points between bases: those that were scored in one go took equal seconds."""
PHASES = ("attribution", "curve", "statistics")


@dataclass(frozen=True)
class _Point:
    """A basis and method in a panel, on one machine: mean seconds by phase, and the headline's band [1]."""

    panel: Panel
    machine: str
    basis: str
    method: str
    spread: str
    seconds: dict[str, float]
    quality: Band


def cost(comparison: Comparison, style: Style, k: int = 0) -> Drawing:
    """Draw `auc_f` against the seconds that the method took to score the basis: a panel a task and machine.

    The mean over tasks is drawn where everything was measured on one machine. Raises LeftOutError unless there are two
    points to compare; degenerate results and those without a time for attribution are not counted.
    """
    machine_of = _machines(comparison.results)
    points = []
    for series in comparison.series:
        timed = [result for result in series.usable if result.timing.seconds.get("attribution")]
        for machine in sorted({machine_of[result.name] for result in timed}):
            here = [result for result in timed if machine_of[result.name] == machine]
            points.append(_point(series.panel, machine, series.basis, series.method, [here]))
    if len({(point.basis, point.method) for point in points}) < 2:
        raise LeftOutError("fewer than two bases or methods have a time for attribution")
    if len(set(machine_of.values())) == 1:
        for setting in sorted({panel.setting for panel in comparison.panels}):
            for (basis, method), tasks in complete(comparison, setting).items():
                if all(result.timing.seconds.get("attribution") for results in tasks for result in results):
                    points.append(_point(mean_panel(len(tasks), setting), "", basis, method, tasks))
    caption = captioned(comparison, f"seconds of attribution against {HEADLINE}; {_spreads(points)}")
    return Drawing(_figure(comparison, points, caption, style), caption, *_table(comparison, points))


def _machines(results: Sequence[Result]) -> dict[str, str]:
    """Return, by result, what tells its machine apart from the others'; nothing if it was one machine."""
    facts = {result.name: result.environment.machine for result in results}
    columns = list(zip(*facts.values(), strict=True))
    varying = [i for i, column in enumerate(columns) if len(set(column)) > 1]
    return {name: ", ".join(fact[i] for i in varying) for name, fact in facts.items()}


def _point(panel: Panel, machine: str, basis: str, method: str, tasks: Sequence[Sequence[Result]]) -> _Point:
    """Return the point of results, task by task: the mean over tasks if they are several, and over seeds."""
    results = [result for of_task in tasks for result in of_task]
    seconds = {p: float(np.mean([result.timing.seconds.get(p, np.nan) for result in results])) for p in PHASES}
    bands = [[interval_band(result.statistic(HEADLINE)) for result in of_task] for of_task in tasks]
    band = over_seeds(bands[0]) if len(bands) == 1 else mean_band(bands)
    return _Point(panel, machine, basis, method, spread_of(len(tasks[0])), seconds, band)


def _spreads(points: Sequence[_Point]) -> str:
    return "; ".join(sorted({point.spread for point in points}))


def _figure(comparison: Comparison, points: Sequence[_Point], caption: str, style: Style) -> Figure:
    places = sorted_panels(comparison, {point.panel for point in points})
    panels = [
        (panel, machine) for panel in places for machine in sorted({p.machine for p in points if p.panel == panel})
    ]
    high = max(float(np.nanmax(point.quality.high, initial=0.1)) for point in points)
    row = Row(HEADLINE, STATISTICS.get(HEADLINE).axis, "seconds of attribution", (-0.04 * high, 1.05 * high), 0.2)
    seconds = [point.seconds["attribution"] for point in points]
    room = max(2.0, (max(seconds) / min(seconds)) ** 0.12)
    titles = [[*comparison.title(panel), *([machine] if machine else [])] for panel, machine in panels]
    figure, axes = panel_grid(titles, [row], style)
    look = comparison.look
    for (panel, machine), (axis,) in zip(panels, axes, strict=True):
        dress_y(axis, row)
        _seconds(axis, max(seconds) / min(seconds))
        for point in points:
            if (point.panel, point.machine) == (panel, machine):
                _draw(figure, axis, point, look, style)
        axis.set_xlim(min(seconds) / room, max(seconds) * room)  # moved points do not count by themselves
    finish(figure, caption, [*basis_handles(look), *_method_handles(look)], style)
    return figure


def _seconds(axis: Axes, ratio: float) -> None:
    """Make x a log axis of seconds; decades alone where the slowest took many times as long as the fastest."""
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5) if ratio < 5 else (1,), numticks=5))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def _draw(figure: Figure, axis: Axes, point: _Point, look: Look, style: Style) -> None:
    colour, marker = look.bases[point.basis]
    fill = FILLS[list(look.lines).index(point.method) % len(FILLS)]
    away = APART * (list(look.bases).index(point.basis) - (len(look.bases) - 1) / 2) / 72
    moved = axis.transData + ScaledTranslation(away, 0, figure.dpi_scale_trans)
    x, band = point.seconds["attribution"], point.quality
    axis.plot([x, x], [*band.low, *band.high], color=colour, linewidth=0.6 * style.line, alpha=0.6, transform=moved)
    axis.plot(x, band.value[0], marker, color=colour, fillstyle=fill, markersize=3.4 * style.line, transform=moved)


def _method_handles(look: Look) -> list[Line2D]:
    if len(look.lines) == 1:
        return []
    fills = zip(look.lines, FILLS * len(look.lines), strict=False)
    return [
        Line2D([], [], color=INK, marker="o", markersize=5, linestyle="none", fillstyle=fill, label=short(name))
        for name, fill in fills
    ]


def _table(comparison: Comparison, points: Sequence[_Point]) -> tuple[tuple[str, ...], list[tuple[Value, ...]]]:
    names = [f"{phase}_seconds" for phase in PHASES]
    header = ("task", *comparison.settings, "machine", "basis", "method", "spread", *names)
    rows: list[tuple[Value, ...]] = []
    for point in points:
        band = (float(part[0]) for part in (point.quality.value, point.quality.low, point.quality.high))
        start = (point.panel.task, *point.panel.setting, point.machine, point.basis, point.method, point.spread)
        rows.append((*start, *point.seconds.values(), *band))
    return (*header, HEADLINE, f"{HEADLINE}_low", f"{HEADLINE}_high"), rows


RECORDS = (
    Plot(
        "cost",
        f"{HEADLINE} against the seconds that attribution took",
        "two bases or methods with a time for attribution",
        cost,
    ),
)
