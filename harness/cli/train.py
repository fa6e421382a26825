"""The command `basisbench train`."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from basisbench.cli.app import app
from basisbench.cli.options import Config, Device, Model, Wandb, WandbEntity, WandbProject


@app.command()
def train(
    model: Model = None,
    kinds: Annotated[str | None, typer.Option(help="sae, transcoder or both (default).")] = None,
    width: Annotated[int | None, typer.Option(help="Latents a layer (default: as many as MLP neurons).")] = None,
    k: Annotated[int | None, typer.Option(help="Latents that fire, on average.")] = None,
    tokens: Annotated[int | None, typer.Option(help="Tokens to train on.")] = None,
    batch: Annotated[int | None, typer.Option(help="Tokens a step.")] = None,
    context: Annotated[int | None, typer.Option(help="Tokens a context.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate at its height.")] = None,
    dead_after: Annotated[int | None, typer.Option(help="Tokens after which a silent latent is revived.")] = None,
    auxiliary: Annotated[float | None, typer.Option(help="Weight of the loss that revives latents.")] = None,
    text: Annotated[str | None, typer.Option(help="Names of texts, or folders of .txt files.")] = None,
    prompts: Annotated[str | None, typer.Option(help="Tasks whose discovery prompts are mixed in.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the weights and of the order of the text.")] = None,
    device: Device = None,
    precision: Annotated[str | None, typer.Option(help="float32 or bfloat16.")] = None,
    checkpoint_every: Annotated[int | None, typer.Option(help="Steps between checkpoints.")] = None,
    wandb: Wandb = None,
    wandb_project: WandbProject = None,
    wandb_entity: WandbEntity = None,
    out: Annotated[Path | None, typer.Option(help="Folder for dictionaries (default: runs/dictionaries).")] = None,
    config: Config = None,
) -> None:
    """Train an SAE and a transcoder for every layer of a model. A run that was cut off goes on where it was."""
    options = {name: value for name, value in locals().items() if name != "config" and value is not None}
    from basisbench.settings import make_settings
    from basisbench.training.settings import TrainConfig

    settings = make_settings(TrainConfig, options, config)

    from basisbench.training.trainer import train as train_dictionaries

    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = train_dictionaries(settings, lambda line: typer.echo(line, err=True))
    typer.echo(f"dictionaries: {folder}")
