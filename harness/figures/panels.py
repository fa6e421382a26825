"""Panels: a column a task, wrapped to the width there is, a row a quantity; lines with bands, and one legend.

Everything that a figure with lines needs beside its numbers; the numbers come as `Line`, and go into the CSV too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, MultipleLocator, NullLocator
from numpy.typing import NDArray

from basisbench.figures.series import Comparison, LeftOutError, Panel
from basisbench.figures.style import GRID, INK, PALE_INK, Look, Style, short
from basisbench.measures.metrics import Floats
from basisbench.measures.resampling import Band
from basisbench.writing import Value, compact

MOST_PANELS = 72
MOST_MARKED = 25
"""Points of a line that each get a marker."""


@dataclass(frozen=True)
class Drawing:
    """A figure, what a caption must say, and its numbers: a header and rows."""

    figure: Figure
    caption: str
    header: tuple[str, ...]
    rows: list[tuple[Value, ...]]


@dataclass(frozen=True)
class Line:
    """One line through x [P]: a band [P] for each of the rows of panels it stands in. `kind` sets the line's style."""

    panel: Panel
    basis: str
    kind: str
    spread: str
    x: Floats
    bands: Mapping[str, Band]


@dataclass(frozen=True)
class Row:
    """A row of panels: the name of its quantity, labels, limits and step of y, and lines to compare with.

    `guides` are (height, width in points, dashed). Along x are counts on a log axis, or whole numbers.
    """

    name: str
    label: str
    x_label: str
    limits: tuple[float, float]
    step: float
    log: bool = True
    guides: tuple[tuple[float, float, bool], ...] = ()


def lined(
    comparison: Comparison,
    lines: Sequence[Line],
    rows: Sequence[Row],
    look: Look,
    style: Style,
    caption: str,
    notes: Mapping[Panel, Sequence[str]],
) -> Figure:
    """Draw `lines` into a panel for each `Panel` there is among them and the `notes`, `rows` below each other."""
    panels = sorted_panels(comparison, {line.panel for line in lines} | notes.keys())
    figure, axes = panel_grid([comparison.title(panel) for panel in panels], rows, style)
    ends = np.concatenate([line.x for line in lines]) if lines else np.array([1.0])
    for panel, column in zip(panels, axes, strict=True):
        for row, axis in zip(rows, column, strict=True):
            _dress(axis, row)
            # backwards, so that the first of the legend lies on top
            for line in reversed([line for line in lines if line.panel == panel and row.name in line.bands]):
                _draw(axis, row, line, look, style)
            if row.log:
                axis.set_xlim(ends.min() / 1.6, ends.max() * 1.6)
            if panel in notes and row is rows[0]:
                _say(axis, notes[panel])
    finish(figure, caption, basis_handles(look) + line_handles(look), style)
    return figure


def sorted_panels(comparison: Comparison, panels: Iterable[Panel]) -> list[Panel]:
    """Return panels by task and setting, means over tasks last."""
    return sorted(panels, key=lambda panel: (panel not in comparison.panels, panel.task, panel.setting))


def table_of(
    comparison: Comparison, lines: Sequence[Line], rows: Sequence[Row], kind: str, x: str
) -> tuple[tuple[str, ...], list[tuple[Value, ...]]]:
    """Return the header and the rows of the table behind `lines`: a row a point."""
    ends = ("", "_low", "_high")
    names = [row.name for row in rows]
    header = ("task", *comparison.settings, "basis", kind, "spread", x, *(n + end for n in names for end in ends))
    table: list[tuple[Value, ...]] = []
    for line in lines:
        for i, at in enumerate(line.x.tolist()):
            bands = [line.bands[name] for name in names]
            numbers = [float(part[i]) for band in bands for part in (band.value, band.low, band.high)]
            table.append((line.panel.task, *line.panel.setting, line.basis, line.kind, line.spread, int(at), *numbers))
    return header, table


