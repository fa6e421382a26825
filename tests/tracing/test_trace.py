"""From a prompt to a trace: what is asked, shares of the metric, groups, exports, and the command."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from basisbench import cli
from basisbench.bases.load import load_basis
from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.models.sites import Site
from basisbench.prompts.scoring import objective
from basisbench.settings.trace import TraceConfig
from basisbench.tracing import Edges, Graph, Node, logit_difference, trace_graph
from basisbench.tracing.asking import CENTRED_LOGIT, ask
from basisbench.tracing.document import TraceDocument, read_trace
from basisbench.tracing.export import graphml, viewer_json
from basisbench.tracing.groups import cluster_nodes, distances, silhouette_width
from basisbench.tracing.influence import influence
from basisbench.tracing.prune import explained
from basisbench.tracing.shares import profiles, prompt_scores, unit_shares
from basisbench.tracing.trace import trace
from toys.edges import named_basis
from toys.models import one_line, pair_rows, prompt_set, random_hf

Make = Callable[[str], Model]
TOKENS = torch.tensor([3, 17, 8, 29, 41])
ANSWER, FOIL = 11, 30


# -- what is asked -------------------------------------------------------------------------------------


def test_without_an_answer_the_top_token_is_asked_about(tiny: Make) -> None:
    model = tiny("llama")
    asked = ask(model, "w3 w17 w8")
    logits = model.logits(model.forward(torch.tensor([[3, 17, 8]]), torch.tensor([2])))[0]
    assert asked.answer == int(logits.argmax())
    assert asked.foil is None
    assert asked.metric == CENTRED_LOGIT
    assert asked.value == pytest.approx(float(logits.max() - logits.mean()), rel=1e-5)
    assert asked.answer_probability == pytest.approx(float(logits.softmax(-1).max()), rel=1e-5)


def test_answer_and_foil_are_read_with_or_without_a_blank(tiny: Make) -> None:
    model = tiny("llama")
    for answer, foil in (("w11", "w30"), (" w11", "w30"), (" w11 w4", " w30 w5")):
        asked = ask(model, "w3 w17", answer, foil)
        assert (asked.answer, asked.foil) == (ANSWER, FOIL)
        logits = model.logits(model.forward(torch.tensor([[3, 17]]), torch.tensor([1])))[0]
        assert asked.value == pytest.approx(float(logits[ANSWER] - logits[FOIL]), rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("",), "the prompt is empty"),
        (("w3", None, "w4"), "a foil needs an answer"),
        (("w3", "w4", " w4"), "begin with the same token"),
        (("w3", ""), "does not continue the prompt"),
    ],
)
def test_what_cannot_be_asked_is_one_line(arguments: tuple[Any, ...], words: str, tiny: Make) -> None:
    with pytest.raises(UserError) as error:
        ask(tiny("llama"), *arguments)
    assert words in one_line(error)


# -- shares --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["neurons", "rotated_neurons", "sae", "transcoder", "clt"])
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma2"])
def test_a_share_is_the_activation_times_the_slope_of_the_metric(
    architecture: str, name: str, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """The slope by central differences: what a unit writes is moved by hand, in double precision."""
    model = Model(architecture, random_hf(architecture).double(), tokenizer)
    basis = named_basis(name, model, tmp_path)
    last = torch.tensor([len(TOKENS) - 1])

    def metric(hidden: Tensor) -> Tensor:
        return model.logits_of(hidden, torch.tensor([[ANSWER, FOIL]])).double() @ torch.tensor([1.0, -1.0]).double()

    shares = dict(unit_shares(model, TOKENS[None], last, basis, lambda h: metric(h).sum(), rules=False))
    draw = np.random.default_rng(0)
    compared = 0
    for layer in basis.layers():
        share = shares[layer][0]
        active = share.nonzero().tolist()
        assert active
        for position, unit in draw.permutation(active)[:3].tolist():
            read: list[Tensor] = []
            model.forward(TOKENS[None], last, edits=[(basis.read(layer), read.append)])
            one = torch.tensor([unit])
            f = float(basis.encode(layer, read[0], one)[0, position, 0])

            def moved(by: float) -> float:
                def edit(site: Site) -> Callable[[Tensor], Tensor]:
                    step = torch.zeros(1, len(TOKENS), 1, dtype=torch.double)
                    step[0, position, 0] = by  # noqa: B023
                    return lambda x: x + basis.lift(layer, site, step, one)  # noqa: B023

                edits = [(site, edit(site)) for site in basis.writes(layer)]  # noqa: B023
                return float(metric(model.forward(TOKENS[None], last, edits=edits)))

            slope = (moved(1e-4) - moved(-1e-4)) / 2e-4
            # logits come in single precision
            assert float(share[position, unit]) == pytest.approx(f * slope, rel=2e-2, abs=2e-2 * abs(f))
            compared += 1
    assert compared >= 6


@pytest.mark.parametrize("name", ["neurons", "sae", "clt"])
def test_shares_under_the_rules_are_those_of_the_graph(name: str, tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    basis = named_basis(name, model, tmp_path)
    question = logit_difference(model, ANSWER, FOIL)
    scores = prompt_scores(model, TOKENS, basis, question.outputs, "relp")
    nodes = [Node("unit", layer, 2, unit) for layer in basis.layers() for unit in (0, 3, 5)]
    graph = trace_graph(model, TOKENS, basis, nodes, question)
    compared = [
        (float(-scores.by_layer[node.layer][node.position, node.unit]), attribution)
        for node, attribution in zip(graph.nodes, graph.attribution.tolist(), strict=True)
        if node.kind == "unit"
    ]
    assert len(compared) == len(nodes)
    ours, theirs = np.array(compared).T
    assert np.abs(theirs).max() > 0
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5 * np.abs(theirs).max())


def test_a_profile_is_a_share_a_prompt(tiny: Make) -> None:
    model = tiny("gpt2")
    prompts = prompt_set(model, pair_rows(9, (5, 7)))
    basis = load_basis("neurons", model)
    nodes = [
        Node("unit", layer, slot, unit) for layer in (0, 1) for slot in (1, prompts.n_slots - 1) for unit in (3, 7)
    ]
    found = profiles(model, prompts, basis, nodes)
    for prompt in range(prompts.n_prompts):
        one = prompts.rows(prompt, prompt + 1)
        length = int(prompts.last[prompt]) + 1

        def outputs(hidden: Tensor) -> Tensor:
            return objective(model, hidden, one, cap_as_gain=True)[None]  # noqa: B023

        scores = prompt_scores(model, prompts.clean[prompt, :length], basis, outputs)
        slots = prompts.slot[prompt, :length].tolist()
        for number, node in enumerate(nodes):
            here = [place for place, slot in enumerate(slots) if slot == node.position]
            by_hand = -sum(float(scores.by_layer[node.layer][place, node.unit]) for place in here)
            assert found[number, prompt] == pytest.approx(by_hand, rel=1e-3, abs=1e-5)
    assert (found != 0).any(1).all()


def test_a_method_that_compares_prompts_is_refused_for_one(tiny: Make) -> None:
    model = tiny("llama")
    with pytest.raises(UserError) as error:
        prompt_scores(model, TOKENS, load_basis("neurons", model), lambda h: h[:, 0], "ig")
    assert "method 'ig' cannot score a prompt alone: valid: relp, atp" in one_line(error)


# -- groups --------------------------------------------------------------------------------------------


def planted(sizes: tuple[int, ...], prompts: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Profiles of groups that share a pattern over prompts, at other scales, and whose they are."""
    draw = np.random.default_rng(1)
    patterns = draw.normal(size=(len(sizes), prompts))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    scale = draw.uniform(0.1, 5, size=(len(labels), 1))
    return scale * (patterns[labels] + noise * draw.normal(size=(len(labels), prompts))), labels


