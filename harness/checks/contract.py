"""What the engine relies on in a basis, measured on a model: nothing ablated is nothing changed, gradients pass."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from basisbench.bases.basis import Basis
from basisbench.circuits.ablation import reference
from basisbench.circuits.gates import LayerGates, LayerNodes
from basisbench.circuits.splice import Splice
from basisbench.measures.clusters import apart
from basisbench.models.adapter import Model, Start
from basisbench.models.recording import record
from basisbench.models.sites import Site
from basisbench.prompts.prompt_set import Continuation, PromptSet, Usage

STEP = 1e-2
"""Finite differences go this far, in standard deviations of the activation."""
GRADIENT_TOLERANCE = 0.05


def entry(basis: Basis, layer: int) -> int:
    """The first layer of the model that a basis' layer reads or writes."""
    return min(site.layer for site in (basis.read(layer), *basis.writes(layer)))


def only_layer(basis: Basis, layer: int) -> Basis:
    """The same basis without its other layers."""
    alone = copy.copy(basis)  # the weights it holds are shared
    alone.layers = lambda: (layer,)  # type: ignore[method-assign]
    return alone


def splice_change(model: Model, basis: Basis, layer: int, tokens: Tensor) -> tuple[float, float]:
    """How much it changes the model to splice a layer in with all units and the error kept, on `tokens` [rows, length].

    Returns the largest change of a logit over the largest logit, and the same of the gradient (of the sum of squared
    logits) at the residual stream before the layer. Both are rounding in a sound basis.
    """
    n_rows, length = tokens.shape
    places = torch.arange(length, device=model.device)
    rows = torch.arange(n_rows, device=model.device)
    last = torch.full_like(rows, length - 1)
    anything = Continuation(rows, rows, tokens[:, :1])
    prompts = PromptSet(
        clean=tokens,
        corrupt=tokens.flip(1),
        slot=places.expand(n_rows, -1),
        last=last,
        pair_prompt=rows,
        cluster=apart(n_rows),
        answer=anything,
        foil=anything,
        first_answer=tokens[:, :1],
        candidates=tokens[:, :0],
        slot_names=tuple(str(place) for place in range(length)),
        usage=Usage(n_rows, {}),
        digest="",
    )
    alone = only_layer(basis, layer)
    n_units = basis.n_units(layer)
    units = torch.arange(n_units, device=model.device)
    values = reference(model, prompts, alone, {layer: LayerNodes(units, True)}, "mean", None, 0)
    kept = torch.ones(1, length, n_units, dtype=torch.bool, device=model.device)
    splice = Splice(model, alone, {layer: LayerGates(units, units, kept, None)}, prompts.slot, values, error="keep")
    begin = entry(basis, layer)
    before, _ = record(model, tokens, last, [Site(begin, "resid_pre")])

    def logits_and_gradient(spliced: bool) -> tuple[Tensor, Tensor]:
        inputs = before[Site(begin, "resid_pre")].clone().requires_grad_()
        edits = splice.edits(begin) if spliced else []
        mlps = splice.mlps(begin) if spliced else {}
        logits = model.logits(model.forward(tokens, last, edits=edits, mlps=mlps, start=Start(begin, inputs)))
        (gradient,) = torch.autograd.grad(logits.square().sum(), inputs)
        return logits.detach(), gradient

    plain, spliced = logits_and_gradient(False), logits_and_gradient(True)
    changes = [((b - a).abs().max() / a.abs().max()).item() for a, b in zip(plain, spliced, strict=True)]
    return changes[0], changes[1]


def stopped_gradient(basis: Basis, layer: int, x: Tensor) -> str | None:
    """Whether gradients pass through a layer's units as their values say, on activations x [tokens, width].

    Compares autograd with central differences, for units that stay active between them: jumps have no gradient.
    Returns what is wrong, in words, or None.
    """
    x = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        f = basis.encode(layer, x)
        if not f.requires_grad:
            return "encode cuts the gradient (detach or no_grad): nothing upstream is seen through the units"
        for site in basis.writes(layer):
            if not basis.lift(layer, site, f.detach().requires_grad_()).requires_grad:
                return f"lift to {site} cuts the gradient (detach or no_grad)"
        if x.dtype not in (torch.float32, torch.float64):
            return None  # differences are rounding
        generator = torch.Generator().manual_seed(0)
        direction = torch.randn(x.shape, generator=generator).to(x) * x.detach().std()
        with torch.no_grad():
            above, below = (basis.encode(layer, x + side * STEP * direction) for side in (1, -1))
        weight = torch.randn(f.shape, generator=generator).to(f) * ((f != 0) & (above != 0) & (below != 0))
        (gradient,) = torch.autograd.grad((f * weight).sum(), x)
    expected = ((above - below) * weight).sum(-1) / (2 * STEP)
    found = (gradient * direction).sum(-1)
    # the median: where a unit is switched off and on again between the two, that token's difference is a jump
    off = ((found - expected).abs().median() / expected.abs().median().clamp(min=1e-30)).item()
    if off > GRADIENT_TOLERANCE and expected.abs().median() > 0:
        return f"encode's gradient is not that of its values (off by {off:.0%}): a part of it is detached"
    return None
