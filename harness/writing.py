"""Names and numbers as others read them: Markdown, CSV, short counts. A name can come from anybody's file."""

import csv
import re
from collections.abc import Collection, Iterable, Sequence
from io import StringIO
from math import isnan

from basisbench.errors import printable

Value = str | int | float | None
FORMULA = ("=", "+", "-", "@")
"""What a spreadsheet takes for the beginning of a formula."""
_MARKUP = re.compile(r"[\\`*<&|~$]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:])")
"""What begins or ends something in Markdown within a line: not the _ in a word, not the brackets of an interval."""


def compact(count: float) -> str:
    """Return a count in at most three digits and a unit: 7, 300, 1.2k, 46.1k, 1.3M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.0f}"


def markdown_text(text: str) -> str:
    """Return `text` on one line as Markdown that shows it as it is, in a cell or within a line of other text."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], numeric: Collection[str] = ()) -> str:
    """Return a Markdown table of plain texts; the columns `numeric` are aligned to the right."""
    alignment = ["---:" if name in numeric else "---" for name in header]
    lines = [list(map(markdown_text, header)), alignment, *(list(map(markdown_text, row)) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def csv_table(header: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    """Return a CSV: numbers in full, nothing where one is not defined, and no text that a spreadsheet would run."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(_csv_cell, header))
    writer.writerows(map(_csv_cell, row) for row in rows)
    return out.getvalue()


def _csv_cell(value: Value) -> Value:
    if isinstance(value, float) and isnan(value):
        return None
    if isinstance(value, str):
        return printable(f"'{value}" if value.startswith(FORMULA) else value)
    return value
