"""The command `basisbench list`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from basisbench.cli.app import app
from basisbench.errors import unknown_name
from basisbench.registry import Registry


@app.command("list")
def list_names(
    what: Annotated[str, typer.Argument(help="models, tasks, bases or methods.")],
    model: Annotated[str | None, typer.Option(help="List the published bases made for this model as well.")] = None,
) -> None:
    """List what can be named in `run`."""
    from basisbench.attribution import METHODS
    from basisbench.bases.basis import BASES, PRESETS
    from basisbench.models.names import MODELS
    from basisbench.tasks.task import TASKS

    registries: dict[str, tuple[Registry[Any], str]] = {
        "models": (MODELS, "or a local Hugging Face folder, or a hub name org/name"),
        "tasks": (TASKS, "or a folder with discovery.jsonl and evaluation.jsonl, or a .yaml file over a dataset"),
        "bases": (BASES, "or path/to/file.py:Name"),
        "methods": (METHODS, "or path/to/file.py:Name"),
    }
    if what not in registries:
        raise unknown_name("kind of name", what, registries)
    registry, also = registries[what]
    for name in registry:
        typer.echo(f"{name:18} {registry.describe(name)}".rstrip())
    typer.echo(also)
    if what == "bases" and model is not None:
        published = [preset for source in PRESETS for preset in PRESETS.get(source)(model)]
        typer.echo(f"published for {model}:" if published else f"none is known to be published for {model}")
        for preset in published:
            typer.echo(f"  {preset.basis}  ({preset.about})")
