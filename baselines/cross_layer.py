"""Cross-layer transcoders: a unit reads one layer and writes to that layer's MLP output and to all later ones.

Ameisen et al. 2025, "Circuit Tracing" (transformer-circuits.pub/2025/attribution-graphs/methods.html), in the layout
that circuit-tracer publishes: ``W_enc_{l}.safetensors`` with `W_enc_{l}` [n, d], `b_enc_{l}`, `b_dec_{l}`, and
`threshold_{l}` for JumpReLU; ``W_dec_{l}.safetensors`` with `W_dec_{l}` [n, layers - l, d]; a ``config.yaml`` that may
name the hooks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from basisbench.baselines.dictionaries.byte_cache import BUDGET, ByteCache
from basisbench.baselines.dictionaries.hooks import Reading, reading, stated_site, writing
from basisbench.baselines.dictionaries.notes import noted
from basisbench.baselines.dictionaries.weights import Encoder, check_numbers, jumprelu, relu
from basisbench.bases.basis import Basis
from basisbench.bases.outlines import Outline
from basisbench.errors import UserError, said
from basisbench.models.adapter import Model
from basisbench.models.shapes import Shape
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


@dataclass(frozen=True)
class CrossLayer:
    """The basis `clt`: the cross-layer transcoder in the folder that its option names."""

    description: str

    def __call__(self, model: Model, option: str) -> CrossLayerBasis:
        """The basis of a model.

        Raises UserError for a folder without such weights, another number of layers or width than the model's, an
        unknown hook, or a configuration that cannot be read.
        """
        folder = Path(option).expanduser()
        n_units = _check_shapes(folder, option, model.name, model.n_layers, model.d_model)
        stated = _stated(folder)
        hooks = [_hooks(stated, layer) for layer in range(model.n_layers)]
        reads = [reading(model, named, str(folder)) for named in hooks]
        writes = [writing(model, named, "hook_name_out", str(folder)) for named in hooks]
        basis = CrossLayerBasis(f"clt:{option}", folder, reads, writes, n_units, model.device)
        made_for = stated.get("model_name")
        basis.notes = noted(basis.name, model, [made_for] if isinstance(made_for, str) else [])
        return basis

    def outline(self, model: str, shape: Shape | None, option: str) -> Outline:
        """What the files state, their weights unread; raises UserError as for the basis itself."""
        if shape is None:
            return Outline(has_error=True, download=0)
        folder = Path(option).expanduser()
        n_units = _check_shapes(folder, option, model, shape.n_layers, shape.d_model)
        read, write = (
            stated_site(_hooks(_stated(folder), 0), key, str(folder))[0].kind for key in ("hook_name", "hook_name_out")
        )
        n_bytes = sum(file.stat().st_size for file in folder.glob("W_*.safetensors"))
        return Outline(tuple(range(shape.n_layers)), n_units, read, write, True, n_bytes, download=0)


clt = CrossLayer("Cross-layer transcoders: the one in the folder `option`, as circuit-tracer publishes them.")


def _check_shapes(folder: Path, option: str, model: str, n_layers: int, d_model: int) -> int:
    """The units of each layer; raises UserError unless the folder's weights are of a model of this size."""
    files = sorted(folder.glob("W_enc_*.safetensors")) if option else []
    if not files:
        raise UserError(f"no cross-layer transcoder in '{option}': valid: clt:PATH, a folder of W_enc_*.safetensors")
    shapes = [_shapes(folder, layer) for layer in range(len(files))]
    n_units, width = shapes[0][0] if len(shapes[0][0]) == 2 else (0, 0)
    expected = [((n_units, d_model), (n_units, n_layers - i, d_model)) for i in range(n_layers)]
    if shapes != expected:
        wrong = next((i for i, (a, b) in enumerate(zip(shapes, expected, strict=False)) if a != b), None)
        what = f"layer {wrong} has shapes {shapes[wrong]}" if wrong is not None else "the layers differ"
        raise UserError(
            f"{folder} has {len(files)} layers {width} wide; {what}: "
            f"valid for model '{model}': {n_layers} layers {d_model} wide"
        )
    return n_units


def _stated(folder: Path) -> dict[str, Any]:
    """What the folder's configuration says; raises UserError for one that cannot be read."""
    path = folder / "config.yaml"
    return read_yaml(path) if path.exists() else {}


def _hooks(stated: Mapping[str, Any], layer: int) -> dict[str, str]:
    """A layer's hooks as metadata of sae-lens would name them."""
    hooks = {key: f"blocks.{layer}.{stated.get(key, hook)}" for key, hook in DEFAULT_HOOKS.items()}
    return {"hook_name": hooks["feature_input_hook"], "hook_name_out": hooks["feature_output_hook"]}


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
