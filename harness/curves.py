"""Sparsity-faithfulness curves: the model with only a circuit kept, and with only the circuit ablated.

1. Leading tokens that all prompts share are run once; nothing can differ there (but under zero ablation).
2. Record the plain model on the clean prompts and compute the ablation values.
3. Run the model with everything ablated: F(empty). Keep the residual stream before each layer of this run and of
   the plain one: a circuit whose first node is in layer L leaves the layers before L as they were, so each pass
   starts at L.
4. For each batch of sizes, splice the kept units' columns only. With f the units' current activations, f' and x'
   the ablation values, and the sum over kept units:

       circuit:     x <- x' + sum (f_i - f'_i) direction_i
       complement:  x <- x  - sum (f_i - f'_i) direction_i

   A kept error adds (subtracts) its own difference (e - e') at its position.

Definitions: DESIGN section "faithfulness and completeness"; Wang et al. 2023 (arXiv 2211.00593), Marks et al. 2025
(arXiv 2403.19647, section 3.3).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from harness.ablation import Ablation, Reference, reference
from harness.attribution.activations import record
from harness.attribution.methods import Progress, silent
from harness.bases import Basis
from harness.circuits import ErrorTreatment, LayerNodes, Ranking, check_sizes, nodes_by_layer
from harness.models.adapter import Edit, Model, Prefix, Start
from harness.prompts import PromptSet
from harness.sites import Site
from harness.statistics import Curve, Outcome

TOKENS_AT_ONCE = 2048


@dataclass
class Splice:
    """What splices one batch of circuits (or complements) into a pass; rows are [points x prompts]."""

    model: Model
    basis: Basis
    nodes: Mapping[int, LayerNodes]
    slot: Tensor
    reference: Reference
    sizes: Tensor
    complement: bool
    error: ErrorTreatment
    kept: dict[Site, Tensor] = field(default_factory=dict)
    lifted: dict[Site, Tensor] = field(default_factory=dict)

    def edits(self, first_layer: int) -> list[tuple[Site, Edit]]:
        """Edits in the order of the forward pass: a layer reads before it writes."""
        result: list[tuple[Site, Edit]] = []
        writers: dict[Site, int] = {}
        replaced = self.mlps(first_layer)
        for layer in self.basis.layers():
            if layer >= first_layer and layer not in replaced:
                result.append((self.basis.read(layer), self._reader(layer)))
                writers.update(dict.fromkeys(self.basis.writes(layer), layer))
        return result + [(site, self._writer(site)) for site in writers]

    def mlps(self, first_layer: int) -> dict[int, Callable[[Tensor], Tensor]]:
        """Stand-ins for MLPs of which a circuit leaves nothing but some neurons, or nothing at all.

        Only where the basis writes a layer's MLP, and no other layer does. The stand-in's output is the ablated
        one plus what the kept neurons add; the MLP's other columns are never computed.
        """
        if self.complement or self.basis.has_error or not self.model.computes_neurons:
            return {}
        found: dict[int, Callable[[Tensor], Tensor]] = {}
        for layer in self.basis.layers():
            site, *others = self.basis.writes(layer)
            is_output = site.kind == "mlp_out" and not self.model.has_post_norm("mlp_out")
            if layer < first_layer or others or not (is_output or site.kind == "mlp_post"):
                continue
            units = self.nodes[layer].units if layer in self.nodes else None
            nothing_kept = units is None or not (self.nodes[layer].place < int(self.sizes.max())).any()
            if nothing_kept:
                found[layer] = self._ablated_mlp(layer, site)
            elif units is not None and site.kind == "mlp_post" and self.basis.coordinates(layer, units) is not None:
                found[layer] = self._sparse_mlp(layer, site)
        return found

    def _ablated_output(self, layer: int, site: Site) -> Tensor:
        """The MLP's output with everything ablated, [U, S, d_model]; worked out once a reference."""
        if site.kind != "mlp_post":
            return self.reference.written[site]
        output = Site(layer, "mlp_proj")
        if output not in self.reference.outputs:
            x = self.reference.written[site] @ self.model.projection("mlp_post", layer)
            bias = self.model.bias("mlp_post", layer)
            self.reference.outputs[output] = x if bias is None else x + bias
        return self.reference.outputs[output]

    def _ablated_mlp(self, layer: int, site: Site) -> Callable[[Tensor], Tensor]:
        return lambda x: self._tiled(self._ablated_output(layer, site))

    def _sparse_mlp(self, layer: int, site: Site) -> Callable[[Tensor], Tensor]:
        held = self.nodes[layer]
        kept = (held.place < int(self.sizes.max())).any(0)
        units, place = held.units[kept], held.place[:, kept]
        ablated = self.reference.units[layer][..., kept]
        directions = self.model.projection("mlp_post", layer)[units]

        def run(x: Tensor) -> Tensor:
            f = self.model.neurons(layer, x, units)
            moved = (f - self._tiled(ablated)) * self._is_kept(place)
            return self._tiled(self._ablated_output(layer, site)) + moved @ directions

        return run

    def _reader(self, layer: int) -> Edit:
        """Note what the layer's kept units, and if an error needs it all units, are to write."""

        def edit(x: Tensor) -> None:
            held = self.nodes.get(layer)
            if held is not None and len(held.units):
                kept = (held.place < int(self.sizes.max())).any(0)
                if kept.any():
                    units = held.units[kept]
                    f = self.basis.encode(layer, x, units)
                    moved = f - self._tiled(self.reference.units[layer][..., kept])
                    moved = moved * self._is_kept(held.place[:, kept])
                    for site in self.basis.writes(layer):
                        self._add(self.kept, site, self.basis.lift(layer, site, moved, units))
            if self._error_is_kept(layer) is not None:
                everything = self.basis.encode(layer, x)
                for site in self.basis.writes(layer):
                    self._add(self.lifted, site, self.basis.lift(layer, site, everything))

        return edit

    def _writer(self, site: Site) -> Edit:
        def edit(x: Tensor) -> Tensor:
            ablated = self._tiled(self.reference.written[site])
            change = self.kept.pop(site, None)
            error_kept = self._error_is_kept(site.layer)
            if error_kept is not None:
                error = (x - self.lifted.pop(site)) - (ablated - self._tiled(self.reference.lifted[site]))
                part = error * error_kept
                change = part if change is None else change + part
            if self.complement:
                return x if change is None else x - change
            return ablated.expand_as(x) if change is None else ablated + change

        return edit

    def _is_kept(self, place: Tensor) -> Tensor:
        """Which nodes are kept, by their place in the ranking: [n_slots, K] -> bool [points * U, S, K]."""
        at_tokens = place[self.slot.clamp(min=0)]
        return (at_tokens[None] < self.sizes[:, None, None, None]).flatten(0, 1)

    def _error_is_kept(self, layer: int) -> Tensor | None:
        """Where the pass moves the layer's error with the circuit, [points * U, S, 1] or None for nowhere.

        `keep` never ablates errors and `remove` always does, in the circuit and in its complement.
        """
        if not self.basis.has_error:
            return None
        if self.error != "score":
            moved = (self.error == "keep") != self.complement
            return torch.ones(1, 1, 1, device=self.slot.device) if moved else None
        # a cross-layer unit writes to later layers, so their errors need every earlier layer's units
        held = [self.nodes[i] for i in self._readers_that_matter(layer) if i in self.nodes]
        if not any((nodes.error_place < int(self.sizes.max())).any() for nodes in held):
            return None
        if layer not in self.nodes:
            return torch.zeros(1, 1, 1, device=self.slot.device)
        return self._is_kept(self.nodes[layer].error_place[:, None]).float()

    def _readers_that_matter(self, layer: int) -> Sequence[int]:
        return [layer, *(site.layer for site in self.basis.writes(layer))]

    def _tiled(self, values: Tensor) -> Tensor:
        return values.repeat(len(self.sizes), *[1] * (values.dim() - 1))

    @staticmethod
    def _add(store: dict[Site, Tensor], site: Site, value: Tensor) -> None:
        store[site] = store[site] + value if site in store else value


