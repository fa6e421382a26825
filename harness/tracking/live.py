"""Runs that are logged to as they go: a training, and the trial of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from basisbench.progress import Say
from basisbench.settings.wandb import WandbSettings
from basisbench.tracking.contents import Contents, Json
from basisbench.tracking.guard import Guard, one_line
from basisbench.tracking.settings import Target, chosen_mode, find_target

if TYPE_CHECKING:
    from basisbench.tracking.runs import Run


@dataclass(frozen=True)
class LiveRun:
    """A run in W&B, or nothing where W&B is left out; no method raises what W&B raises."""

    run: Run | None
    target: Target | None
    guard: Guard

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Log values, at `step` or the next one."""
        if run := self.run:
            self.guard.do(f"step {step}" if step is not None else "its numbers", lambda: run.log(dict(values), step))

    def show(self, contents: Contents) -> None:
        """Log all that `contents` holds, its settings among the run's."""
        if (run := self.run) and (target := self.target):
            from basisbench.tracking import runs

            self.guard.do("its contents", lambda: runs.log_contents(run, contents, target.home))

    def finish(self, ok: bool = True) -> None:
        """Close the run, waiting a minute at most for what is to be uploaded."""
        if run := self.run:
            Guard(self.guard.say).do("its end", lambda: run.finish(exit_code=0 if ok else 1))


def start_live(
    settings: WandbSettings,
    folder: Path,
    config: Mapping[str, Json],
    say: Say,
    job_type: str = "training",
) -> LiveRun:
    """Open a run whose files lie in ``folder/wandb``, the same run whenever it is `folder`'s; never raises.

    Where W&B cannot be reached the run is recorded offline. Under the agent of a sweep it is the trial's run.
    """
    guard = Guard(say)
    if settings.mode == "disabled":
        return LiveRun(None, None, guard)
    opened = guard.do("the start", lambda: _open(settings, folder, config, say, job_type))
    return LiveRun(*(opened or (None, None)), guard)


def _open(
    settings: WandbSettings, folder: Path, config: Mapping[str, Json], say: Say, job_type: str
) -> tuple[Run | None, Target | None]:
    from basisbench.tracking import runs

    mode = chosen_mode(settings, runs.has_credentials, say)
    if mode == "disabled":
        return None, None
    target, _ = find_target(settings, folder, mode == "online")
    if target.online:
        try:
            return runs.open_live(target, config, online=True, job_type=job_type), target
        except Exception as error:  # as in Guard
            runs.forget()
            say(f"W&B: recorded offline in {target.home}, for `basisbench sync {folder}` later: {one_line(error)}")
    return runs.open_live(target, config, online=False, job_type=job_type), target
