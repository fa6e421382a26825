"""A traced graph: nodes, edges, what each has to do with the logits, and pruning.

1. Trace what flows into every unit and logit (`basisbench.tracing.edges`).
2. One backward pass under RelP's rules, through every MLP, gives each node's gradient dm/dh_t. A node's share of the
   metric m is h_t * dm/dh_t, and an edge's attribution is w * dm/dh_t: what enters a node adds up to its share.
3. Influence on the logits, direct and indirect (`basisbench.tracing.influence`).
4. For a task: the mean over its prompts, with slots for positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from basisbench.attribution.relp import relp_hooks
from basisbench.bases.basis import Basis
from basisbench.measures.metrics import Floats
from basisbench.models.adapter import Model, Start
from basisbench.models.recording import keeping
from basisbench.models.sites import Site
from basisbench.progress import Progress, silent
from basisbench.prompts.prompt_set import PromptSet
from basisbench.prompts.scoring import objective
from basisbench.tracing.edges import Flows, Outputs, collect, trace_flows
from basisbench.tracing.influence import directly, influence, logit_weights, normalised
from basisbench.tracing.nodes import Node, as_units, check_nodes
from basisbench.tracing.sources import Sources

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Edges:
    """Direct effects: indices into a graph's nodes, int64 [E], and float64 [E].

    `weight`: what flows along the edge, in units of the target's activation. `attribution`: the same as a part of the
    target's share of the metric. `share`: |weight| as a part of all that enters the target (see `normalised`).
    """

    source: Integers
    target: Integers
    weight: Floats
    attribution: Floats
    share: Floats

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> Edges:
        return Edges(*(column[chosen] for column in vars(self).values()))


@dataclass(frozen=True)
class Graph:
    """Nodes (sources before targets) and edges; of each node, float64 [N] each, what follows.

    - `activation`: a unit's activation, the length of an error or embedding, a logit's value; of others and the bias 0;
    - `attribution`: its share of the metric, h_t * dm/dh_t under RelP's rules; of the bias what it adds directly;
    - `influence`: on the logits, direct and indirect, over the graph's edges; `direct`: over edges into logits alone.

    `metric` is m; `kept` the share of the traced graph's influence that pruning left; `gap` the largest
    |value - inflow| of a target, as a share of the largest value: rounding, if all is well.
    """

    nodes: tuple[Node, ...]
    edges: Edges
    activation: Floats
    attribution: Floats
    influence: Floats
    direct: Floats
    metric: float
    gap: float
    kept: float = 1.0


@dataclass(frozen=True)
class Question:
    """What is explained: values [k] of the last hidden state [1, d_model], and their weights in the metric."""

    outputs: Outputs
    weights: tuple[float, ...]


def logit_difference(model: Model, answer: int, foil: int | None = None, *, apart: bool = False) -> Question:
    """logit(answer) - logit(foil) as one node, or with `apart` as two; without a foil the answer's logit."""
    tokens = torch.tensor([[answer] if foil is None else [answer, foil]], device=model.device)

    def logits(hidden: Tensor) -> Tensor:
        return model.logits_of(hidden, tokens, cap_as_gain=True)[0]

    if foil is None or apart:
        return Question(logits, (1.0,) if foil is None else (1.0, -1.0))
    return Question(lambda hidden: logits(hidden).diff().neg(), (1.0,))


def task_metric(model: Model, prompts: PromptSet, prompt: int) -> Question:
    """The metric of one of a task's prompts, summed over the pairs that are scored after it."""
    one = prompts.rows(prompt, prompt + 1)
    return Question(lambda hidden: objective(model, hidden, one, cap_as_gain=True)[None], (1.0,))


