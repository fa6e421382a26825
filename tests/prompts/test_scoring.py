"""Answers of several tokens, sets of answers, candidates and metrics, against passes of plain torch, pair by pair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from basisbench.attribution import Request, ask_scores, load_method
from basisbench.bases.load import load_basis
from basisbench.circuits.curves import evaluate
from basisbench.circuits.ranking import rank_nodes
from basisbench.errors import UserError
from basisbench.measures.metrics import METRICS, scoring_metric, scoring_metrics
from basisbench.models.adapter import Model, Start
from basisbench.models.recording import record
from basisbench.models.sites import Site
from basisbench.prompts.prompt_set import PLAIN, PromptSet, Scoring, usable_pairs
from basisbench.prompts.scoring import log_probabilities, objective, outcome
from basisbench.prompts.selection import WRONG, Filter, load_prompts
from basisbench.prompts.tokens import BEGINS, SAME_ANSWER, SEVERAL_ANSWERS
from basisbench.tasks.pair import Pair
from basisbench.values import Split
from toys.models import altered, one_line, only, pair_rows, prompt_set

WHOLE = Scoring(answers="whole")


class ListTask:
    """A task over given pairs."""

    name = family = "listed"
    description = "pairs"
    splits: tuple[Split, ...] = ("discovery",)

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.given = pairs

    def pairs(self, split: str, n: int, seed: int) -> Sequence[Pair]:
        """Return the first pairs."""
        return self.given[:n]


def changed(pairs: Sequence[Pair], **values: Any) -> list[Pair]:
    return [altered(pair, **values) for pair in pairs]


def words(text: str) -> list[int]:
    return [int(word[1:]) for word in text.split()]


def logits_after(model: Model, text: str, more: Sequence[int] = ()) -> Tensor:
    """Logits of the next token, by the plain Hugging Face model's own pass over the words."""
    ids = torch.tensor([words(text) + list(more)])
    return model.logits(model.forward(ids, torch.tensor([ids.shape[1] - 1])))[0].detach()


def said(model: Model, prompts: PromptSet) -> Any:
    with torch.no_grad():
        return outcome(model, model.forward(prompts.clean, prompts.last), prompts)


def test_of_several_answers_any_will_do(tiny: Callable[[str], Model]) -> None:
    model = tiny("llama")
    pairs = changed(pair_rows(3), answers=[" w7", " w8 w3", " w9"], foils=[" w10", " w9 w4"])
    prompts = prompt_set(model, pairs)
    found = said(model, prompts)
    for index, pair in enumerate(pairs):
        p = logits_after(model, pair.clean).softmax(-1)
        # w9 begins an answer and a foil: it counts for neither
        assert found.answer[index] - found.logsumexp[index] == pytest.approx(float((p[7] + p[8]).log()), abs=1e-5)
        assert found.foil[index] - found.logsumexp[index] == pytest.approx(float(p[10].log()), abs=1e-5)


def test_answers_that_begin_alike_are_scored_where_they_differ(tiny: Callable[[str], Model]) -> None:
    model = tiny("llama")
    pairs = changed(pair_rows(2, (5, 4)), answers=" w7 w8 w3", foils=" w7 w9")
    prompts = prompt_set(model, pairs)
    assert prompts.usage.shared == 2
    assert "2 scored at a later token" in str(prompts.usage)
    assert "answer" in prompts.slot_names
    found = said(model, prompts)
    for index, pair in enumerate(pairs):
        logits = logits_after(model, pair.clean, [7])
        assert found.answer[index] == pytest.approx(float(logits[8]), abs=1e-5)
        assert found.foil[index] == pytest.approx(float(logits[9]), abs=1e-5)
        corrupt = [*words(pair.corrupt), 7]
        row_of = int(prompts.pair_prompt[index])
        assert prompts.corrupt[row_of, : len(corrupt)].tolist() == corrupt


@pytest.mark.parametrize(
    ("answer", "foil", "scoring", "reason"),
    [
        ([" w7", " w8"], [" w8 w3", " w7 w3"], PLAIN, SAME_ANSWER),
        ([" w7", " w8"], ["  w8"], PLAIN, SAME_ANSWER),
        ([" w7 w8"], [" w7"], PLAIN, BEGINS),
        ([" w7", " w8"], [" w9"], WHOLE, SEVERAL_ANSWERS),
    ],
)
def test_answers_that_cannot_be_told_apart_are_counted(
    answer: list[str], foil: list[str], scoring: Scoring, reason: str, tiny: Callable[[str], Model]
) -> None:
    pairs = changed(pair_rows(2), answers=answer, foils=foil)
    assert usable_pairs(pairs, tiny("llama"), scoring) == ([], {reason: 2})


