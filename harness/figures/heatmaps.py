"""Heat maps of shares: a map a title, all with the same rows and columns, whose names stand at the edges once."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from basisbench.figures.panels import headed, new_figure
from basisbench.figures.series import LeftOutError
from basisbench.figures.style import Style, short
from basisbench.measures.metrics import Floats

COLOURS = "cividis"  # even steps of lightness, told apart with any colour vision
FEWEST_LETTERS, MOST_LETTERS = 8, 24
LARGEST_SQUARE, WITH_NUMBER = 0.28, 0.14
"""Inches: how high a square is at most, and from which size on it holds its number."""
SCALE = 0.6
"""Inches that the scale of colours takes."""
MOST_MAPS = 60


def heatmaps(
    maps: Mapping[tuple[str, ...], Floats], rows: Sequence[str], columns: Sequence[str], caption: str, style: Style
) -> Figure:
    """Draw `maps` [R, C] in [0, 1] by the lines of their title, on one scale from 0 to the greatest value.

    What is NaN stays blank. Names are shortened where the width asks for it; raises LeftOutError where even short ones
    would collide, and for more maps than can be looked at.
    """
    if len(maps) > MOST_MAPS:
        raise LeftOutError(f"{len(maps)} heat maps are too many (at most {MOST_MAPS}): name some --bases or --methods")
    width = style.width or 10.0
    least = 2 * style.letter  # of a square, so that the names below do not collide
    letters = int((width - SCALE - least * len(columns) - 0.1) / style.letter)
    if letters < FEWEST_LETTERS:
        needed = SCALE + least * len(columns) + FEWEST_LETTERS * style.letter
        raise LeftOutError(f"{len(columns)} columns need {needed:.1f} inches: choose a --width, or name fewer")
    letters = min(letters, MOST_LETTERS)
    left, below = ([short(name, letters) for name in names] for names in (rows, columns))
    room = width - SCALE - style.letter * max(map(len, left))
    down, across = _grid(len(maps), int(max(1, room // max(0.6 * style.panel, least * len(columns) + 0.05))))
    square = (room / across - 0.1) / len(columns)
    high = max(least, min(LARGEST_SQUARE, square))
    head = 0.16 * max(map(len, maps)) + 0.1
    foot = style.letter * max(map(len, below)) + (0.55 if style.titled else 0.1)
    figure = new_figure(width, down * (max(high * len(rows), 0.5) + head) + foot)
    axes = list(figure.subplots(down, across, squeeze=False).flat)
    norm = Normalize(0, max(0.05, *(float(np.nanmax(values, initial=0.0)) for values in maps.values())))
    for unused in axes[len(maps) :]:
        unused.remove()
    for place, (axis, (title, values)) in enumerate(zip(axes, maps.items(), strict=False)):
        lines = [short(line, int(max(FEWEST_LETTERS, room / across / style.letter))) for line in title]
        axis.set_title("\n".join(lines), loc="left", fontsize="medium")
        _draw(axis, values, norm, min(high, 0.6 * square) >= WITH_NUMBER)
        axis.set_yticks(range(len(left)), left)
        axis.tick_params(labelleft=place % across == 0)
        axis.set_xticks([])
        if place + across >= len(maps):
            _name_columns(axis, below, hanging=place // across < down - 1)
    scale = ScalarMappable(norm, mpl.colormaps[COLOURS])
    shrink = min(1.0, 2.0 / figure.get_size_inches()[1])
    bar = figure.colorbar(scale, ax=axes[: len(maps)], shrink=shrink, aspect=14, pad=0.02)
    bar.outline.set_visible(False)
    headed(figure, caption, style)
    return figure


def _grid(n_maps: int, fit: int) -> tuple[int, int]:
    """Return how many maps stand below each other and side by side: rows that are full, if wide enough, or even."""
    full = [across for across in range(fit, fit // 2, -1) if n_maps % across == 0]
    down = n_maps // full[0] if full else -(-n_maps // fit)
    return down, -(-n_maps // down)


def _draw(axis: Axes, values: Floats, norm: Normalize, numbers: bool) -> None:
    axis.imshow(np.ma.masked_invalid(values), cmap=COLOURS, norm=norm, interpolation="none", aspect="auto")
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    for (i, j), value in np.ndenumerate(values):
        if numbers and np.isfinite(value):
            colour = "white" if norm(float(value)) < 0.5 else "black"
            text = f"{value:.2f}".removeprefix("0")
            axis.text(j, i, text, ha="center", va="center", fontsize="small", color=colour)


def _name_columns(axis: Axes, names: Sequence[str], hanging: bool) -> None:
    """Write the names of columns below; `hanging` into the room of a map that is not there, so that it takes none."""
    if not hanging:
        axis.set_xticks(range(len(names)), names, rotation=90)
        return
    for j, name in enumerate(names):
        place = ((j, 0), (0, -4), axis.get_xaxis_transform(), "offset points")
        text = axis.annotate(name, *place, rotation=90, va="top", ha="center", fontsize=mpl.rcParams["xtick.labelsize"])
        text.set_in_layout(False)
