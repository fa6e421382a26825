"""From scores to circuits: a ranking of nodes, whose first k are the circuit of size k."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from basisbench.attribution.methods import Scores
from basisbench.bases.basis import Basis
from basisbench.errors import UserError
from basisbench.values import LARGEST, ErrorTreatment, Positions, Rank

NEVER = 2**62
"""The place in the ranking of a node that is in no circuit."""


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

    @cached_property
    def distinct_units(self) -> Tensor:
        """How many distinct (layer, unit) stand among the first i + 1 nodes, errors not counted, [R]."""
        seen: set[tuple[int, int]] = set()
        counts = []
        nodes = zip(self.layer.tolist(), self.unit.tolist(), self.is_error.tolist(), strict=True)
        for layer, unit, error in nodes:
            if not error:
                seen.add((layer, unit))
            counts.append(len(seen))
        return torch.tensor(counts)


@dataclass(frozen=True)
class LayerNodes:
    """A layer's ranked nodes: `units` [K], the `place` of each in the ranking by slot [n_slots, K], and the
    place of the layer's error [n_slots]; NEVER where a node is not ranked.
    """

    units: Tensor
    place: Tensor
    error_place: Tensor


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


def check_sizes(sizes: Sequence[int], ranking: Ranking) -> list[int]:
    """The realised sizes: those below the number of nodes there are. Raises UserError if there is none."""
    realised = sorted({size for size in sizes if 0 < size <= len(ranking.layer) and size < ranking.total})
    if not realised:
        raise UserError(f"no circuit size in {list(sizes)} is valid: from 1 to {ranking.total - 1:,} nodes")
    return realised


def nodes_by_layer(ranking: Ranking, basis: Basis, n_slots: int, device: torch.device) -> Mapping[int, LayerNodes]:
    """Arrange a ranking by layer for splicing; layers without a ranked node are left out."""
    result = {}
    for layer in sorted(set(ranking.layer.tolist())):
        places = (ranking.layer == layer).nonzero()[:, 0]
        slots, units, errors = ranking.slot[places], ranking.unit[places], ranking.is_error[places]
        kept = units[~errors].unique()
        place = torch.full((n_slots, len(kept)), NEVER)
        error_place = torch.full((n_slots,), NEVER)
        column = torch.searchsorted(kept, units[~errors])
        if ranking.pooled:
            place[:, column] = places[~errors]
            error_place[:] = places[errors].min() if errors.any() else NEVER
        else:
            place[slots[~errors], column] = places[~errors]
            error_place[slots[errors]] = places[errors]
        result[layer] = LayerNodes(kept.to(device), place.to(device), error_place.to(device))
    return result
