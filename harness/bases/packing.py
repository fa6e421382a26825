"""One layer's dictionary as sae-lens keeps it, and many layers packed to int8."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from basisbench.values import DictionaryKind

Kind = DictionaryKind
ARCHITECTURES: Mapping[Kind, str] = {"sae": "jumprelu", "transcoder": "jumprelu_transcoder"}


@dataclass(frozen=True)
class Dictionary:
    """A finished dictionary: f = z * (z > threshold) with z = relu(x @ w_enc + b_enc), output f @ w_dec + b_dec.

    `w_enc` [d_in, n], `b_enc` [n], `w_dec` [n, d_out] with rows of norm 1, `b_dec` [d_out], `threshold` [n].
    """

    w_enc: Tensor
    b_enc: Tensor
    w_dec: Tensor
    b_dec: Tensor
    threshold: Tensor

    def encode(self, x: Tensor) -> Tensor:
        """Activations [..., n] of x [..., d_in]."""
        z = x @ self.w_enc + self.b_enc
        return z.relu() * (z > self.threshold)

    def decode(self, f: Tensor) -> Tensor:
        """Reconstruction [..., d_out] from activations [..., n]."""
        return f @ self.w_dec + self.b_dec

    def reconstruct(self, x: Tensor) -> Tensor:
        """Reconstruction [..., d_out] from x [..., d_in]."""
        return self.decode(self.encode(x))

    def to(self, device: torch.device) -> Dictionary:
        """The dictionary on another device."""
        return Dictionary(**{name: tensor.to(device) for name, tensor in vars(self).items()})

    def save(self, folder: Path, kind: Kind, layer: int, model: str) -> None:
        """Write `folder` as sae-lens would: ``cfg.json`` and ``sae_weights.safetensors``, float32."""
        folder.mkdir(parents=True)
        hooks = {"sae": f"blocks.{layer}.hook_mlp_out", "transcoder": f"blocks.{layer}.mlp.hook_in"}
        metadata = {"sae_lens_version": version("sae-lens"), "model_name": model, "hook_name": hooks[kind]}
        if kind == "transcoder":
            metadata["hook_name_out"] = hooks["sae"]
        configuration = {
            "architecture": ARCHITECTURES[kind],
            "d_in": self.w_enc.shape[0],
            "d_sae": self.w_enc.shape[1],
            **({"d_out": self.w_dec.shape[1]} if kind == "transcoder" else {}),
            "dtype": "float32",
            "device": "cpu",
            "apply_b_dec_to_input": False,
            "normalize_activations": "none",
            "reshape_activations": "none",
            "metadata": metadata,
        }
        (folder / "cfg.json").write_text(json.dumps(configuration, indent=2) + "\n")
        weights = {_IN_SAE_LENS[name]: tensor.float().cpu().contiguous() for name, tensor in vars(self).items()}
        save_file(weights, folder / "sae_weights.safetensors")

    @staticmethod
    def load(folder: Path) -> Dictionary:
        """Read what `save` wrote."""
        weights = load_file(folder / "sae_weights.safetensors")
        return Dictionary(**{name: weights[key] for name, key in _IN_SAE_LENS.items()})


_IN_SAE_LENS = {"w_enc": "W_enc", "b_enc": "b_enc", "w_dec": "W_dec", "b_dec": "b_dec", "threshold": "threshold"}


def to_int8(dictionaries: Mapping[int, Dictionary]) -> dict[str, Tensor]:
    """Tensors of a packed file by ``{layer}.{name}``: matrices [n, width] in int8 with ``{name}_scale`` [n]."""
    tensors: dict[str, Tensor] = {}
    for layer, dictionary in dictionaries.items():
        for name, tensor in vars(dictionary).items():
            if tensor.dim() == 1:
                tensors[f"{layer}.{name}"] = tensor.float()
                continue
            rows = tensor.T if name == "w_enc" else tensor
            scale = rows.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / 127
            tensors[f"{layer}.{name}"] = (rows / scale[:, None]).round().to(torch.int8).contiguous()
            tensors[f"{layer}.{name}_scale"] = scale
    return tensors


def from_int8(tensors: Mapping[str, Tensor]) -> dict[int, Dictionary]:
    """The dictionaries by layer, in float32, out of the tensors of a packed file."""
    found: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        layer, name = key.split(".")
        if not name.endswith("_scale"):
            if tensor.dim() == 2:
                tensor = tensor.float() * tensors[f"{key}_scale"][:, None]
            found.setdefault(int(layer), {})[name] = tensor.T.contiguous() if name == "w_enc" else tensor
    return {layer: Dictionary(**found[layer]) for layer in sorted(found)}
