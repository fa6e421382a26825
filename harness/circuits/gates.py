"""How much of each node some circuits keep: all, nothing, or a share.

Several circuits (or gates that a method learns) are spliced into a pass side by side; a node's gate in each of them is
1 for kept, 0 for ablated, and in between for a share of what it adds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from basisbench.circuits.circuit import Circuit


@dataclass(frozen=True)
class LayerNodes:
    """The nodes of a layer that any of some circuits has: `units` int64 [K], ascending; `error`, at any position."""

    units: Tensor
    error: bool


@dataclass(frozen=True)
class LayerGates:
    """The gates of a layer's nodes in P circuits: 1 keeps, 0 ablates; between, that share is kept.

    `units` int64 [k]; `column` int64 [k], the place of each in the layer's `LayerNodes`; `gate` [P, n_slots, k];
    `error` [P, n_slots], or None where no circuit has the error. Gates are bool, or float: then gradients reach them,
    at 0 too.
    """

    units: Tensor
    column: Tensor
    gate: Tensor
    error: Tensor | None


def layer_nodes(circuits: Sequence[Circuit], device: torch.device) -> dict[int, LayerNodes]:
    """The nodes of all circuits together, by layer; layers without one are left out."""
    layer, unit = torch.cat([circuit.layer for circuit in circuits]), torch.cat([circuit.unit for circuit in circuits])
    result = {}
    for number in layer.unique().tolist():
        here = unit[layer == number]
        result[number] = LayerNodes(here[here >= 0].unique().to(device), bool((here < 0).any()))
    return result


def hard_gates(
    circuits: Sequence[Circuit], nodes: Mapping[int, LayerNodes], n_slots: int, device: torch.device
) -> dict[int, LayerGates]:
    """The gates, 0 or 1, of some circuits whose nodes are among `nodes`; units that none of them keeps are left out."""
    result = {}
    for layer, held in nodes.items():
        units = held.units.cpu()
        table = torch.zeros(len(circuits), n_slots, len(units) + 1, dtype=torch.bool)  # the error's column is the last
        for row, circuit in zip(table, circuits, strict=True):
            here = circuit.layer == layer
            slot, unit = circuit.slot[here], circuit.unit[here]
            column = torch.where(unit < 0, len(units), torch.searchsorted(units, unit))
            row[slot, column] = True
            row[:, column[slot < 0]] = True
        kept = table[..., :-1].any(0).any(0).nonzero()[:, 0]
        error = table[..., -1]
        if len(kept) or error.any():
            at = kept.to(device)
            gate = table[..., kept].to(device)
            result[layer] = LayerGates(held.units[at], at, gate, error.to(device) if error.any() else None)
    return result
