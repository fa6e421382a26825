"""Exact activation patching, one node at a time: the truth, for small models and for checking the others.

1. Score every node by `atp`, and choose the nodes to patch: all of them, or the K highest (`exact:K`).
2. For each prompt set the node alone from its clean to its corrupt value at its slot: the written activations
   move by (f_corrupt - f_clean) times the unit's direction. Nodes of a layer are batched.
3. The score is m(patched) - m(clean), averaged over pairs; nodes not patched score zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from typing_extensions import override

from basisbench.attribution.activations import MEMORY_BUDGET, Chunk, chunks
from basisbench.attribution.fields import Atp
from basisbench.attribution.methods import Method, Passes, Request
from basisbench.bases.basis import Basis, sites_of
from basisbench.circuits.scores import Scores
from basisbench.errors import UserError
from basisbench.models.adapter import Edit, Model, Start
from basisbench.models.sites import Site
from basisbench.prompts.scoring import objective

MOST_NODES = 20_000


class Exact(Method):
    """Patch all nodes, or the `most` that `atp` ranks highest."""

    description = "Exact patching, one node at a time; exact:K patches the K nodes that atp ranks highest."

    def __init__(self, option: str = "") -> None:
        """`option` is how many nodes, by default all; raises UserError for another text or more than MOST_NODES."""
        if option and (not option.isdecimal() or not 0 < int(option) <= MOST_NODES):
            raise UserError(f"exact:{option}: valid: exact:K with K from 1 to {MOST_NODES:,}")
        self.most = int(option) if option else None
        # a patch runs over half the layers, on average
        patches = Passes(self.most / 2, per="basis") if self.most else Passes(0.5, per="node")
        self.passes = (*Atp.passes, patches)

    @override
    def score(self, request: Request) -> Mapping[str, Scores]:
        """Return exact scores; raises UserError if a basis has more than MOST_NODES nodes to patch."""
        ranked = Atp().score(request)
        return {basis.name: patch(request, basis, self._chosen(ranked[basis.name])) for basis in request.bases}

    def _chosen(self, ranked: Scores) -> dict[int, Tensor]:
        flat = torch.cat([scores.abs().flatten() for scores in ranked.by_layer.values()])
        count = min(self.most or len(flat), len(flat))
        if count > MOST_NODES:
            raise UserError(
                f"{count:,} nodes of basis '{ranked.basis}' would be patched one at a time: "
                f"valid: exact:K for the K nodes that atp ranks highest, K up to {MOST_NODES:,}"
            )
        chosen = torch.zeros_like(flat, dtype=torch.bool).index_fill_(0, flat.topk(count).indices, True)
        masks = chosen.split([scores.numel() for scores in ranked.by_layer.values()])
        layers = zip(ranked.by_layer.items(), masks, strict=True)
        return {layer: mask.view_as(scores) for (layer, scores), mask in layers}


def patch(request: Request, basis: Basis, chosen: Mapping[int, Tensor]) -> Scores:
    """M(patched) - m(clean) of the nodes `chosen`, bool [n_slots, nodes] by layer; zero elsewhere."""
    model, prompts = request.model, request.prompts
    result = {layer: torch.zeros(mask.shape, device=model.device) for layer, mask in chosen.items()}
    total = sum(int(mask.sum()) for mask in chosen.values()) * prompts.n_prompts
    done = 0
    sites = sites_of([basis]) | {Site(layer, "resid_pre") for layer in (0, *basis.layers())}
    for chunk in chunks(model, prompts, sites):
        clean = _metric(model, chunk, Start(0, chunk.clean[Site(0, "resid_pre")]), (), 1)[0]
        for layer, mask in chosen.items():
            nodes = mask.nonzero()
            if not len(nodes):
                continue
            for some in nodes.split(_nodes_at_once(model, chunk, layer)):
                patched = _patched(model, chunk, basis, layer, some)
                result[layer][some[:, 0], some[:, 1]] += (patched - clean) / prompts.n_pairs
                done += len(some) * chunk.prompts.n_prompts
                request.progress(f"exact {basis.name}", done, total)
    return Scores(basis.name, result)


def _patched(model: Model, chunk: Chunk, basis: Basis, layer: int, nodes: Tensor) -> Tensor:
    """M summed over the chunk's pairs with each of `nodes` [n, (slot, unit)] patched alone, [n]."""
    n = len(nodes)
    at_slot = chunk.prompts.slot[None] == nodes[:, 0, None, None]
    is_error = nodes[:, 1] == basis.n_units(layer)
    units = torch.where(is_error, 0, nodes[:, 1])
    moved = chunk.unit_delta(basis, layer, units).permute(2, 0, 1)
    moved = moved * (at_slot & ~is_error[:, None, None])
    edits: list[tuple[Site, Edit]] = []
    for site in basis.writes(layer):
        # one unit a row: lift takes units along the last axis
        change = torch.stack([basis.lift(layer, site, moved[i, ..., None], units[i : i + 1]) for i in range(n)])
        if is_error.any() and site == basis.writes(layer)[0]:
            error = chunk.error_delta(basis, layer, site)
            change = change + error * (at_slot & is_error[:, None, None])[..., None]
        edits.append((site, _adding(change.flatten(0, 1))))
    return _metric(model, chunk, Start(layer, chunk.clean[Site(layer, "resid_pre")]), edits, n)


def _adding(change: Tensor) -> Edit:
    return lambda x: x + change


def _nodes_at_once(model: Model, chunk: Chunk, layer: int) -> int:
    """Rows that fit: a pass without gradient holds some 24 activations of d_model at a time."""
    tokens = chunk.prompts.clean.numel()
    return max(1, min(256, MEMORY_BUDGET // (4 * tokens * 24 * model.d_model)))


def _metric(model: Model, chunk: Chunk, start: Start, edits: Sequence[tuple[Site, Edit]], repeats: int) -> Tensor:
    """M summed over pairs, for each of `repeats` copies of the chunk run side by side, [repeats]."""
    prompts = chunk.prompts
    with torch.no_grad():
        hidden = model.forward(
            prompts.clean.repeat(repeats, 1),
            prompts.last.repeat(repeats),
            edits=edits,
            start=Start(start.layer, start.resid.repeat(repeats, 1, 1)),
            prefix=chunk.prefix.tiled(repeats) if chunk.prefix else None,
        )
        return torch.stack([objective(model, h, prompts) for h in hidden.split(prompts.n_prompts)])