def trace_graph(model: Model, tokens: Tensor, basis: Basis, nodes: Sequence[Node], question: Question) -> Graph:
    """Trace all edges of one prompt: `tokens` [S], `nodes` the units to keep (errors are kept, all of them).

    Takes 2 L + 1 backward passes in an L-layer model. Raises UserError for nodes that the basis has not, or a basis
    that does not split MLP outputs.
    """
    check_nodes(nodes, basis, model, len(tokens))
    tokens = tokens.to(model.device)
    units = as_units(nodes, model.device)
    flows, sources = trace_flows(model, tokens, basis, units, question.outputs)
    shares = _shares(model, tokens, sources, question)
    return _assemble(model, [node for node in nodes if node.kind == "unit"], flows, shares, sources, question)


def _shares(model: Model, tokens: Tensor, sources: Sources, question: Question) -> Flows:
    """Each node's share of the metric through the whole model under RelP's rules: `Flows` with T = 1."""
    stored: dict[Site, Tensor] = {}
    with torch.enable_grad():
        embedding = sources.embedding[None].detach().requires_grad_()
        hidden = model.forward(
            tokens[None],
            torch.tensor([len(tokens) - 1], device=tokens.device),
            edits=keeping(stored, sources.leaf_site.values()),
            hooks=relp_hooks(model),
            start=Start(0, embedding),
        )
        values = question.outputs(hidden)
        m = (values * values.new_tensor(question.weights)).sum()
        inputs = [embedding, *(stored[site] for site in sources.leaf_site.values())]
        found = torch.autograd.grad(m, inputs, allow_unused=True, materialize_grads=True)
    flows = Flows.zeros(1, sources, model.n_layers, m.detach()[None])
    flows.embeddings[0] = (found[0] * embedding).sum(-1)[0].detach()
    row = torch.zeros(1, dtype=torch.long, device=tokens.device)
    for layer, gradient in zip(sources.leaf_site, found[1:], strict=True):
        collect(sources, layer, gradient, row, flows)
    return flows


def _assemble(
    model: Model, kept: Sequence[Node], flows: Flows, shares: Flows, sources: Sources, question: Question
) -> Graph:
    """Put flows and shares into one numbering of nodes: layers ascend, so that sources come before targets."""
    n = len(sources.embedding)
    logits = [Node("logit", model.n_layers, n - 1, number) for number in range(len(question.weights))]
    grid = [(layer, position) for layer in range(model.n_layers) for position in range(n)]

    def flat(part: Flows) -> Floats:
        bias = part.bias[:, None]
        rows = torch.cat([part.units, part.errors.flatten(1), part.others.flatten(1), part.embeddings, bias], 1)
        # nothing flows out of a logit
        array: Floats = torch.nn.functional.pad(rows, (0, len(logits))).double().cpu().numpy()
        return array

    def lengths(x: Mapping[int, Tensor]) -> list[float]:
        found = {layer: rows.norm(dim=-1).tolist() for layer, rows in x.items()}
        return [found[layer][position] if layer in found else 0.0 for layer, position in grid]

    weight, value = flat(flows), flows.value.double().cpu().numpy()
    activation = np.concatenate(
        [
            sources.activation.double().cpu().numpy(),
            lengths(sources.errors),
            np.zeros(len(grid)),
            sources.embedding.norm(dim=-1).double().cpu().numpy(),
            [0.0],
            value[len(kept) :],
        ]
    )
    share = flat(shares)[0]
    share[-len(logits) - 1] = weight[len(kept) :, -len(logits) - 1] @ question.weights
    share[-len(logits) :] = value[len(kept) :] * question.weights
    # a unit that is not active has no share to divide, and no inputs either
    own = activation[: len(kept)]
    slope = np.divide(share[: len(kept)], own, out=np.zeros_like(own), where=own != 0)
    slope = np.concatenate([slope, question.weights])
    return _graph(
        _numbered(model, kept, n, logits),
        weight,
        weight * slope[:, None],
        activation,
        share,
        metric=float(shares.value),
        gap=float(np.abs(weight.sum(1) - value).max() / max(np.abs(value).max(), np.finfo(float).tiny)),
    )


