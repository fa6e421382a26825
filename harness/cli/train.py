"""The command `basisbench train`."""

from __future__ import annotations

import signal

import typer

from basisbench.cli.app import app
from basisbench.cli.options import takes
from basisbench.settings.train import TrainConfig


@app.command()
@takes(TrainConfig)
def train(settings: TrainConfig) -> None:
    """Train an SAE and a transcoder for every layer of a model. A run that was cut off goes on where it was."""
    from basisbench.training.trainer import train as train_dictionaries

    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = train_dictionaries(settings, lambda line: typer.echo(line, err=True))
    typer.echo(f"dictionaries: {folder}")
