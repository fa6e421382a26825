"""The command `basisbench show`."""

from __future__ import annotations

from basisbench.cli.app import app
from basisbench.cli.options import OneResult


@app.command()
def show(
    result: OneResult,
) -> None:
    """Show one result: settings, summary, curve, data, environment."""
    from rich.console import Console

    from basisbench.results.find import read_result
    from basisbench.results.tables import result_detail

    Console().print(result_detail(read_result(result)))
