"""The command `basisbench reproduce`."""

from __future__ import annotations

from typing import Annotated

import typer

from basisbench.cli.app import app, progress_bar
from basisbench.cli.options import Device, OneResult


@app.command()
def reproduce(
    result: OneResult,
    device: Device = None,
    model: Annotated[str | None, typer.Option(help="Where the model is here (default: as recorded).")] = None,
    task: Annotated[str | None, typer.Option(help="The task here, if it is a folder or file.")] = None,
    basis: Annotated[str | None, typer.Option(help="The basis here, if it is path/to/file.py:Name.")] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, help="How far faithfulness and completeness may move (default: 0.02, 16-bit dtypes 0.1)."),
    ] = None,
) -> None:
    """Compute a result again from its own record and say which numbers moved. Exit status 1 if one moved too far."""
    from rich.console import Console

    from basisbench.submissions.compare import reproduction_table
    from basisbench.submissions.reproduce import Names
    from basisbench.submissions.reproduce import reproduce as make_again

    with progress_bar() as bar:
        work = bar.add_task("starting", total=1.0)
        found = make_again(
            result,
            device=device or "auto",
            names=Names(model, task, basis),
            tolerance=tolerance,
            report=lambda what, fraction: bar.update(work, description=what, completed=fraction),
            say=lambda line: bar.console.print(line, highlight=False, markup=False, soft_wrap=True),
        )
    Console().print(reproduction_table(found))
    if not found.same:
        raise typer.Exit(1)
