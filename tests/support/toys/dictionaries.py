"""Helpers for tests of dictionaries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from sae_lens import SAE
from sae_lens.registry import get_sae_class
from sae_lens.saes.sae import SAEMetadata

from basisbench.baselines.dictionaries import DictionaryBasis, dictionary_basis
from basisbench.models.adapter import Model
from toys.models import LAYERS

WIDTH, UNITS = 24, 40


@dataclass(frozen=True)
class Variant:
    """An architecture, the hook it reads, and settings of its sae-lens configuration."""

    architecture: str
    hook: str = "hook_mlp_out"
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_transcoder(self) -> bool:
        return "transcoder" in self.architecture

    @property
    def across_units(self) -> bool:
        return "topk" in self.architecture

    def __str__(self) -> str:
        return "-".join([self.architecture, self.hook, *map(str, self.settings.values())])


def save_dictionary(folder: Path, variant: Variant, layer: int, **metadata: Any) -> Path:
    """Save a random dictionary for one layer as sae-lens does, and return its folder."""
    cls, config_cls = get_sae_class(variant.architecture)
    settings = {"d_in": WIDTH, "d_sae": UNITS, **variant.settings}
    stated = {"hook_name": f"blocks.{layer}.{variant.hook}", "model_name": "tiny"}
    if variant.is_transcoder:
        settings |= {"d_out": WIDTH, "apply_b_dec_to_input": False}
        stated["hook_name_out"] = f"blocks.{layer}.hook_mlp_out"
    settings = {**settings, "metadata": SAEMetadata(**(stated | metadata))}
    made = cls(config_cls(**settings))
    generator = torch.Generator().manual_seed(100 + layer)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            value = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(value.abs() if name == "threshold" else value * (0.4 if parameter.dim() > 1 else 0.2))
    made.save_model(folder / f"layer_{layer}")
    return folder / f"layer_{layer}"


def basis_of(variant: Variant, model: Model, folder: Path, layers: int = LAYERS) -> DictionaryBasis:
    for layer in range(layers):
        save_dictionary(folder, variant, layer)
    return dictionary_basis("transcoder" if variant.is_transcoder else "sae", str(folder), model)


def peer(folder: Path, layer: int) -> Any:
    """The same dictionary as sae-lens loads it, taking heads side by side."""
    loaded = SAE.load_from_disk(folder / f"layer_{layer}")
    loaded.turn_off_forward_pass_hook_z_reshaping()
    return loaded
