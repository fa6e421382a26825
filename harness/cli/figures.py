"""The command `basisbench figures`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from basisbench.cli.app import app
from basisbench.cli.options import Folders


@app.command()
def figures(
    folders: Folders = None,
    style: Annotated[str, typer.Option(help="screen or paper.")] = "screen",
    out: Annotated[Path, typer.Option(help="Folder for the figures.")] = Path("figures"),
    only: Annotated[
        str,
        typer.Option(help="curves, nodes, overlap-tasks, overlap-methods, profile, agreement, cost (default: all)."),
    ] = "",
    width: Annotated[
        str | None, typer.Option(help="iclr, neurips, icml-column, acl-column or inches (default for paper: iclr).")
    ] = None,
    tasks: Annotated[str, typer.Option(help="Results of these tasks only.")] = "",
    bases: Annotated[str, typer.Option(help="Results of these bases only.")] = "",
    methods: Annotated[str, typer.Option(help="Results of these methods only.")] = "",
    k: Annotated[int, typer.Option("-k", "--k", help="Nodes of the circuits in overlaps and profiles.")] = 100,
) -> None:
    """Draw results: curves, nodes to a threshold, overlaps, profiles, agreement, cost (PDF, SVG, PNG, CSV)."""
    from basisbench.figures import choose_style, compare, make_figures, read_folders

    def names(text: str) -> list[str]:
        return [name.strip() for name in text.split(",") if name.strip()]

    chosen = choose_style(style, width)
    reading = read_folders(folders or [Path("runs")])
    for problem in reading.problems:
        typer.echo(f"left out: {problem}", err=True)
    kept = reading.only(names(tasks), names(bases), names(methods))
    comparison = compare(kept.results, kept.ranking)
    command = shlex.join(["basisbench", *sys.argv[1:]])
    report = make_figures(comparison, out, style=chosen, only=names(only), k=k, command=command)
    for path in report.written:
        typer.echo(f"{'numbers' if path.suffix == '.csv' else 'figure'}: {path}")
    for name, note in report.notes.items():
        typer.echo(f"{name}: {note}", err=True)
    for name, reason in report.left_out.items():
        typer.echo(f"left out: {name}: {reason}", err=True)
    if not report.written:
        raise typer.Exit(1)
