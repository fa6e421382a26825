"""What long work reports while it runs, and the lines that it says."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


Report = Callable[[str, float], None]
"""Takes what is being done and the fraction of the run that is done."""


def quiet(what: str, fraction: float) -> None:
    """Report nothing."""


Say = Callable[[str], None]
"""Takes a line worth keeping."""


def say_nothing(line: str) -> None:
    """Drop a line."""
