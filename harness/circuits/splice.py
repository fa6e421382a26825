"""Splicing a circuit into a pass, kept columns only.

With f the units' current activations, f' and x' the ablation values, and the sum over kept units:

    circuit:     x <- x' + sum (f_i - f'_i) direction_i
    complement:  x <- x  - sum (f_i - f'_i) direction_i

A kept error adds (subtracts) its own difference (e - e') at its position. So kept units cost the same in a
dictionary of any width, only a kept error needs all units, where it stands; and with nothing kept the activation is
the ablated one whatever the basis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from basisbench.bases.basis import Basis
from basisbench.circuits.ablation import Reference, layer_written
from basisbench.circuits.ranking import LayerNodes
from basisbench.models.adapter import Edit, Model
from basisbench.models.sites import Site
from basisbench.values import ErrorTreatment


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

        Only for a basis without error that writes the layer's own MLP. The stand-in's output is the ablated one plus
        what the kept neurons add; the MLP's other columns are never computed.
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
        units = held.units[kept]

        # weights are gathered here, when the pass is made: `edits` asks for stand-ins only to know their layers
        def run(x: Tensor) -> Tensor:
            moved = self.model.neurons(layer, x, units) - self._tiled(self.reference.units[layer][..., kept])
            moved = moved * self._is_kept(held.place[:, kept])
            directions = self.model.projection("mlp_post", layer)[units]
            return self._tiled(self._ablated_output(layer, site)) + moved @ directions

        return run

    def _reader(self, layer: int) -> Edit:
        """Note what the layer's kept units, and where an error is kept all its units, are to write."""

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
            # a cross-layer unit writes to later layers too, and their errors need it
            masks = {site: self._error_is_kept(site.layer) for site in self.basis.writes(layer)}
            wanted = {site: mask for site, mask in masks.items() if mask is not None}
            if wanted:
                where = torch.stack([mask.expand(*x.shape[:2], 1)[..., 0] for mask in wanted.values()]).any(0)
                for site, written in layer_written(self.basis, layer, x[where], list(wanted)).items():
                    everywhere = written.new_zeros(*x.shape[:2], written.shape[-1])
                    everywhere[where] = written
                    self._add(self.lifted, site, everywhere)

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
            return torch.ones(1, 1, 1, dtype=torch.bool, device=self.slot.device) if moved else None
        held = self.nodes.get(layer)
        if held is None or not (held.error_place < int(self.sizes.max())).any():
            return None
        return self._is_kept(held.error_place[:, None])

    def _tiled(self, values: Tensor) -> Tensor:
        return values.repeat(len(self.sizes), *[1] * (values.dim() - 1))

    @staticmethod
    def _add(store: dict[Site, Tensor], site: Site, value: Tensor) -> None:
        store[site] = store[site] + value if site in store else value
