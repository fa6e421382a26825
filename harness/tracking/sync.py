"""Bring folders of results to W&B, whether or not they were logged when they were made.

For each folder: (1) what the records lack is recorded: results without a record or newer than theirs, all of them
where the project has changed, and the board if any was; (2) online, every finished record that is not uploaded yet
is, those of boards and cells over what is there, others (of trainings) going on with it.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from basisbench.errors import UserError
from basisbench.progress import Say
from basisbench.results.find import Stored, find_results
from basisbench.results.schema import Result
from basisbench.tracking import runs
from basisbench.tracking.board import board_contents
from basisbench.tracking.contents import cell_contents, run_id
from basisbench.tracking.guard import one_line
from basisbench.tracking.settings import Target, WandbSettings, chosen_mode, find_target
from basisbench.tracking.tracker import tell
from basisbench.tracking.uploads import Uploads


@dataclass
class SyncReport:
    """How many runs were recorded, were uploaded, and wait; what went wrong, a line each."""

    recorded: int = 0
    uploaded: int = 0
    waiting: int = 0
    problems: list[str] = field(default_factory=list)


def sync(folders: Sequence[Path], settings: WandbSettings, say: Say) -> SyncReport:
    """Record and upload what `folders`, and the folders in them, hold.

    Raises UserError for mode disabled, a folder that is not there, one without results and records, and one that
    cannot be written; what W&B raises is a line in the report's problems.
    """
    mode = chosen_mode(settings, runs.has_credentials, say)
    if mode == "disabled":
        raise UserError("W&B is disabled, so nothing can be synced: valid: --wandb auto, online or offline")
    report = SyncReport()
    for folder, kept in _boards(folders).items():
        target, moved = find_target(settings, folder, mode == "online")
        results = list(_read(kept, report))
        own = {target.id, *(run_id(result) for result, _ in results)}
        try:
            _record_all(results, folder, target, moved, report, say)
            waiting = [path for path in runs.records(target.home) if not _is_done_with(path)]
            cells = [path for path in waiting if runs.id_of(path) in own and results]
            for resume, found in ((False, cells), (True, sorted(set(waiting) - set(cells)))):
                uploads = Uploads(target, resume)
                if target.online:
                    uploads.add(found)
                    uploads.finish()
                else:
                    uploads.waiting = found
                tell(target, uploads, folder, say)
                report.uploaded += uploads.uploaded
                report.waiting += len(uploads.waiting)
        except Exception as error:  # as in Guard; the other folders are still to be done
            report.problems.append(f"{folder}: {one_line(error)}")
    return report


def _boards(folders: Sequence[Path]) -> dict[Path, list[Stored]]:
    """Folders that hold results or records, each with its results."""
    found: dict[Path, list[Stored]] = {}
    for given in folders:
        here: dict[Path, list[Stored]] = {}
        for stored in find_results([given]):
            here.setdefault(stored.path.parent, []).append(stored)
        for parent, inner, _ in os.walk(given):
            if "wandb" in inner:
                inner.remove("wandb")
                if runs.records(Path(parent, "wandb")):
                    here.setdefault(Path(parent), [])
        if not here:
            raise UserError(f"nothing to sync in {given}: valid are folders that `basisbench run` or `train` wrote to")
        found |= here
    return found


def _read(every: Iterable[Stored], report: SyncReport) -> Iterable[tuple[Result, Stored]]:
    for stored in every:
        try:
            result = stored.result()
            if stored.path.stem != result.name:
                raise UserError(f"{stored.path} holds the result {result.name}: valid is a file of that name")
            yield result, stored
        except UserError as error:
            report.problems.append(str(error))


def _record_all(
    results: Sequence[tuple[Result, Stored]],
    folder: Path,
    target: Target,
    moved: bool,
    report: SyncReport,
    say: Say,
) -> None:
    before = report.recorded
    for result, stored in results:
        if not moved and _is_recorded(stored, run_id(result), target):
            continue
        try:
            contents = cell_contents(result, stored, folder.resolve().name)
        except UserError as error:
            report.problems.append(str(error))
            continue
        runs.record(contents, target)
        report.recorded += 1
    if results and (report.recorded > before or not runs.records(target.home, target.id)):
        every = [result for result, _ in results]
        runs.record(board_contents(every, folder, folder.resolve().name, target.id, say), target)
        report.recorded += 1


def _is_done_with(record: Path) -> bool:
    """Whether a record is not to be uploaded (now): it was, or its run goes on."""
    return runs.is_uploaded(record) or runs.is_being_written(record)


def _is_recorded(stored: Stored, own_id: str, target: Target) -> bool:
    """Whether there is a record of the result that was made after it; of a packed one, whether there is any.

    When a packed one was made is not known, and packing changes none: a record that there is was made of it.
    """
    made = [file.stat().st_mtime for record in runs.records(target.home, own_id) for file in record.glob("*.wandb")]
    return bool(made) and (stored.packed is not None or max(made) >= stored.path.stat().st_mtime)
