"""A result made again from its own record.

1. Ask for the same cell: what the record says, but for names that only meant something where it was made.
2. Run it into a folder of its own; the method of handed-in scores is the ranking that the result holds.
3. Compare number by number (`basisbench.submissions.compare`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from basisbench.attribution import Method
from basisbench.errors import UserError
from basisbench.grid.config import RunConfig
from basisbench.grid.names import NO_METHODS
from basisbench.grid.run import run
from basisbench.progress import Report, Say, quiet, say_nothing
from basisbench.results.files import RankingArrays, read_arrays
from basisbench.results.schema import Cell
from basisbench.submissions.compare import Reproduction, compare
from basisbench.submissions.document import read_document
from basisbench.submissions.evaluate_scores import one_cell, refuse_code
from basisbench.submissions.handed_in import HandedIn
from basisbench.submissions.scores_file import METHOD, About, SubmittedScores

SAME = (
    *("positions", "rank", "split", "metric", "answers", "chat", "require_correct"),
    *("n_discovery", "n_evaluation", "dtype", "ablation", "error", "seed"),
)
"""Settings of a cell that are those of its run."""


@dataclass(frozen=True)
class Names:
    """What stands here for names of the record that only meant something where it was made; None: the record's."""

    model: str | None = None
    task: str | None = None
    basis: str | None = None
    method: str | None = None


RECORDED = Names()


def config_of(cell: Cell, out: Path, names: Names = RECORDED, device: str = "auto") -> RunConfig:
    """Return the settings of a run of this cell alone.

    Raises UserError for a cell that no run gives, and for one that would run a file's code because the record says so.
    """
    if names.basis is None:
        refuse_code("basis", cell.basis)
    if names.method is None:
        refuse_code("method", cell.method)
    same = {name: getattr(cell, name) for name in SAME}
    named = {name: getattr(names, name) or getattr(cell, name) for name in ("model", "task", "basis", "method")}
    return one_cell({**same, **named, "sizes": cell.grid, "device": device, "out": out})


def reproduce(
    path: Path,
    *,
    device: str = "auto",
    names: Names = RECORDED,
    tolerance: float | None = None,
    report: Report = quiet,
    say: Say = say_nothing,
) -> Reproduction:
    """Make the result at `path` again and compare.

    `tolerance` is that of faithfulness and completeness, by dtype if None. Raises UserError for a file that is no
    whole result and for a cell that cannot be computed here.
    """
    try:
        recorded = read_document(path)
    except UserError as error:
        raise UserError(f"{path} cannot be made again: {error}") from error
    _, ranking = read_arrays(path, recorded)
    methods: Mapping[str, Method] = NO_METHODS
    if recorded.cell.method.startswith(METHOD):
        methods = {recorded.cell.method: _handed_in(recorded.cell, ranking)}
        say(f"{recorded.cell.method}: the ranking is taken from the result, its curve is measured again")
    with tempfile.TemporaryDirectory(prefix="basisbench-") as folder:
        out = Path(folder)
        done = run(config_of(recorded.cell, out, names, device), report=report, say=say, methods=methods)
        if done.failures:
            raise UserError(f"the cell cannot be computed here: {done.failures[0].reason}")
        (again,) = done.results
        _, ranking_again = read_arrays(out / f"{again.name}.json", again)
    return compare(recorded, again, ranking, ranking_again, tolerance)


def _handed_in(cell: Cell, ranking: RankingArrays) -> HandedIn:
    """The ranking that a result of handed-in scores holds, as its method: how its scores were made is not known."""
    about = About(name=cell.method.removeprefix(METHOD))
    return HandedIn(SubmittedScores(about, ranking, str(cell.options.get("scores_sha256", ""))))
