"""The nouns of a traced graph: its nodes, and which units are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from basisbench.bases.basis import Basis
from basisbench.circuits.ranking import Ranking
from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.models.sites import Site

NodeKind = Literal["embedding", "unit", "error", "other", "bias", "logit"]
MLP_SITES = ("mlp_post", "mlp_proj", "mlp_out")
READ_SITES = ("resid_mid", "mlp_in", *MLP_SITES)


@dataclass(frozen=True, order=True)
class Node:
    """One node of a graph; -1 where a field says nothing.

    - ``embedding``: the token at `position`, as it enters the first layer (learnt positions included);
    - ``unit``: `unit` of the basis, in `layer` at `position`;
    - ``error``: what the basis' units leave of the MLP output of `layer` at `position`, but for constants;
    - ``other``: the units of `layer` at `position` that are not nodes, together; the whole MLP's output where the
      basis has no units;
    - ``bias``: all constants on the way to a target, in the model and in the basis;
    - ``logit``: what is explained; `unit` numbers them.

    `position` is a token's place in the prompt, or a slot of a task.
    """

    kind: NodeKind
    layer: int = -1
    position: int = -1
    unit: int = -1

    @property
    def is_target(self) -> bool:
        """Whether edges end here."""
        return self.kind in ("unit", "logit")


@dataclass(frozen=True)
class Units:
    """Units of a basis at tokens: `layer`, `position` and `unit`, int64 [n] each."""

    layer: Tensor
    position: Tensor
    unit: Tensor

    def in_layer(self, layer: int) -> Tensor:
        """Indices of the units in `layer`, ascending."""
        return (self.layer == layer).nonzero()[:, 0]


def as_units(nodes: Iterable[Node], device: torch.device) -> Units:
    """The nodes of kind ``unit`` as columns, in their order."""
    rows = [(node.layer, node.position, node.unit) for node in nodes if node.kind == "unit"]
    return Units(*torch.tensor(rows, dtype=torch.long, device=device).reshape(len(rows), 3).unbind(-1))


def ranked_nodes(ranking: Ranking, count: int) -> list[Node]:
    """The first `count` units and errors of a ranking that keeps positions, as nodes (positions are slots).

    Raises UserError for a ranking pooled over positions.
    """
    if ranking.pooled:
        raise UserError("edges run between positions: valid are rankings with positions kept, not pooled")
    columns = (ranking.layer, ranking.slot, ranking.unit, ranking.is_error)
    rows = zip(*(column[:count].tolist() for column in columns), strict=True)
    return [
        Node("error", layer, slot) if error else Node("unit", layer, slot, unit) for layer, slot, unit, error in rows
    ]


def check_nodes(nodes: Sequence[Node], basis: Basis, model: Model, n_positions: int) -> None:
    """Raise UserError for nodes that are not distinct units or errors, or a basis that does not split MLP outputs."""
    for layer in basis.layers():
        sites: list[tuple[Site, tuple[str, ...]]] = [(basis.read(layer), READ_SITES)]
        sites += [(site, MLP_SITES) for site in basis.writes(layer)]
        for site, valid in sites:
            if site.kind not in valid:
                raise UserError(
                    f"edges of basis '{basis.name}' cannot be traced: it uses {site}; valid are bases that split the "
                    f"MLP's output and use {', '.join(valid)}"
                )
    if len(set(nodes)) < len(nodes):
        raise UserError("nodes are named twice: valid are distinct ones")
    units = {layer: basis.n_units(layer) for layer in basis.layers()}
    for node in nodes:
        if node.kind not in ("unit", "error"):
            raise UserError(f"{node.kind} is no node to choose: valid: unit, error")
        if node.layer not in units or not 0 <= node.position < n_positions:
            raise UserError(
                f"no {node.kind} in layer {node.layer} at position {node.position}: valid are layers of basis "
                f"'{basis.name}' and positions 0 to {n_positions - 1}"
            )
        if node.kind == "unit" and not 0 <= node.unit < units[node.layer]:
            raise UserError(f"no unit {node.unit} in layer {node.layer}: valid: 0 to {units[node.layer] - 1}")
