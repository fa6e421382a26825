"""The one exception that a user sees as a single line."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input or a condition the user can change.

    The message is one line: what was wrong, then what is valid. The command line prints it without a
    traceback and exits with status 2.
    """


def printable(text: str) -> str:
    """Return `text` with "?" for every character that a terminal would act on or that turns lines around."""
    return "".join(c if c.isprintable() else "?" for c in text)


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """Build the error for a name that is not among `valid`, with the nearest valid name if there is one."""
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return UserError(f"unknown {kind} '{name}': {hint}valid: {', '.join(names)}")
