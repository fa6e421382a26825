"""Asking a method, and checking what it answers before anything is made of it.

A method may be anyone's code: what it raises, and what it gives that is no answer, is one line that names it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from basisbench.attribution.methods import Method, Request
from basisbench.bases.basis import Basis
from basisbench.circuits.circuit import Circuits
from basisbench.circuits.scores import Scores
from basisbench.errors import UserError
from basisbench.user_code import RAISED, reason_in


def ask(method: Method, request: Request) -> dict[str, Scores | Circuits]:
    """Return what `method` gives for each basis of a request, by the basis' name.

    Raises UserError, a line that names the method, for whatever it raises (but running out of memory) and for an
    answer that is none: a basis left out, shapes that are not the basis', NaN, circuits with nodes there are not.
    """
    try:
        if method.needs_ablation and request.ablation is None:
            raise UserError("needs the ablation that circuits are measured with: valid in a run only")
        found: object = method.score(request)
        return _checked(found, method, request)
    except torch.OutOfMemoryError:
        raise
    except UserError as error:
        raise UserError(f"method '{method.name}': {error}") from error
    except RAISED as error:
        raise UserError(f"method '{method.name}' failed: {reason_in(_file_of(method), error)}") from error


def ask_scores(method: Method, request: Request) -> dict[str, Scores]:
    """As `ask`, of a method that scores every node; raises UserError for one that gives circuits."""
    found = {}
    for name, given in ask(method, request).items():
        if not isinstance(given, Scores):
            raise UserError(f"method '{method.name}' gives circuits and no scores: valid is one that scores every node")
        found[name] = given
    return found


def _file_of(method: Method) -> Path | None:
    file = getattr(sys.modules.get(type(method).__module__), "__file__", None)
    return Path(file) if file else None


def _checked(found: object, method: Method, request: Request) -> dict[str, Scores | Circuits]:
    if not isinstance(found, Mapping):
        raise UserError(f"gave a {type(found).__name__}: valid is a mapping from each basis' name to Scores")
    result: dict[str, Scores | Circuits] = {}
    for basis in request.bases:
        if basis.name not in found:
            raise UserError(f"gave nothing for basis '{basis.name}'")
        given = found[basis.name]
        if isinstance(given, Scores):
            _check_scores(given, basis, request)
        elif isinstance(given, Circuits) and method.needs_ablation:
            _check_circuits(given, basis, request)
        elif isinstance(given, Circuits):
            raise UserError("gives circuits, which are of one ablation: valid with needs_ablation = True")
        else:
            raise UserError(f"gave a {type(given).__name__} for basis '{basis.name}': valid are Scores or Circuits")
        result[basis.name] = given
    return result


def _check_scores(scores: Scores, basis: Basis, request: Request) -> None:
    if sorted(scores.by_layer) != list(basis.layers()):
        raise UserError(
            f"scored layers {sorted(scores.by_layer)} of basis '{basis.name}': valid are {list(basis.layers())}"
        )
    for layer, values in scores.by_layer.items():
        shape = (request.prompts.n_slots, basis.n_units(layer) + basis.has_error)
        if tuple(values.shape) != shape:
            nodes = "units and the error" if basis.has_error else "units"
            raise UserError(
                f"gave scores {list(values.shape)} in layer {layer} of basis '{basis.name}': "
                f"valid are {list(shape)}, slots x {nodes}"
            )


def _check_circuits(circuits: Circuits, basis: Basis, request: Request) -> None:
    total = request.n_nodes(basis)
    if circuits.total != total:
        raise UserError(f"counts {circuits.total:,} nodes of basis '{basis.name}': there are {total:,}")
    if missing := [size for size in request.sizes if size < total and size not in circuits.by_size]:
        raise UserError(f"gave no circuit of size {missing[0]:,} of basis '{basis.name}'")
    widths = torch.full((request.model.n_layers,), -1)  # of a layer without nodes: no unit is below
    widths[list(basis.layers())] = torch.tensor([basis.n_units(layer) for layer in basis.layers()])
    least = -1 if basis.has_error and request.error == "score" else 0
    slots = (0, request.prompts.n_slots) if request.positions == "kept" else (-1, 0)
    for size, circuit in circuits.by_size.items():
        layer, slot, unit = circuit.nodes.T
        there = (layer >= 0) & (layer < len(widths)) & (slot >= slots[0]) & (slot < slots[1])
        there &= (unit >= least) & (unit < widths[layer.clamp(0, len(widths) - 1)])
        if not there.all():
            node = circuit.nodes[~there][0].tolist()
            raise UserError(
                f"has (layer, slot, unit) {node} in the circuit of size {size:,}, which is no node of basis "
                f"'{basis.name}' here (error {request.error}, positions {request.positions})"
            )
