"""From submitted scores to a ranking of a basis' nodes: made dense, and ordered as a built-in method's scores are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from basisbench.bases.basis import Basis
from basisbench.circuits.scores import Scores
from basisbench.errors import UserError, unknown_name
from basisbench.results.files import RankingArrays
from basisbench.submissions.scores_file import PREFIX, Floats, SubmittedScores


def is_pooled(scores: SubmittedScores) -> bool:
    """Whether each node is one at every position."""
    return isinstance(scores.nodes, RankingArrays) and bool((scores.nodes.position == -1).all())


def scores_of(scores: SubmittedScores, basis: Basis, slot_names: Sequence[str]) -> Scores:
    """Return the scores of all nodes that `basis` has at the slots called `slot_names`; 0 where none is given.

    What has no positions stands at slot 0: positions are pooled, which sums over slots. Raises UserError for nodes
    that the basis or the task does not have.
    """
    theirs = scores.about.slot_names
    slots = np.arange(len(slot_names)) if theirs is None else _slots(theirs, slot_names)
    given = scores.nodes if isinstance(scores.nodes, RankingArrays) else scores.nodes.keys()
    layers = set(given.layer.tolist() if isinstance(given, RankingArrays) else given)
    if strange := sorted(layers - set(basis.layers())):
        known = f"{min(basis.layers())} to {max(basis.layers())}"
        raise UserError(f"basis '{basis.name}' has no units in layer {strange[0]}: valid: layers {known}")
    by_layer = {}
    for layer in basis.layers():
        dense = np.zeros((len(slot_names), basis.n_units(layer) + basis.has_error), np.float32)
        if isinstance(scores.nodes, RankingArrays):
            _fill_from_list(dense, scores.nodes, layer, basis, slots)
        elif layer in scores.nodes:
            _fill(dense, scores.nodes[layer], layer, basis, slots)
        by_layer[layer] = torch.from_numpy(dense)
    return Scores(basis.name, by_layer)


def _slots(theirs: Sequence[str], ours: Sequence[str]) -> NDArray[np.int64]:
    """The number of each of their slots among ours."""
    if len(set(theirs)) < len(theirs):
        raise UserError("metadata slot_names has a name twice: valid is each once")
    for name in theirs:
        if name not in ours:
            raise unknown_name("slot", name, ours)
    return np.array([ours.index(name) for name in theirs], dtype=np.int64)


def _fill(dense: Floats, values: Floats, layer: int, basis: Basis, slots: NDArray[np.int64]) -> None:
    units, width = basis.n_units(layer), dense.shape[1]
    if values.shape not in {(len(slots), width), (len(slots), units)}:
        raise UserError(
            f"{PREFIX}{layer} has the shape {list(values.shape)}: valid is [{len(slots)}, {width}], "
            f"{len(slots)} slots and {width:,} nodes of basis '{basis.name}'"
        )
    dense[slots, : values.shape[1]] = values


def _fill_from_list(dense: Floats, nodes: RankingArrays, layer: int, basis: Basis, slots: NDArray[np.int64]) -> None:
    here = nodes.layer == layer
    position, unit = nodes.position[here], nodes.unit[here]
    units = basis.n_units(layer)
    if not here.any():
        return
    if (last := int(unit.max())) >= units:
        raise UserError(f"unit {last:,} of layer {layer} is listed: valid: 0 to {units - 1:,}")
    if not basis.has_error and (unit == -1).any():
        raise UserError(f"an error node (unit -1) is listed: basis '{basis.name}' has none")
    if (last := int(position.max())) >= len(slots):
        raise UserError(f"position {last:,} is listed: valid: 0 to {len(slots) - 1}, the task's slots")
    # unit -1 is the last column, the error's; position -1 stands at slot 0
    dense[slots[np.maximum(position, 0)], unit] = nodes.score[here]