def test_planted_groups_are_found_whatever_their_scale() -> None:
    shares, labels = planted((8, 5, 4), 24, 0.3)
    found = cluster_nodes(shares)
    members = {cluster.members for cluster in found.clusters}
    assert members == {tuple(np.flatnonzero(labels == label).tolist()) for label in range(3)}
    assert all(cluster.stability > 0.9 for cluster in found.clusters)
    assert "3 groups have the largest mean silhouette width" in found.criterion
    total = [abs(shares[list(cluster.members)].mean(1).sum()) for cluster in found.clusters]
    assert total == sorted(total, reverse=True)


def test_noise_is_less_stable_than_groups() -> None:
    found = cluster_nodes(np.random.default_rng(0).normal(size=(20, 8)))
    assert found.stability < 0.75
    assert cluster_nodes(planted((7, 7, 6), 24, 0.2)[0]).stability > found.stability + 0.3


def test_nodes_that_never_change_and_those_set_apart_are_groups_of_their_own() -> None:
    shares, _ = planted((5, 5), 12, 0.2)
    shares = np.concatenate([shares, np.full((2, 12), 3.0), 10 * shares[:1]])
    kinds = {cluster.kind: cluster.members for cluster in cluster_nodes(shares, apart=[12]).clusters}
    assert kinds["the same in all prompts"] == (10, 11)
    assert kinds["set apart"] == (12,)


