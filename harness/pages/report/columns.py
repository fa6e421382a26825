"""Results as the columns of a report's data: rounded, and every repeated value written once.

A cell becomes a flat record (`cell_record`); records become columns (`encode_columns`), each in one of three forms:

- ``{"all": value}`` where every cell has the same value,
- ``{"values": [distinct values], "codes": [their index, cell by cell]}`` where values repeat,
- ``{"each": [the value, cell by cell]}`` where they do not.

The values of a curve are integers, in thousandths: they are drawn, and read to two digits.
"""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from basisbench.measures.metrics import reported_metrics
from basisbench.measures.statistic import STATISTICS
from basisbench.pages.html import dump
from basisbench.results.files import COUNTS
from basisbench.results.schema import Interval, Result
from basisbench.results.tables import flags
from basisbench.values import Number, Numbers

Column = dict[str, JsonValue]


def cell_record(result: Result) -> dict[str, JsonValue]:
    """Return what the report shows of `result`, as JSON values by name.

    What the curve holds beside counts are lists of thousandths; statistics are [value, low, high].
    """
    cell = result.cell.model_dump(mode="json", exclude={"grid"})
    environment = result.environment.model_dump(mode="json", exclude={"data_hash"})
    summary = {name: interval_values(result.statistic(name)) for name in STATISTICS.names}
    # a metric that is not in an older document is nowhere defined in it
    beside = [metric.name + part for metric in reported_metrics() for part in ("", "_complement")]
    nothing: Numbers = [None] * len(result.curve.size)
    lists = dict.fromkeys(beside, nothing) | result.curve.columns
    return {
        "name": result.name,
        **cell,
        **summary,
        "F_full": rounded(result.f_full),
        "F_empty": rounded(result.f_empty),
        "total_nodes": result.total_nodes,
        "degenerate": result.degenerate,
        "flags": [*flags(result)],
        "discovery": result.data.discovery.model_dump(mode="json"),
        "evaluation": result.data.evaluation.model_dump(mode="json"),
        "data_hash": result.data.hash,
        "environment": environment,
        "phases": [*result.timing.seconds],
        "seconds": [round(seconds, 2) for seconds in result.timing.seconds.values()],
        "peak_memory_bytes": result.timing.peak_memory_bytes,
        **{name: [*values] if name in COUNTS else _thousandths(values) for name, values in lists.items()},
    }


def encode_columns(records: Sequence[Mapping[str, JsonValue]]) -> dict[str, Column]:
    """Return a column for each name of `records`, which all have the same names, in its shortest form."""
    return {name: _column([record[name] for record in records]) for name in (records[0] if records else ())}


def interval_values(interval: Interval) -> list[JsonValue]:
    """Return value, low and high, rounded."""
    return [rounded(part) for part in (interval.value, interval.low, interval.high)]


def rounded(number: Number) -> float | int | None:
    """Return five significant digits of `number`, all digits before the point; a whole number without its point."""
    if number is None:
        return None
    short = float(f"{number:.5g}") if abs(number) < 1e4 else round(number)
    return int(short) if short == int(short) else short


def _column(values: list[JsonValue]) -> Column:
    texts = [dump(value) for value in values]
    codes = {text: code for code, text in enumerate(dict.fromkeys(texts))}
    if len(codes) == 1:
        return {"all": values[0]}
    by_text = dict(zip(texts, values, strict=True))
    coded: Column = {"values": [by_text[text] for text in codes], "codes": [codes[text] for text in texts]}
    each: Column = {"each": values}
    return min(each, coded, key=lambda column: len(dump(column)))


def _thousandths(numbers: Numbers) -> list[JsonValue]:
    return [None if number is None else round(1000 * number) for number in numbers]
