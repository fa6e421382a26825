"""Figures of results: for the screen and for papers, each with its numbers.

from basisbench.figures import compare, make_figures, read_folders
reading = read_folders([Path("runs")])
make_figures(compare(reading.results, reading.ranking), Path("figures"))
"""

from basisbench.figures.make import FigureReport, draw_curves, make_figures, plot_curves
from basisbench.figures.plot import FIGURES, Plot
from basisbench.figures.reading import Reading, read_folders
from basisbench.figures.series import Comparison, LeftOutError, compare
from basisbench.figures.style import (
    LINE_STYLES,
    LOOKS,
    OTHER_LOOKS,
    STYLES,
    WIDTHS,
    Look,
    Style,
    choose_style,
    make_look,
)

__all__ = [
    "FIGURES",
    "LINE_STYLES",
    "LOOKS",
    "OTHER_LOOKS",
    "STYLES",
    "WIDTHS",
    "Comparison",
    "FigureReport",
    "LeftOutError",
    "Look",
    "Plot",
    "Reading",
    "Style",
    "choose_style",
    "compare",
    "draw_curves",
    "make_figures",
    "make_look",
    "plot_curves",
    "read_folders",
]
