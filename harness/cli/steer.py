"""The command `basisbench steer`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from basisbench.cli.app import app, progress_bar
from basisbench.cli.options import takes
from basisbench.settings.steer import SteerConfig


@app.command()
@takes(SteerConfig)
def steer(
    settings: SteerConfig,
    out: Annotated[Path, typer.Option(help="Folder for steer.json, tables and figures.")] = Path("runs/steer"),
) -> None:
    """Multiply, set or transplant units: what the model says then, beside controls and side effects."""
    from rich.console import Console

    from basisbench.grid.run import check_folder
    from basisbench.steering.experiment import steer as run_steering
    from basisbench.steering.progress import Phases
    from basisbench.steering.report import terminal, write_document

    check_folder(out)
    with progress_bar() as bar:
        work = bar.add_task("loading", total=1.0)
        phases = Phases(settings, lambda what, fraction: bar.update(work, description=what, completed=fraction))
        document = run_steering(
            settings,
            say=lambda line: bar.console.print(line, highlight=False, markup=False, soft_wrap=True),
            progress=phases.progress,
        )
    Console().print(terminal(document))
    for path in write_document(document, out):
        typer.echo(f"{'table' if path.suffix == '.csv' else 'figure'}: {path}")
    typer.echo(f"results: {out / 'steer.json'}")
