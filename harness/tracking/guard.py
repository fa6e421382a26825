"""Keeps failures of W&B away from the work."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from basisbench.errors import printable
from basisbench.progress import Say

T = TypeVar("T")


@dataclass
class Guard:
    """Does things until one fails; then says why, once, and does nothing any more."""

    say: Say
    broken: bool = False

    def do(self, what: str, act: Callable[[], T]) -> T | None:
        """Return what `act` returns, None if it fails or something did before."""
        if self.broken:
            return None
        try:
            return act()
        except Exception as error:  # W&B raises what it likes, its import included, and a run must outlive all of it
            self.broken = True
            self.say(f"W&B is left out from {what} on: {one_line(error)}")
            return None


def one_line(error: object) -> str:
    """An error, or a line of a log, as one short line that can go to a terminal."""
    text = " ".join(str(error).split()) or type(error).__name__
    return printable(text[:300])
