"""Options that several commands take, each worded once."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[str | None, typer.Option(help="Name, local Hugging Face folder, or hub name.")]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16, float16 or float64.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Answers = Annotated[str | None, typer.Option(help="Score the first token that differs, or whole answers.")]
Chat = Annotated[bool | None, typer.Option("--chat", help="Put prompts into the model's chat template.")]
Config = Annotated[Path | None, typer.Option(help="YAML file with the same settings.")]
Wandb = Annotated[str | None, typer.Option(help="W&B: auto, online, offline or disabled (default).")]
WandbProject = Annotated[str | None, typer.Option(help="W&B project.")]
WandbEntity = Annotated[str | None, typer.Option(help="W&B entity.")]
