"""The command `basisbench sync`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from basisbench.cli.app import app
from basisbench.cli.options import takes
from basisbench.settings.wandb import SyncConfig


@app.command()
@takes(SyncConfig)
def sync(
    settings: SyncConfig,
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders of results, with those inside (default: runs).")
    ] = None,
) -> None:
    """Log results to Weights & Biases, made with it or without, and upload what was recorded offline."""
    from basisbench.tracking.sync import sync as sync_folders

    report = sync_folders(folders or [Path("runs")], settings.tracking, lambda line: typer.echo(line, err=True))
    typer.echo(f"runs: {report.recorded} recorded, {report.uploaded} uploaded, {report.waiting} to be uploaded")
    for problem in report.problems:
        typer.echo(f"problem: {problem}", err=True)
    if report.problems or (settings.wandb == "online" and report.waiting):
        raise typer.Exit(1)
