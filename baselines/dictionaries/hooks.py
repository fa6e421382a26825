"""From TransformerLens hook names, as dictionaries state them, to sites."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from basisbench.errors import UserError
from basisbench.models.adapter import Model, Norm
from basisbench.models.sites import Site, SiteKind

# The names mean activations of a model whose weights are as published: sae-lens loads models so, but for what a
# dictionary's `model_from_pretrained_kwargs` say.
KINDS: Mapping[str, SiteKind] = {
    "hook_resid_pre": "resid_pre",
    "hook_resid_post": "resid_post",
    "hook_resid_mid": "resid_mid",
    "ln2.hook_in": "resid_mid",
    "hook_mlp_in": "resid_mid",
    "ln2.hook_normalized": "resid_mid",
    "ln2.hook_out": "mlp_in",
    "mlp.hook_in": "mlp_in",
    "mlp.hook_post": "mlp_post",
    "mlp.hook_out": "mlp_proj",
    "hook_mlp_out": "mlp_out",
    "hook_attn_out": "attn_out",
    "attn.hook_z": "attn_z",
}
# Gemma Scope 2 states Hugging Face modules too, and those are exact: sae-lens calls its MLP inputs "hook_mlp_in",
# which in TransformerLens is the norm's input
HF_KINDS: Mapping[str, SiteKind] = {
    "output": "resid_post",
    "self_attn.o_proj.input": "attn_z",
    "pre_feedforward_layernorm.output": "mlp_in",
    "post_feedforward_layernorm.output": "mlp_out",
}
# the norm before the MLP alone sees an edit there: the residual stream has already branched off
READ_ONLY: tuple[SiteKind, ...] = ("resid_mid",)


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
    site, hook = _site(metadata, "hook_name", where)
    processing = metadata.get("model_from_pretrained_kwargs") or {}
    if site.kind == "attn_z" and processing.get("fold_value_biases"):
        raise UserError(f"{where}: reads attention values with folded biases: valid: unfolded ones")
    normalised = hook == "ln2.hook_normalized"
    if site.kind == "mlp_in" and processing.get("fold_ln"):  # the gain has moved into the next weights
        site, normalised = Site(site.layer, "resid_mid"), True
    model.require_site(site)
    if normalised:
        norm = next(norm for norm in model.norms if norm.name == f"blocks.{site.layer}.ln2")
        return Reading(site, lambda x: _without_gain(norm, x))
    is_stream = site.kind in ("resid_pre", "resid_mid", "resid_post", "mlp_out", "attn_out")
    if processing.get("center_writing_weights") and is_stream and all(norm.centred for norm in model.norms):
        # every norm takes the mean out, so TransformerLens may take it out where it is written
        return Reading(site, lambda x: x - x.mean(-1, keepdim=True))
    return Reading(site, lambda x: x)


def writing(model: Model, metadata: Mapping[str, Any], key: str, where: str) -> Site:
    """Where a dictionary writes: the hook that its metadata hold under `key`; raises UserError as `reading`."""
    site, hook = _site(metadata, key, where)
    if site.kind in READ_ONLY:
        raise UserError(f"{where}: hook '{hook}' can be read only: valid to write: {_valid_hooks(READ_ONLY)}")
    model.require_site(site)
    return site


def _site(metadata: Mapping[str, Any], key: str, where: str) -> tuple[Site, str]:
    """The site that a hook name means, and the name without its block."""
    name = str(metadata.get(key))
    hf = re.search(r"layers\.(\d+)\.(.+)$", str(metadata.get(f"hf_{key}")))
    if hf and hf[2] in HF_KINDS:
        return Site(int(hf[1]), HF_KINDS[hf[2]]), name
    found = re.fullmatch(r"blocks\.(\d+)\.(.+)", name)
    if not found or found[2] not in KINDS:
        raise UserError(f"{where}: unknown hook '{name}': valid: {_valid_hooks()}")
    layer, hook = int(found[1]), found[2]
    if hook == "hook_resid_pre" and layer > 0:
        return Site(layer - 1, "resid_post"), hook  # the same activation, and one site for all bases that use it
    return Site(layer, KINDS[hook]), hook


def _valid_hooks(but: tuple[SiteKind, ...] = ()) -> str:
    return ", ".join(f"blocks.L.{hook}" for hook, kind in KINDS.items() if kind not in but)


def _without_gain(norm: Norm, x: Tensor) -> Tensor:
    """What a norm makes of its input before its gain (and bias): the same whether or not they are folded away."""
    wide = x.float()
    if norm.centred:
        wide = wide - wide.mean(-1, keepdim=True)
    return wide * (wide.square().mean(-1, keepdim=True) + norm.eps).rsqrt()
