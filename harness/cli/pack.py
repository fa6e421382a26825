"""The command `basisbench pack`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from basisbench.cli.app import app
from basisbench.cli.options import Folders


@app.command()
def pack(
    folders: Folders = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the results' own files where they are.")] = False,
) -> None:
    """Make of each folder's results one file, results.parquet, which every command reads, and results.csv."""
    from basisbench.results.pack import pack as pack_folder

    problems = 0
    for folder in folders or [Path("runs")]:
        for done in pack_folder(folder, keep=keep):
            typer.echo(
                f"{done.folder}: {done.results} results packed, {done.new} of them new, "
                f"{done.before / 1e6:.1f} MB before, {done.after / 1e6:.1f} MB after"
            )
            for problem in done.problems:
                typer.echo(f"left as it is: {problem}", err=True)
            problems += len(done.problems)
    if problems:
        raise typer.Exit(1)
