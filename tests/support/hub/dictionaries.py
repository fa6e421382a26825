"""Miniature dictionaries in the layouts of published ones, put where sae-lens' registry looks for them."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from sae_lens.loading.pretrained_saes_directory import PretrainedSAELookup, get_pretrained_saes_directory
from safetensors.torch import save
from torch import Tensor

from basisbench.baselines.dictionaries.sources import release_ids
from hub.models import WIDTH
from hub.server import Hub

Files = dict[str, bytes]


@dataclass(frozen=True)
class Weights:
    """A dictionary as it is described: `w_enc` [d_in, n], `w_dec` [n, d_out], biases, threshold, skip [d_in, d_out]."""

    w_enc: Tensor
    b_enc: Tensor
    w_dec: Tensor
    b_dec: Tensor
    threshold: Tensor | None = None
    skip: Tensor | None = None

    @property
    def n_units(self) -> int:
        return len(self.b_enc)


def random_weights(layer: int, n_units: int = 40, width: int = WIDTH) -> Weights:
    """A dictionary of a layer whose units are on about half of the time; its directions have length 1."""
    draw = torch.Generator().manual_seed(100 + layer)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw)

    directions = normal(n_units, width)
    return Weights(
        w_enc=0.4 * normal(width, n_units),
        b_enc=0.2 * normal(n_units),
        w_dec=directions / directions.norm(dim=1, keepdim=True),
        b_dec=0.2 * normal(width),
        threshold=0.3 * torch.rand(n_units, generator=draw),
        skip=0.3 * normal(width, width),
    )


def axes(width: int = WIDTH) -> Weights:
    """Each axis and its opposite, so that a ReLU loses nothing: unit i is axis i, unit width + i its opposite."""
    both = torch.cat([torch.eye(width), -torch.eye(width)])
    nothing = torch.zeros(2 * width)
    return Weights(both.T.contiguous(), nothing, both, torch.zeros(width), nothing)


# -- layouts: the files of one dictionary ----------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Where the registry says that a dictionary lies, a folder or file; its layer; its scale, where one is stated."""

    path: str
    layer: int
    scale: float | None = None


Layout = Callable[[Place, Weights], Files]


def _tensors(tensors: Mapping[str, Tensor | None]) -> bytes:
    return save({name: tensor.clone().contiguous() for name, tensor in tensors.items() if tensor is not None})


def _document(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, indent=2).encode()


def gemma_scope(place: Place, weights: Weights) -> Files:
    """Lieberum et al. 2024: ``params.npz``, float32, no configuration."""
    assert weights.threshold is not None
    parts: dict[str, Any] = {
        "W_enc": weights.w_enc.numpy(), "b_enc": weights.b_enc.numpy(), "threshold": weights.threshold.numpy(),
        "W_dec": weights.w_dec.numpy(), "b_dec": weights.b_dec.numpy(),
    }  # fmt: skip
    data = io.BytesIO()
    np.savez(data, **parts)
    return {f"{place.path}/params.npz": data.getvalue()}


def gemma_scope_2(place: Place, weights: Weights) -> Files:
    """``config.json`` that names Hugging Face modules, ``params.safetensors``; "affine" ones have a skip path."""
    block = f"model.layers.{place.layer}"
    before, after = (f"{block}.{side}_feedforward_layernorm.output" for side in ("pre", "post"))
    said: dict[str, Any] = {"architecture": "jump_relu", "model_name": "gemma-v3-270m-pt", "l0": 10}
    skip = weights.skip if place.path.endswith("affine") else None
    if place.path.startswith("transcoder"):
        said |= {"hf_hook_point_in": before, "hf_hook_point_out": after, "affine_connection": skip is not None}
    else:
        said["hf_hook_point_in"] = f"{block}.output" if place.path.startswith("resid_post") else after
    tensors = {
        "w_enc": weights.w_enc, "b_enc": weights.b_enc, "threshold": weights.threshold,
        "w_dec": weights.w_dec, "b_dec": weights.b_dec, "affine_skip_connection": skip,
    }  # fmt: skip
    return {f"{place.path}/config.json": _document(said), f"{place.path}/params.safetensors": _tensors(tensors)}


LLAMA_SCOPE_THRESHOLD = 0.1
LLAMA_SCOPE_HOOKS = {"M": "hook_mlp_out", "R": "hook_resid_post", "A": "hook_attn_out"}


