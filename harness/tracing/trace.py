"""From a prompt or a task to a trace: the whole of `basisbench trace`.

1. Load the model and the basis; read what is asked (`basisbench.tracing.asking`), or draw a task's pairs.
2. Choose nodes: score all units, keep so many, or those whose share of the metric is large enough.
3. Trace all edges between them (`basisbench.tracing.graph`) and prune by influence.
4. Read the units that are left: evidence and labels (`basisbench.reading`). Group a task's nodes by their profiles over
   its prompts (`basisbench.tracing.groups`); always-on units are set apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from basisbench.attribution import Request, ask_scores, load_method
from basisbench.bases.basis import Basis
from basisbench.bases.load import load_basis
from basisbench.circuits.ranking import rank_nodes
from basisbench.circuits.scores import Scores
from basisbench.errors import UserError, printable
from basisbench.models.adapter import Model
from basisbench.models.loading import load_model
from basisbench.progress import Progress, Say, say_nothing, silent
from basisbench.prompts.prompt_set import PromptSet
from basisbench.prompts.scoring import objective
from basisbench.prompts.selection import Filter, load_prompts
from basisbench.reading import Unit, always_on_units, default_texts, named_texts, read_units
from basisbench.reading.evidence import Evidence, unit_key
from basisbench.reading.rows import token_text
from basisbench.results.files import describe_environment
from basisbench.settings.trace import DEFAULT_NODES, MOST_NODES, TraceConfig
from basisbench.tasks.load import load_task
from basisbench.text.named import Source
from basisbench.tracing.asking import LOGIT_DIFFERENCE, Asked, ask
from basisbench.tracing.document import (
    Asked as AskedRecord,
)
from basisbench.tracing.document import EdgeColumns, GroupRecord, Groups, NodeRecord, TraceDocument
from basisbench.tracing.graph import Graph, trace_graph, trace_task
from basisbench.tracing.groups import LEAST_PROMPTS, Cluster, cluster_nodes
from basisbench.tracing.nodes import Node, ranked_nodes
from basisbench.tracing.prune import explained, prune
from basisbench.tracing.shares import profiles, prompt_scores


@dataclass(frozen=True)
class _Traced:
    """A pruned graph and what stands around it; `data` is the hash of what was asked, `prompts` are a task's."""

    graph: Graph
    tokens: Sequence[str]
    asked: AskedRecord
    traced: int
    explained: float
    data: str
    prompts: PromptSet | None = None


def trace(config: TraceConfig, say: Say = say_nothing, progress: Progress = silent) -> TraceDocument:
    """Return the trace that `config` asks for; raises UserError for what cannot be had or traced."""
    task = load_task(config.task) if config.task else None
    model, model_hash = load_model(config.model, config.dtype, config.device, say)
    basis = load_basis(config.basis, model)
    texts = _texts(config, say) if config.evidence or config.apart else []
    apart: frozenset[Unit] = frozenset()
    if config.apart:
        apart = always_on_units(model, basis, texts, limit=config.text_tokens, say=say, progress=progress)
    if task is None:
        found = _of_prompt(config, model, basis, apart, say)
    else:
        filtered = Filter(require_correct=config.require_correct)
        prompts = load_prompts(task, "discovery", config.n_discovery, config.seed, model, filtered)
        if prompts.usage.unusable or prompts.n_pairs < config.n_discovery:
            say(f"{task.name} discovery: {config.n_discovery} pairs asked for, {prompts.usage}")
        found = _of_task(config, model, basis, prompts, apart, say, progress)
    evidence = _evidence(config, model, basis, found.graph, texts, say, progress) if config.evidence else {}
    return TraceDocument(
        title=printable(f"{config.task or (config.prompt or '')[:80]} in {config.basis} of {model.name}"),
        model=config.model,
        n_layers=model.n_layers,
        basis=basis.name,
        method=config.method,
        asked=found.asked,
        tokens=list(found.tokens),
        chosen=_chosen(config, apart),
        traced=found.traced,
        explained=found.explained,
        kept=min(found.graph.kept, 1.0),
        gap=found.graph.gap,
        nodes=_node_records(found.graph),
        edges=_edge_columns(found.graph),
        groups=_groups(config, model, basis, found, evidence),
        evidence=evidence,
        evidence_text=_evidence_text(config),
        environment=describe_environment(
            str(model.device), config.dtype, torch.get_num_threads(), model_hash, found.data
        ),
    )


def _texts(config: TraceConfig, say: Say) -> list[Source]:
    """Where contexts are looked for."""
    if config.text:
        return named_texts(config.text, say)
    return default_texts([config.task] if config.task else [])


