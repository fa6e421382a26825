"""One pass in which every target of an edge circuit reads in a run of its own (see `tracing.edge_circuits`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from basisbench.bases.basis import Basis
from basisbench.circuits.ablation import Reference
from basisbench.circuits.gates import LayerNodes
from basisbench.errors import UserError
from basisbench.models.adapter import Edit, Model
from basisbench.models.sites import Site
from basisbench.tracing.graph import Edges
from basisbench.tracing.nodes import Node


@dataclass(frozen=True)
class Runs:
    """Runs by number, the logits' first: the `sources` that each keeps; and by source unit the run it is read in."""

    sources: tuple[frozenset[int], ...]
    run_of: Mapping[int, int]
    n_edges: int


def find_runs(nodes: Sequence[Node], ranked: Edges, size: int) -> Runs:
    """The runs that the first `size` edges need, without those from which no kept path leads to the logits.

    Raises UserError where `nodes` hold another number of logits than one.
    """
    sources: dict[int, set[int]] = defaultdict(set)
    for source, target in zip(ranked.source[:size].tolist(), ranked.target[:size].tolist(), strict=True):
        sources[target].add(source)
    logits = [index for index, node in enumerate(nodes) if node.kind == "logit"]
    if len(logits) != 1:
        raise UserError(f"edge circuits need one logit node, got {len(logits)}: valid: the metric as one node")
    reached: set[int] = set()
    ahead = list(logits)
    while ahead:
        target = ahead.pop()
        if target not in reached:
            reached.add(target)
            ahead += sources.get(target, ())
    numbers: dict[frozenset[int], int] = {frozenset(sources.get(logits[0], ())): 0}
    run_of: dict[int, int] = {}
    for node in sorted(reached):
        if nodes[node].kind == "unit":
            run_of[node] = numbers.setdefault(frozenset(sources.get(node, ())), len(numbers))
    return Runs(tuple(numbers), run_of, sum(len(sources.get(node, ())) for node in reached))


@dataclass
class Patch:
    """What patches the rows [runs x prompts] of one pass.

    `held` and `values` are the units of the circuit and their ablation values, `errors` by layer where an error is
    written and by how much it moves [U, S, width]; `token` [N, U] is where each node stands in the prompts of this
    pass, `prompts`, or -1.
    """

    model: Model
    basis: Basis
    nodes: Sequence[Node]
    held: Mapping[int, LayerNodes]
    values: Reference
    errors: Mapping[int, tuple[Site, Tensor]]
    runs: Runs
    token: Tensor
    prompts: slice
    moved: dict[Site, Tensor] = field(default_factory=dict)

    def edits(self, first: int) -> list[tuple[Site, Edit]]:
        """Edits from layer `first` on: a layer reads before it writes."""
        result: list[tuple[Site, Edit]] = []
        sites: dict[Site, None] = {}
        replaced = self.mlps(first)
        for layer in self.basis.layers():
            site = self.basis.read(layer)
            if layer >= first and (layer not in replaced or site.kind == "resid_mid"):
                result.append((site, self._reader(layer)))
            sites.update(dict.fromkeys(self.basis.writes(layer)))
        return result + [(s, self._writer(s)) for s in sites if s.layer >= first and s.layer not in replaced]

    def mlps(self, first: int) -> dict[int, Callable[[Tensor], Tensor]]:
        """Stand-ins for MLPs of which nothing has to be computed but some units' values."""
        found: dict[int, Callable[[Tensor], Tensor]] = {}
        for site in self.values.written:
            layer = site.layer
            is_output = site.kind == "mlp_out" and not self.model.has_post_norm("mlp_out")
            if layer < first or not (is_output or site.kind == "mlp_post"):
                continue
            read = self.basis.read(layer).kind if layer in self.basis.layers() else None
            neurons = self._are_neurons(layer)
            if read in (None, "resid_mid", "mlp_in") or neurons or not self._here(layer):
                found[layer] = self._stand_in(layer, site, neurons)
        return found

    def _here(self, layer: int) -> list[int]:
        return [node for node in self.runs.run_of if self.nodes[node].layer == layer]

    def _are_neurons(self, layer: int) -> bool:
        """Whether the layer's units are the MLP's own neurons, to be had from its input one by one."""
        if layer not in self.held or self.basis.read(layer).kind != "mlp_post" or not self.model.computes_neurons:
            return False
        return self.basis.coordinates(layer, self.held[layer].units) is not None

    def _stand_in(self, layer: int, site: Site, neurons: bool) -> Callable[[Tensor], Tensor]:
        def run(x: Tensor) -> Tensor:
            if neurons:
                self._read(layer, x, self.model.neurons)
            elif layer in self.basis.layers() and self.basis.read(layer).kind == "mlp_in":
                self._read(layer, x, self.basis.encode)
            written = self._written(site)
            if site.kind != "mlp_post":
                return written
            bias = self.model.bias("mlp_post", layer)
            out = written @ self.model.projection("mlp_post", layer)
            return out if bias is None else out + bias

        return run

    def _reader(self, layer: int) -> Edit:
        return lambda x: self._read(layer, x, self.basis.encode)

    def _read(self, layer: int, x: Tensor, encode: Callable[[int, Tensor, Tensor], Tensor]) -> None:
        """Read the layer's source units, each in its own run, and note what they move in the runs that keep them."""
        here = self._here(layer)
        if not here:
            return
        device, runs = x.device, len(self.runs.sources)
        units = self.held[layer].units
        token = self.token[here]
        prompt = torch.arange(token.shape[1], device=device)
        column = torch.searchsorted(units, torch.tensor([self.nodes[i].unit for i in here], device=device))
        run = torch.tensor([self.runs.run_of[i] for i in here], device=device)
        own = x.unflatten(0, (runs, -1))[run[:, None], prompt, token.clamp(min=0)]
        columns, place = column.unique(return_inverse=True)
        live = encode(layer, own, units[columns])[torch.arange(len(here), device=device), :, place]
        ablated = self.values.units[layer][self.prompts][prompt, token.clamp(min=0), column[:, None]]
        move = torch.where(token >= 0, live - ablated, 0)
        member = torch.tensor([[i in sources for i in here] for sources in self.runs.sources], device=device)
        kept_in, which = member.nonzero(as_tuple=True)
        moved = x.new_zeros(runs, len(prompt), x.shape[1], len(columns))
        index = (kept_in[:, None], prompt[None], token[which].clamp(min=0), place[which][:, None])
        moved.index_put_(index, move[which], accumulate=True)
        for site in self.basis.writes(layer):
            lifted = self.basis.lift(layer, site, moved.flatten(0, 1), units[columns])
            self.moved[site] = self.moved[site] + lifted if site in self.moved else lifted

    def _writer(self, site: Site) -> Edit:
        return lambda _: self._written(site)

    def _written(self, site: Site) -> Tensor:
        """The ablated activation in every row, with what its run's kept sources move."""
        runs = self.runs.sources
        written = self.values.written[site][self.prompts].repeat(len(runs), 1, 1)
        if (moved := self.moved.pop(site, None)) is not None:
            written = written + moved
        where, move = self.errors.get(site.layer, (None, None))
        if where != site or move is None:
            return written
        for row, sources in enumerate(runs):
            for node in sources:
                if self.nodes[node].kind == "error" and self.nodes[node].layer == site.layer:
                    token = self.token[node]
                    (prompt,) = (token >= 0).nonzero(as_tuple=True)
                    part = move[self.prompts][prompt, token[prompt]]
                    written[row * len(token) + prompt, token[prompt]] += part
        return written
