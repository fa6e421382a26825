"""The command `basisbench reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from basisbench.cli.app import app, progress_bar
from basisbench.cli.options import takes
from basisbench.settings.check import ReproduceConfig


@app.command()
@takes(ReproduceConfig)
def reproduce(settings: ReproduceConfig, result: Annotated[Path, typer.Argument(help="A result, NAME.json.")]) -> None:
    """Compute a result again from its own record and say which numbers moved. Exit status 1 if one moved too far."""
    from rich.console import Console

    from basisbench.submissions.compare import reproduction_table
    from basisbench.submissions.reproduce import Names
    from basisbench.submissions.reproduce import reproduce as make_again

    with progress_bar() as bar:
        work = bar.add_task("starting", total=1.0)
        found = make_again(
            result,
            device=settings.device,
            names=Names(settings.model, settings.task, settings.basis, settings.method),
            tolerance=settings.tolerance,
            report=lambda what, fraction: bar.update(work, description=what, completed=fraction),
            say=lambda line: bar.console.print(line, highlight=False, markup=False, soft_wrap=True),
        )
    Console().print(reproduction_table(found))
    if not found.same:
        raise typer.Exit(1)
