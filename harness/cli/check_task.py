"""The command `basisbench check-task`."""

from __future__ import annotations

from typing import Annotated

import typer

from basisbench.cli.app import app
from basisbench.cli.options import Device, Model


@app.command("check-task")
def check_task(
    task: Annotated[str, typer.Argument(help="Name, folder or .yaml file.")],
    model: Model = None,
    n: Annotated[int | None, typer.Option(help="Rows a split.")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many seeds to draw rows with.")] = None,
    device: Device = None,
) -> None:
    """Check a task on a model: its contract, leaks between splits, tokens, baseline. Exit status 1 if it fails."""
    options = {name: value for name, value in locals().items() if name != "task" and value is not None}
    from basisbench.checks.task import TaskCheckConfig
    from basisbench.settings import make_settings

    settings = make_settings(TaskCheckConfig, options)

    from rich.console import Console

    from basisbench.checks.task import check_task as check_rows
    from basisbench.checks.task import task_check_table
    from basisbench.models.loading import load_model
    from basisbench.tasks.load import load_task

    found = load_task(task)
    loaded, _ = load_model(settings.model, device=settings.device, say=lambda line: typer.echo(line, err=True))
    report = check_rows(found, loaded, n=settings.n, seeds=settings.seeds)
    Console().print(task_check_table(report))
    if report.failed:
        raise typer.Exit(1)
