"""The bases `sae` and `transcoder`: how they are made, and what is known of one before, without a network.

1. The embedded ones are as wide as the model's MLPs, in every layer.
2. Those in a local folder state their widths and their hooks.
3. Published ones are looked up in sae-lens' own registry: which layers there are, and how many latents, as far as names
   there, or what a preset says of them, tell ("16k", "8x").
4. Of a repository that only the hub knows nothing is told.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

import torch

from basisbench.baselines.dictionaries.basis import DictionaryBasis, dictionary_basis
from basisbench.baselines.dictionaries.hooks import stated_site
from basisbench.baselines.dictionaries.sources import find, local_folders, published_ids, registered_names
from basisbench.baselines.packed import MODEL, unpack
from basisbench.baselines.presets import presets_for
from basisbench.bases.outlines import Outline
from basisbench.bases.packing import Kind
from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.models.shapes import Shape
from basisbench.models.sites import SITES, layer_ranges

log = logging.getLogger("basisbench")


@dataclass(frozen=True)
class Dictionaries:
    """Dictionaries of one kind: those that an option names, or the embedded ones of the embedded model without one."""

    kind: Kind
    description: str

    def __call__(self, model: Model, option: str) -> DictionaryBasis:
        """The basis of a model; raises UserError as `dictionary_basis`, and for another model without an option."""
        if option:
            return dictionary_basis(self.kind, option, model)
        self._check_embedded(model.name)
        folder = unpack(self.kind, log.warning)  # seen without any logging set up: 90 MB may be fetched
        basis = dictionary_basis(self.kind, str(folder), model)
        basis.name = self.kind  # a result must not name the cache's path
        basis.content = folder.name
        return basis

    def outline(self, model: str, shape: Shape | None, option: str) -> Outline:
        """What is known of them; raises UserError for none, for a release that is not clear or of another model."""
        if not option:
            self._check_embedded(model)
            return _embedded(self.kind, shape)
        local = local_folders(option) is not None
        found = _local(self.kind, option) if local else _published(self.kind, option, model, shape)
        if shape and (beyond := [layer for layer in found.layers or () if layer >= shape.n_layers]):
            raise UserError(
                f"{self.kind}:{option} has layers {layer_ranges(beyond)}: valid for {model}: 0 to {shape.n_layers - 1}"
            )
        return found

    def _check_embedded(self, model: str) -> None:
        if model != MODEL:
            raise UserError(
                f"{self.kind} alone means the dictionaries of {MODEL}, not of {model}: valid: {self.kind}:NAME"
            )


sae = Dictionaries("sae", "SAEs: those that `option` names, or the embedded ones of the embedded model if it is empty.")
transcoder = Dictionaries(
    "transcoder", "Transcoders: those that `option` names, or the embedded ones of the embedded model if it is empty."
)


def _embedded(kind: Kind, shape: Shape | None) -> Outline:
    reads = "mlp_in" if kind == "transcoder" else "mlp_out"
    if shape is None:
        return Outline(reads=reads, writes="mlp_out", has_error=True, download=0)
    n_bytes = 8 * shape.n_layers * shape.d_model * shape.d_mlp
    return Outline(tuple(range(shape.n_layers)), shape.d_mlp, reads, "mlp_out", True, n_bytes, download=0)


def _local(kind: Kind, option: str) -> Outline:
    """What the configurations of sae-lens folders state; their weights are not read."""
    widths: dict[int, int] = {}
    n_bytes = 0
    reads = writes = None
    for source in find(option, torch.device("cpu")).sources:
        config, stated = source.config, source.config.get("metadata") or {}
        read, _ = stated_site(stated, "hook_name", source.where)
        write, _ = stated_site(stated, "hook_name_out" if kind == "transcoder" else "hook_name", source.where)
        if write.kind != "resid_pre":  # the embedding's, which is left out
            reads, writes = read.kind, write.kind
            widths[write.layer] = int(config["d_sae"])
            n_bytes += 4 * widths[write.layer] * (config["d_in"] + config.get("d_out", config["d_in"]))
    return Outline(tuple(sorted(widths)), max(widths.values(), default=0), reads, writes, True, n_bytes, download=0)


def _published(kind: Kind, option: str, model: str, shape: Shape | None) -> Outline:
    ids = published_ids(option)
    if not ids:
        return Outline(has_error=True)
    names = registered_names(option, ids)
    writes = _written(kind, names)
    about = [preset.about for preset in presets_for(model) if preset.basis == f"{kind}:{option}"]
    n_units = stated_units(" ".join([names, *about]), shape.d_model if shape else None)
    n_bytes = 8 * SITES.get(writes).width(shape) * n_units * len(ids) if n_units and shape else None
    return Outline(tuple(ids), n_units, None, writes, True, n_bytes, download=n_bytes)


def stated_units(names: str, d_model: int | None) -> int | None:
    """Latents a layer that the names of a set state: "width_16k", "131k", "8x"; None if they do not."""
    lower = names.lower()
    wide, thousands = r"width_(\d+)([km])(?![a-z0-9])", r"(?<![\d.])(\d+)(k)(?![a-z0-9])"
    if found := re.search(wide, lower) or re.search(thousands, lower):
        # a thousand may be 1,000 or 1,024: 131k is 2**17, and so is 128k; 25k is 3 * 2**13
        stated = int(found[1]) * {"k": 2**10, "m": 2**20}[found[2]]
        sizes = [odd << power for power in range(7, 26) for odd in (2, 3)]
        return min(sizes, key=lambda size: abs(size - stated))
    found = re.search(r"(?<!\d)(\d+)x(?![a-z0-9])", lower)
    return int(found[1]) * d_model if found and d_model else None


def _written(kind: Kind, names: str) -> str:
    """The kind of site that a published set writes, by its kind and names."""
    if kind == "transcoder" or re.search(r"mlp|lxm", names):
        return "mlp_out"
    if re.search(r"hook_z|-att-|attn_z", names):
        return "attn_z" if "hook_z" in names or "gemma" in names else "attn_out"
    if re.search(r"attn|lxa", names):
        return "attn_out"
    return "resid_post"
