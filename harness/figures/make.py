"""From a comparison to files: every figure there is, each with its CSV; what cannot be drawn is named, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from basisbench.errors import UserError
from basisbench.figures.files import FORMATS, PNG_DPI, write_figure, write_table
from basisbench.figures.plot import FIGURES
from basisbench.figures.plots.curves import curves
from basisbench.figures.series import Comparison, LeftOutError, compare
from basisbench.figures.style import SCREEN, Style, drawn_in
from basisbench.results.schema import Result

TOP_K = 100


@dataclass(frozen=True)
class FigureReport:
    """The files that were written, for each figure that was not, why, and what to know of one that was."""

    written: list[Path] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def make_figures(
    comparison: Comparison,
    out: str | Path,
    *,
    style: Style = SCREEN,
    only: Sequence[str] = (),
    k: int = TOP_K,
    command: str = "",
) -> FigureReport:
    """Write figures (PDF, SVG, PNG) and their numbers (CSV) into `out`, all of `FIGURES` or `only` some.

    `k` is the number of nodes of the circuits in overlaps and profiles; `command` goes into the files' metadata.
    Raises UserError for an unknown figure, k below 1, a damaged arrays file and a folder that cannot be written.
    """
    out = Path(out)
    chosen = [FIGURES.get(name) for name in only] or [*FIGURES]
    if k < 1:
        raise UserError(f"circuits of {k} nodes cannot be compared: valid is 1 or more")
    report = FigureReport()
    for plot in (plot for plot in FIGURES if plot in chosen):
        name = plot.name
        with drawn_in(style):
            try:
                drawing = plot.draw(comparison, style, k)
            except LeftOutError as error:
                report.left_out[name] = str(error)
                continue
            report.written.extend(
                write_figure(
                    drawing.figure,
                    out / name,
                    FORMATS,
                    dpi=PNG_DPI[style.name],
                    title=name,
                    caption=drawing.caption,
                    command=command,
                )
            )
        height = drawing.figure.get_size_inches()[1]
        if height > style.page:
            report.notes[name] = f"{height:.0f} inches high, more than a page: name some --tasks, or a wider --width"
        write_table(out / f"{name}.csv", drawing.header, drawing.rows)
        report.written.append(out / f"{name}.csv")
    return report


def plot_curves(results: Sequence[Result], path: Path) -> list[Path]:
    """Write the curves of `results` as PNG (200 dpi) and SVG; return the two paths.

    `path` may end in .png, .svg or neither. See `figures.plots.curves` for what is drawn. Raises UserError without
    results or if it cannot write.
    """
    stem = path.with_suffix("") if path.suffix in (".png", ".svg") else path
    with drawn_in(SCREEN):
        drawing = curves(compare(results), SCREEN)
        return write_figure(
            drawing.figure, stem, ("png", "svg"), dpi=PNG_DPI["screen"], title="curves", caption=drawing.caption
        )


def draw_curves(results: Sequence[Result]) -> Figure:
    """Return the figure that `plot_curves` writes."""
    with drawn_in(SCREEN):
        return curves(compare(results), SCREEN).figure
