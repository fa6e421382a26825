"""The command `basisbench leaderboard`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from basisbench.cli.app import app
from basisbench.cli.options import Folders
from basisbench.errors import UserError, unknown_name


@app.command()
def leaderboard(
    folders: Folders = None,
    by: Annotated[str, typer.Option(help="Order rows by auc_f, auc_c or nodes@0.8.")] = "auc_f",
    tasks: Annotated[str | None, typer.Option(help="Only these tasks, separated by commas.")] = None,
    method: Annotated[str | None, typer.Option(help="Method to compare bases under (default: the fullest).")] = None,
    format: Annotated[str | None, typer.Option(help="terminal, md, csv, latex or json.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write: .md, .csv, .tex or .json.")] = None,
) -> None:
    """In which basis are circuits sparsest, by how much, how sure? One table of all results in folders."""
    from rich.console import Console

    from basisbench.cache import write_atomically
    from basisbench.leaderboard import STATISTICS, build_leaderboard
    from basisbench.leaderboard.formats import FORMATS, SUFFIXES
    from basisbench.leaderboard.terminal import terminal

    if by not in STATISTICS:
        raise unknown_name("statistic", by, STATISTICS)
    if format not in (None, "terminal", *FORMATS):
        raise unknown_name("format", str(format), ("terminal", *FORMATS))
    if out and format == "terminal":
        raise UserError(f"a file has no format terminal: valid: {', '.join(FORMATS)}")
    if out and format is None:
        if out.suffix not in SUFFIXES:
            raise UserError(f"cannot tell the format of {out}: valid: {', '.join(SUFFIXES)}, or say --format")
        format = SUFFIXES[out.suffix]

    chosen = [name.strip() for name in tasks.split(",") if name.strip()] if tasks is not None else None
    board = build_leaderboard(folders or [Path("runs")], by=by, tasks=chosen, method=method)
    if out and format:
        write_atomically(out, FORMATS[format](board).encode())
        typer.echo(board.headline)
        typer.echo(f"leaderboard: {out}")
    elif format in FORMATS:
        typer.echo(FORMATS[format](board), nl=False)
    else:
        console = Console()
        console.print(terminal(board, console.width))
    for problem in board.problems:
        typer.echo(f"skipped: {problem}", err=True)
    if board.problems:
        raise typer.Exit(1)
