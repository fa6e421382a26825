"""The summaries of results as CSV, ``results.csv``, which a person can read where it changes; no command reads it.

A row a result, by name: task, basis and method, the settings in which results differ, then every summary number with
its interval, rounded.
"""

import csv
import io
from collections.abc import Sequence

from basisbench.results.schema import Cell, Interval, Result, SummaryRecord
from basisbench.results.settings import HASH_SHOWN
from basisbench.results.tables import compact
from basisbench.values import Number

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""
ALWAYS = ("task", "basis", "method")


def summary_csv(results: Sequence[Result]) -> str:
    """Return the CSV of `results`; numbers to four digits, those of 1,000 and more to the last before the point."""
    results = sorted(results, key=lambda result: result.name)
    settings = [_settings(result) for result in results]
    names = list(dict.fromkeys(name for each in settings for name in each))
    varying = [name for name in names if name not in ALWAYS and len({each.get(name) for each in settings}) > 1]
    measured = [field.alias or name for name, field in SummaryRecord.model_fields.items()]
    numbers = [name + end for name in measured for end in ("", "_low", "_high")]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["name", *ALWAYS, *varying, *numbers, "F_full", "F_empty", "total_nodes", "degenerate"])
    for result, asked in zip(results, settings, strict=True):
        intervals: list[Interval] = [getattr(result.summary, name) for name in SummaryRecord.model_fields]
        shown = [_short(part) for each in intervals for part in (each.value, each.low, each.high)]
        ends = [_short(result.f_full), _short(result.f_empty), str(result.total_nodes), str(result.degenerate)]
        texts = [_harmless(asked.get(name, "")) for name in (*ALWAYS, *varying)]
        writer.writerow([result.name, *texts, *shown, *ends])
    return out.getvalue()


def _settings(result: Result) -> dict[str, str]:
    """All that was asked, in words."""
    cell = result.cell
    asked = {name: str(getattr(cell, name)) for name in Cell.model_fields if name not in ("grid", "options")}
    asked["sizes"] = f"{len(cell.grid)} to {compact(max(cell.grid, default=0))}"
    # options are hashes, as a rule
    options = {**cell.options, "model_hash": result.environment.model_hash}
    return asked | {name: str(value)[:HASH_SHOWN] for name, value in options.items()}


def _short(number: Number) -> str:
    if number is None:
        return ""
    return f"{number:.0f}" if abs(number) >= 1000 else f"{number:z.4g}"


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text
