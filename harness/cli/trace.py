"""The command `basisbench trace`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from basisbench.cli.app import app, progress_bar
from basisbench.cli.options import Config, Device, Dtype, Model, RequireCorrect

NOT_SETTINGS = ("out", "html", "config")


@app.command()
def trace(
    prompt: Annotated[str | None, typer.Argument(help="The text to explain the next token of.")] = None,
    answer: Annotated[str | None, typer.Option(help="Its next word (default: the model's top token).")] = None,
    foil: Annotated[str | None, typer.Option(help="The word that the answer is compared with.")] = None,
    task: Annotated[str | None, typer.Option(help="Instead of a prompt: a task's discovery pairs.")] = None,
    model: Model = None,
    basis: Annotated[str | None, typer.Option(help="Name or path/to/file.py:Name (default: neurons).")] = None,
    method: Annotated[
        str | None, typer.Option(help="What nodes are chosen by: relp (default), atp; of a task any.")
    ] = None,
    nodes: Annotated[int | None, typer.Option(help="Trace so many units (default: 200).")] = None,
    threshold: Annotated[float | None, typer.Option(help="Trace units with this share of the metric, or more.")] = None,
    keep: Annotated[float | None, typer.Option(help="Share of influence that pruning leaves (default: 0.8).")] = None,
    pairs: Annotated[int | None, typer.Option(help="Pairs of a task (default: 16).")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of a task's pairs.")] = None,
    require_correct: RequireCorrect = None,
    apart: Annotated[bool | None, typer.Option("--apart", help="Choose no units that are always on.")] = None,
    evidence: Annotated[
        bool | None, typer.Option("--evidence/--no-evidence", help="Read units, and label them.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="Where to look for contexts: sources or folders of .txt.")] = None,
    text_tokens: Annotated[int | None, typer.Option(help="How much of it (default: 20000).")] = None,
    serves: Annotated[str | None, typer.Option(help="Tasks of which a unit's use is measured.")] = None,
    dtype: Dtype = None,
    device: Device = None,
    out: Annotated[Path, typer.Option(help="Folder for the trace.")] = Path("runs/trace"),
    html: Annotated[Path | None, typer.Option(help="The page (default: graph.html in the folder).")] = None,
    config: Config = None,
) -> None:
    """Trace what a prompt's answer, or a task's, is made of: a graph of units, with a page to read it."""
    options: dict[str, Any] = {
        name: value for name, value in locals().items() if name not in NOT_SETTINGS and value is not None
    }
    from basisbench.pages.graph.write import summary, write_trace
    from basisbench.settings import make_settings
    from basisbench.tracing.trace import TraceConfig, trace

    settings = make_settings(TraceConfig, options, config)
    with progress_bar() as bar:
        work = bar.add_task("starting", total=1.0)
        document = trace(
            settings,
            say=lambda line: bar.console.print(line, highlight=False, markup=False, soft_wrap=True),
            progress=lambda what, done, total: bar.update(work, description=what, completed=done / total),
        )
    written = write_trace(document, out, html)

    from rich.console import Console

    Console().print(summary(document))
    for what, path in written.items():
        typer.echo(f"{what}: {path}")