def panel_grid(titles: Sequence[Sequence[str]], rows: Sequence[Row], style: Style) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure and, for each title, its axes from top to bottom.

    y is labelled in the first column, x below each block. Raises LeftOutError for more panels than a page can take.
    """
    columns, blocks = layout(len(titles), style)
    width = style.width or max(style.panel * columns + 0.3, 4.6)  # a lone column is too narrow for the title
    head = 0.2 * max(len(lines) for lines in titles) + 0.45
    axes_height = blocks * style.height * len(rows)
    around = blocks * 0.5 * head + 0.5
    figure = new_figure(width, style.fitted(axes_height + around, 0.6 * axes_height + around))
    grid = figure.subplots(len(rows) * blocks, columns, squeeze=False)
    letters = int((width - 0.6) / columns / (1.12 * style.letter))  # titles are bold
    made: list[list[Axes]] = []
    for place in range(columns * blocks):
        block, column = divmod(place, columns)
        axes = list(grid[len(rows) * block : len(rows) * (block + 1), column])
        if place >= len(titles):
            for unused in axes:
                unused.remove()
            continue
        lines = [short(line, letters) for line in titles[place]]
        axes[0].set_title("\n".join(lines), loc="left", fontweight="bold")
        for axis, row in zip(axes, rows, strict=True):
            below = axes.index(axis) == len(rows) - 1 or row.x_label != rows[axes.index(axis) + 1].x_label
            axis.tick_params(labelleft=column == 0, labelbottom=below)
            if below:
                axis.set_xlabel(row.x_label)
            if column == 0:
                axis.set_ylabel(row.label)
        made.append(axes)
    return figure, made


def layout(n_panels: int, style: Style) -> tuple[int, int]:
    """Return how many columns and how many blocks of them: as many columns as fit, blocks as full as can be."""
    if n_panels > MOST_PANELS:
        raise LeftOutError(
            f"{n_panels} panels are too many (at most {MOST_PANELS}): name some --tasks, or fewer folders"
        )
    fit = style.columns if style.width is None else int(max(1, min(style.columns, style.width // style.panel)))
    blocks = -(-n_panels // fit)
    return -(-n_panels // blocks), blocks


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches, laid out so that nothing overlaps."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def finish(figure: Figure, caption: str, handles: Sequence[Line2D | Patch], style: Style) -> None:
    """Put the legend below and, where the style wants it, the caption above."""
    _legend(figure, handles)
    headed(figure, caption, style)


def headed(figure: Figure, caption: str, style: Style) -> None:
    """Put the caption above, where the style wants it."""
    if style.titled:
        letters = int(14 * figure.get_size_inches()[0])
        lines = [line for text in caption.split("\n") for line in wrap(text, letters)]
        figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize="large")


def captioned(comparison: Comparison, what: str) -> str:
    """Return the caption of a figure: the models in the first line, `what` in the second."""
    return f"{', '.join(dict.fromkeys(result.cell.model for result in comparison.results))}\n{what}"


def basis_handles(look: Look) -> list[Line2D]:
    """Return the entries of the legend that name the bases."""
    return [
        Line2D([], [], color=colour, marker=marker, markersize=5, markeredgecolor="white", label=short(name))
        for name, (colour, marker) in look.bases.items()
    ]


def line_handles(look: Look) -> list[Line2D]:
    """Return the entries of the legend that name the line styles; a single one goes without saying."""
    styles = look.lines.items() if len(look.lines) > 1 else ()
    return [Line2D([], [], color=INK, linestyle=style, label=short(name)) for name, style in styles]


def clean(axis: Axes, along: str = "both") -> None:
    """Take away what does not help to read an axis, and lay a pale grid behind."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="x" if along == "x" else "both", color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)


def log_counts(axis: Axes) -> None:
    """Make x a log axis of counts: 1, 10, ... 1k."""
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(10, numticks=12))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda count, _: compact(count)))
    axis.xaxis.set_minor_locator(NullLocator())


def _dress(axis: Axes, row: Row) -> None:
    if row.log:
        log_counts(axis)
    else:
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    dress_y(axis, row)


def dress_y(axis: Axes, row: Row) -> None:
    """Set limits, steps and lines to compare with along y."""
    axis.set_ylim(*row.limits)
    axis.yaxis.set_major_locator(MultipleLocator(row.step))
    clean(axis)
    for height, width, dashed in row.guides:
        axis.axhline(height, color=PALE_INK, linewidth=width, linestyle=(0, (5, 3)) if dashed else "-", zorder=1)


def _draw(axis: Axes, row: Row, line: Line, look: Look, style: Style) -> None:
    band = line.bands[row.name]
    colour, marker = look.bases[line.basis]
    axis.fill_between(line.x, band.low, band.high, color=colour, alpha=0.16, linewidth=0)
    axis.plot(line.x, band.value, color=colour, linestyle=look.lines[line.kind], linewidth=style.line)
    size = 2.6 * style.line
    if len(line.x) <= MOST_MARKED:
        (marks,) = axis.plot(line.x, band.value, marker, color=colour, markersize=size)
        marks.set(markeredgecolor="white", markeredgewidth=0.3)
    low, high = row.limits
    # in the layout these would count with their whole, unclipped extent
    for edge, beyond, sign in ((low, band.value < low, "v"), (high, band.value > high, "^")):
        if beyond.any():
            edges = np.full(int(beyond.sum()), edge)
            (cut,) = axis.plot(
                line.x[beyond], edges, sign, color=colour, markersize=1.2 * size, clip_on=False, zorder=4
            )
            cut.set_in_layout(False)


def _say(axis: Axes, lines: Sequence[str]) -> None:
    axis.text(
        0.04,
        0.68,
        "\n".join(short(line, 26) for line in lines),
        transform=axis.transAxes,
        va="top",
        fontsize="small",
        bbox={"facecolor": "white", "edgecolor": PALE_INK, "linewidth": 0.5, "boxstyle": "round,pad=0.4"},
        zorder=1.5,  # behind the curves
    )


def _legend(figure: Figure, handles: Sequence[Line2D | Patch]) -> None:
    """Put a legend below the axes, in as few and as even rows as fit."""
    room = figure.get_size_inches()[0] - 0.1
    for columns in sorted({-(-len(handles) // rows) for rows in range(1, len(handles) + 1)}, reverse=True):
        legend = figure.legend(
            handles=list(handles), loc="outside lower center", ncols=columns, frameon=False, handlelength=2.4
        )
        if columns == 1 or legend.get_window_extent().width / figure.dpi <= room:
            return
        legend.remove()


def array(numbers: Sequence[float | None]) -> NDArray[np.float64]:
    """Return numbers as an array; None becomes NaN."""
    return np.array(numbers, dtype=np.float64)
