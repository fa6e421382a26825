"""Help that names what there is: asked for only when help is, since records can come from anywhere and take time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from typer.core import TyperCommand

Names = Callable[[], Iterable[str]]


def naming(names: dict[str, Names], lines: Names | None = None) -> type[TyperCommand]:
    """Return the class of a command whose help has `names` for the ``{}`` of an option, and `lines` at its end."""

    class Naming(TyperCommand):
        """A command that names what there is."""

        def format_help(self, ctx: Any, formatter: Any) -> None:
            """Fill in the names, then write the help."""
            for option in self.params:
                if option.name in names and isinstance(text := getattr(option, "help", None), str):
                    vars(option)["help"] = text.format(", ".join(names[option.name]()))
            if lines:
                self.epilog = "\n".join(("\b", *lines()))
            super().format_help(ctx, formatter)

    return Naming
