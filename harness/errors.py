"""The one exception that a user sees as a single line."""

import difflib
import textwrap
from collections.abc import Iterable

LISTED = 240
"""Characters of a list of valid names beside the nearest one."""
LONGEST = 400
"""Characters of what another's error says."""


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
    return printable(" ".join(str(error).split())[:LONGEST]) or type(error).__name__


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
