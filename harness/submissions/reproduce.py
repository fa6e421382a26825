"""A result made again from its own record.

1. Ask for the same cell: what the record says, but for names that only meant something where it was made.
2. Run it into a folder of its own; of handed-in scores, evaluate the ranking that the result holds.
3. Compare number by number (`basisbench.submissions.compare`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from basisbench.errors import UserError
from basisbench.grid.config import RunConfig, make_config
from basisbench.grid.run import run
from basisbench.progress import Report, quiet, say_nothing
from basisbench.results.files import RankingArrays, write_result
from basisbench.results.find import locate, read_arrays
from basisbench.results.schema import Cell, Result
from basisbench.settings import make_settings
from basisbench.submissions.compare import Reproduction, compare
from basisbench.submissions.document import read_document
from basisbench.submissions.evaluate_scores import EvaluateConfig, evaluate_scores, prepare, refuse_code
from basisbench.submissions.scores_file import METHOD, About, SubmittedScores

SAME = (
    *("positions", "rank", "split", "metric", "answers", "chat", "require_correct"),
    *("n_discovery", "n_evaluation", "dtype"),
)
"""Settings that a cell and the configuration of a run call alike."""


@dataclass(frozen=True)
class Names:
    """What stands here for names of the record that only meant something where it was made; None: the record's."""

    model: str | None = None
    task: str | None = None
    basis: str | None = None


RECORDED = Names()


def config_of(cell: Cell, out: Path, names: Names = RECORDED, device: str = "auto") -> RunConfig:
    """Return the settings of a run of this cell alone; raises UserError for a cell that no run gives."""
    model, task, basis = _named(cell, names)
    same: dict[str, Any] = {name: getattr(cell, name) for name in SAME}
    lists = {"tasks": [task], "bases": [basis], "methods": [cell.method], "error": [cell.error]}
    lists |= {"ablation": [cell.ablation]}
    lists |= {"model": [model], "seed": [cell.seed]}  # lists: a name may hold a comma
    return make_config({**same, **lists, "sizes": cell.grid, "device": device, "out": out})


def _named(cell: Cell, names: Names) -> tuple[str, str, str]:
    """Model, task and basis of a cell; raises UserError for one that would run a file's code because it says so."""
    if names.basis is None:
        refuse_code(cell.basis)
    return names.model or cell.model, names.task or cell.task, names.basis or cell.basis


def reproduce(
    path: Path,
    *,
    device: str = "auto",
    names: Names = RECORDED,
    tolerance: float | None = None,
    report: Report = quiet,
    say: Callable[[str], None] = say_nothing,
) -> Reproduction:
    """Make the result at `path` again and compare.

    `tolerance` is that of faithfulness and completeness, by dtype if None. Raises UserError for a file that is no
    whole result and for a cell that cannot be computed here.
    """
    try:
        stored = locate(path)
        recorded = read_document(stored)
    except UserError as error:
        raise UserError(f"{path} cannot be made again: {error}") from error
    _, ranking = stored.arrays(recorded)
    with tempfile.TemporaryDirectory(prefix="basisbench-") as folder:
        out = Path(folder)
        if recorded.cell.method.startswith(METHOD):
            again = _evaluated(recorded, ranking, out, names, device, report, say)
        else:
            again = _run(recorded, out, names, device, report, say)
        _, ranking_again = read_arrays(out / f"{again.name}.json", again)
    return compare(recorded, again, ranking, ranking_again, tolerance)


def _run(recorded: Result, out: Path, names: Names, device: str, report: Report, say: Callable[[str], None]) -> Result:
    done = run(config_of(recorded.cell, out, names, device), report=report, say=say)
    if done.failures:
        raise UserError(f"the cell cannot be computed here: {done.failures[0].reason}")
    (result,) = done.results
    return result


def _evaluated(
    recorded: Result,
    ranking: RankingArrays,
    out: Path,
    names: Names,
    device: str,
    report: Report,
    say: Callable[[str], None],
) -> Result:
    """The curve of the ranking that the result holds: how its scores were made is not known."""
    cell = recorded.cell
    model, task, basis = _named(cell, names)
    same = {name: getattr(cell, name) for name in (*SAME, "seed", "ablation", "error", "n_resamples")}
    asked = {**same, "model": model, "task": task, "basis": basis, "sizes": cell.grid, "device": device}

    def progress(what: str, done: int, total: int) -> None:
        report(what, done / total)

    say(f"{cell.method}: the ranking is taken from the result, its curve is measured again")
    digest = str(cell.options.get("scores_sha256", ""))
    scores = SubmittedScores(About(name=cell.method.removeprefix(METHOD)), ranking, digest)
    result, arrays = evaluate_scores(prepare(make_settings(EvaluateConfig, asked), say), scores, progress=progress)
    write_result(out, result, arrays)
    return result
