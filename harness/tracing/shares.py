"""Each unit's share of a metric: f * dm/df, its activation times the metric's gradient at it.

Under RelP's rules (`relp`) shares of all that stands between two layers add up to the metric; with the plain gradient
(`atp`) they are the first-order effect of setting a unit to 0. Both compare a prompt with nothing, so a prompt needs no
partner. For pairs of prompts the methods of `basisbench.attribution` are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from basisbench.attribution.fields import field_site
from basisbench.attribution.relp import relp_hooks
from basisbench.bases.basis import Basis, sites_of
from basisbench.circuits.scores import Scores
from basisbench.errors import UserError
from basisbench.measures.metrics import Floats
from basisbench.models.adapter import Model, Start
from basisbench.models.recording import keeping
from basisbench.models.sites import Site
from basisbench.prompts.prompt_set import PromptSet
from basisbench.prompts.scoring import objective
from basisbench.tracing.nodes import Node

PROMPTS_AT_ONCE = 16
RULES = {"relp": True, "atp": False}
"""Methods that a prompt alone can be scored by, and whether they put RelP's rules on the model."""


def unit_shares(
    model: Model,
    tokens: Tensor,
    last: Tensor,
    basis: Basis,
    metric: Callable[[Tensor], Tensor],
    *,
    rules: bool,
) -> Iterator[tuple[int, Tensor]]:
    """Yield by layer each unit's share of `metric`, a sum over rows of `tokens` [U, S], as [U, S, units].

    `metric` takes the last hidden states [U, d_model]. Memory law: one pass with its graph, and ``4 U S units`` bytes
    of one layer.
    """
    written = {site for layer in basis.layers() for site in basis.writes(layer)}
    places = {site: field_site(model, site) for site in written}
    leaves = sorted({place for place, _ in places.values()})
    stored: dict[Site, Tensor] = {}
    with torch.no_grad():
        embedding: dict[Site, Tensor] = {}
        model.forward(tokens, last, edits=keeping(embedding, [Site(0, "resid_pre")]))
    with torch.enable_grad():
        hidden = model.forward(
            tokens,
            last,
            edits=keeping(stored, {*sites_of([basis]), *leaves}),
            hooks=relp_hooks(model) if rules else (),
            start=Start(0, embedding[Site(0, "resid_pre")].requires_grad_()),
        )
        found = torch.autograd.grad(metric(hidden), [stored[site] for site in leaves], allow_unused=True)
    gradient = {site: torch.zeros_like(stored[site]) if g is None else g for site, g in zip(leaves, found, strict=True)}
    with torch.no_grad():
        for layer in basis.layers():
            slope: Tensor | float = 0.0
            for site in basis.writes(layer):
                place, weight = places[site]
                at_site = gradient[place] if weight is None else gradient[place] @ weight.T
                slope = slope + basis.project(layer, site, at_site)
            yield layer, basis.encode(layer, stored[basis.read(layer)].detach()) * slope


def prompt_scores(
    model: Model, tokens: Tensor, basis: Basis, outputs: Callable[[Tensor], Tensor], method: str = "relp"
) -> Scores:
    """Scores of one prompt's units, a slot a token; as everywhere a negative score helps the answer.

    Raises UserError for a method that compares two prompts.
    """
    if method not in RULES:
        raise UserError(
            f"method '{method}' cannot score a prompt alone: valid: {', '.join(RULES)}; or a task, --task NAME"
        )
    last = torch.tensor([len(tokens) - 1], device=tokens.device)
    shares = unit_shares(model, tokens[None], last, basis, lambda hidden: outputs(hidden).sum(), rules=RULES[method])
    return Scores(basis.name, {layer: -share[0].float() for layer, share in shares})


def profiles(model: Model, prompts: PromptSet, basis: Basis, nodes: Sequence[Node]) -> Floats:
    """Shares of unit nodes (positions are slots) in each prompt's metric under RelP's rules, float64 [N, U].

    The metric of a prompt is summed over the pairs scored after it; 0 where a prompt has no token in a node's slot.
    """
    result = np.zeros((len(nodes), prompts.n_prompts))
    for begin in range(0, prompts.n_prompts, PROMPTS_AT_ONCE):
        some = prompts.rows(begin, min(begin + PROMPTS_AT_ONCE, prompts.n_prompts))
        shares = unit_shares(
            model,
            some.clean,
            some.last,
            basis,
            lambda hidden, some=some: objective(model, hidden, some, cap_as_gain=True),  # type: ignore[misc]
            rules=True,
        )
        for layer, share in shares:
            for number, node in enumerate(nodes):
                if node.kind == "unit" and node.layer == layer:
                    here = (some.slot == node.position).float()
                    at = (share[..., node.unit].float() * here).sum(1)
                    result[number, begin : begin + len(at)] = at.double().cpu().numpy()
    return result
