"""What stands beside trained dictionaries: how they came about, and how good they are."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import torch

from basisbench.cache import write_atomically
from basisbench.settings.train import TrainConfig
from basisbench.text.documents import SOURCES
from basisbench.training.contexts import Contexts
from basisbench.training.dictionaries import Stack
from basisbench.training.evaluate import HELD_OUT_ROWS, LOSS_ROWS, Quality
from basisbench.writing import markdown_table

PACKAGES = ("basisbench", "torch", "transformers", "transformer-lens", "sae-lens")


def write_card(
    config: TrainConfig,
    label: str,
    digest: str,
    device: torch.device,
    contexts: Contexts,
    stacks: Sequence[Stack],
    qualities: Sequence[Quality],
    seconds: float,
) -> None:
    """Write ``card.json`` and ``README.md`` into the folder of a finished training.

    `label` and `digest` say which model it was, `device` and `seconds` where and how long the steps ran.
    """
    held_out = contexts.held_out[:HELD_OUT_ROWS]
    card = {
        "model": {"name": config.model, "label": label, "weights": digest},
        "command": command(config),
        "settings": config.model_dump(mode="json"),
        "text": [
            {"name": name, "package": SOURCES[name].requirement, "licence": SOURCES[name].licence}
            if name in SOURCES
            else {"name": name, "package": None, "licence": "the user's own text"}
            for name in config.text
        ],
        "prompts": {"tasks": list(config.prompts), "split": "discovery", "at_most": "3 % of the text's tokens"},
        "tokens": {
            "trained_on": config.steps * config.tokens_a_step,
            "in_the_text": contexts.training.numel(),
            "held_out": contexts.held_out.numel(),
            "evaluated": held_out.shape[0] * (held_out.shape[1] - 1),
            "evaluated_for_loss": len(held_out[:LOSS_ROWS]) * (held_out.shape[1] - 1),
            "sha256": contexts.sha256(),
        },
        "seconds": round(seconds, 1),
        "device": _device(device),
        "packages": {name: version(name) for name in PACKAGES},
        "final_training_loss": {
            f"{stack.kind}/{layer}": round(value, 5)
            for stack in stacks
            for layer, value in zip(stack.layers, stack.unexplained.tolist(), strict=True)
        },
        "quality": [asdict(quality) for quality in qualities],
    }
    write_atomically(config.out / "README.md", _readme(config, label, device, seconds, qualities).encode())
    # Last: its presence says that the folder is finished.
    write_atomically(config.out / "card.json", (json.dumps(card, indent=2) + "\n").encode())


def command(config: TrainConfig) -> str:
    """The command line that asks for `config`: every setting that is not the default."""
    parts = ["basisbench train"]
    for name, field in TrainConfig.model_fields.items():
        value = getattr(config, name)
        if value != field.default:
            # a folder of this machine says nothing elsewhere
            value = value.name if isinstance(value, Path) and value.is_absolute() else value
            text = ",".join(value) if isinstance(value, list | tuple) else str(value)
            parts.append(f"--{name.replace('_', '-')} {text}")
    return " ".join(parts)


def quality_table(columns: Mapping[str, Sequence[Quality]]) -> str:
    """A Markdown table of qualities, a row for each dictionary; `columns` names several of the same dictionaries."""
    heads = ["unexplained", "L0", "loss recovered", "dead"]
    header = ["kind", "layer", *(f"{head}{note and f' ({note})'}" for note in columns for head in heads)]
    lines = []
    for row in zip(*columns.values(), strict=True):
        lines.append([row[0].kind, str(row[0].layer), *(cell for quality in row for cell in _cells(quality))])
    for kind in dict.fromkeys(quality.kind for quality in next(iter(columns.values()))):
        groups = [[quality for quality in column if quality.kind == kind] for column in columns.values()]
        lines.append([kind, "mean", *(cell for group in groups for cell in _cells(_mean(group)))])
    return markdown_table(header, lines, header[1:])


def _cells(quality: Quality) -> list[str]:
    recovered = "-" if quality.loss_recovered is None else f"{quality.loss_recovered:.3f}"
    return [f"{quality.unexplained:.3f}", f"{quality.l0:.1f}", recovered, f"{quality.dead}"]


def _mean(group: Sequence[Quality]) -> Quality:
    def mean(values: Iterable[float]) -> float:
        found = list(values)
        return sum(found) / len(found)

    recovered = [q.loss_recovered for q in group if q.loss_recovered is not None]
    return Quality(
        group[0].kind,
        -1,
        mean(q.unexplained for q in group),
        mean(q.l0 for q in group),
        mean(recovered) if recovered else None,
        round(mean(q.dead for q in group)),
    )


def _device(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU ({platform.machine()})"


def _readme(config: TrainConfig, label: str, device: torch.device, seconds: float, qualities: Sequence[Quality]) -> str:
    trained = config.steps * config.tokens_a_step
    texts = (f"- {name}: {SOURCES[name].licence}" if name in SOURCES else f"- {name}" for name in config.text)
    mixed = f" and discovery prompts of {', '.join(config.prompts)}" if config.prompts else ""
    return "\n".join(
        [
            f"# Dictionaries for {label}",
            "",
            f"BatchTopK (k = {config.k}), saved as JumpReLU, trained on {trained:,} tokens of text{mixed} in "
            f"{seconds / 60:.0f} minutes on {_device(device)}:",
            "",
            *texts,
            "",
            f"    {command(config)}",
            "",
            "On held-out documents, first positions left out: squared error over variance, active latents a token, "
            "the share of a mean ablation's loss that the reconstruction takes back, latents that never fired.",
            "",
            quality_table({"": qualities}),
        ]
    )
