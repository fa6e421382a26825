"""The command `basisbench check-task`."""

from __future__ import annotations

import typer

from basisbench.cli.app import app
from basisbench.cli.options import takes
from basisbench.settings.check import TaskCheckConfig


@app.command("check-task")
@takes(TaskCheckConfig, "task")
def check_task(settings: TaskCheckConfig) -> None:
    """Check a task on a model: its contract, leaks between splits, tokens, baseline. Exit status 1 if it fails."""
    from rich.console import Console

    from basisbench.checks.task import check_task as check_rows
    from basisbench.checks.task import task_check_table
    from basisbench.models.loading import load_model
    from basisbench.tasks.load import load_task

    found = load_task(settings.task)
    loaded, _ = load_model(settings.model, settings.dtype, settings.device, say=lambda line: typer.echo(line, err=True))
    report = check_rows(found, loaded, n=settings.n_rows, seeds=settings.n_seeds)
    Console().print(task_check_table(report))
    if report.failed:
        raise typer.Exit(1)
