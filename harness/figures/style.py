"""How figures look: a colour and marker a basis, a line style a method, and the two styles, for screen and paper."""

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import matplotlib.style

from basisbench.errors import UserError, unknown_name

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
LINE_STYLES: tuple[LineStyle, ...] = (
    *("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2))),
    *((0, (8, 2)), (0, (5, 1.2, 1, 1.2, 1, 1.2)), (0, (1, 3)), (0, (2, 2))),
)
INK, PALE_INK, GRID = "#222222", "#6E6E6E", "#EDEDED"
# Inches across a column or a page of text, as the venues' templates set it.
WIDTHS = {"iclr": 5.5, "neurips": 5.5, "icml-column": 3.25, "acl-column": 3.03}
NARROWEST, WIDEST = 2.0, 40.0
_COMMON: dict[str, Any] = {
    "text.color": INK,
    "axes.edgecolor": PALE_INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.titlesize": "medium",
    "xtick.color": PALE_INK,
    "ytick.color": PALE_INK,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "hatch.linewidth": 0.6,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "svg.hashsalt": "basisbench",  # the same results give the same bytes
    "pdf.fonttype": 42,  # whole TrueType outlines: text stays text, and publishers' checks pass
}


@dataclass(frozen=True)
class Style:
    """One way to draw: `width` in inches (None: as wide as the panels want) and what goes with it.

    `panel` is the least width of a panel and `height` the height of one, in inches; `line` is in points, and
    `letter` the inches that a letter takes on average. A `titled` figure says its settings above itself; in a paper
    they belong in the caption, and stand in the file's metadata. Panels shrink before a figure is higher than `page`.
    """

    name: str
    width: float | None
    panel: float
    height: float
    line: float
    letter: float
    titled: bool
    columns: int
    page: float
    rc: Mapping[str, Any]

    def fitted(self, height: float, least: float) -> float:
        """Return `height`, or what a page has, or `least` if that is not enough."""
        return min(height, max(self.page, least))


STYLES = {
    "screen": Style(
        "screen", None, 2.5, 1.95, 1.3, 0.066, True, 4, math.inf, {"font.family": "DejaVu Sans", "font.size": 8.5}
    ),
    "paper": Style(
        "paper",
        WIDTHS["iclr"],
        1.05,
        1.2,
        0.9,
        0.052,
        False,
        5,
        8.5,
        {
            # close to the Times of the templates, comes with matplotlib; names in other scripts fall back
            "font.family": ["STIXGeneral", "DejaVu Sans"],
            "font.size": 8,
            "xtick.labelsize": 7,
            "ytick.labelsize": 7,
            "legend.fontsize": 7.5,
            "svg.fonttype": "none",  # text that can be edited
        },
    ),
}
SCREEN = STYLES["screen"]


def choose_style(name: str, width: str | None = None) -> Style:
    """Return a style by name, as wide as `width` says: a venue of `WIDTHS` or inches. Raises UserError if unknown."""
    if name not in STYLES:
        raise unknown_name("style", name, STYLES)
    return replace(STYLES[name], width=_inches(width)) if width else STYLES[name]


def _inches(width: str) -> float:
    if width in WIDTHS:
        return WIDTHS[width]
    try:
        inches = float(width)
    except ValueError:
        raise unknown_name("width", width, [*WIDTHS, "inches"]) from None
    if not NARROWEST <= inches <= WIDEST:
        raise UserError(f"a width of {width} inches cannot be drawn: valid: {NARROWEST:g} to {WIDEST:g}")
    return inches


@contextmanager
def drawn_in(style: Style) -> Iterator[None]:
    """Draw and write in `style`, whatever the user's own matplotlib settings are (TeX for one)."""
    with matplotlib.style.context(["default", {**_COMMON, **style.rc}]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # a box in its place says so
        yield


@dataclass(frozen=True)
class Look:
    """How each basis (colour, marker) and each method or pair of methods (line style) of a figure is drawn."""

    bases: dict[str, tuple[str, str]]
    lines: dict[str, LineStyle]


def make_look(bases: Iterable[str], lines: Iterable[str]) -> Look:
    """Return a look for these names; those that `LOOKS` does not know share four colours and four markers."""
    wanted = set(bases)
    looks = dict(LOOKS)
    for i, name in enumerate(sorted(wanted - LOOKS.keys())):
        colour, _ = OTHER_LOOKS[i % len(OTHER_LOOKS)]
        _, marker = OTHER_LOOKS[(i + i // len(OTHER_LOOKS)) % len(OTHER_LOOKS)]
        looks[name] = (colour, marker)
    return Look(
        {name: look for name, look in looks.items() if name in wanted},
        {name: LINE_STYLES[i % len(LINE_STYLES)] for i, name in enumerate(sorted(set(lines)))},
    )


def short(name: str, most: int = 30) -> str:
    """Return `name` in at most `most` characters, the middle left out: both ends of a path tell."""
    if len(name) <= most:
        return name
    head = (most - 1) // 2
    return f"{name[:head]}…{name[len(name) - (most - 1 - head) :]}"
