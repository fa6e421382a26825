"""The report page: one HTML file that holds its data, its style and its scripts, and asks the network for nothing.

1. Results become columns (`basisbench.pages.report.columns`), the leaderboard becomes rows, as one JSON text.
2. The template's places are filled: text escaped for HTML, JSON with no character that could end its element.
3. A content security policy admits the style and the script by their hashes and nothing else: no address,
   no inline handler, and no script that a name in a result might try to be.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from html import escape
from importlib.metadata import version
from pathlib import Path

from pydantic import JsonValue

from basisbench.errors import UserError
from basisbench.figures.style import LineStyle, make_look
from basisbench.leaderboard import Leaderboard
from basisbench.pages.html import self_contained
from basisbench.pages.report.columns import cell_record, encode_columns
from basisbench.pages.report.rows import board_record
from basisbench.results.find import find_results
from basisbench.results.schema import Result
from basisbench.results.tables import SETTINGS

# In this order: each uses what stands before it, and page.js starts the page.
SCRIPTS = ("data.js", "controls.js", "chart.js", "detail.js", "board.js", "page.js")
DARK_PAPER = "#1a1d21"  # of page.css
LEAST_CONTRAST = 3.5  # WCAG 2.1, 1.4.11 asks 3:1 of graphics
DETAILS = (*SETTINGS, "n_discovery", "n_resamples")


def read_board_results(board: Leaderboard, folders: Sequence[Path]) -> list[Result]:
    """Return the results that `board` was made of, each once and by task; `folders` are those it was made from.

    Raises UserError where one is not there any more.
    """
    wanted = {name for row in board.rows for entry in row.entries for name in entry.results}
    found: dict[str, Result] = {}
    for stored in find_results(folders):
        with suppress(UserError):  # the board has listed it among its problems
            result = stored.result()
            found.setdefault(result.name, result)
    if lost := sorted(wanted - found.keys()):
        raise UserError(f"result {lost[0]} is not there any more: run the command again")
    return sorted((found[name] for name in wanted), key=_place)


def report_page(results: Sequence[Result], board: Leaderboard, title: str) -> str:
    """Return the report as one HTML document: `results`, each once, and the leaderboard made of them."""
    look = make_look((result.cell.basis for result in results), (result.cell.method for result in results))
    data: JsonValue = {
        "cells": len(results),
        "settings": [name for name in DETAILS if len({getattr(result.cell, name) for result in results}) > 1],
        "details": [*DETAILS],
        "looks": {name: {"light": c, "dark": on_dark(c), "marker": m} for name, (c, m) in look.bases.items()},
        "dashes": {name: _dashes(line) for name, line in look.lines.items()},
        "columns": {**encode_columns([cell_record(result) for result in results])},
        "board": board_record(board, results),
    }
    values = {
        "version": escape(version("basisbench")),
        "title": escape(title),
        "sentences": _sentences(board),
        "about": escape(board.settings),
        "footer": escape(f"Made with basisbench {version('basisbench')}; the data of every cell is in this file."),
    }
    return self_contained("basisbench.pages.report", SCRIPTS, values, data)


def on_dark(colour: str) -> str:
    """Return `colour` (#rrggbb), mixed with white as far as it needs to stand out from the dark page.

    Black, which would become one grey more, becomes the pale ink of the page.
    """
    if colour == "#000000":
        return "#E9E8E4"
    channels = _channels(colour)
    mixtures = (
        "#{:02X}{:02X}{:02X}".format(*(round(channel + (255 - channel) * step / 100) for channel in channels))
        for step in range(101)
    )
    return next(mixture for mixture in mixtures if contrast(mixture, DARK_PAPER) >= LEAST_CONTRAST)


def contrast(a: str, b: str) -> float:
    """Return the contrast ratio of two colours (#rrggbb), from 1 to 21 (WCAG 2.1, relative luminance)."""

    def luminance(colour: str) -> float:
        shares = (channel / 255 for channel in _channels(colour))
        linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def _place(result: Result) -> tuple[str, str, str, str, int, str]:
    cell = result.cell
    return cell.task, cell.basis, cell.method, cell.model, cell.seed, result.name


def _sentences(board: Leaderboard) -> str:
    # intervals and probabilities are not broken over two lines
    number = re.compile(r"\[[\d.,\u2212 -]+\]|\bp = [\d.]+")
    sentences = (escape(headline.sentence) for headline in board.headlines)
    first, *others = (number.sub(r'<span class="whole">\g<0></span>', sentence) for sentence in sentences)
    return "\n".join([f'<p class="sentence">{first}</p>', *(f'<p class="also">{other}</p>' for other in others)])


def _channels(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def _dashes(line: LineStyle) -> list[JsonValue]:
    """Return the dashes and gaps of a line in widths of it; none for a solid line."""
    return [] if line == "-" else [*line[1]]
