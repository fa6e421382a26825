"""The command `basisbench run`."""

from __future__ import annotations

from typing import Annotated

import typer

from basisbench.cli.app import app, progress_bar
from basisbench.cli.options import takes
from basisbench.grid.config import RunConfig


@app.command()
@takes(RunConfig)
def run(
    settings: RunConfig,
    engine: Annotated[str, typer.Option(help="local or ray (a Ray cluster).")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Cluster for ray: HOST:PORT, auto, or local (default: RAY_ADDRESS, else local).")
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="fsspec URL for results where ray's machines share no folder.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, with estimated time and memory, and stop.")
    ] = False,
) -> None:
    """Score units, build circuits, and draw their curves. Without options: the quickstart."""
    if dry_run:
        from basisbench.grid.estimate import estimate
        from basisbench.grid.outlook import lines

        for line in lines(estimate(settings)):
            typer.echo(line)
        return

    from basisbench.engines import find_engine

    compute = find_engine(engine, address, store)

    from rich.console import Console

    from basisbench.cache import write_atomically
    from basisbench.figures import plot_curves
    from basisbench.results.tables import markdown_table, results_table
    from basisbench.tracking.tracker import start

    with progress_bar() as bar:
        work = bar.add_task("starting", total=1.0)

        def say(line: str) -> None:
            bar.console.print(line, highlight=False, markup=False, soft_wrap=True)

        tracker = start(settings.tracking, settings.out, say)
        try:
            report = compute(
                settings,
                report=lambda what, fraction: bar.update(work, description=what, completed=fraction),
                say=say,
                each=tracker.cell,
            )
            tracker.board(report.results)
        finally:
            tracker.finish()
    if report.results:
        terminal = Console()
        terminal.print(results_table(report.results, terminal.width))
        write_atomically(settings.out / "results.md", markdown_table(report.results).encode())
        for figure in plot_curves(report.results, settings.out / "curves.png"):
            typer.echo(f"figure: {figure}")
        typer.echo(f"results: {len(report.results)} in {settings.out} ({report.reused} were there already)")
    for failure in report.failures:
        typer.echo(f"failed: {failure.cell}: {failure.reason}", err=True)
    if report.failures:
        raise typer.Exit(1)
