"""What the run of a board holds: the leaderboard, all results as a table, comparison plots, one artifact of all."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from basisbench.errors import UserError
from basisbench.leaderboard import Leaderboard, build_leaderboard
from basisbench.leaderboard.columns import columns_of
from basisbench.measures.statistic import STATISTICS, board_statistics, identifier
from basisbench.progress import Say
from basisbench.results.schema import Cell, Result
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
            f"comparison/{statistic.identifier}": comparison_chart(results, statistic)
            for statistic in board_statistics()
        },
        images=_figure(results, say),
        inputs=tuple(inputs.values()),
        outputs=(Output("board", artifact_name("board", board), tuple(files), {"cells": len(results)}, tables),),
    )


def headline_of(results: Iterable[Result]) -> dict[str, float | int | bool]:
    """What a board, or a trial of a sweep, comes to: averages over its cells, those without an effect left out.

    Each statistic is averaged as it says, nodes as a geometric mean. Empty if no cell has an effect.
    """
    kept = [result for result in results if not result.degenerate]
    numbers: dict[str, float | int | bool] = {}
    for statistic in STATISTICS:
        found = [result.statistic(statistic.name).value for result in kept]
        if values := [value for value in found if value is not None]:
            average = statistic.unscaled(float(statistic.averaged(statistic.scaled(np.array(values)))))
            numbers[statistic.identifier] = cast(float, average)
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
    columns = columns_of(board, "wandb")
    rows: list[list[Value]] = []
    names: list[str] = []
    for row in board.rows:
        plain = {name: value for column in columns for name, value in column.plain(column.value(row, board.by)).items()}
        on_tasks = [entry.measures.statistics[board.by].value if entry.measures else None for entry in row.entries]
        names = [identifier(name) for name in plain]
        rows.append([row.model, *plain.values(), *on_tasks])
    return Table(("model", *names, *(f"{board.by} {task}" for task in board.tasks)), rows)


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
