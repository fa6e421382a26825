"""Circuits of edges against explicit path patching, and against circuits of nodes."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from basisbench.attribution import Scores
from basisbench.bases.basis import Basis, sites_of
from basisbench.circuits.curves import evaluate
from basisbench.circuits.ranking import rank_nodes
from basisbench.errors import UserError
from basisbench.measures.metrics import Floats, Outcome
from basisbench.models.adapter import Edit, Model
from basisbench.models.recording import record
from basisbench.models.sites import Site
from basisbench.prompts.prompt_set import PromptSet
from basisbench.tracing.edge_circuits import EdgeCurve, evaluate_edges, faithfulness, rank_edges
from basisbench.tracing.graph import Edges, logit_difference, trace_graph, trace_task
from basisbench.tracing.nodes import Node, ranked_nodes
from toys.edges import ANSWER, FOIL, TOKENS, named_basis
from toys.models import one_line, pair_rows, prompt_set

Make = Callable[[str], Model]


def random_scores(basis: Basis, n_slots: int) -> Scores:
    draw = torch.Generator().manual_seed(7)
    width = {layer: basis.n_units(layer) + basis.has_error for layer in basis.layers()}
    return Scores(basis.name, {layer: torch.randn(n_slots, n, generator=draw) for layer, n in width.items()})


def all_edges(nodes: Sequence[Node]) -> Edges:
    """Every edge that could be between nodes, from errors and units to units and the logit."""
    pairs = [
        (i, j)
        for i, s in enumerate(nodes)
        for j, t in enumerate(nodes)
        if s.kind != "logit" and t.is_target and s.layer < t.layer
    ]
    source, target = np.array(pairs).T
    return Edges(source, target, *np.ones((3, len(pairs))))


def same(one: Outcome, other: Outcome) -> None:
    for name in ("answer", "foil", "logsumexp", "kl"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=2e-4, rtol=1e-4)


CASES = [
    (a, n)
    for a in ("llama", "gpt2", "gemma2")
    for n in ("neurons", "mlp_out", "sae", "transcoder", "normalised", "clt")
]


@pytest.mark.parametrize(("architecture", "name"), CASES)
def test_all_edges_between_some_units_are_their_circuit(
    architecture: str, name: str, tiny: Make, tmp_path: Path
) -> None:
    """And with no way to the logits nothing is kept: both ends are those of node curves."""
    model = tiny(architecture)
    basis = named_basis(name, model, tmp_path)
    prompts = prompt_set(model, pair_rows(5, (5, 4)))
    scores = random_scores(basis, prompts.n_slots)
    ranking = rank_nodes(scores, basis, error="remove")
    units = ranked_nodes(ranking, 30)
    nodes = [*units, Node("logit", model.n_layers, -1, 0)]
    edges = all_edges(nodes)
    for ablation in ("mean", "zero"):
        expected = evaluate(model, prompts, basis, ranking, [30], ablation=ablation, error="remove")
        curve = evaluate_edges(model, prompts, basis, nodes, edges, [len(edges)], ablation=ablation)
        same(curve.full, expected.full)
        same(curve.empty, expected.empty)
        same(curve.circuit, expected.circuit)
        assert np.abs(curve.circuit.answer - curve.empty.answer).max() > 2e-3
        inner = edges[edges.target < len(units)]
        dead = evaluate_edges(model, prompts, basis, nodes, inner, [len(inner)], ablation=ablation)
        assert dead.used.tolist() == [0]
        np.testing.assert_allclose(dead.circuit.answer[0], expected.empty.answer, atol=1e-4)


def explicit(
    model: Model, prompts: PromptSet, basis: Basis, nodes: Sequence[Node], kept: set[tuple[int, int]]
) -> Tensor:
    """Logits [U, vocabulary]: one run of the model for each target and prompt, one recursion for its sources."""
    corrupt, _ = record(model, prompts.corrupt, prompts.last, sites_of([basis]))
    clean, _ = record(model, prompts.clean, prompts.last, sites_of([basis]))

    def parts(seen: dict[Site, Tensor], u: int, token: int) -> dict[object, Tensor]:
        """By (layer, None) the error, by (layer, unit) activations, by site the whole."""
        found: dict[object, Tensor] = {}
        for layer in basis.layers():
            site = basis.writes(layer)[0]
            error = seen[site][u, token]
            for source in basis.layers():
                if site in basis.writes(source):
                    f = basis.encode(source, seen[basis.read(source)][u, token])
                    error = error - basis.lift(source, site, f)
            found[layer, None] = error
            for unit, f in enumerate(basis.encode(layer, seen[basis.read(layer)][u, token])):
                found[layer, unit] = f
            found[site] = seen[site][u, token]
        return found

    def mean_at(slot: int) -> dict[object, Tensor]:
        """Over the corrupt prompts that have a token in the slot."""
        places = [(u, t) for u in range(prompts.n_prompts) for t in range(prompts.slot.shape[1])]
        found = [parts(corrupt, u, t) for u, t in places if int(prompts.slot[u, t]) == slot]
        return {key: torch.stack([part[key] for part in found]).mean(0) for key in found[0]}

    means = [mean_at(slot) for slot in range(prompts.n_slots)]

    def run(u: int, sources: list[int], read: dict[Site, Tensor]) -> Tensor:
        length = int(prompts.last[u]) + 1
        slots = prompts.slot[u, :length].tolist()
        out: dict[Site, Tensor] = {}
        for layer in basis.layers():
            for site in basis.writes(layer):
                out[site] = torch.stack([means[slot][site] for slot in slots])
        for s in sources:
            node = nodes[s]
            if node.position not in slots:
                continue
            token = slots.index(node.position)
            if node.kind == "error":
                site = basis.writes(node.layer)[0]
                key = (node.layer, None)
                out[site][token] += parts(clean, u, token)[key] - means[node.position][key]
                continue
            move = value(u, s) - means[node.position][node.layer, node.unit]
            for site in basis.writes(node.layer):
                out[site][token] += basis.lift(node.layer, site, move[None], torch.tensor([node.unit]))
        edits: list[tuple[Site, Edit]] = [(site, partial(keep, read, site)) for site in sites_of([basis])]
        edits += [(site, partial(put, x[None])) for site, x in out.items()]
        with torch.no_grad():
            return model.forward(prompts.clean[u : u + 1, :length], torch.tensor([length - 1]), edits=edits)

    def keep(into: dict[Site, Tensor], site: Site, x: Tensor) -> None:
        into[site] = x

    def put(x: Tensor, _: Tensor) -> Tensor:
        return x

    known: dict[tuple[int, int], Tensor] = {}

    def value(u: int, target: int) -> Tensor:
        if (u, target) not in known:
            read: dict[Site, Tensor] = {}
            run(u, [s for s, t in kept if t == target], read)
            node = nodes[target]
            token = prompts.slot[u].tolist().index(node.position)
            x = read[basis.read(node.layer)][0, token]
            known[u, target] = basis.encode(node.layer, x)[node.unit]
        return known[u, target]

    logit = next(i for i, node in enumerate(nodes) if node.kind == "logit")
    hidden = [run(u, [s for s, t in kept if t == logit], {}) for u in range(prompts.n_prompts)]
    return model.logits(torch.cat(hidden))


@pytest.mark.parametrize("name", ["neurons", "sae", "transcoder", "clt"])
@pytest.mark.parametrize("architecture", ["llama", "gemma2"])
def test_an_edge_circuit_is_explicit_path_patching(architecture: str, name: str, tiny: Make, tmp_path: Path) -> None:
    model = tiny(architecture)
    basis = named_basis(name, model, tmp_path)
    prompts = prompt_set(model, pair_rows(3, (5, 4)))
    chosen = ranked_nodes(rank_nodes(random_scores(basis, prompts.n_slots), basis), 14)
    if basis.has_error:
        chosen = [*chosen, *(n for n in (Node("error", 0, 1), Node("error", 1, 4)) if n not in chosen)]
    nodes = [*chosen, Node("logit", model.n_layers, -1, 0)]
    edges = all_edges(nodes)
    order = np.random.default_rng(4).permutation(len(edges))
    edges = edges[order]
    sizes = [len(edges) // 4, len(edges) // 2]
    curve = evaluate_edges(model, prompts, basis, nodes, edges, sizes)
    whole = evaluate_edges(model, prompts, basis, nodes, edges, [len(edges)])
    for point, size in enumerate(sizes):
        kept = set(zip(edges.source[:size].tolist(), edges.target[:size].tolist(), strict=True))
        logits = explicit(model, prompts, basis, nodes, kept)[prompts.pair_prompt]
        expected = logits.gather(1, prompts.first_answer[:, :1])[:, 0]
        np.testing.assert_allclose(curve.circuit.answer[point], expected, atol=2e-4, rtol=1e-4)
    # which edges are kept does matter
    assert np.abs(curve.circuit.answer - whole.circuit.answer).max() > 1e-3


def test_edges_are_ranked_by_what_they_do(tiny: Make, tmp_path: Path) -> None:
    """Faithfulness of a task's edges, largest first, beats that of smallest first; and it is a ratio of means."""
    model = tiny("llama")
    basis = named_basis("neurons", model, tmp_path)
    prompts = prompt_set(model, pair_rows(6))
    units = ranked_nodes(rank_nodes(random_scores(basis, prompts.n_slots), basis), 120)
    graph = trace_task(model, prompts, basis, units)
    ranked = rank_edges(graph)
    size = np.abs(ranked.attribution)
    assert (np.diff(size) <= 0).all()
    assert {graph.nodes[i].kind for i in ranked.source} == {"unit"}
    assert {graph.nodes[i].kind for i in ranked.target} == {"unit", "logit"}
    few = set(units[:30])
    inner = rank_edges(graph, few)
    ends = {graph.nodes[i] for i in (*inner.source, *inner.target)}
    assert {node for node in ends if node.kind == "unit"} <= few
    assert len(inner) == sum(
        graph.nodes[s] in few and graph.nodes[t] in {*few, graph.nodes[-1]}
        for s, t in zip(ranked.source, ranked.target, strict=True)
    )
    curve = evaluate_edges(model, prompts, basis, graph.nodes, ranked, [10, 100, len(ranked)])
    band = faithfulness(curve)

    def mean(part: Outcome) -> Floats:
        return np.asarray((part.answer - part.foil).mean(-1))

    expected = (mean(curve.circuit) - mean(curve.empty)) / (mean(curve.full) - mean(curve.empty))
    np.testing.assert_allclose(band.value, expected)
    assert (band.low <= band.value).all()
    assert (band.value <= band.high).all()
    reverse = evaluate_edges(model, prompts, basis, graph.nodes, ranked[np.arange(len(ranked))[::-1]], [100])

    def distance(curve: EdgeCurve, point: int, whole: Outcome) -> float:
        return float(np.abs(curve.circuit.answer[point] - whole.answer).mean())

    last = Outcome(*(part[2] for part in vars(curve.circuit).values()))
    assert distance(curve, 1, last) < distance(reverse, 0, last)


