"""Splicing circuits into a pass, kept columns only.

With f the units' current activations, f' and x' the ablation values, e the error, and each node's gate g (1 for a node
that is kept, 0 for one that is not, or between):

    circuit:     x <- x' + sum g_i (f_i - f'_i) direction_i + g_e (e - e')
    complement:  x <- x  - sum g_i (f_i - f'_i) direction_i - g_e (e - e')

so that in the complement each node has the gate 1 - g. Kept units cost the same in a dictionary of any width, only a
kept error needs all units, where it stands; and with nothing kept the activation is the ablated one whatever the basis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from basisbench.bases.basis import Basis
from basisbench.circuits.ablation import Reference, layer_written
from basisbench.circuits.gates import LayerGates
from basisbench.models.adapter import Edit, Model
from basisbench.models.sites import Site
from basisbench.values import ErrorTreatment


@dataclass
class Splice:
    """What splices `points` circuits (or complements) side by side into a pass; rows are [points x prompts].

    `gates` by layer are those of the circuits; a layer that is not there is ablated. `slot` [U, S] are the prompts'.
    Gradients pass through float gates, of units and errors alike.
    """

    model: Model
    basis: Basis
    gates: Mapping[int, LayerGates]
    slot: Tensor
    reference: Reference
    points: int = 1
    complement: bool = False
    error: ErrorTreatment = "score"
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
            units = self._units(layer)
            if units is None:
                found[layer] = self._ablated_mlp(layer, site)
            elif site.kind == "mlp_post" and self.basis.coordinates(layer, units.units) is not None:
                found[layer] = self._sparse_mlp(layer, site, units)
        return found

    def _units(self, layer: int) -> LayerGates | None:
        """The layer's gates, None where no unit has one."""
        gates = self.gates.get(layer)
        return gates if gates is not None and len(gates.units) else None

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

    def _sparse_mlp(self, layer: int, site: Site, gates: LayerGates) -> Callable[[Tensor], Tensor]:
        # weights are gathered here, when the pass is made: `edits` asks for stand-ins only to know their layers
        def run(x: Tensor) -> Tensor:
            moved = self._moved(layer, gates, self.model.neurons(layer, x, gates.units))
            directions = self.model.projection("mlp_post", layer)[gates.units]
            return self._tiled(self._ablated_output(layer, site)) + moved @ directions

        return run

    def _moved(self, layer: int, gates: LayerGates, f: Tensor) -> Tensor:
        """G (f - f') of the layer's units from their current activations, [points * U, S, k]."""
        moved = f - self._tiled(self.reference.units[layer][..., gates.column])
        return moved * self._at_tokens(gates.gate, moved.dtype)

    def _reader(self, layer: int) -> Edit:
        """Note what the layer's kept units, and where an error is kept all its units, are to write."""

        def edit(x: Tensor) -> None:
            gates = self._units(layer)
            if gates is not None:
                moved = self._moved(layer, gates, self.basis.encode(layer, x, gates.units))
                for site in self.basis.writes(layer):
                    self._add(self.kept, site, self.basis.lift(layer, site, moved, gates.units))
            # a cross-layer unit writes to later layers too, and their errors need it
            found = {site: self._error_gate(site.layer, x.dtype) for site in self.basis.writes(layer)}
            wanted = {site: gate for site, gate in found.items() if gate is not None}
            if wanted:
                # gradients reach a float gate at 0 too
                anywhere = [gate if gate.dtype == torch.bool else torch.ones_like(gate) > 0 for gate in wanted.values()]
                where = torch.stack([gate.expand(*x.shape[:2], 1)[..., 0] for gate in anywhere]).any(0)
                for site, written in layer_written(self.basis, layer, x[where], list(wanted)).items():
                    everywhere = written.new_zeros(*x.shape[:2], written.shape[-1])
                    everywhere[where] = written
                    self._add(self.lifted, site, everywhere)

        return edit

    def _writer(self, site: Site) -> Edit:
        def edit(x: Tensor) -> Tensor:
            ablated = self._tiled(self.reference.written[site])
            change = self.kept.pop(site, None)
            gate = self._error_gate(site.layer, x.dtype)
            if gate is not None:
                error = (x - self.lifted.pop(site)) - (ablated - self._tiled(self.reference.lifted[site]))
                part = error * gate
                change = part if change is None else change + part
            if self.complement:
                return x if change is None else x - change
            return ablated.expand_as(x) if change is None else ablated + change

        return edit

    def _at_tokens(self, gate: Tensor, dtype: torch.dtype) -> Tensor:
        """Gates by slot, [points, n_slots, k], at the tokens of the rows: [points * U, S, k]."""
        at_tokens = gate[:, self.slot.clamp(min=0)].flatten(0, 1)
        return at_tokens if gate.dtype == torch.bool else at_tokens.to(dtype)

    def _error_gate(self, layer: int, dtype: torch.dtype) -> Tensor | None:
        """How far the pass moves the layer's error with the circuit, [points * U, S, 1]; None for nowhere.

        `keep` never ablates errors and `remove` always does, in the circuit and in its complement.
        """
        if not self.basis.has_error:
            return None
        if self.error != "score":
            moved = (self.error == "keep") != self.complement
            return torch.ones(1, 1, 1, dtype=torch.bool, device=self.slot.device) if moved else None
        gates = self.gates.get(layer)
        return None if gates is None or gates.error is None else self._at_tokens(gates.error[..., None], dtype)

    def _tiled(self, values: Tensor) -> Tensor:
        return values.repeat(self.points, *[1] * (values.dim() - 1))

    @staticmethod
    def _add(store: dict[Site, Tensor], site: Site, value: Tensor) -> None:
        store[site] = store[site] + value if site in store else value
