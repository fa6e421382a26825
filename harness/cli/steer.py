"""The command `basisbench steer`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from basisbench.cli.app import app, progress_bar
from basisbench.cli.options import Device, Dtype, Model, Rank, RequireCorrect


@app.command()
def steer(
    task: Annotated[str | None, typer.Option(help="Name, folder or .yaml file (default: capitals/two_hop).")] = None,
    bases: Annotated[
        str | None, typer.Option("--bases", "--basis", help="Names or path/to/file.py:Name (default: neurons).")
    ] = None,
    nodes: Annotated[
        str | None, typer.Option(help="How many of the ranking (default: 50), or LAYER:UNIT@SLOT,LAYER:UNIT,...")
    ] = None,
    groups: Annotated[str | None, typer.Option(help="A group of a trace instead: trace.json#NAME.")] = None,
    multipliers: Annotated[
        str | None, typer.Option(help="Factors, separated by commas (default: -4,-2,-1,0,0.5,1,2,4,8).")
    ] = None,
    values: Annotated[str | None, typer.Option("--set", help="Values to set, instead of factors.")] = None,
    swap: Annotated[
        bool | None, typer.Option("--swap", help="Put each prompt's activations into each other prompt too.")
    ] = None,
    swaps: Annotated[int | None, typer.Option(help="Ordered pairs to swap (default: all; board: 100).")] = None,
    board: Annotated[bool | None, typer.Option("--board", help="Compare the bases by nodes needed to steer.")] = None,
    sizes: Annotated[str | None, typer.Option(help="Numbers of nodes on the board (default: 1 to 2,000).")] = None,
    positions: Annotated[str | None, typer.Option(help="kept, or pooled: steer units at every position.")] = None,
    rank: Rank = None,
    method: Annotated[str | None, typer.Option(help="Attribution method that ranks nodes (default: relp).")] = None,
    split: Annotated[str | None, typer.Option(help="discovery, evaluation, heldout or heldout_templates.")] = None,
    pairs: Annotated[int | None, typer.Option(help="Pairs to steer (default: 20).")] = None,
    n_discovery: Annotated[int | None, typer.Option(help="Pairs to rank nodes on (default: 32).")] = None,
    draws: Annotated[int | None, typer.Option(help="Control sets of each kind (default: 5).")] = None,
    require_correct: RequireCorrect = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the pairs, and of whatever is drawn.")] = None,
    model: Model = None,
    dtype: Dtype = None,
    device: Device = None,
    out: Annotated[Path, typer.Option(help="Folder for steer.json, tables and figures.")] = Path("runs/steer"),
) -> None:
    """Multiply, set or transplant units: what the model says then, beside controls and side effects."""
    options: dict[str, Any] = {name: value for name, value in locals().items() if name != "out" and value is not None}
    from basisbench.settings import make_settings
    from basisbench.steering.settings import SteerConfig

    config = make_settings(SteerConfig, options)

    from rich.console import Console

    from basisbench.grid.run import check_folder
    from basisbench.steering.experiment import steer as run_steering
    from basisbench.steering.progress import Phases
    from basisbench.steering.report import terminal, write_document

    check_folder(out)
    with progress_bar() as bar:
        work = bar.add_task("loading", total=1.0)
        phases = Phases(config, lambda what, fraction: bar.update(work, description=what, completed=fraction))
        document = run_steering(
            config,
            say=lambda line: bar.console.print(line, highlight=False, markup=False, soft_wrap=True),
            progress=phases.progress,
        )
    Console().print(terminal(document))
    for path in write_document(document, out):
        typer.echo(f"{'table' if path.suffix == '.csv' else 'figure'}: {path}")
    typer.echo(f"results: {out / 'steer.json'}")
