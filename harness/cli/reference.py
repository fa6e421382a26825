"""docs/settings.md: every option of every command, in the words of their `--help`.

python -m basisbench.cli.reference > docs/settings.md
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import typer

from basisbench.cli import app
from basisbench.results.settings import CONDITIONS, QUESTION, UNSAID
from basisbench.settings import settings_in
from basisbench.writing import markdown_table

WIDTH = 120
ABOUT = (
    "A setting has one name: `--n-evaluation` on the command line, `n_evaluation` in a YAML file and in Python. What "
    "is said here, `basisbench COMMAND --help` says too. On the command line the values of a list are separated by "
    "commas.",
    "`--config FILE` reads a command's settings from a YAML file, and options go over it; so a switch can be turned "
    "off, `--no-chat`. In Python the settings of a run are "
    '`basisbench.make_config({"tasks": "sva/rc", "n_evaluation": 20})`.',
)


def reference() -> str:
    """Return the page: what settings are, then a table for each command."""
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # it is a group
    parts = [
        "<!-- python -m basisbench.cli.reference > docs/settings.md -->\n# Settings",
        *(textwrap.fill(text, WIDTH, break_on_hyphens=False) for text in (*ABOUT, _told_apart())),
    ]
    for name, command in sorted(commands.items()):
        rows = list(_rows(command))
        parts += [f"## basisbench {name}", command.help]
        parts += [markdown_table(("option", "what it is"), rows).rstrip()] if rows else []
    return "\n\n".join(parts) + "\n"


def _told_apart() -> str:
    unsaid = _listed(f"{name}: {value}" for name, value in UNSAID.items())
    return (
        f"Results are compared where they share {_listed(QUESTION)}. Bases are compared under {_listed(CONDITIONS)} "
        "and the method. What all results of a table share is said once, below it; what goes without saying is "
        f"{unsaid}."
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _rows(command: Any) -> Iterator[tuple[str, str]]:
    """Each argument and option of a command and its help, then the settings that only files and Python have."""
    for parameter in command.params:
        if parameter.name == "config":
            continue
        names = [*parameter.opts, *parameter.secondary_opts]
        shown = parameter.default not in (None, False, "") and "(default" not in parameter.help
        words = f"{parameter.help.rstrip('.')} (default: {parameter.default})." if shown else parameter.help
        yield ", ".join(names) if names[0].startswith("-") else names[0].upper(), words
    if kind := getattr(command.callback, "settings", None):
        for name, said in settings_in(kind).items():
            if not said.option:
                yield f"{name}: in files and Python", f"{said.help}."


if __name__ == "__main__":
    print(reference(), end="")
