"""Figures of a steering experiment: dose-response curves, a column a basis, and the board of steerability."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from basisbench.figures.files import PNG_DPI, write_figure
from basisbench.figures.style import GRID, OTHER_LOOKS, PALE_INK, SCREEN, Style, drawn_in, make_look, short
from basisbench.steering.board import KL_BUDGET
from basisbench.steering.document import BandRecord, BasisRecord, SteerDocument

OUTCOME_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", *(colour for colour, _ in OTHER_LOOKS))
WIDTH, HEIGHT = 3.0, 2.1
LEAST_KL = 1e-4
"""What is less is drawn as this much: a logarithm has no zero."""


def draw_doses(document: SteerDocument, stem: Path, style: Style = SCREEN) -> list[Path]:
    """Write ``stem.png`` and ``stem.svg``: probabilities, effect against controls, and KL on text, by dose."""
    with drawn_in(style):
        figure, axes = _panels(3, len(document.bases))
        for column, basis in zip(axes.T, document.bases, strict=True):
            column[0].set_title(f"{short(basis.basis)}, {len(basis.nodes)} nodes")
            _outcomes(column[0], basis)
            _effect(column[1], basis)
            _band(column[2], basis.dose.doses, basis.dose.kl_text, PALE_INK, "o", "")
            column[2].set_ylim(0)
            column[2].set_xlabel("multiplier" if basis.dose.operation == "multiply" else "value set")
        for row, label in zip(axes, ("probability", "effect", "KL on text (nats)"), strict=True):
            row[0].set_ylabel(label)
        axes[0, -1].legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
        axes[1, -1].legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
        return _written(figure, stem, style, f"Dose-response on {document.asked['task']}", document)


def draw_board(document: SteerDocument, stem: Path, style: Style = SCREEN) -> list[Path]:
    """Write ``stem.png`` and ``stem.svg``: corrected effect and swaps against nodes, and effect against KL on text."""
    look = make_look([row.basis for row in document.board], [])
    with drawn_in(style):
        figure, axes = _panels(1, 3)
        left, middle, right = axes[0]
        for row in document.board:
            colour, marker = look.bases[row.basis]
            name = short(row.basis)
            _band(left, row.size, row.corrected, colour, marker, name)
            _band(middle, row.size, row.swap_corrected, colour, marker, name)
            right.plot(_kl(row.kl.value), _floats(row.corrected.value), color=colour, marker=marker, ms=3, label=name)
        for axis, label in ((left, "effect of turning around"), (middle, "swaps that succeed")):
            _on_a_log_axis(axis)
            axis.set_xlabel("nodes")
            axis.set_ylabel(f"{label},\nminus controls")
            axis.axhline(0.5, color=PALE_INK, lw=0.6, ls="--")
        _on_a_log_axis(right)
        right.set_xlabel("KL on text (nats)")
        right.set_ylabel("effect, minus controls")
        right.axvline(KL_BUDGET, color=PALE_INK, lw=0.6, ls="--")
        right.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
        return _written(figure, stem, style, f"Steerability on {document.asked['task']}", document)


def _panels(rows: int, columns: int) -> tuple[Figure, np.ndarray[tuple[int, int], np.dtype[np.object_]]]:
    figure = Figure(figsize=(WIDTH * columns + 1, HEIGHT * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharey="row" if rows > 1 else False)
    for axis in axes.flat:
        axis.grid(color=GRID, lw=0.6)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _on_a_log_axis(axis: Axes) -> None:
    axis.set_xscale("log")
    # the style draws no mathematics: powers of ten are written out
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def _outcomes(axis: Axes, basis: BasisRecord) -> None:
    names = [name for name in basis.dose.bands if name.startswith("p(")]
    for i, name in enumerate(names):
        colour = OUTCOME_COLOURS[i % len(OUTCOME_COLOURS)]
        _band(axis, basis.dose.doses, basis.dose.bands[name], colour, "o", name[2:-1])
    axis.set_ylim(0)


def _effect(axis: Axes, basis: BasisRecord) -> None:
    dose = basis.dose
    _band(axis, dose.doses, dose.bands["effect"], "#0072B2", "o", "nodes")
    for control, colour in zip(dose.controls, ("#E69F00", "#8A8A8A"), strict=False):
        draws = np.array([_floats(row) for row in control.effect])
        axis.plot(dose.doses, draws.mean(1), color=colour, lw=1, label=f"{control.kind} others")
        axis.fill_between(dose.doses, draws.min(1), draws.max(1), color=colour, alpha=0.2, lw=0)
    axis.axhline(0, color=PALE_INK, lw=0.6)


def _band(axis: Axes, x: Sequence[float], band: BandRecord, colour: str, marker: str, label: str) -> None:
    values, low, high = (_floats(part) for part in (band.value, band.low, band.high))
    axis.plot(x, values, color=colour, marker=marker, ms=3, lw=1.2, label=label)
    axis.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)


def _floats(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]


def _kl(values: Sequence[float | None]) -> list[float]:
    return [max(LEAST_KL, value) for value in _floats(values)]


def _written(figure: Figure, stem: Path, style: Style, title: str, document: SteerDocument) -> list[Path]:
    asked = document.asked
    caption = (
        f"{asked['model']}, {document.pairs.usable} pairs, split {asked['split']}, seed {asked['seed']}; bands are "
        "95 % bootstrap intervals over pairs (KL: over rows of text; swaps: over answers), of controls the draws' range"
    )
    return write_figure(figure, stem, ("png", "svg"), dpi=PNG_DPI["screen"], title=title, caption=caption)