def whole_by_hand(model: Model, text: str, continuation: str) -> float:
    total, before = 0.0, list[int]()
    for token in words(continuation):
        total += float(logits_after(model, text, before).log_softmax(-1)[token])
        before.append(token)
    return total


def test_whole_answers_are_summed_log_probabilities(tiny: Callable[[str], Model]) -> None:
    model = tiny("llama")
    pairs = changed(pair_rows(3, (5, 4)), answers=" w7 w8 w3", foils=" w7 w9")
    prompts = prompt_set(model, pairs, WHOLE)
    found = said(model, prompts)
    for index, pair in enumerate(pairs):
        assert found.answer[index] == pytest.approx(whole_by_hand(model, pair.clean, only(pair.answers)), abs=1e-4)
        assert found.foil[index] == pytest.approx(whole_by_hand(model, pair.clean, only(pair.foils)), abs=1e-4)
    assert not found.logsumexp.any()
    with pytest.raises(UserError) as error:
        Scoring(scoring_metric("probability_difference"), "whole")
    assert "log_probability" in one_line(error)


@pytest.mark.parametrize("answers", ["first", "whole"])
@pytest.mark.parametrize("metric", sorted(metric.name for metric in scoring_metrics()))
def test_the_objective_is_the_sum_of_the_metric_and_its_gradient_too(
    metric: str, answers: Any, tiny: Callable[[str], Model]
) -> None:
    if answers == "whole" and metric == "probability_difference":
        pytest.skip("refused")
    model = tiny("llama")
    pairs = changed(pair_rows(3, (5, 4)), answers=" w7 w8 w3", foils=" w7 w9")
    prompts = prompt_set(model, pairs, Scoring(scoring_metric(metric), answers))
    hidden = model.forward(prompts.clean, prompts.last).detach()
    values = METRICS.get(metric).compute(outcome(model, hidden, prompts))
    twice = torch.cat([hidden, 2 * hidden]).requires_grad_()
    total = objective(model, twice, prompts)
    doubled = METRICS.get(metric).compute(outcome(model, 2 * hidden, prompts))
    assert total.item() == pytest.approx(values.sum() + doubled.sum(), rel=1e-5)
    (gradient,) = torch.autograd.grad(total, twice)
    step = 1e-3 * torch.randn(hidden.shape, generator=torch.Generator().manual_seed(0))
    up, down = (METRICS.get(metric).compute(outcome(model, hidden + s * step, prompts)).sum() for s in (1, -1))
    expected = float((gradient[: len(hidden)] * step).sum())
    assert (up - down) / 2 == pytest.approx(expected, rel=0.02, abs=1e-6)


def test_chunks_of_prompts_add_up(tiny: Callable[[str], Model]) -> None:
    """A pair whose terms stand after several prompts may be taken apart."""
    model = tiny("llama")
    prompts = prompt_set(model, changed(pair_rows(3), answers=" w7 w8 w3", foils=" w9 w4"), WHOLE)
    hidden = model.forward(prompts.clean, prompts.last).detach()
    parts = [objective(model, hidden[i : i + 2], prompts.rows(i, i + 2)) for i in range(0, prompts.n_prompts, 2)]
    assert float(sum(parts)) == pytest.approx(float(objective(model, hidden, prompts)), rel=1e-5)


def test_the_lead_is_over_the_other_candidates(tiny: Callable[[str], Model]) -> None:
    model = tiny("llama")
    pairs = pair_rows(4)
    candidates = [" w20", " w21", " w22 w3"]
    named = prompt_set(model, [altered(pair, candidates=[*candidates, *pair.answers]) for pair in pairs])
    for index, pair in enumerate(pairs):
        logits = logits_after(model, pair.clean)
        (answer,), (foil,) = words(only(pair.answers)), words(only(pair.foils))
        rivals = logits[[token for token in (20, 21, 22, foil) if token != answer]]
        assert said(model, named).lead[index] == pytest.approx(float(logits[answer] - rivals.max()), abs=1e-5)
        others = logits.clone()
        others[answer] = -np.inf
        anything = said(model, prompt_set(model, pairs)).lead[index]
        assert anything == pytest.approx(float(logits[answer] - others.max()), abs=1e-5)


