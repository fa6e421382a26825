"""The direct path from a unit to the vocabulary: what an activation of 1 adds to every logit, nothing in between.

1. A unit's decoder direction at each site it writes, lifted to the residual stream: through the output projection,
   and through a post-norm where the model has one. A unit that writes several layers adds up its directions.
2. Through the final norm, and through the unembedding; a soft cap and a bias are left out.

A norm is taken as linear: its gain, its centring if it is a LayerNorm, and a fixed scale, the mean over the text's
counted tokens of 1 / sqrt(mean square + epsilon) of what enters it (for a LayerNorm, of the centred input). Since all
else is linear, the result is the mean over those tokens of what the unit would add at each, with norms held fixed.
With a post-norm, whose scale is averaged apart from the final norm's, it is that but for how the two vary together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from basisbench.attribution.fields import field_site
from basisbench.bases.basis import Basis
from basisbench.circuits.ablation import UNITS_AT_ONCE
from basisbench.errors import UserError
from basisbench.models.adapter import Model, Norm
from basisbench.models.sites import SITES, Site

FINAL_NORM = "ln_final"
STANDING_OUT = 3
"""Tokens over which it is judged whether the first tokens stand out of the vocabulary."""

Scales = Mapping[str, float]
"""A norm's mean inverse scale over a text, by its name."""


@dataclass(frozen=True)
class Direct:
    """Of units [k]: the tokens whose logits they raise most, and lower most, int64 [k, count], and by how much.

    `raised_z` and `lowered_z` [k]: how many standard deviations the mean of the first STANDING_OUT of them lies above
    (below) the mean over the vocabulary.
    """

    raised: Tensor
    raised_by: Tensor
    lowered: Tensor
    lowered_by: Tensor
    raised_z: Tensor
    lowered_z: Tensor


def norms_on_the_way(model: Model, basis: Basis, layers: Sequence[int]) -> list[Norm]:
    """The norms between what units of `layers` write and the unembedding: post-norms of the sites, the final one."""
    sites = [field_site(model, site)[0] for layer in layers for site in basis.writes(layer)]
    names = {post for site in sites if (post := _post_norm(model, site))}
    return [norm for norm in model.norms if norm.name in names or norm.name == FINAL_NORM]


def _post_norm(model: Model, site: Site) -> str | None:
    """The norm between a site and the stream, None for a site in the stream.

    `field_site` returns a site that feeds one in the stream only where a norm stands between. Raises UserError for
    others.
    """
    if site.spec.in_stream:
        return None
    if not site.spec.feeds or site.spec.through:
        valid = ", ".join(kind for kind in SITES if SITES.get(kind).in_stream and not SITES.get(kind).read_only)
        raise UserError(f"units that write {site} have no direct path to the logits: valid: {valid}")
    return model.post_norm(Site(site.layer, site.spec.feeds))


def through_norm(x: Tensor, norm: Norm, scale: float) -> Tensor:
    """Directions x [..., d_model] behind a norm with its scale held fixed."""
    centred = x - x.mean(-1, keepdim=True) if norm.centred else x
    return centred * norm.gain.to(x.dtype) * scale


def stream_directions(model: Model, basis: Basis, layer: int, units: Tensor, scales: Scales) -> Tensor:
    """What an activation of 1 of each of `units` [k] adds to the residual stream, float32 [k, d_model].

    `scales` are those of `norms_on_the_way`. What units write to several layers is summed.
    """
    norms = {norm.name: norm for norm in model.norms}
    total = torch.zeros(len(units), model.d_model, device=model.device)
    ones = torch.eye(len(units), dtype=model.dtype, device=model.device)
    for site in basis.writes(layer):
        place, weight = field_site(model, site)
        rows = basis.lift(layer, site, ones, units)
        rows = (rows if weight is None else rows @ weight).float()
        post = _post_norm(model, place)
        total += rows if post is None else through_norm(rows, norms[post], scales[post])
    return total


def direct_effects(model: Model, basis: Basis, layer: int, units: Tensor, scales: Scales, count: int) -> Direct:
    """The `count` tokens that an activation of 1 of each of `units` [k] raises and lowers most by the direct path.

    Entries of the unembedding that stand for no token of the tokenizer are left out. Memory law: ``8 UNITS_AT_ONCE``
    bytes or two rows of the vocabulary, in float32.
    """
    (final,) = (norm for norm in model.norms if norm.name == FINAL_NORM)
    vocabulary = len(model.tokenizer)
    parts = []
    with torch.no_grad():
        for some in units.split(max(1, UNITS_AT_ONCE // vocabulary)):
            stream = stream_directions(model, basis, layer, some, scales)
            hidden = through_norm(stream, final, scales[FINAL_NORM])
            parts.append(_most(model.added_logits(hidden.to(model.dtype))[:, :vocabulary], count))
    return Direct(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _most(logits: Tensor, count: int) -> tuple[Tensor, ...]:
    """The columns of `Direct` for logits [k, vocabulary]."""
    mean, deviation = logits.mean(-1), logits.std(-1).clamp(min=1e-12)
    raised = logits.topk(min(count, logits.shape[1]))
    lowered = logits.topk(min(count, logits.shape[1]), largest=False)
    first = min(STANDING_OUT, logits.shape[1])
    raised_z = (logits.topk(first).values.mean(-1) - mean) / deviation
    lowered_z = (mean - logits.topk(first, largest=False).values.mean(-1)) / deviation
    return tuple(x.cpu() for x in (raised.indices, raised.values, lowered.indices, lowered.values, raised_z, lowered_z))
