"""Edges of a traced graph: conservation, explicit path patching, shares, influence and pruning."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from basisbench.bases.basis import Basis
from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.tracing import Graph, Node, logit_difference, prune, trace_graph, trace_task
from basisbench.tracing.edges import Flows, trace_flows
from basisbench.tracing.nodes import Units
from toys.dictionaries import peer
from toys.edges import ANSWER, FOIL, TOKENS, Clean, Patched, named_basis
from toys.models import LAYERS, pair_rows, prompt_set, random_hf

Make = Callable[[str], Model]


def all_units(basis: Basis, n: int) -> Units:
    """Every unit of a basis at every position."""
    rows = [(i, p, u) for i in basis.layers() for p in range(n) for u in range(basis.n_units(i))]
    return Units(*torch.tensor(rows).unbind(-1))


def both_logits(model: Model, hidden: Tensor) -> Tensor:
    return model.logits_of(hidden, torch.tensor([[ANSWER, FOIL]]), cap_as_gain=True)[0]


def traced(model: Model, basis: Basis, units: Units, **options: int) -> Flows:
    return trace_flows(model, torch.tensor(TOKENS), basis, units, partial(both_logits, model), **options)[0]


BASES = ("neurons", "mlp_out", "rotated_neurons", "sae", "topk", "scaled", "transcoder", "skip", "normalised", "clt")


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma2", "neox"])
def test_what_flows_in_is_the_activation(architecture: str, name: str, tiny: Make, tmp_path: Path) -> None:
    """Over all sources, nothing is left over; and with every unit kept there are no other units."""
    model = tiny(architecture)
    basis = named_basis(name, model, tmp_path)
    units = all_units(basis, len(TOKENS))
    flows = traced(model, basis, units)
    scale = flows.value.abs().max()
    assert (flows.value != 0).float().mean() > 0.05
    torch.testing.assert_close(flows.total(), flows.value, rtol=1e-3, atol=1e-5 * float(scale))
    assert flows.others.abs().max() < 1e-4 * scale
    assert (flows.errors.abs().max() > 0.01 * scale) == basis.has_error


@pytest.mark.parametrize("name", ["neurons", "sae", "clt"])
def test_in_double_precision_the_sums_close(name: str, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    model = Model("llama", random_hf("llama").double(), tokenizer)
    basis = named_basis(name, model, tmp_path)
    flows = traced(model, basis, all_units(basis, len(TOKENS)))
    assert (flows.total() - flows.value).abs().max() < 1e-5 * flows.value.abs().max()
    if name == "neurons":  # a Llama has no biases, and an identity no encoder
        assert flows.bias.abs().max() < 1e-5 * flows.value.abs().max()


def test_some_units_and_one_target_at_a_time(tiny: Make, tmp_path: Path) -> None:
    """What is not kept is in the other units; how many targets share a pass makes no difference."""
    model = tiny("gpt2")
    for name in ("neurons", "clt"):
        basis = named_basis(name, model, tmp_path / name)
        units = all_units(basis, len(TOKENS))
        draw = torch.randperm(len(units.layer), generator=torch.Generator().manual_seed(1))[:40]
        some = Units(units.layer[draw], units.position[draw], units.unit[draw])
        everything, few, single = (traced(model, basis, u, at_once=n) for u, n in ((units, 99), (some, 99), (some, 1)))
        rows = torch.cat([draw, len(units.layer) + torch.arange(2)])
        scale = float(everything.value.abs().max())
        for one, other in ((few.units, everything.units[rows][:, draw]), (few.errors, everything.errors[rows])):
            torch.testing.assert_close(one, other, atol=1e-5 * scale, rtol=1e-3)
        assert few.others.abs().max() > 0.01 * scale
        torch.testing.assert_close(few.total(), few.value, atol=1e-5 * scale, rtol=1e-3)
        for part, alone in zip(vars(few).values(), vars(single).values(), strict=True):
            torch.testing.assert_close(part, alone, atol=1e-5 * scale, rtol=1e-4)


# -- explicit path patching ----------------------------------------------------------------------------


def explicit_reading(clean: Clean, name: str, folder: Path, layer: int, run: Patched) -> Tensor:
    """Activations of a layer's units [S, n] in a patched run, up to a constant, where they are active."""
    if name == "neurons":
        return clean.neurons(layer, run.mlp_in[layer])[0]
    if name == "clt":
        return run.mid[layer][0] @ load_file(folder / f"W_enc_{layer}.safetensors")[f"W_enc_{layer}"].T
    weight: Tensor = peer(folder, layer).W_enc.detach()
    if name == "sae":
        return clean.mlp(layer, run.mlp_in[layer])[0] @ weight
    if name == "normalised":
        start = clean.seen[f"blocks.{layer}.ln2.hook_in"][0]
        return run.mid[layer][0] / (start.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() @ weight
    return run.mlp_in[layer][0] @ weight


@pytest.mark.parametrize(
    ("architecture", "name"),
    [(a, n) for a in ("llama", "gpt2", "gemma2") for n in ("neurons", "sae", "transcoder", "clt")]
    + [("llama", "normalised")],
)
def test_an_edge_is_what_explicit_path_patching_finds(architecture: str, name: str, tiny: Make, tmp_path: Path) -> None:
    """Take one source out at its MLP, hold all else on the way, and see what the target loses."""
    model = tiny(architecture)
    basis = named_basis(name, model, tmp_path)
    clean = Clean(model)
    units = all_units(basis, len(TOKENS))
    flows, sources = trace_flows(model, torch.tensor(TOKENS), basis, units, partial(both_logits, model))
    plain = clean.patched({})
    readings = [explicit_reading(clean, name, tmp_path, layer, plain) for layer in range(LAYERS)]
    cap = getattr(model.config, "final_logit_softcapping", None)
    gain = torch.tanh(plain.logits / cap) * cap / plain.logits if cap else torch.ones_like(plain.logits)
    scale = float(flows.units.abs().max())
    strong = sources.activation.abs().topk(len(units.layer) // 3).indices
    tried = 0
    for s in strong[torch.randperm(len(strong), generator=torch.Generator().manual_seed(3))[:12]].tolist():
        layer, position, unit = int(units.layer[s]), int(units.position[s]), units.unit[s : s + 1]
        f = torch.zeros(1, len(TOKENS), 1)
        f[0, position] = sources.activation[s]
        run = clean.patched({site: -basis.lift(layer, site, f, unit) for site in basis.writes(layer)})
        for target in range(layer + 1, LAYERS):
            lost = readings[target] - explicit_reading(clean, name, tmp_path, target, run)
            rows = units.in_layer(target)
            active = sources.activation[rows] != 0
            expected = torch.where(active, lost[units.position[rows], units.unit[rows]], 0)
            torch.testing.assert_close(flows.units[rows, s], expected, atol=2e-5 * scale, rtol=1e-3)
            tried += int((expected.abs() > 1e-3 * scale).sum())
        lost = ((plain.logits - run.logits) * gain)[[ANSWER, FOIL]]
        torch.testing.assert_close(flows.units[-2:, s], lost, atol=2e-5 * scale, rtol=1e-3)
    assert tried > 50


# -- graphs --------------------------------------------------------------------------------------------


def some_nodes(basis: Basis, count: int, n: int = len(TOKENS)) -> list[Node]:
    units = all_units(basis, n)
    draw = torch.randperm(len(units.layer), generator=torch.Generator().manual_seed(2))[:count].tolist()
    return [Node("unit", int(units.layer[i]), int(units.position[i]), int(units.unit[i])) for i in draw]


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma2"])
def test_attributions_share_out_the_metric(architecture: str, tiny: Make, tmp_path: Path) -> None:
    """With every neuron kept, RelP's shares are what the edges add up to, backwards from the logits."""
    model = tiny(architecture)
    basis = named_basis("neurons", model, tmp_path)
    count = sum(basis.n_units(layer) for layer in basis.layers()) * len(TOKENS)
    question = logit_difference(model, ANSWER, FOIL)
    graph = trace_graph(model, torch.tensor(TOKENS), basis, some_nodes(basis, count), question)
    index = {node: i for i, node in enumerate(graph.nodes)}
    edges, scale = graph.edges, abs(graph.metric)
    logits = model.logits(model.forward(torch.tensor([TOKENS]), torch.tensor([len(TOKENS) - 1])))[0]
    assert graph.metric == pytest.approx(float(logits[ANSWER] - logits[FOIL]), rel=1e-4)
    assert graph.gap < 1e-4
    # by definition an edge's attribution is its part of the target's share ...
    units = np.array([i for i, node in enumerate(graph.nodes) if node.kind == "unit"])
    inflow = np.bincount(edges.target, edges.attribution, len(graph.nodes))
    np.testing.assert_allclose(inflow[units], graph.attribution[units], atol=1e-4 * scale, rtol=1e-3)
    # ... and what leaves a node is its share: one backward pass against sums over edges, embeddings included
    outflow = np.bincount(edges.source, edges.attribution, len(graph.nodes))
    sources = np.array([i for node, i in index.items() if node.kind in ("unit", "embedding")])
    np.testing.assert_allclose(outflow[sources], graph.attribution[sources], atol=1e-4 * scale, rtol=1e-3)
    assert list(graph.nodes) == sorted(graph.nodes, key=lambda node: node.layer)
    assert (edges.source < edges.target).all()


def test_answer_and_foil_apart(tiny: Make, tmp_path: Path) -> None:
    model = tiny("gemma2")
    basis = named_basis("sae", model, tmp_path)
    nodes = some_nodes(basis, 60)
    both, one = (
        trace_graph(model, torch.tensor(TOKENS), basis, nodes, logit_difference(model, ANSWER, FOIL, apart=apart))
        for apart in (True, False)
    )
    assert [node.unit for node in both.nodes if node.kind == "logit"] == [0, 1]
    assert both.metric == pytest.approx(one.metric, rel=1e-4)
    into = [np.array([g.nodes[t].kind == "logit" for t in g.edges.target]) for g in (both, one)]
    sums = [
        np.bincount(g.edges.source[chosen], g.edges.attribution[chosen], len(g.nodes))[: len(one.nodes) - 1]
        for g, chosen in zip((both, one), into, strict=True)
    ]
    np.testing.assert_allclose(sums[0], sums[1], atol=1e-4 * abs(one.metric), rtol=1e-3)


def walked(graph: Graph) -> list[float]:
    """Influence by walking every path back from the logits."""
    incoming: dict[int, list[tuple[int, float]]] = {}
    for source, target, share in zip(graph.edges.source, graph.edges.target, graph.edges.share, strict=True):
        incoming.setdefault(int(target), []).append((int(source), float(share)))
    found = [0.0] * len(graph.nodes)
    logits = [i for i, node in enumerate(graph.nodes) if node.kind == "logit"]

    def walk(node: int, weight: float) -> None:
        for source, share in incoming.get(node, []):
            found[source] += weight * share
            walk(source, weight * share)

    for logit in logits:
        walk(logit, 1 / len(logits))
    return found


def test_influence_and_pruning(tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    basis = named_basis("sae", model, tmp_path)
    question = logit_difference(model, ANSWER, FOIL)
    graph = trace_graph(model, torch.tensor(TOKENS), basis, some_nodes(basis, 40), question)
    np.testing.assert_allclose(graph.influence, walked(graph), atol=1e-9)
    entering = np.bincount(graph.edges.target, graph.edges.share, len(graph.nodes))
    assert ((entering < 1e-9) | (abs(entering - 1) < 1e-9)).all()
    bias = graph.nodes.index(Node("bias"))
    assert graph.influence[bias] == 0
    size = len(graph.edges) + 1
    for share in (0.95, 0.8, 0.5):
        pruned = prune(graph, share)
        left = walked(pruned)
        np.testing.assert_allclose(pruned.influence, left, atol=1e-9)
        assert pruned.kept == pytest.approx(sum(left) / graph.influence.sum())
        assert share <= pruned.kept + 1e-6
        assert pruned.kept < share + 0.05  # no more than asked for
        assert len(pruned.edges) < size
        size = len(pruned.edges)
        before = {(graph.nodes[s], graph.nodes[t]): w for s, t, w, *_ in zip(*vars(graph.edges).values(), strict=True)}
        for s, t, w, *_ in zip(*vars(pruned.edges).values(), strict=True):
            assert before[pruned.nodes[s], pruned.nodes[t]] == w
    bare = trace_graph(model, torch.tensor(TOKENS), basis, [], question)
    assert bare.gap < 1e-5
    assert bare.influence.sum() == pytest.approx(1)
    again = prune(prune(graph, 0.9), 0.9)
    assert again.kept == pytest.approx(again.influence.sum() / graph.influence.sum())
    assert prune(graph, 1.0).kept == pytest.approx(1)
    with pytest.raises(UserError, match=r"share of 1.5 .* valid: 0 to 1"):
        prune(graph, 1.5)


def test_a_tasks_graph_is_the_mean_over_its_prompts(tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    basis = named_basis("sae", model, tmp_path)
    prompts = prompt_set(model, pair_rows(3, (5, 4)))
    nodes = some_nodes(basis, 30, prompts.n_slots)
    graph = trace_task(model, prompts, basis, nodes)
    sums: dict[tuple[Node, Node], np.ndarray] = {}
    for prompt in range(3):
        slots = prompts.slot[prompt, : int(prompts.last[prompt]) + 1].tolist()
        here = [replace(n, position=slots.index(n.position)) for n in nodes if n.position in slots]
        answer, foil = (int(side.tokens[prompt, 0]) for side in (prompts.answer, prompts.foil))
        tokens = prompts.clean[int(prompts.pair_prompt[prompt])][: len(slots)]
        one = trace_graph(model, tokens, basis, here, logit_difference(model, answer, foil))

        def name(node: Node, slots: list[int] = slots) -> Node:
            place = -1 if node.kind in ("logit", "bias") else slots[node.position]
            return replace(node, position=place)

        for s, t, w, a, _ in zip(*vars(one.edges).values(), strict=True):
            key = (name(one.nodes[s]), name(one.nodes[t]))
            sums[key] = sums.get(key, np.zeros(2)) + np.array([w, a]) / 3
    found = {
        (graph.nodes[s], graph.nodes[t]): (w, a) for s, t, w, a, _ in zip(*vars(graph.edges).values(), strict=True)
    }
    assert found.keys() == sums.keys()
    for key, expected in sums.items():
        np.testing.assert_allclose(found[key], expected, atol=1e-5, rtol=1e-4)
