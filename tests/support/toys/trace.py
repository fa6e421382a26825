"""A trace that looks like a real one, planted: no model is run."""

from __future__ import annotations

from typing import Any

import numpy as np

from basisbench.reading.evidence import Context, Evidence, TaskUse, TokenScore
from basisbench.results.files import describe_environment
from basisbench.tracing.document import Asked, EdgeColumns, GroupRecord, Groups, NodeRecord, TraceDocument
from basisbench.tracing.influence import directly, influence, logit_weights, normalised
from basisbench.tracing.nodes import Node
from toys.results import HOSTILE

N_LAYERS = 30
TOKENS = ["Fact", ":", " the", " capital", " of", " the", " state", " containing", " Dallas", " is"]
# What units of each theme are for: where they stand mostly, in which layers, what they raise, and what they read.
THEMES: dict[str, tuple[list[int], tuple[int, int], list[str], str]] = {
    "Texas": ([8, 8, 9], (4, 22), [" Texas", " Houston", " Dallas", " TX"], "a ranch west of| Dallas| in the north"),
    "capitals": (
        [3, 9, 9],
        (3, 24),
        [" capital", " capitals", " Capitol", " seat"],
        "Paris is the| capital| of France",
    ),
    "say a city": (
        [9],
        (17, 29),
        [" Austin", " Houston", " Sacramento", " Albany"],
        "and its largest city| is| Houston",
    ),
    "states": ([6, 7], (2, 18), [" state", " states", " county", " region"], "the| state| legislature voted"),
}


def toy_trace(
    n_units: int = 60, n_errors: int = 15, n_edges: int = 600, seed: int = 0, **changed: Any
) -> TraceDocument:
    """A graph of a two-hop prompt, with evidence on all units but every tenth; fields in `changed` replace its own."""
    draw = np.random.default_rng(seed)
    nodes, themes = _nodes(draw, n_units, n_errors)
    edges = _edges(draw, nodes, themes, n_edges)
    source, target = np.array(edges.source), np.array(edges.target)
    share, start = np.array(edges.share), logit_weights(nodes)
    flow = np.array(edges.attribution)
    attribution = np.where(
        [node.kind == "logit" for node in nodes],
        3.21,
        np.bincount(source, flow, len(nodes)),
    )
    reached = influence(source, target, share, start).clip(0)
    direct = directly(source, target, share, start)
    units = [number for number, node in enumerate(nodes) if node.kind == "unit"]
    groups = [
        GroupRecord(
            name=theme,
            nodes=[number for number in units if themes[number] == theme],
            stability=0.9 - 0.1 * order,
            attribution=float(sum(attribution[number] for number in units if themes[number] == theme)),
            rests_on="tokens raised by its units",
        )
        for order, theme in enumerate(THEMES)
    ]
    document = TraceDocument(
        title="The capital of the state containing Dallas",
        model="smollm2-135m",
        n_layers=N_LAYERS,
        basis="transcoder",
        method="relp",
        asked=Asked(
            prompt="".join(TOKENS), task=None, n_pairs=1, answer=" Austin", foil=" Dallas", answer_probability=0.124,
            foil_probability=0.021, metric_name="logit difference", metric=3.21,
        ),
        tokens=TOKENS,
        chosen="the 60 units of the largest attribution",
        traced=400,
        explained=0.81,
        kept=0.87,
        gap=3e-6,
        nodes=[
            NodeRecord(
                kind=node.kind,
                layer=node.layer,
                position=node.position,
                unit=node.unit,
                activation=float(abs(draw.normal(2, 1))),
                attribution=float(attribution[number]),
                influence=float(reached[number]),
                direct=float(direct[number]),
            )
            for number, node in enumerate(nodes)
        ],
        edges=edges,
        groups=Groups(criterion="attributions that rise and fall together", stability=0.72, groups=groups),
        evidence={
            f"{nodes[number].layer}:{nodes[number].unit}": _evidence(draw, themes[number])
            for order, number in enumerate(units)
            if order % 10
        },
        evidence_text="2,000 lines of public text and the tasks' prompts",
        environment=describe_environment("cpu", "float32", 1, "m" * 8, "d" * 8),
    )  # fmt: skip
    # not model_copy, which would check nothing
    return TraceDocument.model_validate({**dict(document), **changed})