def evaluate(
    model: Model,
    prompts: PromptSet,
    basis: Basis,
    ranking: Ranking,
    sizes: Sequence[int],
    *,
    ablation: Ablation = "mean",
    error: ErrorTreatment = "score",
    seed: int = 0,
    progress: Progress = silent,
) -> Curve:
    """Return the curve of a ranking at the given sizes (those the basis has nodes for).

    Memory law: ``4 U S (2 L d_model + written widths + K)`` bytes for U prompts of S tokens, K units ever kept, plus
    one pass over TOKENS_AT_ONCE tokens.
    """
    sizes = check_sizes(sizes, ranking)
    length = 0 if ablation == "zero" else prompts.shared
    prefix = model.prefix(prompts.clean[:1, :length]) if length else None
    prompts = prompts.after(length)
    nodes = nodes_by_layer(ranking, basis, prompts.n_slots, model.device)
    values = reference(model, prompts, basis, nodes, ablation, prefix, seed)
    before = [Site(layer, "resid_pre") for layer in range(model.n_layers)]
    plain, hidden = record(model, prompts.clean, prompts.last, before, prefix)
    full = outcome(model, hidden, prompts)

    def splice(some: Sequence[int], complement: bool) -> Splice:
        at = torch.tensor(some, device=model.device)
        return Splice(model, basis, nodes, prompts.slot, values, at, complement, error)

    nothing = Splice(model, basis, {}, prompts.slot, values, torch.tensor([0], device=model.device), False, "remove")
    ablated, hidden = record_spliced(model, prompts, before, nothing, prefix)
    empty = outcome(model, hidden, prompts)

    reader = _first_readers(basis)
    nodes_in_order = zip(ranking.layer.tolist(), ranking.is_error.tolist(), strict=True)
    begins = torch.tensor([reader[layer] if is_error else layer for layer, is_error in nodes_in_order])
    first = {k: int(begins[:k].min()) for k in sizes}
    per_point = prompts.clean.numel()
    at_once = max(1, TOKENS_AT_ONCE // per_point)
    outcomes: dict[bool, list[Outcome]] = defaultdict(list)
    done = 0
    for begin in range(0, len(sizes), at_once):
        some = sizes[begin : begin + at_once]
        for complement in (False, True):
            start = first[some[-1]] if error == "score" or not basis.has_error else 0
            resid = (plain if complement else ablated)[Site(start, "resid_pre")]
            hidden = _run(model, prompts, splice(some, complement), Start(start, resid), prefix)
            outcomes[complement].append(outcome(model, hidden, prompts, points=len(some)))
            done += len(some)
            progress(f"curve {basis.name}", done, 2 * len(sizes))
    at = torch.tensor(sizes) - 1
    return Curve(
        size=np.array(sizes),
        distinct_units=ranking.distinct_units[at].numpy(),
        error_nodes=ranking.is_error.long().cumsum(0)[at].numpy(),
        total_nodes=ranking.total,
        full=full,
        empty=empty,
        circuit=_joined(outcomes[False]),
        complement=_joined(outcomes[True]),
    )


def _first_readers(basis: Basis) -> dict[int, int]:
    """For each layer the first one whose units write to its site: a kept error there needs them all."""
    return {
        layer: min(i for i in basis.layers() if basis.writes(layer)[0] in basis.writes(i)) for layer in basis.layers()
    }


def record_spliced(
    model: Model, prompts: PromptSet, sites: Sequence[Site], splice: Splice, prefix: Prefix | None
) -> tuple[dict[Site, Tensor], Tensor]:
    """Run one spliced pass and record activations at `sites`."""
    stored: dict[Site, Tensor] = {}

    def keep(site: Site) -> tuple[Site, Edit]:
        return site, lambda x: stored.update({site: x})

    edits = [*(keep(site) for site in sites), *splice.edits(0)]
    with torch.no_grad():
        hidden = model.forward(prompts.clean, prompts.last, edits=edits, mlps=splice.mlps(0), prefix=prefix)
    return stored, hidden


def _run(model: Model, prompts: PromptSet, splice: Splice, start: Start, prefix: Prefix | None) -> Tensor:
    """One pass over [points x prompts] rows; returns the last hidden states."""
    points = len(splice.sizes)
    with torch.no_grad():
        return model.forward(
            prompts.clean.repeat(points, 1),
            prompts.last.repeat(points),
            edits=splice.edits(start.layer),
            mlps=splice.mlps(start.layer),
            start=Start(start.layer, start.resid.repeat(points, 1, 1)),
            prefix=prefix,
        )


def outcome(model: Model, hidden: Tensor, prompts: PromptSet, points: int | None = None) -> Outcome:
    """Logits of answer and foil and the log of the softmax denominator for each pair, [N] or [points, N]."""
    with torch.no_grad():
        rows = hidden.unflatten(0, (points or 1, -1))
        found: list[list[Tensor]] = []
        for point in rows:
            logits = model.logits(point)
            denominator = logits.logsumexp(-1)[prompts.pair_prompt]
            logits = logits[prompts.pair_prompt]
            answer = logits.gather(1, prompts.answer[:, None])[:, 0]
            foil = logits.gather(1, prompts.foil[:, None])[:, 0]
            found.append([answer, foil, denominator])
        arrays = [torch.stack(part).double().cpu().numpy() for part in zip(*found, strict=True)]
    return Outcome(*(array if points else array[0] for array in arrays))


def _joined(parts: Sequence[Outcome]) -> Outcome:
    return Outcome(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("answer", "foil", "logsumexp"))
    )
