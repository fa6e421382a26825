"""Helpers for tests of cross layer."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from toys.models import LAYERS

WIDTH, UNITS = 24, 30

Weights = Mapping[str, Tensor]


def save_clt(
    folder: Path, *, layers: int = LAYERS, width: int = WIDTH, threshold: bool = True, config: str = ""
) -> dict[str, Tensor]:
    """Save random weights as circuit-tracer does, and return them all by name."""
    folder.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(2)
    everything: dict[str, Tensor] = {}
    for i in range(layers):
        encoder = {
            f"W_enc_{i}": 0.4 * torch.randn(UNITS, width, generator=generator),
            f"b_enc_{i}": 0.2 * torch.randn(UNITS, generator=generator),
            f"b_dec_{i}": torch.randn(width, generator=generator),
            f"W_skip_{i}": torch.randn(width, width, generator=generator),
        }
        if threshold:
            encoder[f"threshold_{i}"] = torch.rand(UNITS, generator=generator)
        decoder = {f"W_dec_{i}": 0.3 * torch.randn(UNITS, layers - i, width, generator=generator)}
        save_file(encoder, folder / f"W_enc_{i}.safetensors")
        save_file(decoder, folder / f"W_dec_{i}.safetensors")
        everything |= encoder | decoder
    if config:
        (folder / "config.yaml").write_text(config)
    return everything


def activations(weights: Weights, layer: int, x: Tensor) -> Tensor:
    """One unit at a time."""
    units = []
    for i in range(UNITS):
        pre = x @ weights[f"W_enc_{layer}"][i] + weights[f"b_enc_{layer}"][i]
        least = weights[f"threshold_{layer}"][i] if f"threshold_{layer}" in weights else torch.zeros(())
        units.append(torch.where(pre > least, pre.clamp(min=0), torch.zeros(())))
    return torch.stack(units, -1)
