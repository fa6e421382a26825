"""From hook names, as dictionaries state them, to sites: each kind of site says what it is called (`models.sites`).

The names mean activations of a model whose weights are as published: sae-lens loads models so, but for what a
dictionary's `model_from_pretrained_kwargs` say. Gemma Scope 2 states Hugging Face modules too, and those are exact:
sae-lens calls its MLP inputs "hook_mlp_in", which in TransformerLens is the norm's input.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from basisbench.errors import UserError
from basisbench.models.adapter import Model, Norm
from basisbench.models.sites import SITES, Site

NORMALISED = "ln2.hook_normalized"
"""What the norm before the MLP makes of its input before its gain: it is read off the input."""


@dataclass(frozen=True)
class Reading:
    """A site to read, and what a dictionary takes of the activation [..., width] there."""

    site: Site
    prepare: Callable[[Tensor], Tensor]


def reading(model: Model, metadata: Mapping[str, Any], where: str) -> Reading:
    """Where a dictionary with this sae-lens metadata reads in `model`.

    Raises UserError for a hook name that is unknown, or an activation that weight processing changes beyond what
    can be undone here.
    """
    site, hook = stated_site(metadata, "hook_name", where)
    processing = metadata.get("model_from_pretrained_kwargs") or {}
    if site.kind == "attn_z" and processing.get("fold_value_biases"):
        raise UserError(f"{where}: reads attention values with folded biases: valid: unfolded ones")
    normalised = hook == NORMALISED
    if site.kind == "mlp_in" and processing.get("fold_ln"):  # the gain has moved into the next weights
        site, normalised = Site(site.layer, "resid_mid"), True
    model.require_site(site)
    if normalised:
        norm = next(norm for norm in model.norms if norm.name == f"blocks.{site.layer}.ln2")
        return Reading(site, lambda x: _without_gain(norm, x))
    if processing.get("center_writing_weights") and site.spec.in_stream and all(norm.centred for norm in model.norms):
        # every norm takes the mean out, so TransformerLens may take it out where it is written
        return Reading(site, lambda x: x - x.mean(-1, keepdim=True))
    return Reading(site, lambda x: x)


def writing(model: Model, metadata: Mapping[str, Any], key: str, where: str) -> Site:
    """Where a dictionary writes: the hook that its metadata hold under `key`; raises UserError as `reading`."""
    site, hook = stated_site(metadata, key, where)
    if site.spec.read_only:
        valid = [hook for kind in map(SITES.get, SITES) if not kind.read_only for hook in kind.aliases]
        raise UserError(f"{where}: hook '{hook}' can be read only: valid to write: {_blocks(valid)}")
    model.require_site(site)
    return site


def stated_site(metadata: Mapping[str, Any], key: str, where: str) -> tuple[Site, str]:
    """The site that the hook name under `key` means, and the name without its block; raises UserError if unknown."""
    name = str(metadata.get(key))
    kinds = list(map(SITES.get, SITES))
    modules = {module: kind.name for kind in kinds for module in kind.hf_aliases}
    hf = re.search(r"layers\.(\d+)\.(.+)$", str(metadata.get(f"hf_{key}")))
    if hf and hf[2] in modules:
        return Site(int(hf[1]), modules[hf[2]]), name
    hooks = {hook: kind.name for kind in kinds for hook in kind.aliases}
    found = re.fullmatch(r"blocks\.(\d+)\.(.+)", name)
    if not found or found[2] not in hooks:
        raise UserError(f"{where}: unknown hook '{name}': valid: {_blocks(hooks)}")
    layer, hook = int(found[1]), found[2]
    if hook == "hook_resid_pre" and layer > 0:
        return Site(layer - 1, "resid_post"), hook  # the same activation, and one site for all bases that use it
    return Site(layer, hooks[hook]), hook


def _blocks(hooks: Iterable[str]) -> str:
    return ", ".join(f"blocks.L.{hook}" for hook in hooks)


def _without_gain(norm: Norm, x: Tensor) -> Tensor:
    """What a norm makes of its input before its gain (and bias): the same whether or not they are folded away."""
    wide = x.float()
    if norm.centred:
        wide = wide - wide.mean(-1, keepdim=True)
    return wide * (wide.square().mean(-1, keepdim=True) + norm.eps).rsqrt()
