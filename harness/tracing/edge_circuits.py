"""Circuits of edges: the model with only some edges between nodes kept.

What keeping an edge means (path patching, Wang et al. 2023, arXiv 2211.00593; Goldowsky-Dill et al. 2023, arXiv
2304.05969). Each target t, a unit or the logits, has a run of the model of its own. In t's run every MLP's output is
the ablated one, plus (live - ablated) for each source of a kept edge into t: t reads what its kept sources say now and
the ablated values of all others. A unit's live value is what it reads in its own run; an error has no inputs that are
traced, so its live value is that of the clean prompt. Embeddings are never ablated and no edge from them counts, as in
curves of nodes.

Attention and norms are live in every run. Frozen ones would be the map that scores edges, but then no edges kept would
not be the ablated model, nor all kept the plain one; live, both ends are those of node curves, and the edges among some
units and the logits, all kept, are the circuit of these units. An edge so includes what its source does to later
attention patterns, which its attribution leaves out.

1. Rank edges between units, errors and logits by |attribution|; a circuit is the first k.
2. Leave out edges from which no kept path leads to the logits: nothing would read them.
3. Targets with the same kept sources share a run. All runs go through the model side by side, as rows of one pass: at
   each layer units are read in their own rows, then written to the rows of those that read them.

Ablation values, F(full) and F(empty) are those of `basisbench.circuits.curves`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from basisbench.bases.basis import Basis, sites_of
from basisbench.circuits.ablation import Ablation, Reference, reference, units_written
from basisbench.circuits.circuit import Circuit
from basisbench.circuits.gates import layer_nodes
from basisbench.circuits.splice import Splice
from basisbench.errors import UserError
from basisbench.measures.curve import SMALLEST_EFFECT
from basisbench.measures.metrics import LOGIT_DIFFERENCE, Floats, Metric, Outcome
from basisbench.measures.resampling import Band, resampled
from basisbench.models.adapter import Model, Start
from basisbench.models.recording import record
from basisbench.models.sites import Site
from basisbench.progress import Progress, silent
from basisbench.prompts.prompt_set import PromptSet
from basisbench.prompts.scoring import log_probabilities, outcome
from basisbench.tracing.graph import Edges, Graph
from basisbench.tracing.influence import Integers
from basisbench.tracing.nodes import Node
from basisbench.tracing.patch import Patch, find_runs

TOKENS_AT_ONCE = 4096


@dataclass(frozen=True)
class EdgeCurve:
    """Outcomes of edge circuits on N pairs: `size` edges kept, int64 [P], of which `used` lead to the logits.

    `total` edges were ranked. `full` and `empty` [N] are the plain and the ablated model, `circuit` is [P, N].
    """

    size: Integers
    used: Integers
    total: int
    full: Outcome
    empty: Outcome
    circuit: Outcome


def rank_edges(graph: Graph, among: Collection[Node] | None = None) -> Edges:
    """The edges that can be ablated, from units and errors to units and logits, by |attribution|, largest first.

    With `among` only from and to these units and errors, and to logits: a traced graph holds every error.
    """

    def usable(node: Node) -> bool:
        return node.kind in ("unit", "error") and (among is None or node in among)

    source = np.array([usable(node) for node in graph.nodes])
    target = np.array([node.kind == "logit" or usable(node) for node in graph.nodes])
    edges = graph.edges[source[graph.edges.source] & target[graph.edges.target]]
    return edges[np.argsort(-np.abs(edges.attribution), kind="stable")]


def faithfulness(curve: EdgeCurve, metric: Metric = LOGIT_DIFFERENCE, seed: int = 0, n_resamples: int = 2000) -> Band:
    """(F(circuit) - F(empty)) / (F(full) - F(empty)) at each size, [P], with 95 % bootstrap intervals over pairs.

    NaN where the denominator is too small to divide by (`measures.statistics.SMALLEST_EFFECT` of the largest logit).
    """
    logits = (curve.full.answer, curve.full.foil, curve.empty.answer, curve.empty.foil)
    smallest = SMALLEST_EFFECT * max(float(np.abs(part).max()) for part in logits)

    def compute(weights: Floats) -> Mapping[str, Floats]:
        full, empty, circuit = (metric.compute(part) @ weights.T for part in (curve.full, curve.empty, curve.circuit))
        effect = np.where(np.abs(full - empty) > smallest, full - empty, np.nan)
        return {"": (circuit - empty) / effect}

    return resampled(compute, len(curve.full.answer), seed, n_resamples)[""]


def evaluate_edges(
    model: Model,
    prompts: PromptSet,
    basis: Basis,
    nodes: Sequence[Node],
    ranked: Edges,
    sizes: Sequence[int],
    *,
    ablation: Ablation = "mean",
    seed: int = 0,
    progress: Progress = silent,
) -> EdgeCurve:
    """Return the curve of `ranked` edges, indices into `nodes` (whose positions are slots of `prompts`).

    A size costs one pass over (runs x prompts) rows; as many prompts as TOKENS_AT_ONCE tokens hold go together, at
    least one. Raises UserError where no size is from 1 to the number of edges.
    """
    realised = sorted({size for size in sizes if 0 < size <= len(ranked)})
    if not realised:
        raise UserError(f"no circuit size in {list(sizes)} is valid: from 1 to {len(ranked):,} edges")
    length = 0 if ablation == "zero" else prompts.shared
    prefix = model.prefix(prompts.clean[:1, :length]) if length else None
    prompts = prompts.after(length)
    held = layer_nodes([_as_circuit(nodes, basis)], model.device)
    values = reference(model, prompts, basis, held, ablation, prefix, seed)
    before = [Site(layer, "resid_pre") for layer in range(model.n_layers)]
    stored, hidden = record(model, prompts.clean, prompts.last, sites_of([basis]), prefix)
    full, said = outcome(model, hidden, prompts), log_probabilities(model, hidden)
    errors = _error_moves(basis, stored, values)
    nothing = Splice(model, basis, {}, prompts.slot, values, error="remove")
    ablated, hidden = record(
        model, prompts.clean, prompts.last, before, prefix, edits=nothing.edits(0), mlps=nothing.mlps(0)
    )
    empty = outcome(model, hidden, prompts, plain=said)
    at = _tokens(prompts, nodes)
    used, outcomes = [], []
    for done, size in enumerate(realised, start=1):
        runs = find_runs(nodes, ranked, size)
        used.append(runs.n_edges)
        first = min((nodes[i].layer for sources in runs.sources for i in sources), default=0)
        at_once = max(1, TOKENS_AT_ONCE // (len(runs.sources) * prompts.clean.shape[1]))
        found = []
        for begin in range(0, prompts.n_prompts, at_once):
            some = slice(begin, begin + at_once)
            patch = Patch(model, basis, nodes, held, values, errors, runs, at[:, some], some)
            repeats = len(runs.sources)
            resid = ablated[Site(first, "resid_pre")][some]
            with torch.no_grad():
                hidden = model.forward(
                    prompts.clean[some].repeat(repeats, 1),
                    prompts.last[some].repeat(repeats),
                    edits=patch.edits(first),
                    mlps=patch.mlps(first),
                    start=Start(first, resid.repeat(repeats, 1, 1)),
                    prefix=prefix,
                )
            found.append(hidden[: len(resid)])
        outcomes.append(outcome(model, torch.cat(found), prompts, plain=said))
        progress(f"edges {basis.name}", done, len(realised))
    circuit = Outcome(*map(np.stack, zip(*(vars(part).values() for part in outcomes), strict=True)))
    return EdgeCurve(np.array(realised), np.array(used), len(ranked), full, empty, circuit)


def _as_circuit(nodes: Sequence[Node], basis: Basis) -> Circuit:
    """The units and errors among nodes, for what `reference` takes."""
    chosen = [node for node in nodes if node.kind == "unit" or (node.kind == "error" and node.layer in basis.layers())]
    rows = [(node.layer, node.position, node.unit if node.kind == "unit" else -1) for node in chosen]
    return Circuit(*torch.tensor(rows, dtype=torch.long).reshape(len(rows), 3).unbind(-1))


def _error_moves(basis: Basis, stored: Mapping[Site, Tensor], values: Reference) -> dict[int, tuple[Site, Tensor]]:
    """By layer where its error is written, and clean minus ablated error there [U, S, width]."""
    with torch.no_grad():
        lifted = units_written(basis, stored, list(values.lifted))
    return {
        site.layer: (site, (stored[site] - lifted[site]) - (values.written[site] - ablated))
        for site, ablated in values.lifted.items()
    }


def _tokens(prompts: PromptSet, nodes: Sequence[Node]) -> Tensor:
    """The token at which each node stands in each prompt, int64 [N, U]; -1 where the prompt has none in its slot."""
    slots = torch.tensor([node.position for node in nodes], device=prompts.slot.device)
    found = (prompts.slot[None] == slots[:, None, None]) & (slots >= 0)[:, None, None]
    return torch.where(found.any(-1), found.int().argmax(-1), -1)
