"""What computes groups of cells in a process of its own: it holds one model, and tells how far it is."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

from basisbench.engines.store import Store
from basisbench.errors import UserError
from basisbench.grid.clock import Clock
from basisbench.grid.config import RunConfig
from basisbench.grid.failures import FOLDER, Failure
from basisbench.grid.names import resolve_names
from basisbench.grid.plan import Group
from basisbench.grid.run import open_model
from basisbench.results.schema import Result


@dataclass(frozen=True)
class Work:
    """What a worker needs to know: all `groups` of one model, threads to use (0: as many as torch likes), the folder
    that relative names start from, and the URL of the store if results go to one.
    """

    config: RunConfig
    groups: Sequence[Group]
    threads: int
    base: Path
    store: str | None


@dataclass(frozen=True)
class Done:
    """What a group left."""

    results: tuple[Result, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class News:
    """Lines worth keeping since the last news, what is being done now, and the fraction of the group that is done."""

    lines: tuple[str, ...] = ()
    doing: str = ""
    fraction: float = 0.0


@dataclass
class _Told:
    lines: list[str] = field(default_factory=list)
    doing: str = ""
    fraction: float = 0.0


class Worker:
    """Loads one model, then computes groups one after another; `news` and `close` are called from another thread."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.store = Store(work.store) if work.store else None
        self.folder = work.config.out
        self.told = _Told()

    def load(self) -> None:
        """Load the model; raises UserError, which names this machine, if it or a basis cannot be had."""
        with suppress(FileNotFoundError):  # another machine: names that are paths must then be absolute
            os.chdir(self.work.base)
        if self.work.threads:
            torch.set_num_threads(self.work.threads)
        if self.store:
            self.folder = Path(tempfile.mkdtemp(prefix="basisbench-"))
        config = self.work.config.model_copy(update={"out": self.folder})
        groups = self.work.groups
        try:
            names = resolve_names(groups)
            self.grid = open_model(config, names, groups[0].shared.model, groups, self.told.lines.append, self._each)
        except UserError as error:
            raise UserError(f"{error} (on {platform.node()})") from error

    def run(self, group: Group, wait: bool) -> Done | None:
        """Compute a group; None if another process does so and `wait` is not set."""
        names = self._look_up(group)
        ours = self.grid.run_group(group, Clock(self._tell, [group], self.grid.names.methods), wait=wait)
        self._keep_failures(names)
        return self._done() if ours else None

    def give_up(self, group: Group, reason: str) -> Done:
        """Record the cells of a group that have no result as failed."""
        names = self._look_up(group)
        self.grid.give_up(group, reason)
        self._keep_failures(names)
        return self._done()

    def news(self) -> News:
        """What happened since the last news."""
        told = self.told
        lines = tuple(told.lines)
        del told.lines[: len(lines)]
        return News(lines, told.doing, told.fraction)

    def close(self) -> None:
        """Remove what only this process needs."""
        if self.store:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _tell(self, doing: str, fraction: float) -> None:
        self.told.doing, self.told.fraction = doing, fraction

    def _each(self, result: Result, path: Path) -> None:
        if self.store:
            self.store.put(self.folder, [f"{path.stem}.safetensors", path.name])

    def _look_up(self, group: Group) -> list[str]:
        """The names of a group's results, where they are in a store; those that it has are in the folder then."""
        if not self.store:
            return []
        names = self.grid.expected(group)
        for name in names:
            self.store.get(self.folder, [f"{name}.json", f"{FOLDER}/{name}.json"])
        return names

    def _keep_failures(self, names: Sequence[str]) -> None:
        """Make the store's records of failures those of the folder."""
        for name in names:
            record = f"{FOLDER}/{name}.json"
            if self.store and (self.folder / record).exists():
                self.store.put(self.folder, [record])
            elif self.store:
                self.store.remove(record)

    def _done(self) -> Done:
        done = Done(tuple(self.grid.results), tuple(self.grid.failures))
        self.grid.results.clear()
        self.grid.failures.clear()
        return done
