"""Sparsity-faithfulness curves: the model with only a circuit kept, and with only the circuit ablated.

1. Leading tokens that all prompts share are run once; nothing can differ there (but under zero ablation).
2. Record the plain model on the clean prompts and compute the ablation values.
3. Run the model with everything ablated: F(empty). Keep the residual stream before each layer of this run and of
   the plain one: a circuit whose first node is in layer L leaves the layers before L as they were, so each pass
   starts at L.
4. For each batch of sizes, splice the kept units into a pass (`basisbench.circuits.splice`), and their complement.

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
from basisbench.circuits.ranking import Ranking, check_sizes, nodes_by_layer
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
    values = reference(model, prompts, basis, nodes, ablation, prefix, seed, error)
    before = [Site(layer, "resid_pre") for layer in range(model.n_layers)]
    plain, hidden = record(model, prompts.clean, prompts.last, before, prefix)
    full = outcome(model, hidden, prompts)
    said = log_probabilities(model, hidden)

    def splice(some: Sequence[int], complement: bool) -> Splice:
        at = torch.tensor(some, device=model.device)
        return Splice(model, basis, nodes, prompts.slot, values, at, complement, error)

    nothing = Splice(model, basis, {}, prompts.slot, values, torch.tensor([0], device=model.device), False, "remove")
    ablated, hidden = record(
        model, prompts.clean, prompts.last, before, prefix, edits=nothing.edits(0), mlps=nothing.mlps(0)
    )
    empty = outcome(model, hidden, prompts, plain=said)

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
            outcomes[complement].append(outcome(model, hidden, prompts, len(some), said))
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


def _joined(parts: Sequence[Outcome]) -> Outcome:
    return Outcome(*map(np.concatenate, zip(*(vars(part).values() for part in parts), strict=True)))
