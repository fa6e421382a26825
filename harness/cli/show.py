"""The command `basisbench show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from basisbench.cli.app import app


@app.command()
def show(result: Annotated[Path, typer.Argument(help="A result's .json file.")]) -> None:
    """Show one result: settings, summary, curve, data, environment."""
    from rich.console import Console

    from basisbench.results.files import read_result
    from basisbench.results.tables import result_detail

    Console().print(result_detail(read_result(result)))
