"""The command `basisbench trace`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from basisbench.cli.app import app, progress_bar
from basisbench.cli.options import takes
from basisbench.settings.trace import TraceConfig


@app.command()
@takes(TraceConfig, "prompt")
def trace(
    settings: TraceConfig,
    out: Annotated[Path, typer.Option(help="Folder for the trace.")] = Path("runs/trace"),
    html: Annotated[Path | None, typer.Option(help="The page (default: graph.html in the folder).")] = None,
) -> None:
    """Trace what a prompt's answer, or a task's, is made of: a graph of units, with a page to read it."""
    from basisbench.pages.graph.write import summary, write_trace
    from basisbench.tracing.trace import trace

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