def test_opposite_nodes_are_furthest() -> None:
    shares = np.random.default_rng(2).normal(size=(3, 10))
    shares[1] = -2 * shares[0]
    shares[2] = 5 * shares[0] + 7
    np.testing.assert_allclose(distances(shares)[0], [0, 2, 0], atol=1e-12)


def test_the_silhouette_is_that_of_its_definition() -> None:
    draw = np.random.default_rng(3)
    points = draw.normal(size=(12, 3))
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 1, 0])
    widths = []
    for i in range(12):
        own = [j for j in range(12) if labels[j] == labels[i] and j != i]
        if not own:
            widths.append(0.0)
            continue
        a = np.mean([distance[i, j] for j in own])
        b = min(np.mean(distance[i, labels == other]) for other in set(labels.tolist()) - {labels[i]})
        widths.append((b - a) / max(a, b))
    assert silhouette_width(distance, labels) == pytest.approx(np.mean(widths))


def test_too_few_prompts_are_refused() -> None:
    with pytest.raises(UserError) as error:
        cluster_nodes(np.zeros((5, 3)))
    assert "3 prompts are too few" in one_line(error)


# -- how much is explained -----------------------------------------------------------------------------


def test_what_units_and_embeddings_bring_is_weighted_by_influence() -> None:
    nodes = (
        Node("embedding", -1, 0), Node("error", 0, 0), Node("unit", 1, 0, 3), Node("logit", 2, 0, 0)
    )  # fmt: skip
    # the logit: 0.5 the unit, 0.5 the error; the unit: 0.8 the embedding, 0.2 the error
    source, target = np.array([2, 1, 0, 1]), np.array([3, 3, 2, 2])
    share = np.array([0.5, 0.5, 0.8, 0.2])
    start = np.array([0.0, 0, 0, 1])
    zeros = np.zeros(4)
    graph = Graph(
        nodes, Edges(source, target, share, share, share), zeros, zeros, influence(source, target, share, start),
        zeros, metric=1.0, gap=0.0,
    )  # fmt: skip
    # the logit counts 1 and the unit 0.5: (0.5 + 0.5 * 0.8) / (1 + 0.5)
    assert explained(graph) == pytest.approx(0.6)


# -- the whole -----------------------------------------------------------------------------------------


def config(folder: Path, **change: Any) -> TraceConfig:
    return TraceConfig(**{"model": str(folder), "device": "cpu", "nodes": 30, "evidence": False, **change})


@pytest.fixture(scope="module")
def of_prompt(tiny_folder: Path) -> TraceDocument:
    return trace(config(tiny_folder, prompt="w3 w17 w8 w29", answer="w11", foil="w30"))


