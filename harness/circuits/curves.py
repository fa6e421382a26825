"""Sparsity-faithfulness curves: the model with only a circuit kept, and with only the circuit ablated.

1. Leading tokens that all prompts share are run once; nothing can differ there (but under zero ablation).
2. Record the plain model on the clean prompts and compute the ablation values.
3. Run the model with everything ablated: F(empty). Keep the residual stream before each layer of this run and of
   the plain one: a circuit whose first node is in layer L leaves the layers before L as they were, so each pass
   starts at L.
4. For each batch of sizes, splice the kept units into a pass (`basisbench.circuits.splice`), and their complement.

A circuit is the first nodes of a ranking, or one of its size's own: what is done with it is the same.

What a circuit's faithfulness and completeness are made of these outcomes is in `measures.statistics`; sources: Wang et
al. 2023 (arXiv 2211.00593, section 4), Marks et al. 2025 (arXiv 2403.19647, section 3.3).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from basisbench.bases.basis import Basis
from basisbench.circuits.ablation import Ablation, reference
from basisbench.circuits.circuit import Circuit, Circuits
from basisbench.circuits.gates import hard_gates, layer_nodes
from basisbench.circuits.ranking import Ranking, check_sizes
from basisbench.circuits.splice import Splice
from basisbench.measures.curve import Curve
from basisbench.measures.metrics import Outcome
from basisbench.models.adapter import Model, Prefix, Start
from basisbench.models.recording import record
from basisbench.models.sites import Site
from basisbench.progress import Progress, silent
from basisbench.prompts.prompt_set import PromptSet
from basisbench.prompts.scoring import log_probabilities, outcome
from basisbench.values import ErrorTreatment

TOKENS_AT_ONCE = 2048


def evaluate(
    model: Model,
    prompts: PromptSet,
    basis: Basis,
    chosen: Ranking | Circuits,
    sizes: Sequence[int],
    *,
    ablation: Ablation = "mean",
    error: ErrorTreatment = "score",
    seed: int = 0,
    progress: Progress = silent,
) -> Curve:
    """Return the curve of a ranking, or of circuits of their own sizes, at the given sizes (those there are nodes for).

    Memory law: ``4 U S (2 L d_model + written widths + K)`` bytes for U prompts of S tokens, K units ever kept, plus
    one pass over TOKENS_AT_ONCE tokens.
    """
    sizes = check_sizes(sizes, chosen)
    circuits = [chosen.circuit(size) for size in sizes]
    length = 0 if ablation == "zero" else prompts.shared
    prefix = model.prefix(prompts.clean[:1, :length]) if length else None
    prompts = prompts.after(length)
    nodes = layer_nodes(circuits, model.device)
    values = reference(model, prompts, basis, nodes, ablation, prefix, seed, error)
    before = [Site(layer, "resid_pre") for layer in range(model.n_layers)]
    plain, hidden = record(model, prompts.clean, prompts.last, before, prefix)
    full = outcome(model, hidden, prompts)
    said = log_probabilities(model, hidden)

    nothing = Splice(model, basis, {}, prompts.slot, values, error="remove")
    ablated, hidden = record(
        model, prompts.clean, prompts.last, before, prefix, edits=nothing.edits(0), mlps=nothing.mlps(0)
    )
    empty = outcome(model, hidden, prompts, plain=said)

    begins = [_first_layer(model, basis, circuit, error) for circuit in circuits]
    at_once = max(1, TOKENS_AT_ONCE // prompts.clean.numel())
    outcomes: dict[bool, list[Outcome]] = defaultdict(list)
    done = 0
    for begin in range(0, len(sizes), at_once):
        some = circuits[begin : begin + at_once]
        start = min(begins[begin : begin + at_once])
        gates = hard_gates(some, nodes, prompts.n_slots, model.device)
        for complement in (False, True):
            splice = Splice(model, basis, gates, prompts.slot, values, len(some), complement, error)
            resid = (plain if complement else ablated)[Site(start, "resid_pre")]
            hidden = _run(model, prompts, splice, Start(start, resid), prefix)
            outcomes[complement].append(outcome(model, hidden, prompts, len(some), said))
            done += len(some)
            progress(f"curve {basis.name}", done, 2 * len(sizes))
    return Curve(
        size=np.array(sizes),
        distinct_units=np.array([circuit.distinct_units for circuit in circuits]),
        error_nodes=np.array([circuit.error_nodes for circuit in circuits]),
        total_nodes=chosen.total,
        cluster=prompts.cluster,
        full=full,
        empty=empty,
        circuit=_joined(outcomes[False]),
        complement=_joined(outcomes[True]),
    )


def _first_layer(model: Model, basis: Basis, circuit: Circuit, error: ErrorTreatment) -> int:
    """The first layer that a pass with this circuit, or its complement, must run from."""
    if basis.has_error and error != "score":
        return 0
    # a kept error needs all units that write to its site, those of earlier layers too
    reader = {
        layer: min(i for i in basis.layers() if basis.writes(layer)[0] in basis.writes(i)) for layer in basis.layers()
    }
    errors: list[int] = circuit.layer[circuit.unit < 0].unique().tolist()
    units: list[int] = circuit.layer[circuit.unit >= 0].unique().tolist()
    return min([model.n_layers - 1, *(reader[layer] for layer in errors), *units])


def _run(model: Model, prompts: PromptSet, splice: Splice, start: Start, prefix: Prefix | None) -> Tensor:
    """One pass over [points x prompts] rows; returns the last hidden states."""
    points = splice.points
    with torch.no_grad():
        return model.forward(
            prompts.clean.repeat(points, 1),
            prompts.last.repeat(points),
            edits=splice.edits(start.layer),
            mlps=splice.mlps(start.layer),
            start=Start(start.layer, start.resid.repeat(points, 1, 1)),
            prefix=prefix,
        )


def _joined(parts: Sequence[Outcome]) -> Outcome:
    return Outcome(*map(np.concatenate, zip(*(vars(part).values() for part in parts), strict=True)))