def _graph(
    nodes: Sequence[Node],
    weights: Floats,
    attributions: Floats,
    activation: Floats,
    attribution: Floats,
    *,
    metric: float,
    gap: float,
) -> Graph:
    """A graph of matrices [targets, N], without errors, others and embeddings that reach nothing."""
    is_used = weights.any(0) | np.array([node.kind in ("unit", "logit", "bias") for node in nodes])
    order = sorted(is_used.nonzero()[0].tolist(), key=lambda i: (nodes[i].layer, nodes[i]))
    used = tuple(nodes[i] for i in order)
    place = np.full(len(nodes), -1)
    place[order] = np.arange(len(order))
    rows, columns = weights.nonzero()
    target = place[[i for i, node in enumerate(nodes) if node.is_target]][rows]
    source, weight = place[columns], weights[rows, columns]
    is_bias = np.array([node.kind == "bias" for node in used])
    share = normalised(weight, source, target, is_bias)
    start = logit_weights(used)
    return Graph(
        nodes=used,
        edges=Edges(source, target, weight, attributions[rows, columns], share),
        activation=activation[order],
        attribution=attribution[order],
        influence=influence(source, target, share, start),
        direct=directly(source, target, share, start),
        metric=metric,
        gap=gap,
    )


def trace_task(
    model: Model, prompts: PromptSet, basis: Basis, nodes: Sequence[Node], progress: Progress = silent
) -> Graph:
    """Trace a task's prompts and return their mean graph: positions of `nodes` are slots, and so are the graph's.

    Means are over pairs; where a prompt has no token in a slot, the slot's nodes count as zero. Takes a trace a
    prompt. Raises UserError as `trace_graph` does.
    """
    check_nodes(nodes, basis, model, prompts.n_slots)
    gap = 0.0
    units = [node for node in nodes if node.kind == "unit"]
    numbered = _numbered(model, units, prompts.n_slots, [Node("logit", model.n_layers, -1, 0)])
    index = {node: place for place, node in enumerate(numbered)}
    row = np.array([*range(len(units)), *[-1] * (len(numbered) - len(units))])  # the logit's is the last
    weights, attributions = np.zeros((2, len(units) + 1, len(numbered)))
    activation, attribution = np.zeros((2, len(numbered)))
    for prompt in range(prompts.n_prompts):
        length = int(prompts.last[prompt]) + 1
        slots = prompts.slot[prompt, :length].tolist()
        token_of = {slot: token for token, slot in enumerate(slots)}
        here = [replace(node, position=token_of[node.position]) for node in nodes if node.position in token_of]
        graph = trace_graph(model, prompts.clean[prompt, :length], basis, here, task_metric(model, prompts, prompt))
        pairs = float(prompts.weight[prompt])
        at = np.array([index[_in_slot(node, slots)] for node in graph.nodes])
        edges = graph.edges
        places = row[at[edges.target]], at[edges.source]
        weights[places] += edges.weight * pairs / prompts.n_pairs
        attributions[places] += edges.attribution / prompts.n_pairs
        activation[at] += graph.activation * pairs / prompts.n_pairs
        attribution[at] += graph.attribution / prompts.n_pairs
        gap = max(gap, graph.gap)
        progress("tracing", prompt + 1, prompts.n_prompts)
    return _graph(numbered, weights, attributions, activation, attribution, metric=float(attribution[-1]), gap=gap)


def _numbered(model: Model, units: Sequence[Node], n: int, logits: Sequence[Node]) -> list[Node]:
    """All nodes over n positions, in the order of `Flows`; the targets among them are the units, then the logits."""
    grid = [(layer, position) for layer in range(model.n_layers) for position in range(n)]
    return [
        *units,
        *(Node("error", *place) for place in grid),
        *(Node("other", *place) for place in grid),
        *(Node("embedding", -1, position) for position in range(n)),
        Node("bias"),
        *logits,
    ]


def _in_slot(node: Node, slots: Sequence[int]) -> Node:
    if node.kind == "logit":
        return replace(node, position=-1)
    return node if node.position < 0 else replace(node, position=slots[node.position])
