"""What a run of cells tells W&B; a failure of W&B is one line here, and the run goes on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from basisbench.errors import UserError
from basisbench.progress import Say
from basisbench.results.find import Stored, locate
from basisbench.results.schema import Result
from basisbench.tracking.board import board_contents, headline_of
from basisbench.tracking.contents import Contents, cell_contents
from basisbench.tracking.guard import Guard
from basisbench.tracking.live import LiveRun, start_live
from basisbench.tracking.settings import Target, WandbSettings, chosen_mode, find_target

if TYPE_CHECKING:
    from basisbench.tracking.uploads import Uploads

UPLOAD_SECONDS = 300.0  # waited at the end of a run; what is not uploaded by then stays for `basisbench sync`


class Tracker(Protocol):
    """Takes the results of one run, as they come and all together."""

    def cell(self, result: Result, path: Path) -> None:
        """Log a result that has been written to the JSON file `path`."""

    def board(self, results: Sequence[Result]) -> None:
        """Log all results of the run together."""

    def finish(self) -> None:
        """Close what is open and wait, a few minutes at most, for what is being uploaded."""


def start(settings: WandbSettings, folder: Path, say: Say) -> Tracker:
    """Return what logs the results that will be written to `folder`; never raises.

    Under the agent of a sweep the process has one run, the trial's own: it gets the headline numbers, and the cells
    become runs of their own only by a later `basisbench sync`.
    """
    if settings.mode == "disabled":
        return _NoTracker()
    if os.environ.get("WANDB_SWEEP_ID"):
        return _Trial(start_live(settings, folder, {}, say, "trial"), folder, say)
    guard = Guard(say)
    return guard.do("the start", lambda: _records(settings, folder, guard)) or _NoTracker()


def _records(settings: WandbSettings, folder: Path, guard: Guard) -> Tracker:
    from basisbench.tracking import runs, uploads

    mode = chosen_mode(settings, runs.has_credentials, guard.say)
    if mode == "disabled":
        return _NoTracker()
    target, _ = find_target(settings, folder, mode == "online")
    return _Records(target, folder, guard, uploads.Uploads(target))


@dataclass(frozen=True)
class _NoTracker:
    def cell(self, result: Result, path: Path) -> None: ...

    def board(self, results: Sequence[Result]) -> None: ...

    def finish(self) -> None: ...


@dataclass(frozen=True)
class _Records:
    """Records of cells and board, uploaded in the background."""

    target: Target
    folder: Path
    guard: Guard
    uploads: Uploads

    def cell(self, result: Result, path: Path) -> None:
        if self.guard.broken:
            return
        try:
            contents = cell_contents(result, Stored(path), self._name)
        except UserError as error:
            self.guard.say(f"W&B: cell {result.name} is left out: {error}")
            return
        self.guard.do(f"cell {result.name}", lambda: self._record(contents))

    def board(self, results: Sequence[Result]) -> None:
        if results:
            self.guard.do("the board", lambda: self._record(self._board(results)))

    def finish(self) -> None:
        if self.target.online:
            self.guard.do("the upload", lambda: self.uploads.finish(UPLOAD_SECONDS))
        tell(self.target, self.uploads, self.folder, self.guard.say)

    @property
    def _name(self) -> str:
        return self.folder.resolve().name

    def _board(self, results: Sequence[Result]) -> Contents:
        return board_contents(results, self.folder, self._name, self.target.id, self.guard.say)

    def _record(self, contents: Contents) -> None:
        from basisbench.tracking import runs

        run = runs.record(contents, self.target)
        if self.target.online:
            self.uploads.add([run])
        else:
            self.uploads.waiting.append(run)


@dataclass(frozen=True)
class _Trial:
    """One trial of a sweep: its cells together are its run."""

    live: LiveRun
    folder: Path
    say: Say

    def cell(self, result: Result, path: Path) -> None: ...

    def board(self, results: Sequence[Result]) -> None:
        if not results or not self.live.target:
            return
        headline = headline_of(results)
        self.live.log(headline)
        own_id = self.live.target.id
        try:
            if len(results) == 1:
                stored = locate(self.folder / f"{results[0].name}.json")
                self.live.show(cell_contents(results[0], stored, self.folder.resolve().name))
            else:
                name = self.folder.resolve().name
                self.live.show(board_contents(results, self.folder, name, own_id, self.say, ranked=False))
        except UserError as error:
            self.say(f"W&B: the trial has only its numbers: {error}")

    def finish(self) -> None:
        self.live.finish()


def tell(target: Target, uploads: Uploads, folder: Path, say: Say) -> None:
    """Say what has become of the records."""
    if uploads.uploaded:
        say(f"W&B: {_runs(uploads.uploaded)} uploaded to {target.address}")
    if uploads.waiting:
        why = f"not uploaded ({uploads.reason}), " if uploads.reason else ""
        say(
            f"W&B: {_runs(len(uploads.waiting))} {why}recorded in {target.home}; "
            f"to upload: basisbench sync {folder} --wandb online"
        )


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
