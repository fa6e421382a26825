"""The command `basisbench run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from basisbench.cli.app import app, progress_bar
from basisbench.cli.options import (
    Ablation,
    Answers,
    Chat,
    Config,
    Device,
    Dtype,
    Metric,
    Pairs,
    Rank,
    RequireCorrect,
    Sizes,
    Split,
    Wandb,
    WandbEntity,
    WandbProject,
)


@app.command()
def run(
    model: Annotated[str | None, typer.Option(help="Names, local Hugging Face folders, or hub names.")] = None,
    tasks: Annotated[str | None, typer.Option(help="Names or folders, separated by commas.")] = None,
    bases: Annotated[str | None, typer.Option(help="Names or path/to/file.py:Name.")] = None,
    methods: Annotated[str | None, typer.Option(help="Attribution methods.")] = None,
    ablation: Ablation = None,
    positions: Annotated[str | None, typer.Option(help="kept or pooled.")] = None,
    rank: Rank = None,
    error: Annotated[str | None, typer.Option(help="Error nodes: score, keep, remove, or several of these.")] = None,
    split: Split = None,
    metric: Metric = None,
    answers: Answers = None,
    chat: Chat = None,
    require_correct: RequireCorrect = None,
    sizes: Sizes = None,
    n_discovery: Annotated[int | None, typer.Option(help="Pairs to score nodes on.")] = None,
    n_evaluation: Pairs = None,
    seed: Annotated[str | None, typer.Option(help="Seeds of the pairs, and of whatever is drawn.")] = None,
    dtype: Dtype = None,
    device: Device = None,
    keep_ranked: Annotated[
        int | None, typer.Option(help="Nodes of its ranking that a result keeps on disk (default: 10000).")
    ] = None,
    retry: Annotated[bool | None, typer.Option("--retry", help="Compute cells again that failed before.")] = None,
    wandb: Wandb = None,
    wandb_project: WandbProject = None,
    wandb_entity: WandbEntity = None,
    out: Annotated[Path | None, typer.Option(help="Folder for results (default: runs).")] = None,
    config: Config = None,
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
    options: dict[str, Any] = {
        name: value
        for name, value in locals().items()
        if name not in ("config", "engine", "address", "store", "dry_run") and value is not None
    }
    from basisbench.grid.config import make_config

    settings = make_config(options, config)
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
