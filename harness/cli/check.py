"""The command `basisbench check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from basisbench.cli.app import app, progress_bar
from basisbench.cli.options import Device, Dtype, Model
from basisbench.errors import UserError


@app.command()
def check(
    basis: Annotated[str, typer.Argument(help="Name, or path/to/file.py:Name.")],
    model: Model = None,
    text: Annotated[Path | None, typer.Option(help="UTF-8 text to measure on (default: a short one of ours).")] = None,
    layers: Annotated[str | None, typer.Option(help="Layers, separated by commas (default: all).")] = None,
    dtype: Dtype = None,
    device: Device = None,
) -> None:
    """Check a basis on a model: its contract, how much it explains, its speed. Exit status 1 if it fails."""
    asked = {"model": model, "dtype": dtype, "device": device}
    from basisbench.settings import ModelConfig, make_settings

    settings = make_settings(ModelConfig, {name: value for name, value in asked.items() if value is not None})
    try:
        chosen = [int(layer) for layer in layers.split(",")] if layers is not None else None
    except ValueError:
        raise UserError(f"layers '{layers}' are no numbers: valid: for instance 0,5") from None

    from rich.console import Console

    from basisbench.bases.load import bind_basis, find_basis
    from basisbench.checks.basis import check_basis, check_table
    from basisbench.models.loading import load_model
    from basisbench.text.sample import TEXT, read_text

    texts = [TEXT if text is None else read_text(text)]
    factory = find_basis(basis)
    with progress_bar() as bar:
        work = bar.add_task("loading", total=1.0)
        loaded, _ = load_model(
            settings.model,
            settings.dtype,
            settings.device,
            say=lambda line: bar.console.print(line, highlight=False, markup=False, soft_wrap=True),
        )
        report = check_basis(
            loaded,
            bind_basis(basis, factory, loaded),
            texts,
            layers=chosen,
            progress=lambda what, done, total: bar.update(work, description=what, completed=done / total),
        )
    Console().print(check_table(report))
    if report.failed:
        raise typer.Exit(1)
