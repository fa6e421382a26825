"""The command `basisbench baseline`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from basisbench.cli.app import app
from basisbench.cli.options import takes
from basisbench.settings.check import BaselineConfig


@app.command()
@takes(BaselineConfig)
def baseline(
    settings: BaselineConfig,
    out: Annotated[Path | None, typer.Option(help="Folder for baseline.json and baseline.md.")] = None,
) -> None:
    """Say which tasks a model can do, before circuits are looked for: accuracy, logit difference, pairs, lengths."""
    from rich.console import Console

    from basisbench.cache import write_atomically
    from basisbench.checks.baseline import baseline_markdown, baseline_table, measure_baseline
    from basisbench.models.loading import load_model

    def say(line: str) -> None:
        typer.echo(line, err=True)

    loaded, digest = load_model(settings.model, settings.dtype, settings.device, say)
    report = measure_baseline(settings, loaded, digest, say)
    Console().print(baseline_table(report))
    if out:
        write_atomically(out / "baseline.json", report.model_dump_json(indent=1).encode() + b"\n")
        write_atomically(out / "baseline.md", baseline_markdown(report).encode())
