"""Sets of SAEs or transcoders, one dictionary a layer, as a basis."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from basisbench.baselines.dictionaries.byte_cache import BUDGET, ByteCache
from basisbench.baselines.dictionaries.hooks import Reading, reading, writing
from basisbench.baselines.dictionaries.notes import noted
from basisbench.baselines.dictionaries.sources import Source, find
from basisbench.baselines.dictionaries.weights import ELEMENTWISE, Dictionary, is_transcoder_architecture
from basisbench.bases.basis import Basis
from basisbench.bases.packing import Kind
from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.models.sites import Site, layer_ranges

log = logging.getLogger("basisbench")


@dataclass(frozen=True)
class Layer:
    """One layer's dictionary, not yet loaded: what it reads and writes, how many units it has, of which model.

    `starts`: made for texts that begin with a start token.
    """

    reading: Reading
    write: Site
    n_units: int
    elementwise: bool
    load: Callable[[], Dictionary]
    model_name: str | None = None
    starts: bool = False


class DictionaryBasis(Basis):
    """Dictionaries by layer. Weights are loaded when first used and kept within `budget` bytes.

    The error holds what the units leave: reconstruction error, output bias, and a skip transcoder's skip path.
    A unit costs its own column, except under TopK, where any unit needs every unit's pre-activation.
    """

    def __init__(self, name: str, layers: Mapping[int, Layer], budget: int = BUDGET) -> None:
        self.name = name
        self._layers = dict(sorted(layers.items()))
        self._weights: ByteCache[int, Dictionary] = ByteCache(self._load, Dictionary.columns, budget)

    def _load(self, layer: int, units: Tensor | None) -> Dictionary:
        return self._layers[layer].load() if units is None else self._weights.get(layer).columns(units)

    def layers(self) -> Sequence[int]:
        """Layers that have a dictionary."""
        return tuple(self._layers)

    def n_units(self, layer: int) -> int:
        """Latents of the layer's dictionary."""
        return self._layers[layer].n_units

    def read(self, layer: int) -> Site:
        """The site at the dictionary's `hook_name`."""
        return self._layers[layer].reading.site

    def writes(self, layer: int) -> Sequence[Site]:
        """The site read, or a transcoder's at `hook_name_out`."""
        return (self._layers[layer].write,)

    def encode(self, layer: int, x: Tensor, units: Tensor | None = None) -> Tensor:
        """Activations [..., k], in the dtype of x; times the token's norm where the decoder scales it back."""
        held = self._layers[layer]
        prepared = held.reading.prepare(x)
        if units is None or held.elementwise:
            return self._weights.get(layer, units).encoder.encode(prepared).to(x.dtype)
        return self._weights.get(layer).encoder.encode(prepared).index_select(-1, units).to(x.dtype)

    def lift(self, layer: int, site: Site, f: Tensor, units: Tensor | None = None) -> Tensor:
        """The sum of activations times decoder rows, without the output bias."""
        decoder = self._weights.get(layer, units).decoder
        return (f.to(decoder.dtype) @ decoder).to(f.dtype)

    def project(self, layer: int, site: Site, g: Tensor, units: Tensor | None = None) -> Tensor:
        """The gradient along each decoder row."""
        decoder = self._weights.get(layer, units).decoder
        return (g.to(decoder.dtype) @ decoder.T).to(g.dtype)

    def offset(self, layer: int, site: Site, x: Tensor) -> Tensor | None:
        """Output bias, skip path, and what run-time normalisation and centring take out and put back."""
        held = self._layers[layer]
        prepared = held.reading.prepare(x)
        found = self._weights.get(layer).offset(prepared)
        if found is None:
            return None
        return found.to(x.dtype) + (x - prepared) if held.reading.site == site else found.to(x.dtype)

    def made_for(self, layer: int) -> str | None:
        """The `model_name` of the dictionary's metadata."""
        return self._layers[layer].model_name


def dictionary_basis(kind: Kind, spec: str, model: Model) -> DictionaryBasis:
    """The basis of all dictionaries that `spec` names (see `baselines.dictionaries.sources.find`).

    Layers without a dictionary have no units; they are logged. Raises UserError where nothing can be loaded, for
    the other kind, an unknown hook, an architecture that is no basis, or a width that is not the model's.
    """
    name = f"{kind}:{spec}"
    layers: dict[int, Layer] = {}
    where: dict[int, str] = {}
    found = find(spec, model.device)
    for source in found.sources:
        layer = _bind(kind, source, model)
        if layer.write.kind == "resid_pre":
            log.warning("%s: %s is the embedding's, not a layer's: left out", name, source.where)
            continue
        number = layer.write.layer
        if number in layers:
            raise UserError(f"{name} has two dictionaries for layer {number}: {where[number]}, {source.where}")
        layers[number], where[number] = layer, source.where
    if not layers:
        raise UserError(f"{name} has no dictionary for any layer of model '{model.name}'")
    if missing := [layer for layer in range(model.n_layers) if layer not in layers]:
        log.warning("%s: no units in layers without a dictionary: %s", name, layer_ranges(missing))
    basis = DictionaryBasis(name, layers)
    basis.content = found.content()
    made_for, starts = [layer.model_name for layer in layers.values()], any(layer.starts for layer in layers.values())
    basis.notes = noted(name, model, made_for, starts)
    return basis


def _bind(kind: Kind, source: Source, model: Model) -> Layer:
    """Set one dictionary against the model."""
    config, where = source.config, source.where
    metadata = config.get("metadata") or {}
    is_transcoder = is_transcoder_architecture(config["architecture"])
    if is_transcoder != (kind == "transcoder"):
        other = "transcoder" if is_transcoder else "sae"
        raise UserError(f"{where} is no {kind} ('{config['architecture']}'): valid: {other}:...")
    read = reading(model, metadata, where)
    write = writing(model, metadata, "hook_name_out" if is_transcoder else "hook_name", where)
    if write.layer != read.site.layer:
        raise UserError(f"{where} reads {read.site} and writes {write}: valid: one layer, or clt:PATH")
    for side, site, width in (("reads", read.site, config["d_in"]), ("writes", write, _width_out(config))):
        if width != model.width(site.kind):
            raise UserError(
                f"{where} {side} {site} {width} wide, which is {model.width(site.kind)} wide in model "
                f"'{model.name}': valid: a dictionary of this model, not of '{metadata.get('model_name')}'"
            )
    elementwise = config["architecture"] in ELEMENTWISE
    made_for = metadata.get("model_name")
    return Layer(read, write, config["d_sae"], elementwise, source.load, made_for, source.starts)


def _width_out(config: Mapping[str, int]) -> int:
    return config.get("d_out", config["d_in"])