def hostile_trace() -> TraceDocument:
    """A trace whose texts try to leave their place, to turn lines around and to hide."""
    evil = HOSTILE + "\u202eback\u2067"
    plain = toy_trace(n_units=12, n_errors=3, n_edges=60)
    assert plain.groups is not None
    tokens = [evil, "\n", " ", "", "\x00\x1b[31m", "\u200b", "\ufeff x", "עברית", "漢字" * 40, "x" * 500]
    evidence = {
        key: entry.model_copy(
            update={
                "label": evil[:480],
                "rests_on": evil,
                "promotes": [TokenScore(token=token, score=-0.0) for token in tokens],
                "contexts": [Context(tokens=tokens, at=99, activation=0.0, source=evil)],
                "serves": [TaskUse(task="__proto__", share=0.0, slot=evil)],
            }
        )
        for key, entry in plain.evidence.items()
    }
    group = plain.groups.groups[0].model_copy(update={"name": evil, "rests_on": evil, "nodes": [0, 1, 1]})
    asked = plain.asked.model_copy(
        update={"prompt": "".join(tokens), "answer": evil, "foil": "\n", "metric_name": evil, "metric": 0.0}
    )
    texts = dict.fromkeys(("title", "model", "basis", "chosen", "evidence_text"), evil)
    groups = plain.groups.model_copy(update={"criterion": evil, "groups": [group]})
    changed: dict[str, Any] = {"tokens": tokens, "asked": asked, "evidence": evidence, "groups": groups, **texts}
    return toy_trace(n_units=12, n_errors=3, n_edges=60, **changed)


def _nodes(draw: np.random.Generator, n_units: int, n_errors: int) -> tuple[list[Node], list[str]]:
    """Nodes in the order of a graph, and the theme of each (of others than units: their kind)."""
    last, themes = len(TOKENS) - 1, list(THEMES)
    found: dict[Node, str] = {Node("embedding", -1, position): "embedding" for position in range(len(TOKENS))}
    found[Node("bias")] = "bias"
    while len(found) < len(TOKENS) + 1 + n_units:
        theme = themes[int(draw.integers(len(themes)))]
        places, (low, high), _, _ = THEMES[theme]
        position = int(draw.choice([*places, *places, last]))
        found.setdefault(Node("unit", int(draw.integers(low, high + 1)), position, int(draw.integers(1536))), theme)
    wanted = len(found) + n_errors
    while len(found) < wanted:
        found[Node("error", int(draw.integers(0, N_LAYERS)), int(draw.choice([3, 6, 8, 9, last])))] = "error"
    for layer in range(0, N_LAYERS, 3):
        found[Node("other", layer, last)] = "other"
    found[Node("logit", N_LAYERS, last, 0)] = "logit"
    nodes = sorted(found, key=lambda node: (node.layer, node.kind, node.position, node.unit))
    return nodes, [found[node] for node in nodes]


def _edges(draw: np.random.Generator, nodes: list[Node], themes: list[str], n_edges: int) -> EdgeColumns:
    """Edges between nodes that can be connected: within a theme they are strong, into the logit they are sure."""
    possible = [
        (s, t)
        for t, target in enumerate(nodes)
        for s, source in enumerate(nodes)
        if target.is_target and source.layer < target.layer and source.position <= target.position
    ]
    kin = np.array(
        [themes[s] == themes[t] or (nodes[t].kind == "logit" and nodes[s].kind == "unit") for s, t in possible]
    )
    odds = np.where(kin, 4.0, 1.0)
    order = draw.choice(len(possible), min(n_edges, len(possible)), replace=False, p=odds / odds.sum())
    source, target = np.array([possible[i] for i in sorted(order)]).T
    size = draw.lognormal(-3.2, 1.0, len(source)) * np.where(kin[np.sort(order)], 2.0, 0.6)
    signs = np.where(draw.random(len(source)) < 0.25, -1.0, 1.0)
    is_bias = np.array([node.kind == "bias" for node in nodes])
    return EdgeColumns(
        source=source.tolist(),
        target=target.tolist(),
        weight=(signs * size).tolist(),
        attribution=(signs * size * 0.6).tolist(),
        share=normalised(size, source, target, is_bias).clip(0, 1).tolist(),
    )


def _evidence(draw: np.random.Generator, theme: str) -> Evidence:
    _, _, raised, text = THEMES[theme]
    promotes = [raised[i] for i in draw.permutation(len(raised))]
    words, driver, rest = text.split("|")
    tokens = [*words.split(), driver, *[f" {word}" for word in rest.split()]]
    at = len(words.split())
    tokens = [tokens[0], *[token if token.startswith(" ") else f" {token}" for token in tokens[1:]]]
    return Evidence(
        promotes=[TokenScore(token=token, score=0.9 - 0.15 * i) for i, token in enumerate(promotes)],
        suppresses=[TokenScore(token=token, score=-0.4 + 0.1 * i) for i, token in enumerate([" and", "\n", ","])],
        contexts=[Context(tokens=tokens, at=at, activation=6.0 - i, source="public text") for i in range(3)],
        negative_contexts=[],
        active_share=float(draw.uniform(0.001, 0.08)),
        always_on=False,
        serves=[
            TaskUse(task="capitals/two_hop", share=0.021, slot="city"),
            TaskUse(task="ioi", share=0.002, slot="end"),
        ],
        label=f"{theme}:{promotes[0]},{promotes[1]}",
        rests_on="raised tokens and contexts",
    )
