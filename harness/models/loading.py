"""From a model's name to a model on a device."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.models.hub import commit_of
from basisbench.models.names import fingerprint, load_hf, resolve_model
from basisbench.progress import Say, say_nothing


def load_model(
    name: str = "smollm2-135m", dtype: str = "float32", device: str = "auto", say: Say = say_nothing
) -> tuple[Model, str]:
    """Return a model and the hash of its files (a hub model's commit).

    `name` is registered, a local Hugging Face folder, or a hub name, ``ORG/NAME`` or ``ORG/NAME@REVISION``: all its
    files are then of the commit that this is now. Raises UserError if it cannot be had.
    """
    chosen = _device(device)
    source = resolve_model(name, say)
    path = Path(source.path)
    digest = fingerprint(path) if path.is_dir() else commit_of(source.path, source.revision)
    say(f"loading {source.label}")
    pinned = source if path.is_dir() else replace(source, revision=digest)
    hf, tokenizer = load_hf(pinned, getattr(torch, dtype), chosen)
    return Model(source.name, hf, tokenizer), digest


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"device '{name}' cannot be used ({reason}): valid: auto, cpu, cuda, cuda:N") from error
    return device
