"""The command `basisbench leaderboard`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from basisbench.cli.app import app
from basisbench.cli.naming import naming
from basisbench.cli.options import names_in
from basisbench.errors import UserError, unknown_name


def _statistics() -> list[str]:
    from basisbench.measures.statistic import board_statistics

    return [statistic.name for statistic in board_statistics()]


@app.command(cls=naming({"by": _statistics}))
def leaderboard(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders of results, with those inside (default: runs).")
    ] = None,
    by: Annotated[str, typer.Option(help="Order rows by one of {}.")] = "auc_f",
    tasks: Annotated[str | None, typer.Option(help="Only these tasks, separated by commas.")] = None,
    method: Annotated[str | None, typer.Option(help="Method to compare bases under (default: the fullest).")] = None,
    format: Annotated[str | None, typer.Option(help="terminal, md, csv, latex or json.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write: .md, .csv, .tex or .json.")] = None,
) -> None:
    """In which basis are circuits sparsest, by how much, how sure? One table of all results in folders."""
    from rich.console import Console

    from basisbench.cache import write_atomically
    from basisbench.leaderboard import build_leaderboard
    from basisbench.leaderboard.formats import FORMATS, SUFFIXES
    from basisbench.leaderboard.terminal import terminal
    from basisbench.measures.statistic import board_statistic

    board_statistic(by)
    if format not in (None, "terminal", *FORMATS):
        raise unknown_name("format", str(format), ("terminal", *FORMATS))
    if out and format == "terminal":
        raise UserError(f"a file has no format terminal: valid: {', '.join(FORMATS)}")
    if out and format is None:
        if out.suffix not in SUFFIXES:
            raise UserError(f"cannot tell the format of {out}: valid: {', '.join(SUFFIXES)}, or say --format")
        format = SUFFIXES[out.suffix]

    chosen = names_in(tasks) if tasks is not None else None
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
