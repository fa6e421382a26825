"""Figures and tables as files: PDF, SVG and PNG that say how they were made, and CSV; equal results, equal bytes."""

import csv
from collections.abc import Iterable, Sequence
from io import BytesIO, StringIO
from math import isnan
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure

from basisbench.cache import write_atomically
from basisbench.figures.panels import Value

Format = Literal["pdf", "svg", "png"]
FORMATS: tuple[Format, ...] = ("pdf", "svg", "png")
PNG_DPI = {"screen": 200, "paper": 300}
MAKER = "basisbench"
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


def write_figure(
    figure: Figure, stem: Path, formats: Sequence[Format], *, dpi: int, title: str, caption: str = "", command: str = ""
) -> list[Path]:
    """Write `figure` as ``stem.pdf`` and so on, and return the paths.

    Title, caption and command go into the metadata: of a PDF as title, subject and keywords, of an SVG as title,
    description and source, of a PNG as Title, Description and Source. Raises UserError if it cannot write.
    """
    title, caption, command = (_printable(text) for text in (title, caption, command))
    metadata: dict[Format, dict[str, str | None]] = {
        "pdf": {"Title": title, "Subject": caption, "Keywords": command, "Creator": MAKER, "CreationDate": None},
        "svg": {"Title": title, "Description": caption, "Source": command, "Creator": MAKER, "Date": None},
        "png": {"Title": title, "Description": caption, "Source": command, "Software": MAKER},
    }
    written = []
    for kind in formats:
        buffer = BytesIO()
        said = {name: text for name, text in metadata[kind].items() if text != ""}
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=said)
        written.append(stem.with_name(f"{stem.name}.{kind}"))
        write_atomically(written[-1], buffer.getvalue())
    return written


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
    """Write a CSV: numbers in full, nothing where one is not defined, and no text that a spreadsheet would run."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    write_atomically(path, text.getvalue().encode())


def _cell(value: Value) -> Value:
    if isinstance(value, float) and isnan(value):
        return None
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _printable(text: str) -> str:
    """Return text that every format can hold: an SVG with a control character would not open."""
    return "".join(c if c.isprintable() else " " if c == "\n" else "?" for c in text)
