"""From scores to circuits: a ranking of nodes, whose first k are the circuit of size k."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from basisbench.bases.basis import Basis
from basisbench.circuits.circuit import Circuit, Circuits
from basisbench.circuits.scores import Scores
from basisbench.errors import UserError
from basisbench.values import LARGEST, ErrorTreatment, Positions, Rank


@dataclass(frozen=True)
class Ranking:
    """The best nodes in order. `layer`, `slot`, `unit` int64 [R], `score` float32 [R].

    Slot -1 means the unit at every position (pooled). Unit ``n_units(layer)`` means the error.
    """

    layer: Tensor
    slot: Tensor
    unit: Tensor
    score: Tensor
    is_error: Tensor
    total: int
    pooled: bool

    def holds(self, size: int) -> bool:
        """Whether so many nodes are ranked."""
        return size <= len(self.layer)

    def circuit(self, size: int) -> Circuit:
        """The circuit of a size: the first `size` nodes."""
        layer, slot, unit, is_error = (part[:size] for part in (self.layer, self.slot, self.unit, self.is_error))
        return Circuit(layer, slot, torch.where(is_error, -1, unit))


def rank_nodes(
    scores: Scores,
    basis: Basis,
    *,
    rank: Rank = "abs",
    positions: Positions = "kept",
    error: ErrorTreatment = "score",
    limit: int = LARGEST,
) -> Ranking:
    """Order nodes by |score| (`abs`) or by -score (`signed`), and keep the first `limit`.

    With pooled positions a unit's score is the sum over slots. Error nodes compete under `score` only.
    """
    parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    total = 0
    for layer, values in scores.by_layer.items():
        n_units = basis.n_units(layer)
        values = values if error == "score" else values[:, :n_units]
        if positions == "pooled":
            values = values.sum(0, keepdim=True)
        total += values.numel()
        width = values.shape[1]
        key = (values.abs() if rank == "abs" else -values).flatten()
        best = key.topk(min(limit, len(key))).indices.sort().values
        slot = best // width if positions == "kept" else torch.full_like(best, -1)
        parts.append((torch.full_like(best, layer), slot, best % width, values.flatten()[best]))
    layer_, slot_, unit_, score_ = (torch.cat(column) for column in zip(*parts, strict=True))
    key = score_.abs() if rank == "abs" else -score_
    order = key.sort(descending=True, stable=True).indices[:limit]
    layer_, slot_, unit_, score_ = (column[order].cpu() for column in (layer_, slot_, unit_, score_))
    is_error = torch.tensor(
        [unit == basis.n_units(layer) for layer, unit in zip(layer_.tolist(), unit_.tolist(), strict=True)]
    )
    return Ranking(layer_, slot_, unit_, score_, is_error, total, positions == "pooled")


def check_sizes(sizes: Sequence[int], circuits: Ranking | Circuits) -> list[int]:
    """The realised sizes: those below the number of nodes there are. Raises UserError if there is none."""
    realised = sorted({size for size in sizes if 0 < size < circuits.total and circuits.holds(size)})
    if not realised:
        raise UserError(f"no circuit size in {list(sizes)} is valid: from 1 to {circuits.total - 1:,} nodes")
    return realised


def count_nodes(basis: Basis, n_slots: int, positions: Positions, error: ErrorTreatment) -> int:
    """How many nodes there are to rank, the errors under `score` only."""
    per_slot = sum(basis.n_units(layer) + (basis.has_error and error == "score") for layer in basis.layers())
    return per_slot * (n_slots if positions == "kept" else 1)
