"""The leaderboard as the report shows it: its rows and what tells them apart, each tied to the cells behind it."""

import math
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from basisbench.leaderboard import COLUMNS, Column, Leaderboard, Measures, Row
from basisbench.leaderboard.column import Value
from basisbench.leaderboard.columns import NAMES, columns_of
from basisbench.measures.statistic import board_statistic
from basisbench.pages.report.columns import interval_values, rounded
from basisbench.results.schema import Interval, Result


def board_record(board: Leaderboard, results: Sequence[Result]) -> dict[str, JsonValue]:
    """Return `board` as JSON values; a row's cells are indices of `results`, which hold all that the board names.

    Names are those of the results: the board's, made for terminals, may have other characters in their place.
    """
    index = {result.name: place for place, result in enumerate(results)}
    entries = [entry for row in board.rows for entry in row.entries]
    tasks = {entry.task: results[index[entry.results[0]]].cell.task for entry in entries if entry.results}
    columns = [column for column in columns_of(board, "html") if _tells(board, column)]
    return {
        "by": board.by,
        "tasks": [tasks[task] for task in board.tasks],
        "notes": [*board.notes, *board.problems],
        "columns": [_column(column, board.by) for column in columns],
        "rows": [_row(row, board.by, columns, tasks, index, results) for row in board.rows],
    }


def _tells(board: Leaderboard, column: Column) -> bool:
    """Whether a column is of numbers or names, or of words that tell rows apart."""
    return not column.words or column.name in NAMES or len({column.value(row, board.by) for row in board.rows}) > 1


def _row(
    row: Row,
    by: str,
    columns: Sequence[Column],
    tasks: Mapping[str, str],
    index: Mapping[str, int],
    results: Sequence[Result],
) -> JsonValue:
    entries: dict[str, JsonValue] = {}
    measured: list[float] = []
    cells: list[Result] = []
    for entry in row.entries:
        places = [index[name] for name in entry.results]
        cells += (results[place] for place in places)
        total = _geometric_mean([results[place].total_nodes for place in places])
        if total is not None and entry.measures:
            measured.append(total)
        entries[tasks[entry.task]] = {
            "status": entry.status,
            "cells": [*places],
            "scores": _measures(entry.measures, total),
        }
    shown = [*columns, *(COLUMNS.get(column.beneath[1]) for column in columns if column.beneath)]
    names: dict[str, JsonValue] = {"basis": cells[0].cell.basis, "method": cells[0].cell.method}
    return {
        **names,
        "question": row.question,
        "control": row.control,
        "note": row.note,
        "overall": _measures(row.overall, _geometric_mean(measured)),
        "values": {column.name: _value(column.value(row, by)) for column in shown} | names,
        "entries": entries,
    }


def _measures(measures: Measures | None, total: float | None) -> JsonValue:
    """Return the statistics of `measures`; nodes that equal `total` (of nodes, averaged alike) are all of them."""
    if measures is None:
        return None
    return {
        "statistics": {name: interval_values(interval) for name, interval in measures.statistics.items()},
        "spread": {name: rounded(spread) for name, spread in measures.spreads.items()},
        "total": rounded(total),
    }


def _column(column: Column, by: str) -> JsonValue:
    return {
        "name": column.name,
        "title": column.heading(by, column.title),
        "about": column.about.replace("{by}", by) or None,
        "form": column.form.name,
        "words": column.words,
        "leads": column.leads,
        "descends": board_statistic(by).better == "higher" if column.descends is None else column.descends,
        "beneath": [*column.beneath] if column.beneath else None,
    }


def _value(value: Value) -> JsonValue:
    if isinstance(value, Interval):
        return [*interval_values(value)]
    return value if value is None or isinstance(value, str) else rounded(value)


def _geometric_mean(values: Sequence[float]) -> float | None:
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None
