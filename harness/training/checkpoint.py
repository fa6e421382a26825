"""The state of a training run on disk, layer by layer, so that a killed run goes on where it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from basisbench.cache import atomic_folder
from basisbench.errors import UserError
from basisbench.training.dictionaries import Stack

STATE = "state.safetensors"
MOMENTS = ("exp_avg", "exp_avg_sq")


def save_checkpoint(work: Path, step: int, seconds: float, stacks: Sequence[Stack], adam: torch.optim.Adam) -> None:
    """Save everything that `step` steps in `seconds` have changed; the last checkpoint goes once this one is whole.

    Raises UserError where the disk is full.
    """
    with atomic_folder(work / f"checkpoint-{step:08d}") as folder:
        try:
            save_file({name: tensor.cpu().contiguous() for name, tensor in _tensors(stacks, adam)}, folder / STATE)
        except SafetensorError as error:  # its writer reports a full disk in this way
            raise UserError(f"cannot write {work}: {error}; free the space, or choose another place") from error
        (folder / "step.json").write_text(json.dumps({"step": step, "seconds": seconds}))
    for older in sorted(work.glob("checkpoint-*"))[:-1]:
        shutil.rmtree(older)


def load_checkpoint(work: Path, stacks: Sequence[Stack], adam: torch.optim.Adam) -> tuple[int, float]:
    """Put the last checkpoint's values into `stacks` and `adam`; returns its step and seconds, 0 if there is none."""
    for left in work.glob(".checkpoint-*.tmp"):  # by a run killed while it saved
        shutil.rmtree(left)
    checkpoints = sorted(work.glob("checkpoint-*"))
    if not checkpoints:
        return 0, 0.0
    progress = json.loads((checkpoints[-1] / "step.json").read_text())
    step, seconds = int(progress["step"]), float(progress["seconds"])
    for stack in stacks:
        for parameter in stack.parameters():
            fresh = {name: torch.zeros_like(parameter) for name in MOMENTS}
            adam.state[parameter] = {"step": torch.tensor(float(step), device=_counter(adam, parameter)), **fresh}
    saved = load_file(checkpoints[-1] / STATE)
    with torch.no_grad():
        for name, tensor in _tensors(stacks, adam):
            tensor.copy_(saved[name])
    return step, seconds


def _counter(adam: torch.optim.Adam, parameter: Tensor) -> torch.device:
    """Where Adam keeps its count of steps: beside the weights when fused."""
    return parameter.device if adam.defaults["fused"] else torch.device("cpu")


def _tensors(stacks: Sequence[Stack], adam: torch.optim.Adam) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the state by name, one a layer (views): how layers are stacked is free to change."""
    for stack in stacks:
        whole = dict(stack.state_dict(keep_vars=True))
        for name, parameter in stack.named_parameters():
            whole |= {f"{name}.{moment}": adam.state[parameter][moment] for moment in MOMENTS}
        for name, tensor in whole.items():
            for place, layer in enumerate(stack.layers):
                yield f"{stack.kind}.{layer}.{name}", tensor.detach()[place]