def _of_prompt(config: TraceConfig, model: Model, basis: Basis, apart: frozenset[Unit], say: Say) -> _Traced:
    assert config.prompt is not None
    asked = ask(model, config.prompt, config.answer, config.foil)
    say(_asked_line(model, asked))
    scores = prompt_scores(model, asked.tokens, basis, asked.question.outputs, config.method)
    nodes = choose(scores, basis, config, abs(asked.value), apart)
    graph = trace_graph(model, asked.tokens, basis, nodes, asked.question)
    tokens = [token_text(model, token) for token in asked.tokens.tolist()]
    record = AskedRecord(
        prompt=asked.text,
        task=None,
        n_pairs=1,
        answer=token_text(model, asked.answer),
        foil=None if asked.foil is None else token_text(model, asked.foil),
        answer_probability=min(asked.answer_probability, 1.0),
        foil_probability=asked.foil_probability,
        metric_name=asked.metric,
        metric=graph.metric,
    )
    digest = hashlib.sha256(repr((asked.tokens.tolist(), asked.answer, asked.foil)).encode()).hexdigest()[:16]
    return _Traced(prune(graph, config.keep), tokens, record, len(nodes), explained(graph), digest)


def _of_task(
    config: TraceConfig,
    model: Model,
    basis: Basis,
    prompts: PromptSet,
    apart: frozenset[Unit],
    say: Say,
    progress: Progress,
) -> _Traced:
    method = load_method(config.method)
    scores = ask_scores(method, Request(model, prompts, [basis], config.seed, progress=progress))[basis.name]
    metric = abs(_mean_metric(model, prompts)) if config.threshold is not None else 0.0
    nodes = choose(scores, basis, config, metric, apart)
    say(f"tracing {len(nodes)} units in {prompts.n_prompts} prompts")
    graph = trace_task(model, prompts, basis, nodes, progress=progress)
    record = AskedRecord(
        prompt=None,
        task=config.task,
        n_pairs=prompts.n_pairs,
        answer=None,
        foil=None,
        answer_probability=None,
        foil_probability=None,
        metric_name=LOGIT_DIFFERENCE,
        metric=graph.metric,
    )
    return _Traced(
        prune(graph, config.keep), prompts.slot_names, record, len(nodes), explained(graph), prompts.digest, prompts
    )


def _mean_metric(model: Model, prompts: PromptSet) -> float:
    with torch.no_grad():
        return float(objective(model, model.forward(prompts.clean, prompts.last), prompts)) / prompts.n_pairs


def choose(
    scores: Scores, basis: Basis, config: TraceConfig, metric: float, apart: frozenset[Unit] = frozenset()
) -> list[Node]:
    """The unit nodes that `config` asks for, without units in `apart` (layer, unit); `metric` is what shares are of.

    Errors are no choice: a graph holds them all. Raises UserError where no node is left.
    """
    count = config.nodes or (DEFAULT_NODES if config.threshold is None else MOST_NODES)
    ranking = rank_nodes(_without(scores, apart), basis, error="remove", limit=count)
    least = 0.0 if config.threshold is None else config.threshold * metric
    size = ranking.score.abs()
    nodes = ranked_nodes(ranking, int(((size > 0) & (size >= least)).sum()))
    if not nodes:
        share = "any" if config.threshold is None else f"{config.threshold:g}"
        raise UserError(f"no unit of basis '{basis.name}' has {share} of the metric: valid: a lower --threshold")
    return nodes


def _without(scores: Scores, apart: frozenset[Unit]) -> Scores:
    """The scores with 0 for units (layer, unit) that are set apart."""
    by_layer = dict(scores.by_layer)
    for layer in {layer for layer, _ in apart} & by_layer.keys():
        units = torch.tensor([unit for where, unit in apart if where == layer], device=by_layer[layer].device)
        by_layer[layer] = by_layer[layer].index_fill(1, units, 0.0)
    return Scores(scores.basis, by_layer)


def _chosen(config: TraceConfig, apart: frozenset[Unit]) -> str:
    without = f", without {len(apart):,} always-on units" if config.apart else ""
    if config.threshold is not None:
        return f"units whose share is at least {config.threshold:g} of the metric by {config.method}{without}"
    return f"the {config.nodes or DEFAULT_NODES:,} units of largest share by {config.method}{without}"


def _asked_line(model: Model, asked: Asked) -> str:
    answer = f"answer {token_text(model, asked.answer)!r} ({asked.answer_probability:.1%})"
    if asked.foil is not None:
        answer += f", foil {token_text(model, asked.foil)!r} ({asked.foil_probability:.1%})"
    return printable(f"{answer}: {asked.metric} {asked.value:.3f}")