def test_sizes_and_logits_that_cannot_be_are_refused(tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    basis = named_basis("neurons", model, tmp_path)
    prompts = prompt_set(model, pair_rows(3))
    nodes = [Node("unit", 0, 1, 3), Node("logit", model.n_layers, -1, 0)]
    with pytest.raises(UserError, match="from 1 to 1 edges") as error:
        evaluate_edges(model, prompts, basis, nodes, all_edges(nodes), [0, 2])
    one_line(error)
    two = [*nodes, Node("logit", model.n_layers, -1, 1)]
    with pytest.raises(UserError, match="one logit node, got 2") as error:
        evaluate_edges(model, prompts, basis, two, all_edges(two), [1])
    one_line(error)


@pytest.mark.parametrize(
    ("name", "nodes", "message"),
    [
        ("resid_post", [Node("unit", 0, 0, 0)], r"'resid_post' cannot be traced: it uses resid_post\[0\]"),
        ("attn_z", [Node("unit", 0, 0, 0)], r"it uses attn_z\[0\]"),
        ("neurons", [Node("unit", 0, 0, 3), Node("unit", 0, 0, 3)], "named twice"),
        ("neurons", [Node("unit", 0, 0, 40)], "no unit 40 in layer 0: valid: 0 to 39"),
        ("neurons", [Node("unit", 3, 0, 1)], "no unit in layer 3 at position 0"),
        ("neurons", [Node("unit", 0, 5, 1)], "positions 0 to 4"),
        ("neurons", [Node("embedding", -1, 0)], "embedding is no node to choose: valid: unit, error"),
    ],
)
def test_nodes_that_cannot_be_are_refused(
    name: str, nodes: list[Node], message: str, tiny: Make, tmp_path: Path
) -> None:
    model = tiny("llama")
    basis = named_basis(name, model, tmp_path)
    with pytest.raises(UserError, match=message) as error:
        trace_graph(model, torch.tensor(TOKENS), basis, nodes, logit_difference(model, ANSWER, FOIL))
    one_line(error)