@pytest.fixture(scope="module")
def of_task(tiny_folder: Path, task_folder: Path) -> TraceDocument:
    return trace(config(tiny_folder, task=str(task_folder), n_discovery=6, nodes=40))


def test_a_prompt_is_traced(of_prompt: TraceDocument, tiny: Make) -> None:
    assert of_prompt.tokens == ["w3", "w17", "w8", "w29"]
    assert of_prompt.asked.answer == "w11"
    assert of_prompt.groups is None
    assert of_prompt.traced == 30
    assert 0.8 <= of_prompt.kept <= 1
    assert of_prompt.gap < 1e-3
    model = tiny("llama")
    basis = load_basis("neurons", model)
    question = logit_difference(model, ANSWER, FOIL)
    scores = prompt_scores(model, TOKENS[:4], basis, question.outputs)
    every = [
        (-abs(value), (layer, position, unit))
        for layer, table in scores.by_layer.items()
        for position, row in enumerate(table.tolist())
        for unit, value in enumerate(row)
    ]
    best = {place for _, place in sorted(every)[:30]}
    units = {(node.layer, node.position, node.unit) for node in of_prompt.nodes if node.kind == "unit"}
    assert units
    assert units <= best


def test_a_threshold_is_a_share_of_the_metric(tiny_folder: Path, of_prompt: TraceDocument) -> None:
    asked = {"prompt": "w3 w17 w8 w29", "answer": "w11", "foil": "w30", "keep": 1.0, "nodes": None}
    found = trace(config(tiny_folder, **asked, threshold=0.1))
    shares = [abs(node.attribution) for node in found.nodes if node.kind == "unit"]
    assert shares
    assert min(shares) >= 0.1 * abs(found.asked.metric) * (1 - 1e-5)
    assert found.traced == len(shares)
    with pytest.raises(UserError) as error:
        trace(config(tiny_folder, **{**asked, "answer": None, "foil": None}, threshold=1.0))
    assert "has 1 of the metric: valid: a lower --threshold" in one_line(error)


def test_a_task_is_traced_and_grouped(of_task: TraceDocument) -> None:
    assert of_task.asked.n_pairs == 6
    assert of_task.groups is not None
    grouped = sorted(index for group in of_task.groups.groups for index in group.nodes)
    assert grouped == [index for index, node in enumerate(of_task.nodes) if node.kind == "unit"]
    totals = [group.attribution for group in of_task.groups.groups]
    assert sum(totals) == pytest.approx(sum(n.attribution for n in of_task.nodes if n.kind == "unit"), rel=1e-6)


def test_a_trace_is_read_back(of_task: TraceDocument, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    path.write_text(of_task.model_dump_json())
    assert read_trace(path) == of_task


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["nodes"][0].update(position=99), "positions below"),
        (lambda d: d["edges"]["source"].append(0), "columns of one length"),
        (lambda d: d["edges"]["source"].__setitem__(0, 10**6), "indices of nodes"),
        (lambda d: d["nodes"][0].update(influence=float("nan")), "finite"),
        (lambda d: d.update(extra=1), "extra"),
        (lambda d: d.update(title="a\x1b[2Jb"), "title"),
    ],
)
def test_a_document_that_is_no_trace_is_one_line(
    change: Callable[[dict[str, Any]], object], words: str, of_prompt: TraceDocument, tmp_path: Path
) -> None:
    document = json.loads(of_prompt.model_dump_json())
    change(document)
    path = tmp_path / "trace.json"
    path.write_text(json.dumps(document))
    with pytest.raises(UserError) as error:
        read_trace(path)
    assert words in one_line(error)


