"""The command `basisbench baseline`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from basisbench.cli.app import app
from basisbench.cli.options import Answers, Chat, Device, Dtype, Model


@app.command()
def baseline(
    model: Model = None,
    tasks: Annotated[str | None, typer.Option(help="Names, folders or files (default: all with their data).")] = None,
    split: Annotated[str | None, typer.Option(help="evaluation, discovery, heldout, heldout_templates.")] = None,
    n: Annotated[int | None, typer.Option(help="Pairs a task.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the pairs.")] = None,
    answers: Answers = None,
    chat: Chat = None,
    dtype: Dtype = None,
    device: Device = None,
    out: Annotated[Path | None, typer.Option(help="Folder for baseline.json and baseline.md.")] = None,
) -> None:
    """Say which tasks a model can do, before circuits are looked for: accuracy, logit difference, pairs, lengths."""
    options = {name: value for name, value in locals().items() if name != "out" and value is not None}
    from basisbench.checks.baseline import BaselineConfig
    from basisbench.settings import make_settings

    settings = make_settings(BaselineConfig, options)

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