def llama_scope(place: Place, weights: Weights) -> Files:
    """He et al. 2024: ``hyperparams.json`` with one threshold and the mean norm to which inputs are scaled."""
    assert place.scale is not None
    width, n_units = weights.w_enc.shape
    (sublayer,) = re.findall(r"-L\d+([MRA])-", place.path)
    hook = f"blocks.{place.layer}.{LLAMA_SCOPE_HOOKS[sublayer]}"
    norm = width**0.5 / place.scale
    said = {
        "d_model": width, "d_sae": n_units, "expansion_factor": 8, "hook_point_in": hook, "hook_point_out": hook,
        "norm_activation": "dataset-wise", "dataset_average_activation_norm": {"in": norm, "out": norm},
        "act_fn": "jumprelu", "jump_relu_threshold": LLAMA_SCOPE_THRESHOLD if weights.b_enc.any() else 0.0,
        "use_decoder_bias": True, "sparsity_include_decoder_norm": True,
    }  # fmt: skip
    tensors = {
        "encoder.weight": weights.w_enc.T, "encoder.bias": weights.b_enc,
        "decoder.weight": weights.w_dec.T, "decoder.bias": weights.b_dec,
    }  # fmt: skip
    return {
        f"{place.path}/hyperparams.json": _document(said),
        f"{place.path}/checkpoints/final.safetensors": _tensors(tensors),
    }


def _sae_lens(place: Place, weights: Weights, said: Mapping[str, Any]) -> Files:
    """A folder of sae-lens before its version 6: ``cfg.json`` without a part for metadata."""
    about = {"d_in": len(weights.w_enc), "d_sae": weights.n_units, "dtype": "torch.float32", "device": "cuda"}
    tensors = {"W_enc": weights.w_enc, "b_enc": weights.b_enc, "W_dec": weights.w_dec, "b_dec": weights.b_dec}
    return {
        f"{place.path}/cfg.json": _document({**about, **said}),
        f"{place.path}/sae_weights.safetensors": _tensors(tensors),
        f"{place.path}/sparsity.safetensors": _tensors({"sparsity": torch.zeros(weights.n_units)}),
    }


OPENAI_K = 32


