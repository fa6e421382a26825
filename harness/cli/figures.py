"""The command `basisbench figures`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from basisbench.cli.app import app
from basisbench.cli.naming import naming
from basisbench.cli.options import names_in


def _names() -> list[str]:
    from basisbench.figures import FIGURES

    return [*FIGURES.names]


def _lines() -> list[str]:
    from basisbench.figures import FIGURES

    return [f"{plot.name}: {plot.about} (needs {plot.needs})" for plot in FIGURES]


@app.command(cls=naming({"only": _names}, _lines))
def figures(
    folders: Annotated[list[Path] | None, typer.Argument(help="Folders of results (default: runs).")] = None,
    style: Annotated[str, typer.Option(help="screen or paper.")] = "screen",
    out: Annotated[Path, typer.Option(help="Folder for the figures.")] = Path("figures"),
    only: Annotated[
        str,
        typer.Option(help="{} (default: all)."),
    ] = "",
    width: Annotated[
        str | None, typer.Option(help="iclr, neurips, icml-column, acl-column or inches (default for paper: iclr).")
    ] = None,
    tasks: Annotated[str, typer.Option(help="Results of these tasks only.")] = "",
    bases: Annotated[str, typer.Option(help="Results of these bases only.")] = "",
    methods: Annotated[str, typer.Option(help="Results of these methods only.")] = "",
    nodes: Annotated[int, typer.Option(help="Nodes of the circuits in overlaps and profiles.")] = 100,
) -> None:
    """Draw results: every figure, or some, each with its numbers (PDF, SVG, PNG, CSV)."""
    from basisbench.figures import choose_style, compare, make_figures, read_folders

    chosen = choose_style(style, width)
    reading = read_folders(folders or [Path("runs")])
    for problem in reading.problems:
        typer.echo(f"left out: {problem}", err=True)
    kept = reading.only(names_in(tasks), names_in(bases), names_in(methods))
    comparison = compare(kept.results, kept.ranking)
    command = shlex.join(["basisbench", *sys.argv[1:]])
    report = make_figures(comparison, out, style=chosen, only=names_in(only), k=nodes, command=command)
    for path in report.written:
        typer.echo(f"{'numbers' if path.suffix == '.csv' else 'figure'}: {path}")
    for name, note in report.notes.items():
        typer.echo(f"{name}: {note}", err=True)
    for name, reason in report.left_out.items():
        typer.echo(f"left out: {name}: {reason}", err=True)
    if not report.written:
        raise typer.Exit(1)
