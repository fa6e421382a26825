"""Steering against models whose activations are edited by hand with plain torch hooks, one prompt at a time."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from basisbench import cli, load_basis
from basisbench.baselines.cross_layer import clt
from basisbench.circuits.ranking import Ranking
from basisbench.errors import UserError
from basisbench.measures.resampling import resampled
from basisbench.models.adapter import Start
from basisbench.models.sites import Site
from basisbench.prompts.prompt_set import PromptSet
from basisbench.steering import (
    EVERYWHERE,
    Condition,
    Multiply,
    Nodes,
    Set,
    Steering,
    activities,
    dose_response,
    dose_responses,
    matched_controls,
    outcomes_of,
    parse_nodes,
    prepare,
    run,
    side_effect,
    steerability,
    top_nodes,
)
from basisbench.steering.controls import written_length
from basisbench.steering.document import SteerDocument
from basisbench.steering.intervene import Operation
from basisbench.steering.outcomes import related_answers, span_words, word_tokens
from basisbench.text.sample import Sample
from toys.cross_layer import save_clt
from toys.dictionaries import peer
from toys.models import one_line, pair_rows, prompt_set
from toys.steering import Make, Target, both, some_nodes, tokens_of


@pytest.fixture
def prompts(tiny: Make) -> PromptSet:
    return prompt_set(tiny("llama"), pair_rows(6, lengths=(5, 7)))


KINDS = ("neurons", "resid_post", "sae", "topk", "transcoder", "clt")


def placed(nodes: Nodes, prompts: PromptSet, row: int) -> list[tuple[int, int, int]]:
    """The distinct (layer, position, unit) of nodes in one prompt."""
    slots = prompts.slot[row, : int(prompts.last[row]) + 1].tolist()
    found = []
    for layer, slot, unit in nodes.rows:
        if slot == EVERYWHERE:
            found += [(layer, position, unit) for position in range(1, len(slots))]
        else:
            found += [(layer, position, unit) for position, its in enumerate(slots) if its == slot]
    return list(dict.fromkeys(found))


OPERATIONS: dict[str, tuple[Operation, Target]] = {
    "turned": (Multiply(-2.5), lambda f, *_: -2.5 * f),
    "set": (Set(1.5), lambda f, *_: 1.5),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_steered_pass_is_the_model_edited_by_hand(
    kind: str, operation: str, tiny: Make, prompts: PromptSet, tmp_path: Path
) -> None:
    model = tiny("llama")
    basis, hand = both(kind, model, tmp_path)
    nodes = some_nodes(basis, prompts)
    ours, by_hand = OPERATIONS[operation]
    bench = prepare(model, prompts, basis, [nodes])
    steered = model.logits(run(bench, [Condition(nodes, ours)])[0])
    plain = model.logits(bench.hidden)
    for row in range(prompts.n_prompts):
        expected = hand.logits(tokens_of(prompts, row), placed(nodes, prompts, row), by_hand)[-1]
        torch.testing.assert_close(steered[row], expected, atol=2e-4, rtol=2e-4)
    assert (steered - plain).abs().max() > 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_a_factor_of_one_changes_neither_logits_nor_gradients(
    kind: str, tiny: Make, prompts: PromptSet, tmp_path: Path
) -> None:
    model = tiny("llama")
    basis, _ = both(kind, model, tmp_path)
    nodes = some_nodes(basis, prompts)
    embeddings: list[Tensor] = []
    with torch.no_grad():
        model.forward(prompts.clean, prompts.last, edits=[(Site(0, "resid_pre"), embeddings.append)])

    def logits_and_gradient(factor: float | None) -> tuple[Tensor, Tensor]:
        inputs = embeddings[0].clone().requires_grad_()
        everywhere = prompts.real
        edits = []
        if factor is not None:
            edits = Steering(basis, [Condition(nodes, Multiply(factor))], prompts.slot, everywhere).edits()
        hidden = model.forward(prompts.clean, prompts.last, edits=edits, start=Start(0, inputs))
        logits = model.logits(hidden)
        (gradient,) = torch.autograd.grad(logits.pow(2).sum(), inputs)
        return logits.detach(), gradient

    plain, gradient = logits_and_gradient(None)
    same, same_gradient = logits_and_gradient(1.0)
    torch.testing.assert_close(same, plain, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(same_gradient, gradient, atol=1e-5, rtol=1e-5)
    other, other_gradient = logits_and_gradient(3.0)
    assert (other - plain).abs().max() > 1e-2
    assert (other_gradient - gradient).abs().max() > 1e-2


@pytest.mark.parametrize("kind", ["neurons", "sae", "clt"])
def test_conditions_in_one_pass_are_those_of_passes_of_their_own(
    kind: str, tiny: Make, prompts: PromptSet, tmp_path: Path
) -> None:
    model = tiny("llama")
    basis, _ = both(kind, model, tmp_path)
    sets = [some_nodes(basis, prompts, seed=seed) for seed in range(3)]
    conditions = [Condition(sets[0], Multiply(-1)), Condition(sets[1], Set(2.0)), Condition(sets[2], Multiply(0))]
    together = run(prepare(model, prompts, basis, sets), conditions)
    for condition, hidden in zip(conditions, together, strict=True):
        alone = run(prepare(model, prompts, basis, [condition.nodes], reuse=False), [condition])[0]
        torch.testing.assert_close(hidden, alone, atol=1e-4, rtol=1e-4)
    assert (together[0] - together[1]).abs().max() > 1e-2


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma2"])
def test_leading_tokens_and_layers_are_passed_over_only_where_nothing_is_steered(architecture: str, tiny: Make) -> None:
    model = tiny(architecture)
    prompts = prompt_set(model, pair_rows(6))
    assert prompts.shared == 1
    basis = load_basis("neurons", model)
    start, subject = (prompts.slot_names.index(name) for name in ("start", "subject"))
    late, early = Nodes.of([(2, subject, 4), (1, subject, 7)]), Nodes.of([(2, start, 4), (0, subject, 1)])
    for nodes, length, first in ((late, 1, 1), (early, 0, 0), (late.everywhere(), 1, 1)):
        reused, whole = (prepare(model, prompts, basis, [nodes], reuse=reuse) for reuse in (True, False))
        assert (reused.prefix.length if reused.prefix else 0, reused.first) == (length, first)
        assert (whole.prefix, whole.first) == (None, 0)
        conditions = [Condition(nodes, Multiply(-3))]
        torch.testing.assert_close(run(reused, conditions), run(whole, conditions), atol=1e-4, rtol=1e-4)
        assert (run(whole, conditions) - whole.hidden).abs().max() > 1e-3


# -- dose-response -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["neurons", "transcoder"])
def test_doses_are_softmax_probabilities_of_the_edited_model(
    kind: str, tiny: Make, prompts: PromptSet, tmp_path: Path
) -> None:
    model = tiny("llama")
    basis, hand = both(kind, model, tmp_path)
    nodes = some_nodes(basis, prompts)
    third = torch.tensor([7, 8, 9, 10, -1, 12])
    found = dose_response(model, prompts, basis, nodes, [-1.0, 1.0, 4.0], outcomes={"third": third})
    for i, dose in enumerate((-1.0, 1.0, 4.0)):
        for pair in range(prompts.n_pairs):
            row = int(prompts.pair_prompt[pair])
            tokens, places = tokens_of(prompts, row), placed(nodes, prompts, row)
            logits = hand.logits(tokens, places, lambda f, *_, d=dose: d * f)[-1]
            p, plain = logits.softmax(-1), hand.logits(tokens, [], lambda f, *_: f)[-1]
            answer, foil = int(prompts.answer.tokens[pair, 0]), int(prompts.foil.tokens[pair, 0])
            assert found.probability["answer"][i, pair] == pytest.approx(float(p[answer]), abs=1e-5)
            assert found.probability["foil"][i, pair] == pytest.approx(float(p[foil]), abs=1e-5)
            assert found.logit_difference[i, pair] == pytest.approx(float(logits[answer] - logits[foil]), abs=1e-3)
            kl = float((plain.softmax(-1) * (plain.log_softmax(-1) - logits.log_softmax(-1))).sum())
            assert found.steered.kl[i, pair] == pytest.approx(max(0.0, kl), abs=1e-4)
            extra = found.probability["third"][i, pair]
            assert math.isnan(extra) if pair == 4 else extra == pytest.approx(float(p[int(third[pair])]), abs=1e-5)
    gaps = []
    for pair, row in enumerate(prompts.pair_prompt.tolist()):
        tokens = prompts.corrupt[row, : int(prompts.last[row]) + 1].tolist()
        logits = hand.logits(tokens, [], lambda f, *_: f)[-1]
        gaps.append(float(logits[prompts.answer.tokens[pair, 0]] - logits[prompts.foil.tokens[pair, 0]]))
    other = np.mean(gaps)
    before, after = found.logit_difference[1].mean(), found.logit_difference[2].mean()
    bands = found.bands(n_resamples=200)
    assert bands["effect"].value[1] == pytest.approx(0, abs=1e-6)
    assert bands["effect"].value[2] == pytest.approx((before - after) / (before - other), rel=1e-3)
    known = np.delete(found.probability["third"], 4, axis=1)
    np.testing.assert_allclose(bands["p(third)"].value, known.mean(1), rtol=1e-9)


def test_bands_resample_pairs(tiny: Make, prompts: PromptSet) -> None:
    model = tiny("llama")
    basis = load_basis("neurons", model)
    found = dose_response(model, prompts, basis, some_nodes(basis, prompts), [-1.0, 3.0])
    band = found.bands(seed=3, n_resamples=300)["p(answer)"]
    p = found.probability["answer"]
    expected = resampled(lambda weights: {"": p @ weights.T}, p.shape[1], 3, 300)[""]
    np.testing.assert_allclose([band.low, band.high], [expected.low, expected.high])
    assert (band.low < band.value).all()
    assert (band.value < band.high).all()


def test_values_are_set_and_sets_share_passes(tiny: Make, prompts: PromptSet) -> None:
    model = tiny("llama")
    basis = load_basis("neurons", model)
    sets = [some_nodes(basis, prompts, seed=seed) for seed in range(2)]
    shared = dose_responses(model, prompts, basis, sets, [0.0, 2.0], operation=Set)
    for nodes, found in zip(sets, shared, strict=True):
        alone = dose_response(model, prompts, basis, nodes, [0.0, 2.0], operation=Set)
        np.testing.assert_allclose(found.logit_difference, alone.logit_difference, atol=1e-3)
    zero = dose_response(model, prompts, basis, sets[0], [0.0])
    np.testing.assert_allclose(zero.logit_difference[0], shared[0].logit_difference[0], atol=1e-4)


def test_a_named_outcome_is_a_word_of_the_prompt(tiny: Make, prompts: PromptSet) -> None:
    model = tiny("llama")
    found = outcomes_of(model, prompts)
    assert set(found) == {"subject"}
    assert found["subject"].tolist() == [int(prompts.clean[row, 1]) for row in prompts.pair_prompt.tolist()]
    assert span_words(model, prompts, "subject") == [f"w{token}" for token in found["subject"].tolist()]
    assert word_tokens(model, prompts, [" w9", "", " w11", " w12 w13", " w4", " w5"]).tolist() == [9, -1, 11, 12, 4, 5]


def test_a_related_task_says_the_state_of_a_city() -> None:
    from basisbench.shipped_tasks.capitals import STATE_CAPITAL, TWO_HOP

    answers = related_answers(TWO_HOP, "city")
    assert set(answers) == {"city_state"}
    assert (answers["city_state"]["Houston"], answers["city_state"]["Oakland"]) == (" Texas", " California")
    assert related_answers(STATE_CAPITAL, "state") == {}


# -- controls ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["neurons", "sae", "clt"])
@pytest.mark.parametrize("sort", ["active", "random"])
def test_controls_are_as_many_others_in_the_same_places(
    kind: str, sort: Any, tiny: Make, prompts: PromptSet, tmp_path: Path
) -> None:
    model = tiny("llama")
    basis, _ = both(kind, model, tmp_path)
    nodes = some_nodes(basis, prompts, count=12)
    found = matched_controls(model, prompts, basis, nodes, sort, draws=4, seed=1)
    assert len(found.sets) == 4
    own = {(layer, unit) for layer, _, unit in nodes.rows}
    for control in found.sets:
        assert [row[:2] for row in control.rows] == [row[:2] for row in nodes.rows]
        assert not own & {(layer, unit) for layer, _, unit in control.rows}
    assert len({tuple(control.rows) for control in found.sets}) == 4
    again = matched_controls(model, prompts, basis, nodes, sort, draws=4, seed=1)
    assert [control.rows for control in again.sets] == [control.rows for control in found.sets]


@pytest.mark.parametrize("kind", ["neurons", "transcoder"])
def test_activity_is_activation_times_length(kind: str, tiny: Make, prompts: PromptSet, tmp_path: Path) -> None:
    model = tiny("llama")
    basis, hand = both(kind, model, tmp_path)
    subject = prompts.slot_names.index("subject")
    nodes = Nodes.of([(1, subject, 4), (1, EVERYWHERE, 6)])
    found = activities(model, prompts, basis, nodes)
    seen: list[Tensor] = []
    block = hand.layers[1]
    module = block.mlp.down_proj if kind == "neurons" else block.mlp
    handle = module.register_forward_pre_hook(lambda _m, args: seen.append(hand.units(1, args[0][0])))
    with torch.no_grad():
        for row in range(prompts.n_prompts):
            hand.hf(torch.tensor([tokens_of(prompts, row)]))
    handle.remove()
    lengths = block.mlp.down_proj.weight.norm(dim=0) if kind == "neurons" else peer(tmp_path, 1).W_dec.norm(dim=1)
    at_subject = torch.stack([f[1] for f in seen]).abs().mean(0) * lengths
    anywhere = torch.cat([f[1:] for f in seen]).abs().mean(0) * lengths
    torch.testing.assert_close(found[1, subject], at_subject.detach(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[1, EVERYWHERE], anywhere.detach(), atol=1e-4, rtol=1e-4)


def test_lengths_of_cross_layer_units_are_over_all_sites(tiny: Make, tmp_path: Path) -> None:
    weights = save_clt(tmp_path)
    basis = clt(tiny("llama"), str(tmp_path))
    torch.testing.assert_close(written_length(tiny("llama"), basis, 0), weights["W_dec_0"].flatten(1).norm(dim=1))


def test_active_controls_are_near_and_random_ones_are_not(tiny: Make, prompts: PromptSet) -> None:
    model = tiny("llama")
    basis = load_basis("neurons", model)
    subject = prompts.slot_names.index("subject")
    everything = activities(model, prompts, basis, Nodes.of([(0, subject, 0)]))[0, subject]
    nodes = Nodes.of([(0, subject, int(everything.argmax()))])
    nearest = set(everything.topk(11).indices.tolist()) - {int(everything.argmax())}
    found = matched_controls(model, prompts, basis, nodes, draws=30, seed=0)
    assert {int(control.unit[0]) for control in found.sets} <= nearest
    random = matched_controls(model, prompts, basis, nodes, "random", draws=30, seed=0)
    assert not {int(control.unit[0]) for control in random.sets} <= nearest
    assert random.activity < found.activity < 1
    chosen = [float(everything[control.unit[0]]) for control in found.sets]
    assert found.activity == pytest.approx(float(np.mean(chosen)) / float(everything.max()), rel=1e-5)


def test_too_few_others_are_refused(tiny: Make, prompts: PromptSet) -> None:
    basis = load_basis("neurons", tiny("llama"))
    with pytest.raises(UserError) as error:
        matched_controls(tiny("llama"), prompts, basis, Nodes.of([(0, 0, unit) for unit in range(21)]))
    assert "too few units" in one_line(error)


# -- side effects --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["neurons", "sae", "clt"])
def test_side_effects_are_kl_divergences_of_the_edited_model(kind: str, tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    basis, hand = both(kind, model, tmp_path)
    sample = Sample(model, torch.randint(3, 50, (5, 9), generator=torch.Generator().manual_seed(2)))
    nodes = Nodes.of([(0, 0, 3), (1, 2, 3), (1, 3, 3), (2, EVERYWHERE, 8)])
    found = side_effect(model, basis, nodes, [Multiply(-1), Multiply(1), Set(0.7)], sample)
    assert found.kl.shape == (3, 5, 8)
    targets: list[Target] = [lambda f, *_: -f, lambda f, *_: f, lambda f, *_: 0.7]
    places = [(i, position, unit) for i, unit in ((0, 3), (1, 3), (2, 8)) for position in range(1, 9)]
    for row in range(5):
        tokens = sample.tokens[row].tolist()
        plain = hand.logits(tokens, [], targets[1]).log_softmax(-1)
        for i, target in enumerate(targets):
            steered = hand.logits(tokens, places, target).log_softmax(-1)
            kl = (plain.exp() * (plain - steered)).sum(-1)[1:].clamp(min=0)
            np.testing.assert_allclose(found.kl[i, row], kl.numpy(), atol=2e-4, rtol=1e-3)
    band = found.band(n_resamples=100)
    assert band.value[1] == pytest.approx(0, abs=1e-6)
    assert band.low[0] < band.value[0] < band.high[0]
    assert band.value[0] == pytest.approx(found.kl[0].mean())


# -- nodes ---------------------------------------------------------------------------------------------


def test_nodes_are_read_from_words_and_written_as_words() -> None:
    names = ("start", "city-1", "city", "after city")
    text = "12:345@city,20:7,3:1@after city"
    nodes = parse_nodes(text, names)
    assert nodes.rows == [(12, 2, 345), (20, EVERYWHERE, 7), (3, 3, 1)]
    assert ",".join(nodes.words(names)) == text
    assert nodes.everywhere().rows == [(12, EVERYWHERE, 345), (20, EVERYWHERE, 7), (3, EVERYWHERE, 1)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("12", "'12' is no node: valid: LAYER:UNIT or LAYER:UNIT@SLOT"),
        ("1:2@citi", "unknown slot 'citi': did you mean 'city'?"),
        ("1:2,1:2", "nodes are named twice"),
    ],
)
def test_what_is_no_node_is_refused(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        parse_nodes(text, ("start", "city"))


def test_nodes_that_there_are_not_are_refused(tiny: Make, prompts: PromptSet) -> None:
    model = tiny("llama")
    basis = load_basis("neurons", model)
    for row, words in (((9, 0, 0), "no units in layer 9"), ((0, 0, 99), "no unit 99"), ((0, 99, 0), "no slot 99")):
        with pytest.raises(UserError, match=words):
            dose_response(model, prompts, basis, Nodes.of([row]))
    with pytest.raises(UserError, match="no node to steer"):
        Nodes.of([])


def test_top_nodes_leave_errors_out() -> None:
    layer, slot, unit = (torch.tensor(values) for values in ([0, 1, 2, 0], [0, 1, 1, 2], [5, 9, 6, 7]))
    error = torch.tensor([False, True, False, False])
    ranking = Ranking(layer, slot, unit, torch.tensor([4.0, 3.0, 2.0, 1.0]), error, 10, False)
    assert top_nodes(ranking, 2).rows == [(0, 0, 5), (2, 1, 6)]
    assert len(top_nodes(ranking, 9)) == 3


# -- the board -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["neurons", "sae"])
def test_a_board_row_is_made_of_its_parts(kind: str, tiny: Make, prompts: PromptSet, tmp_path: Path) -> None:
    model = tiny("llama")
    basis, _ = both(kind, model, tmp_path)
    nodes = some_nodes(basis, prompts)
    sample = Sample(model, torch.randint(3, 50, (4, 8), generator=torch.Generator().manual_seed(2)))
    row = steerability(model, prompts, basis, nodes, (1, 4, 9, 500), draws=2, sample=sample, seed=3)
    assert row.size == (1, 4, 9)
    controls = matched_controls(model, prompts, basis, nodes.first(9), draws=2, seed=3)
    for i, k in enumerate(row.size):
        own = dose_response(model, prompts, basis, nodes.first(k), [-1.0]).bands(n_resamples=10)["effect"].value[0]
        others = [
            dose_response(model, prompts, basis, some.first(k), [-1.0]).bands(n_resamples=10)["effect"].value[0]
            for some in controls.sets
        ]
        assert row.effect.value[i] == pytest.approx(own, abs=1e-4, rel=1e-5)
        assert row.corrected.value[i] == pytest.approx(own - np.mean(others), abs=1e-4, rel=1e-5)
        np.testing.assert_allclose(row.controls["active"][i], others, atol=1e-4, rtol=1e-5)
        kl = side_effect(model, basis, nodes.first(k), [Multiply(-1.0)], sample).kl.mean()
        assert row.kl.value[i] == pytest.approx(kl, rel=1e-4)
    reached = [k for k, value in zip(row.size, row.corrected.value, strict=True) if value >= 0.5]
    assert row.nodes_half.value == (reached[0] if reached else 10)
    within = [value for value, kl in zip(row.corrected.value, row.kl.value, strict=True) if kl <= 0.1]
    assert row.budget_effect == (max(within) if within else pytest.approx(math.nan, nan_ok=True))


# -- the command ---------------------------------------------------------------------------------------


@pytest.fixture
def run_cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setenv("BASISBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["basisbench", "steer", *map(str, arguments)])
        capsys.readouterr()
        return cli.command(), *capsys.readouterr()

    return call


def test_the_command_leaves_a_document_tables_and_figures(
    run_cli: Callable[..., tuple[int, str, str]], tiny_folder: Path, task_folder: Path, tmp_path: Path
) -> None:
    options = ["--model", tiny_folder, "--task", task_folder, "--bases", "neurons,mlp_out", "--nodes", 5,
               "--multipliers", "-1,1,2", "--swap", "--board", "--sizes", "1,3", "--draws", 2, "--n-evaluation", 6,
               "--n-discovery", 6, "--method", "atp", "--out", "there"]  # fmt: skip
    status, printed, errors = run_cli(*options)
    assert status == 0, errors
    folder = tmp_path / "there"
    document = SteerDocument.model_validate_json((folder / "steer.json").read_bytes())
    assert [basis.basis for basis in document.bases] == ["neurons", "mlp_out"]
    assert document.environment.model_hash
    for basis in document.bases:
        assert len(basis.nodes) == 5
        assert basis.dose.doses == [-1, 1, 2]
        assert basis.dose.bands["effect"].value[1] == pytest.approx(0, abs=1e-6)
        assert basis.dose.kl_text.value[1] == pytest.approx(0, abs=1e-6)
        assert {len(row) for row in basis.dose.logit_difference} == {6}
        assert [control.kind for control in basis.dose.controls] == ["active", "random"]
        assert basis.swap is not None
        assert basis.swap.n_pairs == 30 == len(basis.swap.success)
        assert basis.basis in printed
    assert {row.basis for row in document.board} == {"neurons", "mlp_out"}
    for name in ("doses.png", "doses.svg", "board.png", "board.svg"):
        assert (folder / name).stat().st_size > 5000
    lines = (folder / "doses.csv").read_text().splitlines()
    assert lines[0] == "basis,quantity,multiply,value,low,high"
    assert (folder / "board.csv").read_text().startswith("basis,quantity,nodes,value,low,high")
    assert "## Steerability" in (folder / "steer.md").read_text()
    assert str(tmp_path) not in (folder / "steer.md").read_text().replace(str(task_folder), "")
    first = json.loads((folder / "steer.json").read_text())
    run_cli(*options[:-1], "again")
    second = json.loads((tmp_path / "again" / "steer.json").read_text())
    for key in ("config_hash", "bases", "board"):
        assert first[key] == second[key]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--nodes", "0:1", "--bases", "neurons,mlp_out"], "valid is one basis, or a number of nodes"),
        (["--nodes", "0:1", "--board"], "a board takes the first nodes of a ranking"),
        (["--multipliers", "x"], "setting multipliers"),
        (["--nodes", "0:1@nowhere"], "unknown slot 'nowhere'"),
        (["--nodes", "7:1"], "has no units in layer 7"),
        (["--groups", "nothing#name"], "no file nothing"),
        (["--groups", "nothing"], "valid is trace.json#NAME"),
        (["--method", "relpp"], "unknown method 'relpp'"),
    ],
)
def test_wrong_options_are_refused_in_one_line(
    options: list[str],
    words: str,
    run_cli: Callable[..., tuple[int, str, str]],
    tiny_folder: Path,
    task_folder: Path,
) -> None:
    status, printed, errors = run_cli("--model", tiny_folder, "--task", task_folder, "--n-evaluation", 4, *options)
    assert (status, printed) == (2, "")
    assert errors.splitlines()[-1].startswith("basisbench: ")
    assert words in errors.splitlines()[-1]