def test_kl_is_to_the_plain_model(tiny: Callable[[str], Model]) -> None:
    model = tiny("llama")
    prompts = prompt_set(model, pair_rows(4))
    hidden = model.forward(prompts.clean, prompts.last).detach()
    plain = log_probabilities(model, hidden)
    assert not said(model, prompts).kl.any()
    found = outcome(model, torch.cat([hidden, 0.5 * hidden]), prompts, 2, plain).kl
    other = log_probabilities(model, 0.5 * hidden)
    expected = torch.nn.functional.kl_div(other, plain, log_target=True, reduction="none").sum(-1)[prompts.pair_prompt]
    np.testing.assert_allclose(found, torch.stack([0 * expected, expected]).numpy(), atol=1e-6)


def test_only_pairs_that_the_model_gets_right(tiny: Callable[[str], Model]) -> None:
    model = tiny("llama")
    pairs = pair_rows(40)
    right = []
    for pair in pairs:
        logits = logits_after(model, pair.clean)
        right.append(bool(logits[words(only(pair.answers))] > logits[words(only(pair.foils))]))
    assert 8 < sum(right) < 40
    prompts = load_prompts(ListTask(pairs), "discovery", 8, 0, model, Filter(require_correct=True))
    eighth = [i for i, ok in enumerate(right) if ok][7]
    assert prompts.usage.usable == 8
    assert prompts.usage.unusable == {WRONG: eighth + 1 - 8}
    assert (said(model, prompts).answer > said(model, prompts).foil).all()
    # the winner of each pair made the foil: nothing is left
    losers = [
        altered(pair, answers=pair.foils, foils=pair.answers) if ok else pair
        for pair, ok in zip(pairs, right, strict=True)
    ]
    with pytest.raises(UserError, match=f"40 {WRONG}"):
        load_prompts(ListTask(losers), "discovery", 8, 0, model, Filter(require_correct=True))


def test_slots_of_another_split_keep_discoverys_numbers(tiny: Callable[[str], Model]) -> None:
    model = tiny("llama")
    discovery = prompt_set(model, pair_rows(2, (5,)))
    longer = load_prompts(ListTask(pair_rows(3, (7,))), "discovery", 3, 0, model, slot_names=discovery.slot_names)
    assert longer.slot_names[: discovery.n_slots] == discovery.slot_names
    assert set(longer.slot_names[discovery.n_slots :]) == {"after subject-3", "after subject-4"}
    subject = discovery.slot_names.index("subject")
    assert (longer.slot == subject).sum(1).tolist() == [1, 1, 1]


@pytest.mark.parametrize("scoring", [WHOLE, Scoring(scoring_metric("log_probability"))])
def test_integrated_gradients_sum_to_the_change_of_the_metric(scoring: Scoring, tiny: Callable[[str], Model]) -> None:
    """Completeness of IG at the last layer's MLP output, where little is left that is not linear."""
    model = tiny("llama")
    prompts = prompt_set(model, changed(pair_rows(4), answers=" w7 w8 w3", foils=" w7 w9"), scoring)
    basis = load_basis("mlp_out", model)
    scores = ask_scores(load_method("ig"), Request(model, prompts, [basis]))["mlp_out"]
    site, before = Site(model.n_layers - 1, "mlp_out"), Site(model.n_layers - 1, "resid_pre")
    clean, hidden = record(model, prompts.clean, prompts.last, [site, before])
    corrupt, _ = record(model, prompts.corrupt, prompts.last, [site])
    with torch.no_grad():
        patched = model.forward(
            prompts.clean,
            prompts.last,
            edits=[(site, lambda _: corrupt[site])],
            start=Start(site.layer, clean[before]),
        )
        change = float(objective(model, patched, prompts) - objective(model, hidden, prompts)) / prompts.n_pairs
    assert float(scores.by_layer[site.layer].sum()) == pytest.approx(change, rel=0.1, abs=2e-3)


def test_a_curve_of_whole_answers_meets_its_ends(tiny: Callable[[str], Model]) -> None:
    model = tiny("llama")
    prompts = prompt_set(model, changed(pair_rows(4), answers=" w7 w8 w3", foils=" w7 w9"), WHOLE)
    basis = load_basis("neurons", model)
    scores = ask_scores(load_method("atp"), Request(model, prompts, [basis]))["neurons"]
    ranking = rank_nodes(scores, basis)
    curve = evaluate(model, prompts, basis, ranking, [1, ranking.total - 1])
    np.testing.assert_allclose(curve.circuit.answer[-1], curve.full.answer, atol=0.05)
    np.testing.assert_allclose(curve.complement.answer[-1], curve.empty.answer, atol=0.05)
    assert (curve.complement.kl >= 0).all()
    assert curve.empty.kl.max() > 0


def test_an_unknown_metric_is_one_line() -> None:
    with pytest.raises(UserError) as error:
        scoring_metric("accuracy")
    assert "logit_difference" in one_line(error)
