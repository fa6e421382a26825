"""A trace in formats that other programs read.

`viewer_json` has the layout of attribution-graph viewers (circuit-tracer's files, which Neuronpedia takes too): nodes
with ``layer``, ``ctx_idx``, ``feature_type`` and cumulative influence, links with weights, groups as supernodes.
`graphml` is for Gephi, Cytoscape, networkx and the like, with every number of the trace.
"""

from __future__ import annotations

import io

import networkx as nx
import numpy as np
from pydantic import JsonValue

from basisbench.reading.evidence import unit_key
from basisbench.tracing.document import NodeRecord, TraceDocument

FEATURE_TYPES = {
    "unit": "cross layer transcoder",  # the viewers' word for any unit
    "error": "mlp reconstruction error",
    "other": "mlp reconstruction error",  # what is left of a layer, too: viewers know no third kind
    "embedding": "embedding",
    "logit": "logit",
}


def viewer_json(document: TraceDocument, slug: str) -> dict[str, JsonValue]:
    """The trace as attribution-graph viewers read it; the bias, which has no place in them, is left out.

    A node's ``influence`` is cumulative, as there: what it and all nodes of more influence have of the whole.
    """
    asked = document.asked
    shown = [index for index, node in enumerate(document.nodes) if node.kind != "bias"]
    ids = {index: _viewer_id(document, index) for index in shown}
    influence = np.array([node.influence for node in document.nodes])
    order = np.argsort(-influence, kind="stable")
    cumulative = np.empty_like(influence)
    cumulative[order] = np.cumsum(influence[order]) / max(influence.sum(), np.finfo(float).tiny)
    nodes: list[JsonValue] = [_viewer_node(document, index, ids[index], float(cumulative[index])) for index in shown]
    edges = document.edges
    links: list[JsonValue] = [
        {"source": ids[source], "target": ids[target], "weight": weight}
        for source, target, weight in zip(edges.source, edges.target, edges.weight, strict=True)
        if source in ids
    ]
    groups = document.groups.groups if document.groups else []
    supernodes: list[JsonValue] = [[group.name, *(ids[index] for index in group.nodes)] for group in groups]
    return {
        "metadata": {
            "slug": slug,
            "scan": document.model,
            "transcoder_list": [],
            "prompt_tokens": [*document.tokens],
            "prompt": asked.prompt if asked.prompt is not None else asked.task,
            "node_threshold": document.kept,
            "schema_version": 1,
            "info": {"generator": {"name": "basisbench"}, "basis": document.basis, "method": document.method},
        },
        "qParams": {"pinnedIds": [], "supernodes": supernodes, "linkType": "both", "clickedId": "", "sg_pos": ""},
        "nodes": nodes,
        "links": links,
    }


def graphml(document: TraceDocument) -> bytes:
    """The trace as GraphML: a directed graph with the numbers, labels and groups of nodes and edges."""
    graph: nx.DiGraph[int] = nx.DiGraph(
        model=document.model,
        basis=document.basis,
        method=document.method,
        prompt=_xml(document.asked.prompt or document.asked.task or ""),
        metric=document.asked.metric,
    )
    groups = document.groups.groups if document.groups else []
    group_of = {index: group.name for group in groups for index in group.nodes}
    for index, node in enumerate(document.nodes):
        graph.add_node(
            index,
            label=_xml(node_label(document, node)),
            token=_xml(document.tokens[node.position]) if node.position >= 0 else "",
            group=_xml(group_of.get(index, "")),
            **node.model_dump(),
        )
    edges = document.edges
    for source, target, weight, attribution, share in zip(*dict(edges).values(), strict=True):
        graph.add_edge(source, target, weight=weight, attribution=attribution, share=share)
    written = io.BytesIO()
    nx.write_graphml(graph, written)
    return written.getvalue()


def node_label(document: TraceDocument, node: NodeRecord) -> str:
    """A node in words: a unit's label where there is evidence, else what it is."""
    asked = document.asked
    if node.kind == "unit":
        evidence = document.evidence.get(unit_key(node.layer, node.unit))
        return evidence.label if evidence else f"{document.basis} {node.layer}:{node.unit}"
    if node.kind == "logit":
        if asked.answer is None:
            return asked.metric_name
        return repr(asked.answer) + (f" less {asked.foil!r}" if asked.foil is not None else "")
    if node.kind == "embedding":
        return repr(document.tokens[node.position])
    names = {"error": "error", "other": "other units", "bias": "biases"}
    return f"{names[node.kind]} of layer {node.layer}" if node.layer >= 0 else names[node.kind]


def _viewer_id(document: TraceDocument, index: int) -> str:
    node = document.nodes[index]
    match node.kind:
        case "unit":
            return f"{node.layer}_{node.unit}_{node.position}"
        case "error":
            return f"0_{node.layer}_{node.position}"
        case "other":
            return f"other_{node.layer}_{node.position}"
        case "embedding":
            return f"E_{node.position}_{node.position}"
        case _:
            return f"{document.n_layers + 1}_{node.unit}_{_column(document, node)}"


def _viewer_node(document: TraceDocument, index: int, name: str, cumulative: float) -> dict[str, JsonValue]:
    node = document.nodes[index]
    asked = document.asked
    is_logit = node.kind == "logit"
    layer = {"embedding": "E", "logit": str(document.n_layers + 1)}.get(node.kind, str(node.layer))
    feature: JsonValue = None
    if node.kind == "unit":  # layer and unit in one number, by Cantor's pairing
        feature = (node.layer + node.unit) * (node.layer + node.unit + 1) // 2 + node.unit
    first, _, last = name.rpartition("_")
    return {
        "node_id": name,
        "feature": feature if feature is not None else (node.unit if is_logit else -1),
        "layer": layer,
        "ctx_idx": _column(document, node),
        "feature_type": FEATURE_TYPES[node.kind],
        "token_prob": (asked.answer_probability or 0.0) if is_logit else 0.0,
        "is_target_logit": is_logit,
        "run_idx": 0,
        "reverse_ctx_idx": len(document.tokens) - 1 - _column(document, node),
        "jsNodeId": f"{first}-{last}",
        "clerp": node_label(document, node),
        "influence": None if is_logit else cumulative,
        "activation": node.activation,
    }


def _column(document: TraceDocument, node: NodeRecord) -> int:
    """Where a node stands; a task's logit, which has no slot, over the last."""
    return node.position if node.position >= 0 else len(document.tokens) - 1


def _xml(text: str) -> str:
    """A text without the characters that XML cannot hold."""
    return "".join(c if c.isprintable() or c in "\t\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