def _node_records(graph: Graph) -> list[NodeRecord]:
    columns = (graph.activation, graph.attribution, graph.influence, graph.direct)
    numbers = zip(*(column.tolist() for column in columns), strict=True)
    return [
        NodeRecord(
            kind=node.kind,
            layer=node.layer,
            position=node.position,
            unit=node.unit,
            activation=activation,
            attribution=attribution,
            influence=influence,
            direct=direct,
        )
        for node, (activation, attribution, influence, direct) in zip(graph.nodes, numbers, strict=True)
    ]


def _edge_columns(graph: Graph) -> EdgeColumns:
    edges = graph.edges
    return EdgeColumns(
        source=edges.source.tolist(),
        target=edges.target.tolist(),
        weight=edges.weight.tolist(),
        attribution=edges.attribution.tolist(),
        share=edges.share.clip(0, 1).tolist(),
    )


# -- evidence and groups -------------------------------------------------------------------------------


def _evidence(
    config: TraceConfig,
    model: Model,
    basis: Basis,
    graph: Graph,
    texts: Sequence[Source],
    say: Say,
    progress: Progress,
) -> dict[str, Evidence]:
    """Evidence on the graph's units, each read in the direction in which it is active there."""
    total: dict[tuple[int, int], float] = {}
    for node, activation in zip(graph.nodes, graph.activation.tolist(), strict=True):
        if node.kind == "unit":
            total[node.layer, node.unit] = total.get((node.layer, node.unit), 0.0) + activation
    signs = {unit: 1 if activation >= 0 else -1 for unit, activation in total.items()}
    tasks = config.serves or ([config.task] if config.task else [])
    return read_units(
        model, basis, sorted(total), texts, tasks, signs, limit=config.text_tokens, say=say, progress=progress
    )


def _evidence_text(config: TraceConfig) -> str:
    if not config.evidence:
        return "none"
    return ", ".join(config.text) if config.text else "built-in sentences, and discovery prompts of the shipped tasks"


def _groups(
    config: TraceConfig, model: Model, basis: Basis, found: _Traced, evidence: Mapping[str, Evidence]
) -> Groups | None:
    """Groups of a task's units; None for one prompt, or too few of them or of units to tell groups by."""
    units = [index for index, node in enumerate(found.graph.nodes) if node.kind == "unit"]
    if found.prompts is None or found.prompts.n_prompts < LEAST_PROMPTS or len(units) < 3:
        return None
    nodes = [found.graph.nodes[index] for index in units]

    def is_apart(node: Node) -> bool:
        known = evidence.get(unit_key(node.layer, node.unit))
        return known is not None and known.always_on

    apart = [place for place, node in enumerate(nodes) if is_apart(node)]
    found_groups = cluster_nodes(profiles(model, found.prompts, basis, nodes), apart, config.seed)
    records = [_group_record(cluster, units, found.graph, evidence, found.tokens) for cluster in found_groups.clusters]
    return Groups(
        criterion=found_groups.criterion,
        stability=min(found_groups.stability, 1.0),
        groups=records,
    )


def _group_record(
    cluster: Cluster, units: Sequence[int], graph: Graph, evidence: Mapping[str, Evidence], tokens: Sequence[str]
) -> GroupRecord:
    members = [units[place] for place in cluster.members]
    share = {index: float(graph.attribution[index]) for index in members}
    total = sum(abs(value) for value in share.values())
    strongest = max(members, key=lambda index: abs(share[index]))
    nodes = [graph.nodes[index] for index in members]
    layers = sorted({node.layer for node in nodes})
    where = f"layer {layers[0]}" if len(layers) == 1 else f"layers {layers[0]} to {layers[-1]}"
    slots: dict[int, float] = {}
    for index, node in zip(members, nodes, strict=True):
        slots[node.position] = slots.get(node.position, 0.0) + abs(share[index])
    slot = max(slots, key=lambda position: slots[position])
    known = evidence.get(unit_key(graph.nodes[strongest].layer, graph.nodes[strongest].unit))
    what = cluster.kind or (known.label if known else f"{graph.nodes[strongest].layer}:{graph.nodes[strongest].unit}")
    of_strongest = abs(share[strongest]) / total if total > 0 else 0.0
    of_slot = slots[slot] / total if total > 0 else 0.0
    rests = f"{of_slot:.0%} of its attribution stands at {tokens[slot]!r}"
    if not cluster.kind:
        rests = f"the label of its strongest node, with {of_strongest:.0%} of its attribution; {rests}"
    return GroupRecord(
        name=printable(f"{what} ({where}, at {tokens[slot]})")[:300],
        nodes=members,
        stability=min(cluster.stability, 1.0),
        attribution=sum(share.values()),
        rests_on=printable(rests)[:300],
    )
