"""Cross-layer transcoders: a unit reads one layer and writes to that layer's MLP output and to all later ones.

Ameisen et al. 2025, "Circuit Tracing" (transformer-circuits.pub/2025/attribution-graphs/methods.html), in the layout
that circuit-tracer publishes: ``W_enc_{l}.safetensors`` with `W_enc_{l}` [n, d], `b_enc_{l}`, `b_dec_{l}`, and
`threshold_{l}` for JumpReLU; ``W_dec_{l}.safetensors`` with `W_dec_{l}` [n, layers - l, d]; a ``config.yaml`` that may
name the hooks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from basisbench.baselines.dictionaries.byte_cache import BUDGET, ByteCache
from basisbench.baselines.dictionaries.hooks import Reading, reading, writing
from basisbench.baselines.dictionaries.notes import noted
from basisbench.baselines.dictionaries.weights import Encoder, check_numbers, jumprelu, relu
from basisbench.bases.basis import Basis
from basisbench.errors import UserError, said
from basisbench.models.adapter import Model
from basisbench.models.sites import Site
from basisbench.yaml_files import read_yaml

DEFAULT_HOOKS = {"feature_input_hook": "hook_resid_mid", "feature_output_hook": "hook_mlp_out"}


class CrossLayerBasis(Basis):
    """A folder of cross-layer weights. Loaded in float32 when first used, within `budget` bytes.

    Of a decoder only the rows asked for are read from disk. Output biases and skip paths belong to the error.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        reads: Sequence[Reading],
        writes: Sequence[Site],
        n_units: int,
        device: torch.device,
        budget: int = BUDGET,
    ) -> None:
        self.name = name
        self._folder = folder
        self._reads = tuple(reads)
        self._writes = tuple(writes)
        self._n_units = n_units
        self._device = device
        self._encoders: ByteCache[int, Encoder] = ByteCache(self._load_encoder, Encoder.columns, budget // 2)
        self._decoders: ByteCache[tuple[int, int], Tensor] = ByteCache(
            self._load_decoder, lambda decoder, places: decoder.index_select(0, places), budget // 2
        )

    def _load_encoder(self, layer: int, units: Tensor | None) -> Encoder:
        if units is not None:
            return self._encoders.get(layer).columns(units)
        with safe_open(self._folder / f"W_enc_{layer}.safetensors", framework="pt") as file:
            names = set(file.keys())

            def read(name: str) -> Tensor:
                tensor: Tensor = file.get_tensor(f"{name}_{layer}")
                return self._numbers(f"{name}_{layer}", tensor)

            unit = {"b_enc": read("b_enc")}
            if f"threshold_{layer}" in names:
                unit["threshold"] = read("threshold").flatten()
            activation = jumprelu if "threshold" in unit else relu
            return Encoder(read("W_enc").T, unit, activation)

    def _load_decoder(self, key: tuple[int, int], units: Tensor | None) -> Tensor:
        layer, written = key
        with safe_open(self._folder / f"W_dec_{layer}.safetensors", framework="pt") as file:
            decoders = file.get_slice(f"W_dec_{layer}")
            rows = decoders[:, written - layer] if units is None else decoders[units.cpu(), written - layer]
            return self._numbers(f"W_dec_{layer}", rows)

    def _numbers(self, name: str, tensor: Tensor) -> Tensor:
        """The tensor in float32 on the model's device; raises UserError where it holds no numbers."""
        check_numbers(name, tensor, str(self._folder))
        return tensor.to(self._device, torch.float32)

    def layers(self) -> Sequence[int]:
        """All layers."""
        return tuple(range(len(self._reads)))

    def n_units(self, layer: int) -> int:
        """Units of a layer: as many in each."""
        return self._n_units

    def read(self, layer: int) -> Site:
        """The site at the layer's input hook."""
        return self._reads[layer].site

    def writes(self, layer: int) -> Sequence[Site]:
        """The output sites of this layer and of all later ones."""
        return self._writes[layer:]

    def encode(self, layer: int, x: Tensor, units: Tensor | None = None) -> Tensor:
        """Activations [..., k], in the dtype of x."""
        return self._encoders.get(layer, units).encode(self._reads[layer].prepare(x)).to(x.dtype)

    def lift(self, layer: int, site: Site, f: Tensor, units: Tensor | None = None) -> Tensor:
        """The sum of activations times the decoder rows for `site`, without its output bias."""
        decoder = self._decoders.get((layer, site.layer), units)
        return (f.to(decoder.dtype) @ decoder).to(f.dtype)

    def project(self, layer: int, site: Site, g: Tensor, units: Tensor | None = None) -> Tensor:
        """The gradient at `site` along the decoder rows for it."""
        decoder = self._decoders.get((layer, site.layer), units)
        return (g.to(decoder.dtype) @ decoder.T).to(g.dtype)

    def offset(self, layer: int, site: Site, x: Tensor) -> Tensor | None:
        """The layer's output bias and skip path, at its own MLP output."""
        if site != self._writes[layer]:
            return None
        with safe_open(self._folder / f"W_enc_{layer}.safetensors", framework="pt") as file:
            names = set(file.keys())
            total = torch.zeros(x.shape[-1], device=self._device)
            if f"b_dec_{layer}" in names:
                total = total + file.get_tensor(f"b_dec_{layer}").to(self._device, torch.float32)
            if f"W_skip_{layer}" in names:
                skip = file.get_tensor(f"W_skip_{layer}").to(self._device, torch.float32)
                total = total + self._reads[layer].prepare(x).float() @ skip
        return total.to(x.dtype)


def clt(model: Model, option: str) -> CrossLayerBasis:
    """The cross-layer transcoder in the folder `option`.

    Raises UserError for a folder without such weights, another number of layers or width than the model's, an
    unknown hook, or a configuration that cannot be read.
    """
    folder = Path(option).expanduser()
    files = sorted(folder.glob("W_enc_*.safetensors")) if option else []
    if not files:
        raise UserError(f"no cross-layer transcoder in '{option}': valid: clt:PATH, a folder of W_enc_*.safetensors")
    shapes = [_shapes(folder, layer) for layer in range(len(files))]
    n_units, width = shapes[0][0] if len(shapes[0][0]) == 2 else (0, 0)
    expected = [((n_units, model.d_model), (n_units, model.n_layers - i, model.d_model)) for i in range(model.n_layers)]
    if shapes != expected:
        wrong = next((i for i, (a, b) in enumerate(zip(shapes, expected, strict=False)) if a != b), None)
        what = f"layer {wrong} has shapes {shapes[wrong]}" if wrong is not None else "the layers differ"
        raise UserError(
            f"{folder} has {len(files)} layers {width} wide; {what}: "
            f"valid for model '{model.name}': {model.n_layers} layers {model.d_model} wide"
        )
    stated: dict[str, Any] = read_yaml(folder / "config.yaml") if (folder / "config.yaml").exists() else {}
    reads, writes = [], []
    for layer in range(model.n_layers):
        hooks = {key: f"blocks.{layer}.{stated.get(key, hook)}" for key, hook in DEFAULT_HOOKS.items()}
        metadata = {"hook_name": hooks["feature_input_hook"], "hook_name_out": hooks["feature_output_hook"]}
        reads.append(reading(model, metadata, str(folder)))
        writes.append(writing(model, metadata, "hook_name_out", str(folder)))
    basis = CrossLayerBasis(f"clt:{option}", folder, reads, writes, n_units, model.device)
    made_for = stated.get("model_name")
    basis.notes = noted(basis.name, model, [made_for] if isinstance(made_for, str) else [])
    return basis


def _shapes(folder: Path, layer: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of a layer's encoder and decoder, without reading them; what each unit has of its own must be as long."""
    found: dict[str, tuple[int, ...]] = {}
    for part in ("W_enc", "W_dec"):
        path = folder / f"{part}_{layer}.safetensors"
        try:
            with safe_open(path, framework="pt") as file:
                own = ["b_enc", *(["threshold"] if f"threshold_{layer}" in file.keys() else [])]  # noqa: SIM118
                for name in [part, *(own if part == "W_enc" else [])]:
                    found[name] = tuple(file.get_slice(f"{name}_{layer}").get_shape())
        except (OSError, SafetensorError) as error:
            raise UserError(f"cannot read {part}_{layer} in {path}: {said(error)}") from error
    units = found["W_enc"][:1]
    for name in sorted(found.keys() - {"W_enc", "W_dec"}):
        if math.prod(found[name]) != math.prod(units):
            raise UserError(
                f"{folder}: {name}_{layer} has the shape {list(found[name])}: valid: {list(units)}, one a unit"
            )
    return found["W_enc"], found["W_dec"]
