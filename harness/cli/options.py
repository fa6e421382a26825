"""Options that several commands take, each worded once."""

from pathlib import Path
from typing import Annotated

import typer

Folders = Annotated[list[Path] | None, typer.Argument(help="Folders of results, with those inside (default: runs).")]
OneResult = Annotated[
    Path, typer.Argument(help="A result, FOLDER/NAME.json, packed or not; a beginning of NAME will do.")
]
Model = Annotated[str | None, typer.Option(help="Name, local Hugging Face folder, or hub name.")]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16, float16 or float64.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Answers = Annotated[str | None, typer.Option(help="Score the first token that differs, or whole answers.")]
Chat = Annotated[bool | None, typer.Option("--chat", help="Put prompts into the model's chat template.")]
Ablation = Annotated[str | None, typer.Option(help="mean, zero, mean_clean, resample, counterfactual.")]
Rank = Annotated[str | None, typer.Option(help="abs or signed.")]
Split = Annotated[str | None, typer.Option(help="evaluation, heldout or heldout_templates.")]
Metric = Annotated[str | None, typer.Option(help="logit_difference, log_probability or probability_difference.")]
RequireCorrect = Annotated[
    bool | None, typer.Option("--require-correct", help="Use only pairs that the model gets right.")
]
Sizes = Annotated[str | None, typer.Option(help="Circuit sizes (default: 1-2-3-5-7 a decade).")]
Pairs = Annotated[int | None, typer.Option(help="Pairs to evaluate circuits on.")]
Config = Annotated[Path | None, typer.Option(help="YAML file with the same settings.")]
Wandb = Annotated[str | None, typer.Option(help="W&B: auto, online, offline or disabled (default).")]
WandbProject = Annotated[str | None, typer.Option(help="W&B project.")]
WandbEntity = Annotated[str | None, typer.Option(help="W&B entity.")]
