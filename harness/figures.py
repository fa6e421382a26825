"""The figure of a comparison: faithfulness and completeness against circuit size, a column a task."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MultipleLocator, NullLocator
from numpy.typing import NDArray

from harness.cache import write_atomically
from harness.errors import UserError
from harness.schema import Numbers, Result
from harness.tables import compact, varying_settings

Row = Literal["faithfulness", "completeness"]
ROWS: tuple[Row, Row] = ("faithfulness", "completeness")

# Colour and marker of a basis, the same in every figure. Okabe and Ito 2008, "Color Universal Design": told
# apart with any colour vision; its yellow is too pale for a line, so grey and brown take the last two.
LOOKS = {
    "neurons": ("#0072B2", "o"),
    "mlp_out": ("#56B4E9", "s"),
    "sae": ("#D55E00", "^"),
    "transcoder": ("#009E73", "D"),
    "rotated_neurons": ("#CC79A7", "v"),
    "rotated_mlp_out": ("#8A8A8A", "<"),
    "resid_post": ("#000000", "P"),
    "attn_out": ("#E69F00", "X"),
    "attn_z": ("#7F5A1D", ">"),
}
OTHER_LOOKS = (("#882255", "p"), ("#332288", "h"), ("#44AA99", "d"), ("#117733", "*"))
LineStyle = Literal["-"] | tuple[float, tuple[float, ...]]
LINE_STYLES: tuple[LineStyle, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)))
COLUMNS = 4
LOWEST, HIGHEST = -0.25, 1.5
INK, PALE_INK = "#222222", "#6E6E6E"
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.color": INK,
    "axes.edgecolor": PALE_INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "xtick.color": PALE_INK,
    "ytick.color": PALE_INK,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "svg.hashsalt": "basisbench",  # the same results give the same bytes
}


@dataclass(frozen=True)
class Look:
    """How each basis and each method of a figure is drawn."""

    bases: dict[str, tuple[str, str]]
    methods: dict[str, LineStyle]


def plot_curves(results: Sequence[Result], path: Path) -> list[Path]:
    """Write the curves of `results` as PNG (200 dpi) and SVG; return the two paths.

    `path` may end in .png, .svg or neither. A column of two panels a task (and a setting in which the results
    differ), a colour a basis, a line style a method, a line a seed; bands are 95 % bootstrap intervals.
    Triangles at the edge stand for values beyond it. Raises UserError without results or if it cannot write.
    """
    if not results:
        raise UserError("no results to plot: valid is one result or more")
    stem = path.with_suffix("") if path.suffix in (".png", ".svg") else path
    written = []
    with mpl.rc_context(STYLE):
        figure = draw_curves(results)
        for kind, options in (("png", {"dpi": 200}), ("svg", {"metadata": {"Date": None}})):
            buffer = BytesIO()
            figure.savefig(buffer, format=kind, **options)
            written.append(stem.with_name(f"{stem.name}.{kind}"))
            write_atomically(written[-1], buffer.getvalue())
    return written


def draw_curves(results: Sequence[Result]) -> Figure:
    """Return the figure that `plot_curves` writes."""
    panels = _panels(results)
    columns = min(COLUMNS, len(panels))
    blocks = -(-len(panels) // columns)
    width = max(2.5 * columns + 0.3, 4.6)  # a lone column would be too narrow for the title
    figure = Figure(figsize=(width, 3.9 * blocks + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2 * blocks, columns, squeeze=False, sharex=True, sharey="row")
    look = _look(results)
    limits = {row: _limits(results, row) for row in ROWS}
    for place in range(blocks * columns):
        block, column = divmod(place, columns)
        pair = axes[2 * block : 2 * block + 2, column]
        if place >= len(panels):
            for unused in pair:
                unused.remove()
            continue
        title, members = panels[place]
        pair[0].set_title(title, loc="left", fontsize=8.5, fontweight="bold")
        for axis, row in zip(pair, limits, strict=True):
            _draw_panel(axis, row, members, look, limits[row])
            axis.tick_params(labelleft=column == 0, labelbottom=row == "completeness")
        if column == 0:
            pair[0].set_ylabel("faithfulness\n(ideal: 1)")
            pair[1].set_ylabel("completeness\n(ideal: 0)")
        pair[1].set_xlabel("nodes kept")
    _legend(figure, look, int(width / 1.5))
    figure.suptitle(_title(results, int(14 * width)), x=0.01, ha="left", fontsize=9.5)
    return figure


def _panels(results: Sequence[Result]) -> list[tuple[str, list[Result]]]:
    """Return titled groups: a task, and a setting in which the results differ; seeds share a panel."""
    settings = [name for name in varying_settings(results) if name not in ("seed", "n_evaluation")]
    groups: dict[tuple[str, ...], list[Result]] = {}
    for result in results:
        key = (result.cell.task, *(str(getattr(result.cell, name)) for name in settings))
        groups.setdefault(key, []).append(result)
    return [("\n".join(key), groups[key]) for key in sorted(groups)]


def _title(results: Sequence[Result], width: int) -> str:
    def all_of(values: Iterator[str]) -> str:
        return ", ".join(dict.fromkeys(values))

    models = all_of(result.cell.model for result in results)
    ablations = all_of(result.cell.ablation for result in results)
    counts = sorted({result.data.evaluation.usable for result in results})
    pairs = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    setting = f"{ablations} ablation, {pairs} evaluation pairs, 95 % bootstrap intervals"
    return "\n".join((*wrap(models, width), *wrap(setting, width)))


def _look(results: Sequence[Result]) -> Look:
    bases = {result.cell.basis for result in results}
    others = sorted(bases - LOOKS.keys())
    looks = LOOKS | {name: OTHER_LOOKS[i % len(OTHER_LOOKS)] for i, name in enumerate(others)}
    methods = sorted({result.cell.method for result in results})
    return Look(
        {name: look for name, look in looks.items() if name in bases},
        {name: LINE_STYLES[i % len(LINE_STYLES)] for i, name in enumerate(methods)},
    )


def _limits(results: Sequence[Result], row: Row) -> tuple[float, float]:
    drawn = [_array(getattr(result.curve, row)) for result in results if not result.degenerate]
    values = np.concatenate([[0.0, 1.0], *drawn])
    return max(LOWEST, values.min() - 0.08), min(HIGHEST, values.max() + 0.08)


def _draw_panel(axis: Axes, row: Row, results: Sequence[Result], look: Look, limits: tuple[float, float]) -> None:
    axis.set_xscale("log")
    axis.set_ylim(*limits)
    axis.xaxis.set_major_locator(LogLocator(10, numticks=12))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda size, _: compact(size)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_locator(MultipleLocator(0.2))
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(length=2.5)
    axis.grid(color="#EDEDED", linewidth=0.6)
    axis.set_axisbelow(True)
    ideal = 1 if row == "faithfulness" else 0
    axis.axhline(ideal, color=PALE_INK, linewidth=0.9, linestyle=(0, (5, 3)), zorder=1)
    if row == "faithfulness":
        axis.axhline(0.8, color=PALE_INK, linewidth=0.5, zorder=1)
    order = list(look.bases)
    drawn = [result for result in results if not result.degenerate]
    # Backwards, so that the first of the legend lies on top.
    for result in sorted(drawn, key=lambda result: order.index(result.cell.basis), reverse=True):
        _draw_line(axis, row, result, look, limits)
    if len(drawn) < len(results):
        missing = sorted({result.cell.basis for result in results if result.degenerate})
        _say(axis, row, ["not drawn, as", "F(full) - F(empty)", "is too near 0:", *(missing if drawn else ["all"])])


def _say(axis: Axes, row: Row, lines: list[str]) -> None:
    top = row == "faithfulness"  # curves rise there and fall in the other row: the left corner is free
    axis.text(
        0.04,
        0.68 if top else 0.2,
        "\n".join(lines),
        transform=axis.transAxes,
        va="top" if top else "bottom",
        fontsize=7,
        bbox={"facecolor": "white", "edgecolor": PALE_INK, "linewidth": 0.5, "boxstyle": "round,pad=0.4"},
        zorder=1.5,  # behind the curves
    )


def _draw_line(axis: Axes, row: Row, result: Result, look: Look, limits: tuple[float, float]) -> None:
    size = _array([*result.curve.size])
    value, low, high = (_array(getattr(result.curve, row + end)) for end in ("", "_low", "_high"))
    colour, marker = look.bases[result.cell.basis]
    style = look.methods[result.cell.method]
    axis.fill_between(size, low, high, color=colour, alpha=0.16, linewidth=0)
    axis.plot(size, value, color=colour, linestyle=style, linewidth=1.3)
    axis.plot(size, value, marker, color=colour, markersize=3.4, markeredgecolor="white", markeredgewidth=0.3)
    # In the layout these would count with their whole, unclipped extent.
    for edge, beyond, sign in ((limits[0], value < limits[0], "v"), (limits[1], value > limits[1], "^")):
        if beyond.any():
            edges = np.full(beyond.sum(), edge)
            (cut,) = axis.plot(size[beyond], edges, sign, color=colour, markersize=4, clip_on=False, zorder=4)
            cut.set_in_layout(False)


def _legend(figure: Figure, look: Look, columns: int) -> None:
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=5, markeredgecolor="white", label=name)
        for name, (colour, marker) in look.bases.items()
    ]
    if len(look.methods) > 1:
        styles = look.methods.items()
        handles += [Line2D([], [], color=INK, linestyle=style, label=name) for name, style in styles]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(columns, len(handles)),
        frameon=False,
        handlelength=2.6,
    )


def _array(numbers: Numbers) -> NDArray[np.float64]:
    return np.array(numbers, dtype=np.float64)  # None becomes NaN
