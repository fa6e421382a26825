"""The command `basisbench report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from basisbench.cli.app import app
from basisbench.cli.options import Folders


@app.command()
def report(
    folders: Folders = None,
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("report.html"),
    title: Annotated[str, typer.Option(help="Title of the page.")] = "Basisbench report",
) -> None:
    """Write one HTML file with the leaderboard, the curves and every cell; it opens from disk, without a network."""
    from basisbench.cache import write_atomically
    from basisbench.leaderboard import build_leaderboard
    from basisbench.pages.report import read_board_results, report_page

    folders = folders or [Path("runs")]
    board = build_leaderboard(folders)
    page = report_page(read_board_results(board, folders), board, title).encode()
    write_atomically(out, page)
    for problem in board.problems:
        typer.echo(f"left out: {problem}", err=True)
    typer.echo(board.headline)
    typer.echo(f"report: {out} ({board.n_results} cells, {len(page) / 1e6:.1f} MB)")
