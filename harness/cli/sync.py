"""The command `basisbench sync`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from basisbench.cli.app import app
from basisbench.cli.options import Folders


@app.command()
def sync(
    folders: Folders = None,
    wandb: Annotated[str, typer.Option(help="auto, online or offline.")] = "auto",
    project: Annotated[str | None, typer.Option(help="W&B project (default: as before, else basisbench).")] = None,
    entity: Annotated[str | None, typer.Option(help="W&B entity (default: your own).")] = None,
) -> None:
    """Log results to Weights & Biases, made with it or without, and upload what was recorded offline."""
    from basisbench.settings import make_settings
    from basisbench.tracking.settings import WandbSettings

    asked = {"mode": wandb, "project": project, "entity": entity}
    settings = make_settings(WandbSettings, {name: value for name, value in asked.items() if value is not None})

    from basisbench.tracking.sync import sync as sync_folders

    report = sync_folders(folders or [Path("runs")], settings, lambda line: typer.echo(line, err=True))
    typer.echo(f"runs: {report.recorded} recorded, {report.uploaded} uploaded, {report.waiting} to be uploaded")
    for problem in report.problems:
        typer.echo(f"problem: {problem}", err=True)
    if report.problems or (wandb == "online" and report.waiting):
        raise typer.Exit(1)