def openai_topk(hook: str) -> Layout:
    """Gao et al. 2024 as converted by Bloom: the k largest of the normalised input's pre-activations."""

    def files(place: Place, weights: Weights) -> Files:
        said = {
            "architecture": "standard", "model_name": "gpt2-small", "hook_name": f"blocks.{place.layer}.{hook}",
            "hook_layer": place.layer, "hook_head_index": None, "activation_fn_str": "topk",
            "activation_fn_kwargs": {"k": min(OPENAI_K, weights.n_units // 2)}, "apply_b_dec_to_input": True,
            "normalize_activations": "layer_norm", "finetuning_scaling_factor": False, "context_size": 64,
            "prepend_bos": False, "dataset_path": "Skylion007/openwebtext", "sae_lens_training_version": None,
        }  # fmt: skip
        return _sae_lens(place, weights, said)

    return files


def bloom(place: Place, weights: Weights) -> Files:
    """Bloom 2024 ("res-jb"): the oldest keys, among them ``hook_point``; the registry adds centred weights."""
    said = {
        "model_name": "gpt2-small", "hook_point": place.path, "hook_point_layer": place.layer,
        "hook_point_head_index": None, "dataset_path": "Skylion007/openwebtext", "is_dataset_tokenized": False,
        "context_size": 128, "expansion_factor": 32, "l1_coefficient": 8e-05, "lr": 0.0004,
        "b_dec_init_method": "geometric_median", "prepend_bos": True,
    }  # fmt: skip
    return _sae_lens(place, weights, said)


def marks(hook: str) -> Layout:
    """Marks et al. 2025: autoencoders of Pythia, converted."""

    def files(place: Place, weights: Weights) -> Files:
        said = {
            "architecture": "standard", "model_name": "pythia-70m-deduped", "hook_name": f"blocks.{place.layer}.{hook}",
            "hook_layer": place.layer, "hook_head_index": None, "activation_fn_str": "relu",
            "apply_b_dec_to_input": True, "normalize_activations": "none", "finetuning_scaling_factor": False,
            "context_size": 128, "prepend_bos": False, "dataset_path": "EleutherAI/the_pile_deduplicated",
        }  # fmt: skip
        return _sae_lens(place, weights, said)

    return files


def hanna(place: Place, weights: Weights) -> Files:
    """Hanna's transcoders of Qwen3, in the layout of circuit-tracer: rows of both matrices are units."""
    d_in, n_units = weights.w_enc.shape
    about = f"d_model:\n  value: {d_in}\nd_feature:\n  value: {n_units}\nbatch_size:\n  value: 4096\n"
    hooks = "model_name: Qwen/Qwen3-0.6B\nfeature_input_hook: mlp.hook_in\nfeature_output_hook: mlp.hook_out\n"
    tensors = {"W_enc": weights.w_enc.T, "b_enc": weights.b_enc, "W_dec": weights.w_dec, "b_dec": weights.b_dec}
    return {place.path: _tensors(tensors), "wandb-config.yaml": about.encode(), "config.yaml": hooks.encode()}


def cross_layer(weights: list[Weights], later: Callable[[int, int], Tensor], read: str = "hook_resid_mid") -> Files:
    """circuit-tracer's cross-layer transcoder; `later(layer, written)` are the decoders [n, d] for later layers."""
    about = f"model_name: google/gemma-2-2b\nfeature_input_hook: {read}\nfeature_output_hook: hook_mlp_out\n"
    files = {"config.yaml": about.encode()}
    for layer, own in enumerate(weights):
        decoders = [own.w_dec, *(later(layer, written) for written in range(layer + 1, len(weights)))]
        encoder = {
            f"W_enc_{layer}": own.w_enc.T, f"b_enc_{layer}": own.b_enc, f"b_dec_{layer}": own.b_dec,
            f"threshold_{layer}": own.threshold,
        }  # fmt: skip
        files[f"W_enc_{layer}.safetensors"] = _tensors(encoder)
        files[f"W_dec_{layer}.safetensors"] = _tensors({f"W_dec_{layer}": torch.stack(decoders, 1)})
    return files


LAYOUTS: Mapping[str, Layout] = {
    "gemma_2": gemma_scope,
    "gemma_2_transcoder": gemma_scope,
    "gemma_3": gemma_scope_2,
    "llama_scope": llama_scope,
    "mwhanna_transcoder": hanna,
    "gpt2-small-mlp-out-v5-32k": openai_topk("hook_mlp_out"),
    "gpt2-small-resid-post-v5-32k": openai_topk("hook_resid_post"),
    "gpt2-small-res-jb": bloom,
    "pythia-70m-deduped-mlp-sm": marks("hook_mlp_out"),
    "pythia-70m-deduped-att-sm": marks("hook_attn_out"),
    "pythia-70m-deduped-res-sm": marks("hook_resid_post"),
}
"""By the loader that sae-lens' registry names or, of releases in its own format, by release."""
STATED_BY_LOADER = ("gemma_2", "gemma_2_transcoder")
"""Loaders that state the real widths themselves; the registry can overrule them."""


# -- sets ------------------------------------------------------------------------------------------------


def publish(
    hub: Hub,
    basis: str,
    weights: Callable[[int], Weights],
    monkeypatch: pytest.MonkeyPatch,
    layers: int | None = None,
) -> PretrainedSAELookup:
    """Put the set that a board calls `basis` on the hub, one dictionary for each of its first `layers` (None: all).

    sae-lens' registry stays as it is but for layers that are left out, and widths that its loaders know by heart.
    Returns the registry's entry.
    """
    release, _, pattern = basis.partition(":")[2].partition("/")
    directory = get_pretrained_saes_directory()
    known = directory[release]
    everywhere = release_ids(release, pattern)
    chosen = {layer: sae_id for layer, sae_id in everywhere.items() if layers is None or layer < layers}
    left_out = set(everywhere.values()) - set(chosen.values())
    layout = LAYOUTS[known.conversion_func or release]
    files: Files = {}
    for layer, sae_id in chosen.items():
        # what is read before a block is what the one before it wrote; the file is called by what it reads
        named = layer + 1 if "resid_pre" in sae_id else layer
        files |= layout(Place(known.saes_map[sae_id], named, known.norm_scaling_factor.get(sae_id)), weights(layer))
    overrides: dict[str, Any] = {**(known.config_overrides or {})}
    if known.conversion_func in STATED_BY_LOADER:
        some = weights(0)
        overrides |= {"d_in": len(some.w_enc), "d_sae": some.n_units}
        if known.conversion_func == "gemma_2_transcoder":
            overrides["d_out"] = some.w_dec.shape[1]
    ids = {sae_id: path for sae_id, path in known.saes_map.items() if sae_id not in left_out}
    entry = dataclasses.replace(known, saes_map=ids, config_overrides=overrides)
    monkeypatch.setitem(directory, release, entry)
    hub.add(known.repo_id).commit(files)
    return entry