@pytest.mark.parametrize("which", ["of_prompt", "of_task"])
def test_exports_hold_the_graph(which: str, request: pytest.FixtureRequest) -> None:
    document: TraceDocument = request.getfixturevalue(which)
    graph = nx.read_graphml(io.BytesIO(graphml(document)), node_type=int)
    assert len(graph) == len(document.nodes)
    assert graph.number_of_edges() == len(document.edges.source)
    edges = document.edges
    for source, target, weight, share in zip(edges.source, edges.target, edges.weight, edges.share, strict=True):
        assert graph.edges[source, target]["weight"] == pytest.approx(weight)
        assert graph.edges[source, target]["share"] == pytest.approx(share)
    for index, node in enumerate(document.nodes):
        assert graph.nodes[index]["influence"] == pytest.approx(node.influence)
    viewer: Any = viewer_json(document, "slug")
    shown = [node for node in document.nodes if node.kind != "bias"]
    names = [node["node_id"] for node in viewer["nodes"]]
    assert len(set(names)) == len(names) == len(shown)
    assert {link["source"] for link in viewer["links"]} | {link["target"] for link in viewer["links"]} <= set(names)
    kinds = {"unit": "cross layer transcoder", "error": "mlp reconstruction error", "embedding": "embedding"}
    for node, written in zip(shown, viewer["nodes"], strict=True):
        assert written["feature_type"] == kinds.get(node.kind, written["feature_type"])
        assert 0 <= written["ctx_idx"] < len(document.tokens)
        if node.kind == "unit":
            assert written["node_id"] == f"{node.layer}_{node.unit}_{node.position}"
    # cumulative: the strongest node has its own part, the weakest all of it
    cumulative = [node["influence"] for node in viewer["nodes"] if node["influence"] is not None]
    assert 0 < min(cumulative) <= max(cumulative) <= 1 + 1e-9
    assert json.loads(json.dumps(viewer, allow_nan=False)) == viewer


def test_a_text_that_xml_cannot_hold_is_exported(of_prompt: TraceDocument) -> None:
    odd = of_prompt.model_copy(update={"tokens": ["\x00", "<b>&", "\ud800", "w29"]})
    graph = nx.read_graphml(io.BytesIO(graphml(odd)), node_type=int)
    assert {"<b>&"} <= {graph.nodes[n]["token"] for n in graph}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "what to trace?"),
        ({"prompt": "w3", "task": "ioi"}, "what to trace?"),
        ({"task": "ioi", "answer": "w3"}, "brings its own answers"),
        ({"prompt": "w3", "threshold": 0.1}, "is one of them"),
    ],
)
def test_settings_that_exclude_each_other(change: dict[str, Any], words: str, tiny_folder: Path) -> None:
    with pytest.raises((UserError, ValidationError)) as error:
        config(tiny_folder, **change)
    assert words in str(error.value)


def test_the_command(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "basisbench", "trace", "w3 w17 w8", "--answer", "w11", "--foil", "w30", "--model", str(tiny_folder),
        "--nodes", "20", "--no-evidence", "--out", str(tmp_path / "out"), "--html", str(tmp_path / "page.html"),
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", arguments)
    assert cli.command() == 0
    printed, _ = capsys.readouterr()
    assert "logit difference" in printed
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"trace.json", "viewer.json", "graph.graphml"}
    assert "<html" in (tmp_path / "page.html").read_text("utf-8")
    assert read_trace(tmp_path / "out" / "trace.json").asked.foil == "w30"
    monkeypatch.setattr(sys, "argv", [*arguments[:3], "--model", str(tiny_folder), "--basis", "resid_post"])
    assert cli.command() == 2
    assert "cannot be traced" in capsys.readouterr().err


def test_units_that_are_set_apart_are_not_chosen(
    tiny_folder: Path, of_prompt: TraceDocument, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = max((n for n in of_prompt.nodes if n.kind == "unit"), key=lambda n: abs(n.attribution))
    monkeypatch.setattr(
        "basisbench.tracing.trace.always_on_units", lambda *_, **__: frozenset({(first.layer, first.unit)})
    )
    found = trace(config(tiny_folder, prompt="w3 w17 w8 w29", answer="w11", foil="w30", apart=True))
    assert found.traced == 30
    assert (first.layer, first.unit) not in {(n.layer, n.unit) for n in found.nodes if n.kind == "unit"}
    assert "without 1 always-on units" in found.chosen
