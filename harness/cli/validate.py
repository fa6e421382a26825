"""The command `basisbench validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from basisbench.cli.app import app


@app.command()
def validate(
    results: Annotated[list[Path], typer.Argument(help="Results, FOLDER/NAME.json, or folders, with those inside.")],
) -> None:
    """Check results made elsewhere: schema, hashes, ranking, every number again. Exit status 1 if one fails."""
    from rich.console import Console

    from basisbench.submissions.validate import validate as check_results
    from basisbench.submissions.validate import validation_table

    reports = check_results(results)
    Console().print(validation_table(reports))
    if any(report.verdict == "broken" for report in reports):
        raise typer.Exit(1)
