"""Figures and tables as files: PDF, SVG and PNG that say how they were made, and CSV; equal results, equal bytes."""

from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure

from basisbench.cache import write_atomically
from basisbench.writing import Value, csv_table

Format = Literal["pdf", "svg", "png"]
FORMATS: tuple[Format, ...] = ("pdf", "svg", "png")
PNG_DPI = {"screen": 200, "paper": 300}
MAKER = "basisbench"


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
    """Write a CSV (`writing.csv_table`); raises UserError if it cannot."""
    write_atomically(path, csv_table(header, rows).encode())


def _printable(text: str) -> str:
    """Return text that every format can hold: an SVG with a control character would not open."""
    return "".join(c if c.isprintable() else " " if c == "\n" else "?" for c in text)
