"""What the run of a board holds: the leaderboard, all results as a table, comparison plots, one artifact of all."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import cast

from basisbench.errors import UserError
from basisbench.leaderboard import Leaderboard, Measures, build_leaderboard
from basisbench.progress import Say
from basisbench.results.find import PACKED
from basisbench.results.schema import Cell, Interval, Result
from basisbench.tracking.charts import comparison_chart
from basisbench.tracking.contents import (
    Contents,
    Json,
    Output,
    Table,
    Value,
    artifact_name,
    inputs_of,
    picture,
    run_id,
    summary_of,
    tags_of,
)

MOST_DRAWN = 400  # results in one figure: with more it cannot be read


def board_contents(
    results: Sequence[Result], folder: Path, board: str, own_id: str, say: Say, *, ranked: bool = True
) -> Contents:
    """What the run of a board of `results`, which lie in `folder`, holds; `say` is told what could not be made.

    `ranked`: with the leaderboard of all that the folder holds.
    """
    results = sorted(results, key=lambda result: result.name)
    tables = {"results": results_table(results)}
    summary: dict[str, float | int | bool] = {**headline_of(results), "cells": len(results)}
    config: dict[str, Json] = dict(settings_of(results))
    if ranked and (leaderboard := _leaderboard(folder, say)):
        tables["leaderboard"] = leaderboard_table(leaderboard)
        config["headline"] = leaderboard.headline
    inputs = {(given.kind, *sorted(given.identity.items())): given for one in results for given in inputs_of(one)}
    files = [folder / f"{result.name}{end}" for result in results for end in (".json", ".safetensors")]
    there = {file.name: file for file in (*files, folder / PACKED) if file.exists()}
    return Contents(
        id=own_id,
        name=board,
        job_type="board",
        group=board,
        tags=tags_of("board", *dict.fromkeys(result.cell.model for result in results)),
        config=config,
        summary=summary,
        points=[],
        tables=tables,
        charts={
            "comparison/auc_f": comparison_chart(results, "auc_f", "Area under faithfulness (more is sparser)"),
            "comparison/auc_c": comparison_chart(results, "auc_c", "Area over completeness (more is sparser)"),
            "comparison/nodes_at_08": comparison_chart(
                results, "nodes_at_08", "Nodes for 80 % of the behaviour (fewer is sparser)", log=True
            ),
        },
        images=_figure(results, say),
        inputs=tuple(inputs.values()),
        outputs=(Output("board", artifact_name("board", board), there, {"cells": len(results)}, tables),),
    )


def headline_of(results: Iterable[Result]) -> dict[str, float | int | bool]:
    """What a board, or a trial of a sweep, comes to: means over its cells, those without an effect left out.

    Areas are averaged as they are, nodes as a geometric mean. Empty if no cell has an effect.
    """
    kept = [result.summary for result in results if not result.degenerate]
    numbers: dict[str, float | int | bool] = {}
    for name in ("auc_f", "auc_c", "cpr", "cmd"):
        if values := _defined(getattr(summary, name) for summary in kept):
            numbers[name] = fmean(values)
    for name in ("nodes_at_05", "nodes_at_08", "nodes_at_09"):
        if values := _defined(getattr(summary, name) for summary in kept):
            numbers[name] = round(math.exp(fmean(map(math.log, values))), 6)
    return numbers


def settings_of(results: Sequence[Result]) -> dict[str, list[Json]]:
    """Each setting of the cells with all its values."""
    found: dict[str, list[Json]] = {}
    for name in Cell.model_fields:
        for result in results:
            value: Json = result.cell.model_dump(mode="json")[name]
            if value not in found.setdefault(name, []):
                found[name].append(value)
    return found


def results_table(results: Sequence[Result]) -> Table:
    """A row a cell: what was asked, and its summary. `run` is the id of the cell's own run."""
    asked = ("model", "task", "basis", "method", "ablation", "error", "seed")
    numbers = [summary_of(result) for result in results]
    columns = list(dict.fromkeys(name for one in numbers for name in one))
    rows = [
        [run_id(result), *(cast(Value, getattr(result.cell, name)) for name in asked), *map(one.get, columns)]
        for result, one in zip(results, numbers, strict=True)
    ]
    return Table(("run", *asked, *columns), rows)


def leaderboard_table(board: Leaderboard) -> Table:
    """A row a basis and method as the leaderboard orders them, numbers unrounded, then `by` on each task."""
    settings = list(dict.fromkeys(name for row in board.rows for name in row.settings))
    statistics = [f"{name}{end}" for name in ("auc_f", "auc_c", "nodes_at_08") for end in ("", "_low", "_high")]
    compared = ("difference", "difference_low", "difference_high", "holm_p", "effect_size", "node_ratio")
    costs = ("units_at_08", "errors_at_08", "seconds", "peak_memory_bytes")
    tasks = [f"{board.by} {task}" for task in board.tasks]
    rows: list[list[Value]] = []
    for row in board.rows:
        rank = row.rank or Interval(value=None, low=None, high=None)
        other = row.comparison
        difference = _three(other.difference) if other else [None, None, None]
        more = [other.holm, other.effect_size, other.node_ratio.value] if other else [None, None, None]
        rows.append(
            [
                *_three(rank),
                *(row.model, row.basis, row.method),
                *(row.settings.get(name) for name in settings),
                *_measures(row.overall),
                *difference,
                *more,
                *(getattr(row.overall, name) if row.overall else None for name in costs),
                *(entry.measures.interval(board.by).value if entry.measures else None for entry in row.entries),
                row.note,
            ]
        )
    who = ("rank", "rank_low", "rank_high", "model", "basis", "method", *settings)
    return Table((*who, *statistics, *compared, *costs, *tasks, "note"), rows)


def _measures(found: Measures | None) -> list[Value]:
    if found is None:
        return [None] * 9
    return [*_three(found.auc_f), *_three(found.auc_c), *_three(found.nodes_at_08)]


def _three(interval: Interval) -> list[Value]:
    return [interval.value, interval.low, interval.high]


def _defined(intervals: Iterable[Interval]) -> list[float]:
    return [interval.value for interval in intervals if interval.value is not None]


def _leaderboard(folder: Path, say: Say) -> Leaderboard | None:
    try:
        return build_leaderboard([folder])
    except UserError as error:
        say(f"W&B: the board has no leaderboard: {error}")
        return None


def _figure(results: Sequence[Result], say: Say) -> dict[str, bytes]:
    if len(results) > MOST_DRAWN:
        say(f"W&B: no figure of {len(results)} results (at most {MOST_DRAWN}); `basisbench figures` draws parts")
        return {}
    try:
        return {"comparison/curves": picture(results)}
    except UserError as error:
        say(f"W&B: the board has no figure: {error}")
        return {}
