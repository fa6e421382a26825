"""The command `basisbench list`."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Annotated, Any

import typer

from basisbench.cli.app import app
from basisbench.errors import unknown_name
from basisbench.registry import Registry

REGISTRIES = {
    "models": ("basisbench.models.names", "MODELS", "or a local Hugging Face folder, or a hub name org/name"),
    "tasks": (
        *("basisbench.tasks.task", "TASKS"),
        "or a folder with discovery.jsonl and evaluation.jsonl, or a .yaml file over a dataset",
    ),
    "bases": ("basisbench.bases.basis", "BASES", "or path/to/file.py:Name"),
    "methods": ("basisbench.attribution", "METHODS", "or path/to/file.py:Name"),
}
"""Where each registry is, imported when it is asked for, and what else can be named."""
HOW = {"boards": "basisbench run --board NAME", "sweeps": "wandb sweep FILE"}
"""What is done with files that are shipped."""


@app.command("list")
def list_names(
    what: Annotated[str, typer.Argument(help="models, tasks, bases, methods, boards or sweeps.")],
    model: Annotated[str | None, typer.Option(help="List the published bases made for this model as well.")] = None,
) -> None:
    """List what can be named in `run`."""
    if what in HOW:
        from basisbench.grid.boards import first_line, shipped_files

        files = shipped_files(what)
        _print((name, first_line(file)) for name, file in files.items())
        (folder,) = {file.parent for file in files.values()}
        typer.echo(f"{HOW[what]}; the files, to use or to copy, are in {folder}")
        return

    if what not in REGISTRIES:
        raise unknown_name("kind of name", what, [*REGISTRIES, *HOW])
    home, name_of_it, also = REGISTRIES[what]
    registry: Registry[Any] = getattr(import_module(home), name_of_it)
    _print((name, registry.describe(name)) for name in registry)
    typer.echo(also)
    if what == "bases" and model is not None:
        from basisbench.bases.basis import PRESETS

        published = [preset for source in PRESETS for preset in PRESETS.get(source)(model)]
        typer.echo(f"published for {model}:" if published else f"none is known to be published for {model}")
        for preset in published:
            typer.echo(f"  {preset.basis}  ({preset.about})")


def _print(names: Iterable[tuple[str, str]]) -> None:
    for name, about in names:
        typer.echo(f"{name:18} {about}".rstrip())
