"""What a run in W&B holds, as plain values; `cell_contents` says it of one result."""

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from basisbench.figures import draw_curves
from basisbench.figures.style import SCREEN, drawn_in
from basisbench.results.files import RankingArrays
from basisbench.results.find import Stored
from basisbench.results.schema import Cell, CurveRecord, Interval, Result, SummaryRecord
from basisbench.tracking.charts import Chart, curve_chart

Value = str | int | float | bool | None
Json = Value | list["Json"] | dict[str, "Json"]
STEP = "log10_nodes"  # the curve's own axis: a line plot over it is a plot over log size, whatever the panel's setting
SHOWN_NODES = 1000
MAX_TAG = 64
CURVE = "curve"


@dataclass(frozen=True)
class Table:
    """Columns and rows."""

    columns: tuple[str, ...]
    rows: list[list[Value]]


@dataclass(frozen=True)
class Input:
    """What a run was made from, known by what `identity` says of it."""

    kind: Literal["model", "dictionary"]
    name: str
    identity: dict[str, str]


@dataclass(frozen=True)
class Output:
    """An artifact: files by name, where they lie or what they hold, tables, and metadata."""

    kind: str
    name: str
    files: Mapping[str, Path | bytes]
    metadata: dict[str, Value]
    tables: Mapping[str, Table] = field(default_factory=dict)


@dataclass(frozen=True)
class Contents:
    """A run: its id and labels, settings, summary, the points of its curve (a dict a point), and what it shows.

    Images are PNG files.
    """

    id: str
    name: str
    job_type: str
    group: str
    tags: tuple[str, ...]
    config: dict[str, Json]
    summary: dict[str, float | int | bool]
    points: list[dict[str, float]]
    tables: dict[str, Table]
    charts: dict[str, Chart]
    images: dict[str, bytes]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]


def run_id(result: Result) -> str:
    """The id of a result's run: the hash in its name, so that a result is one run however often it is logged."""
    return result.name.rpartition("__")[2]


def cell_contents(result: Result, stored: Stored, board: str) -> Contents:
    """What the run of `result`, which is `stored`, holds; raises UserError if its arrays cannot be read."""
    cell = result.cell
    _, ranking = stored.arrays(result)
    files = stored.files()
    numbers = summary_of(result)
    about: dict[str, Value] = {name: getattr(cell, name) for name in ("model", "task", "basis", "method", "seed")}
    return Contents(
        id=run_id(result),
        name=" ".join([cell.task, cell.basis, cell.method, *([f"seed {cell.seed}"] if cell.seed else [])]),
        job_type="cell",
        group=board,
        tags=tags_of(cell.basis, cell.method, cell.task),
        config=_config(result),
        summary=numbers,
        points=_points(result.curve),
        tables={"curve_table": _curve_table(result.curve)},
        charts={"curve_plot": curve_chart(result)},
        images={"figure": picture([result])},
        inputs=inputs_of(result),
        outputs=(
            Output("result", f"result-{result.name}", files, about | {"arrays_sha256": result.arrays_sha256}),
            Output(
                "circuit",
                f"circuit-{result.name}",
                {name: file for name, file in files.items() if name.endswith(".safetensors")},
                about | {"nodes_at_08": result.summary.nodes_at_08.value, "ranked_nodes": len(ranking.layer)},
                {"nodes": _nodes_table(ranking)},
            ),
        ),
    )


def picture(results: Sequence[Result]) -> bytes:
    """The figure of `results` as a PNG file; raises UserError if they cannot be drawn together."""
    file = io.BytesIO()
    with drawn_in(SCREEN):  # whatever the user's own matplotlib settings are
        draw_curves(results).savefig(file, format="png", dpi=150)
    return file.getvalue()


def tags_of(*names: str) -> tuple[str, ...]:
    """Names as tags, which W&B takes up to 64 characters: of a longer one the end, which tells paths apart."""
    return tuple(dict.fromkeys(name[-MAX_TAG:] for name in names if name))


def summary_of(result: Result) -> dict[str, float | int | bool]:
    """The headline numbers, those not defined left out: W&B sorts and plots numbers only."""
    numbers: dict[str, float | int | bool | None] = {}
    for name in SummaryRecord.model_fields:
        interval: Interval = getattr(result.summary, name)
        numbers |= {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
    numbers |= {"F_full": result.f_full, "F_empty": result.f_empty, "total_nodes": result.total_nodes}
    numbers |= {"degenerate": result.degenerate, "peak_memory_bytes": result.timing.peak_memory_bytes}
    numbers |= {"evaluation_pairs": result.data.evaluation.usable, "seconds": sum(result.timing.seconds.values())}
    numbers |= {f"seconds_{phase}": seconds for phase, seconds in result.timing.seconds.items()}
    return {name: value for name, value in numbers.items() if value is not None}


def inputs_of(result: Result) -> tuple[Input, ...]:
    """The model by its hash, and the dictionary of a basis that has one by what the cell says of its content."""
    cell = result.cell
    model = Input("model", cell.model, {"model": cell.model, "hash": result.environment.model_hash})
    known = ("content", "basis_sha256")
    contents: dict[str, str] = {name: str(cell.options[name]) for name in known if name in cell.options}
    if not contents and ":" not in cell.basis:
        return (model,)
    return (model, Input("dictionary", cell.basis, {"basis": cell.basis, **_release(result, cell), **contents}))


def artifact_name(*parts: str) -> str:
    """A name that W&B takes: letters, digits, dots, dashes and underscores, at most 128."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts))[-128:].strip("-.")


def _release(result: Result, cell: Cell) -> dict[str, str]:
    """A named release is known by its name and what loaded it; a dictionary of ours is part of a model's set."""
    if ":" in cell.basis:
        return {"sae_lens": result.environment.packages.get("sae_lens", "unknown")}
    return {"model": cell.model}


def _config(result: Result) -> dict[str, Json]:
    environment: dict[str, Json] = result.environment.model_dump(mode="json")
    data: dict[str, Json] = result.data.model_dump(mode="json")
    return {**result.cell.model_dump(mode="json"), "result": result.name, "environment": environment, "data": data}


def _points(curve: CurveRecord) -> list[dict[str, float]]:
    bands = [name + end for name in ("faithfulness", "completeness") for end in ("", "_low", "_high")]
    columns = [*bands, "accuracy", "accuracy_complement"]  # a panel each; the table has all
    points = []
    for i, size in enumerate(curve.size):
        values = {f"{CURVE}/{name}": getattr(curve, name)[i] for name in columns}
        defined = {name: float(value) for name, value in values.items() if value is not None}
        points.append({STEP: math.log10(size), "nodes": float(size), **defined})
    return points


def _curve_table(curve: CurveRecord) -> Table:
    columns = tuple(CurveRecord.model_fields)
    return Table(columns, [list(row) for row in zip(*(getattr(curve, name) for name in columns), strict=True)])


def _nodes_table(ranking: RankingArrays) -> Table:
    """The first nodes of the ranking; all of them are in the arrays file."""
    parts = [part[:SHOWN_NODES].tolist() for part in (ranking.layer, ranking.position, ranking.unit, ranking.score)]
    ranks = range(1, len(parts[0]) + 1)
    columns = ("rank", "layer", "position", "unit", "score")
    return Table(columns, [[rank, *row] for rank, row in zip(ranks, zip(*parts, strict=True), strict=True)])
