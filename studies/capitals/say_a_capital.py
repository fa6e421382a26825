"""Which neurons say "a capital" at a prompt's last token.

A neuron's contribution is its mean activation there times what an activation of 1 adds, by the direct path, to the mean
logit of all capitals' first tokens less the mean logit of all states' first tokens (`reading.direct`). It says
capitals rather than states whichever capital it is, so it knows nothing of the city; what all neurons add up to is what
MLPs do directly for the kind of answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from basisbench.bases.basis import Basis
from basisbench.models.adapter import Model
from basisbench.models.recording import record
from basisbench.models.sites import Site
from basisbench.prompts.prompt_set import PromptSet
from basisbench.reading.direct import FINAL_NORM, stream_directions, through_norm
from basisbench.shipped_tasks.places import STATES


@dataclass(frozen=True)
class Contributions:
    """`gap` [layers, units]: what 1 of activation adds to capitals less states; `value`: times the mean activation."""

    gap: Tensor
    value: Tensor

    def ranked(self) -> list[tuple[int, int, float]]:
        """(layer, unit, contribution), the largest first."""
        order = self.value.flatten().argsort(descending=True)
        width = self.value.shape[1]
        values = self.value.flatten()[order]
        return [(int(i) // width, int(i) % width, float(v)) for i, v in zip(order, values, strict=True)]

    def half(self) -> int:
        """How many neurons make up half of all that speaks for capitals."""
        positive = self.value.flatten().clamp(min=0).sort(descending=True).values
        return int((positive.cumsum(0) < positive.sum() / 2).sum()) + 1


def first_tokens(model: Model, words: Sequence[str]) -> Tensor:
    """The distinct first tokens of words after a blank."""
    tokenizer: Any = model.tokenizer
    ids: list[int] = [tokenizer(f" {word}", add_special_tokens=False)["input_ids"][0] for word in words]
    return torch.tensor(sorted(set(ids)))


def name_tokens(model: Model) -> tuple[Tensor, Tensor]:
    """First tokens of capitals and of states, without those that begin both."""
    capitals = first_tokens(model, [state.capital for state in STATES])
    states = first_tokens(model, [state.name for state in STATES])
    both = set(capitals.tolist()) & set(states.tolist())
    kept = [torch.tensor([t for t in side.tolist() if t not in both]) for side in (capitals, states)]
    return kept[0], kept[1]


def contributions(model: Model, basis: Basis, prompts: PromptSet, at_end: Tensor) -> Contributions:
    """Contributions of all units, from their activations at the last token [P, layers, units].

    The final norm's scale is its mean over the last tokens of `prompts`.
    """
    capitals, states = name_tokens(model)
    (final,) = (norm for norm in model.norms if norm.name == FINAL_NORM)
    scale = _scale(model, prompts)
    gaps = []
    with torch.no_grad():
        for layer in basis.layers():
            units = torch.arange(basis.n_units(layer))
            hidden = through_norm(stream_directions(model, basis, layer, units, {}), final, scale)
            logits = model.added_logits(hidden.to(model.dtype))
            gaps.append(logits[:, capitals].mean(1) - logits[:, states].mean(1))
    gap = torch.stack(gaps)
    return Contributions(gap, gap * at_end.mean(0))


def _scale(model: Model, prompts: PromptSet) -> float:
    """The mean over prompts of the final RMSNorm's inverse scale at the last token."""
    site = Site(model.n_layers - 1, "resid_post")
    stored, _ = record(model, prompts.clean, prompts.last, [site])
    last = stored[site][torch.arange(prompts.n_prompts), prompts.last].float()
    (final,) = (norm for norm in model.norms if norm.name == FINAL_NORM)
    return float((last.square().mean(-1) + final.eps).rsqrt().mean())
