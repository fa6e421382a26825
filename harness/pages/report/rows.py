"""The leaderboard as the report shows it: its rows and what tells them apart, each tied to the cells behind it."""

import math
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from basisbench.leaderboard import STATISTICS, Comparison, Leaderboard, Measures, Row
from basisbench.pages.report.columns import interval_values, rounded
from basisbench.results.schema import Result


def board_record(board: Leaderboard, results: Sequence[Result]) -> dict[str, JsonValue]:
    """Return `board` as JSON values; a row's cells are indices of `results`, which hold all that the board names.

    Names are those of the results: the board's, made for terminals, may have other characters in their place.
    """
    index = {result.name: place for place, result in enumerate(results)}
    entries = [entry for row in board.rows for entry in row.entries]
    tasks = {entry.task: results[index[entry.results[0]]].cell.task for entry in entries if entry.results}
    settings = dict.fromkeys(name for row in board.rows for name in row.settings)
    return {
        "by": board.by,
        "tasks": [tasks[task] for task in board.tasks],
        "settings": [name for name in settings if len({row.settings.get(name) for row in board.rows}) > 1],
        "notes": [*board.notes, *board.problems],
        "rows": [_row(row, tasks, index, results) for row in board.rows],
    }


def _row(row: Row, tasks: Mapping[str, str], index: Mapping[str, int], results: Sequence[Result]) -> JsonValue:
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
    return {
        "basis": cells[0].cell.basis,
        "method": cells[0].cell.method,
        "settings": {**row.settings},
        "question": row.question,
        "control": row.control,
        "note": row.note,
        "rank": interval_values(row.rank) if row.rank else None,
        "overall": _measures(row.overall, _geometric_mean(measured)),
        "comparison": _comparison(row.comparison),
        "entries": entries,
    }


def _measures(measures: Measures | None, total: float | None) -> JsonValue:
    """Return the numbers of `measures`; nodes that equal `total` (of nodes, averaged as they are) are all of them."""
    if measures is None:
        return None
    return {
        "auc_f": interval_values(measures.auc_f),
        "auc_c": interval_values(measures.auc_c),
        "nodes@0.8": interval_values(measures.nodes_at_08),
        "spread": {statistic: rounded(measures.spread(statistic)) for statistic in STATISTICS},
        "total": rounded(total),
        "units": rounded(measures.units_at_08),
        "errors": rounded(measures.errors_at_08),
        "seconds": rounded(measures.seconds),
        "memory": measures.peak_memory_bytes,
    }


def _comparison(comparison: Comparison | None) -> JsonValue:
    if comparison is None:
        return None
    return {
        "difference": interval_values(comparison.difference),
        "node_ratio": interval_values(comparison.node_ratio),
        "effect_size": rounded(comparison.effect_size),
        "holm": rounded(comparison.holm),
        "smallest_holm": rounded(comparison.smallest_holm),
    }


def _geometric_mean(values: Sequence[float]) -> float | None:
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None
