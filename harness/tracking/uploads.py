"""Uploads of records while the work goes on: one `wandb sync` at a time, and none after one that failed."""

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from basisbench.tracking import runs
from basisbench.tracking.guard import one_line
from basisbench.tracking.settings import Target

AT_ONCE = 500  # records on one command line


@dataclass
class Uploads:
    """Records of one folder on their way; `resume` as in `runs.start_upload`."""

    target: Target
    resume: bool = False
    waiting: list[Path] = field(default_factory=list)
    uploaded: int = 0
    reason: str = ""
    _going: list[Path] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None
    _said: int = 0

    def add(self, records: Iterable[Path]) -> None:
        """Take records in, and begin with them unless an upload is under way."""
        self.waiting.extend(records)
        self._go_on()

    def finish(self, seconds: float | None = None) -> None:
        """Wait until all is uploaded, an upload has failed, or for `seconds` (None: however long it takes).

        Afterwards `waiting` holds what was not uploaded, and `reason` says why.
        """
        self._go_on()
        while self._process:
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._process.terminate()
                self._process.wait()
                self.reason = f"not done within {seconds:.0f} s"
            self._go_on()

    def _go_on(self) -> None:
        """Note how the last upload ended, if it has, and begin the next."""
        if self._process:
            if self._process.poll() is None:
                return
            self._process = None
            left = [record for record in self._going if not runs.is_uploaded(record)]
            self.uploaded += len(self._going) - len(left)
            self.waiting = left + self.waiting
            if left and not self.reason:
                self.reason = self._error()
        if self.waiting and not self.reason:
            log = self.target.home / "sync.log"
            self._said = log.stat().st_size if log.exists() else 0
            self._going, self.waiting = self.waiting[:AT_ONCE], self.waiting[AT_ONCE:]
            self._process = runs.start_upload(self._going, self.target, resume=self.resume)

    def _error(self) -> str:
        """The first error that the last upload told."""
        log = self.target.home / "sync.log"
        said = log.read_bytes()[self._said :].decode(errors="replace").splitlines()
        errors = [line.partition("ERROR")[2] for line in said if "ERROR" in line]
        return one_line(errors[0]) if errors else f"see {log}"
