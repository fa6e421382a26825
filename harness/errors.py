"""The one exception that a user sees as a single line, and how such lines are made."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

LISTED = 240
"""Characters of a list of valid names beside the nearest one."""
MOST_WORDS = 400
"""Characters of what is wrong with a file, and of the name of a field."""


class UserError(Exception):
    """Bad input or a condition the user can change.

    The message is one line: what was wrong, then what is valid. The command line prints it without a
    traceback and exits with status 2.
    """


def printable(text: str) -> str:
    """Return `text` with "?" for every character that a terminal would act on or that turns lines around."""
    return "".join(c if c.isprintable() else "?" for c in text)


def said(error: BaseException) -> str:
    """All that an error of another library says, in one line: its kind if it says nothing."""
    return printable(" ".join(str(error).split())[:MOST_WORDS]) or type(error).__name__


@dataclass(frozen=True)
class Fault:
    """The first thing that is wrong with data: its place in it (empty: the whole), and what, on one line.

    Both can hold what a file says; they are printable and not long.
    """

    path: tuple[str, ...]
    words: str

    @property
    def place(self) -> str:
        """The path with dots: the field of a field."""
        return ".".join(self.path)

    def __str__(self) -> str:
        return f"field {self.place}: {self.words}" if self.path else self.words


def first_fault(error: ValidationError) -> Fault:
    """Return the first thing that a validation found wrong."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = (printable(str(part))[:MOST_WORDS] for part in first["loc"])
    return Fault(tuple(path), " ".join(printable(first["msg"].removeprefix("Value error, ")).split())[:MOST_WORDS])


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """Build the error for a name that is not among `valid`.

    It names the nearest valid name and the first others, or all of them if none is near.
    """
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=1)
    if not close:
        return UserError(f"unknown {kind} '{name}': valid: {', '.join(names)}")
    # the nearest one is the likely one
    listed = textwrap.shorten(", ".join(names), LISTED, placeholder=" ...", break_on_hyphens=False)
    return UserError(f"unknown {kind} '{name}': did you mean '{close[0]}'? valid: {listed}")
