"""Swaps against donors' activations put into the model by hand, and where the answer is known in closed form."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from basisbench import load_basis, load_model, load_task
from basisbench.bases.basis import Basis
from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.models.sites import Site
from basisbench.prompts.prompt_set import PromptSet
from basisbench.prompts.selection import Filter, load_prompts
from basisbench.steering import (
    EVERYWHERE,
    Condition,
    Nodes,
    Transplant,
    constant_values,
    difference_band,
    donor_effect,
    donor_values,
    group_nodes,
    prepare,
    run,
    swap,
)
from basisbench.steering.swap import SwapResult, asked
from basisbench.text.sample import Sample
from toys.models import LAYERS, altered, one_line, pair_rows, prompt_set
from toys.steering import both, some_nodes, tokens_of

Make = Callable[[str], Model]


def questions(model: Model, lengths: tuple[int, ...] = (5, 7), count: int = 6) -> PromptSet:
    """Pairs with candidates; answers are w5, w6 and w7, so some prompts share theirs."""
    candidates = (" w5", " w6", " w7", " w8", " w9", " w10")
    pairs = [
        altered(pair, answers=(f" w{5 + i % 3}",), foils=(f" w{5 + (i + 1) % 3}",), candidates=candidates)
        for i, pair in enumerate(pair_rows(count, lengths=lengths))
    ]
    return prompt_set(model, pairs)


@pytest.mark.parametrize("kind", ["neurons", "sae", "transcoder", "clt"])
def test_a_swap_is_the_donors_activations_put_in_by_hand(kind: str, tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    prompts = questions(model)
    basis, hand = both(kind, model, tmp_path)
    nodes = some_nodes(basis, prompts, count=12)
    found = swap(model, prompts, basis, nodes)
    answers = [int(token) for token in prompts.first_answer[:, 0]]
    assert set(zip(found.recipient.tolist(), found.donor.tolist(), strict=True)) == {
        (r, d) for r, d in permutations(range(6), 2) if answers[r] != answers[d]
    }
    candidates = [5, 6, 7, 8, 9, 10]
    for i, (recipient, donor) in enumerate(zip(found.recipient.tolist(), found.donor.tolist(), strict=True)):
        rows = [int(prompts.pair_prompt[pair]) for pair in (recipient, donor)]
        tokens = [tokens_of(prompts, row) for row in rows]
        slots = [prompts.slot[row, : len(line)].tolist() for row, line in zip(rows, tokens, strict=True)]
        given = recorded(hand, basis, nodes, tokens[1])
        places, values, present = [], {}, []
        for layer, slot, unit in nodes.rows:
            at = range(1, len(slots[0])) if slot == EVERYWHERE else [p for p, s in enumerate(slots[0]) if s == slot]
            present.append(slot == EVERYWHERE or (slot in slots[0] and slot in slots[1]))
            for position in at:
                if slots[0][position] in slots[1]:
                    places.append((layer, position, unit))
                    values[layer, position, unit] = float(given[layer][slots[1].index(slots[0][position]), unit])
        logits = hand.logits(tokens[0], list(values), partial(value_at, values))[-1]
        plain = hand.logits(tokens[0], [], lambda f, *_: f)[-1]
        best = candidates[int(logits[candidates].argmax())]
        assert found.outcome["success"][i] == (best == answers[donor])
        assert found.outcome["kept"][i] == (best == answers[recipient])
        assert found.outcome["top"][i] == (int(logits.argmax()) == answers[donor])
        assert found.unsteered[i] == (candidates[int(plain[candidates].argmax())] == answers[donor])
        change = logits.log_softmax(-1) - plain.log_softmax(-1)
        assert found.outcome["donor_change"][i] == pytest.approx(float(change[answers[donor]]), abs=1e-3)
        assert found.outcome["recipient_change"][i] == pytest.approx(float(change[answers[recipient]]), abs=1e-3)
        assert found.reached[i] == pytest.approx(np.mean(present))
    assert np.abs(found.outcome["donor_change"]).max() > 1e-2
    assert found.reached.min() < 1
    whole = swap(model, prompts, basis, nodes, reuse=False)
    for name, values_ in found.outcome.items():
        np.testing.assert_allclose(values_, whole.outcome[name], atol=1e-3)


def value_at(values: dict[tuple[int, int, int], float], _f: float, *place: int) -> float:
    """What a target makes of any activation: the value kept for its place."""
    layer, position, unit = place
    return values[layer, position, unit]


def recorded(hand: Any, basis: Basis, nodes: Nodes, tokens: list[int]) -> dict[int, Tensor]:
    """Activations [S, units] of all units by layer in one plain run, read with plain hooks."""
    seen: dict[int, Tensor] = {}
    handles = []

    def keep(layer: int) -> Callable[..., None]:
        def hook(_module: object, args: Any, out: Any = None) -> None:
            x = args[0] if out is None else out
            seen[layer] = hand.units(layer, x[0])

        return hook

    for i, block in enumerate(hand.layers):
        if hand.kind == "sae":
            handles.append(block.mlp.register_forward_hook(keep(i)))
            continue
        module = {"neurons": block.mlp.down_proj, "transcoder": block.mlp, "clt": block.post_attention_layernorm}
        handles.append(module[hand.kind].register_forward_pre_hook(keep(i)))
    with torch.no_grad():
        hand.hf(torch.tensor([tokens]))
    for handle in handles:
        handle.remove()
    return seen


def every_unit(basis: Basis, layer: int, slots: list[int]) -> Nodes:
    return Nodes.of((layer, slot, unit) for slot in slots for unit in range(basis.n_units(layer)))


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma2"])
def test_the_whole_residual_stream_carries_the_donors_answer(architecture: str, tiny: Make) -> None:
    model = tiny(architecture)
    prompts = questions(model, lengths=(5,))
    basis = load_basis("resid_post", model)
    ends = sorted({int(prompts.slot[row, prompts.last[row]]) for row in range(prompts.n_prompts)})
    for nodes in (every_unit(basis, LAYERS - 1, ends), every_unit(basis, LAYERS - 1, [EVERYWHERE])):
        bench = prepare(model, prompts, basis, [nodes])
        values = donor_values(model, prompts, basis, nodes)
        for donor in range(prompts.n_prompts):
            given = torch.full((prompts.n_prompts,), donor)
            hidden = run(bench, [Condition(nodes, Transplant(values, given))])[0]
            expected = bench.hidden[donor].expand_as(hidden)
            torch.testing.assert_close(hidden, expected, atol=1e-4, rtol=1e-4)
        found = swap(model, prompts, basis, nodes)
        plain = model.logits(bench.hidden)
        candidates = torch.arange(5, 11)
        best = candidates[plain[:, candidates].argmax(-1)]
        right = (best == prompts.first_answer[:, 0]).tolist()
        assert found.outcome["success"].tolist() == [float(right[donor]) for donor in found.donor]


def test_a_prompt_is_its_own_donor_without_effect(tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    prompts = questions(model)
    for kind in ("neurons", "sae", "clt"):
        folder = tmp_path / kind
        folder.mkdir()
        basis, _ = both(kind, model, folder)
        nodes = some_nodes(basis, prompts)
        bench = prepare(model, prompts, basis, [nodes])
        values = donor_values(model, prompts, basis, nodes)
        itself = Transplant(values, torch.arange(prompts.n_prompts))
        torch.testing.assert_close(run(bench, [Condition(nodes, itself)])[0], bench.hidden, atol=1e-4, rtol=1e-4)
        other = Transplant(values, torch.arange(prompts.n_prompts).roll(1))
        assert (run(bench, [Condition(nodes, other)])[0] - bench.hidden).abs().max() > 1e-3


def test_a_whole_layer_put_in_makes_one_prompt_of_the_other(tiny: Make) -> None:
    """Prompts that differ in one token, which only the residual stream after layer 0 tells apart from there on."""
    model = tiny("llama")
    one, other = pair_rows(2)
    sides = {"clean": one.corrupt, "corrupt": one.clean}
    other = altered(other, **sides, clean_spans=one.corrupt_spans, corrupt_spans=one.clean_spans)
    prompts = prompt_set(model, [one, other])
    assert prompts.n_prompts == 2
    basis = load_basis("resid_post", model)
    nodes = every_unit(basis, 0, list(range(prompts.n_slots)))
    bench = prepare(model, prompts, basis, [nodes])
    values = donor_values(model, prompts, basis, nodes)
    hidden = run(bench, [Condition(nodes, Transplant(values, torch.tensor([1, 0])))])[0]
    torch.testing.assert_close(hidden, bench.hidden.flip(0), atol=1e-4, rtol=1e-4)
    assert (bench.hidden[0] - bench.hidden[1]).abs().max() > 1e-2


def test_donors_of_another_set_are_matched_by_slot_name(tiny: Make) -> None:
    model = tiny("llama")
    both_lengths = questions(model)
    donors = questions(model, lengths=(5,), count=3)
    assert donors.slot_names != both_lengths.slot_names
    basis = load_basis("neurons", model)
    nodes = some_nodes(basis, both_lengths)
    found = swap(model, both_lengths, basis, nodes, donors)
    values = donor_values(model, donors, basis, nodes, both_lengths.slot_names)
    bench = prepare(model, both_lengths, basis, [nodes])
    own = donor_values(model, donors, basis, Nodes.of([(0, 0, 3)]))
    for name in donors.slot_names:
        ours, theirs = both_lengths.slot_names.index(name), donors.slot_names.index(name)
        column = int((values[0].units == 3).nonzero()[0, 0])
        torch.testing.assert_close(values[0].table[:, ours, column], own[0].table[:, theirs, 0], equal_nan=True)
    for i in range(len(found.donor)):
        row, given = asked(both_lengths).prompt[found.recipient[i]], asked(donors).prompt[found.donor[i]]
        hidden = bench.hidden_of([Condition(nodes, Transplant(values, given[None]))], row[None])[0]
        logits = model.logits(hidden)[0].log_softmax(-1) - model.logits(bench.hidden[row][None])[0].log_softmax(-1)
        change = found.outcome["donor_change"][i]
        assert change == pytest.approx(float(logits[int(found.donor_answer[i])]), abs=1e-3)
    assert not found.same
    foreign = prompt_set(model, [altered(pair, clean_spans=(), corrupt_spans=()) for pair in pair_rows(3)])
    with pytest.raises(UserError) as error:
        swap(model, both_lengths, basis, nodes, foreign)
    assert "share no slot" in one_line(error)


@pytest.mark.model
def test_the_state_of_a_real_prompt_can_be_swapped_until_it_has_been_read() -> None:
    """All of the residual stream at the state, early and late: the model answers as the donor, and as ever."""
    model, _ = load_model()
    task = load_task("capitals/state_capital")
    prompts = load_prompts(task, "evaluation", 8, 0, model, Filter(require_correct=True))
    basis = load_basis("resid_post", model)
    states = [slot for slot, name in enumerate(prompts.slot_names) if name.startswith("state")]
    early, late = (swap(model, prompts, basis, every_unit(basis, layer, states)) for layer in (18, 26))
    assert early.outcome["success"].mean() > 0.8
    assert early.outcome["donor_change"].mean() > 5
    assert late.outcome["success"].mean() == 0
    assert late.outcome["kept"].mean() > 0.9
    assert early.unsteered.max() == 0


# -- pairs and intervals -------------------------------------------------------------------------------


def test_distinct_prompts_are_asked_once_and_some_pairs_on_request(tiny: Make) -> None:
    model = tiny("llama")
    rows = pair_rows(4)
    other = rows[0].clean.split()
    other[1] = "w49"
    again = altered(rows[0], corrupt=" ".join(other), corrupt_spans=[("subject", 3, 6)])
    prompts = prompt_set(model, [*rows, again])
    assert prompts.n_prompts == 5
    assert len(asked(prompts).prompt) == 4
    basis = load_basis("neurons", model)
    nodes = some_nodes(basis, prompts)
    everything, some = swap(model, prompts, basis, nodes), swap(model, prompts, basis, nodes, most=5, seed=1)
    assert (len(everything.donor), len(some.donor)) == (12, 5)
    at = {pair: i for i, pair in enumerate(zip(everything.recipient.tolist(), everything.donor.tolist(), strict=True))}
    for i, pair in enumerate(zip(some.recipient.tolist(), some.donor.tolist(), strict=True)):
        expected = everything.outcome["donor_change"][at[pair]]
        assert some.outcome["donor_change"][i] == pytest.approx(expected, abs=1e-3)
    with pytest.raises(UserError, match="no two prompts with different answers"):
        swap(model, prompts.rows(0, 1), basis, nodes)


def made_up(same: bool = True, n: int = 5) -> SwapResult:
    pairs = np.array([(r, d) for r in range(n) for d in range(n) if r != d])
    success = np.random.default_rng(0).random(len(pairs))
    return SwapResult(
        *(pairs[:, 0], pairs[:, 1], pairs[:, 0] + 10, pairs[:, 1] + 10), {"success": success}, success, success, same
    )


def test_resamples_weigh_pairs_by_both_answers() -> None:
    found = made_up()
    weights = found.weights(seed=4, n_resamples=50)
    np.testing.assert_allclose(weights.sum(1), 1)
    np.testing.assert_allclose(weights[0], 1 / 20)
    counts = np.random.default_rng(4).multinomial(5, np.full(5, 0.2), 50)
    for resample, drawn in zip(weights[1:], counts, strict=False):
        # by hand: draw answers with replacement, take every ordered pair of different ones
        answers = np.repeat(np.arange(5), drawn)
        pairs = Counter((int(a), int(b)) for a in answers for b in answers if a != b)
        for i, pair in enumerate(zip(found.recipient.tolist(), found.donor.tolist(), strict=True)):
            assert resample[i] == pytest.approx(pairs[pair] / sum(pairs.values()))
    apart = made_up(same=False).weights(seed=4, n_resamples=50)
    assert not np.allclose(apart[1:10], weights[1:10])


def test_intervals_count_prompts_not_pairs() -> None:
    """Where a donor's answer decides everything, twenty pairs say no more than five donors do."""
    found = made_up(n=12)
    by_donor = (found.donor % 2).astype(float)
    clustered = SwapResult(**{**vars(found), "outcome": {"success": by_donor}})
    band = clustered.bands(n_resamples=1000)["success"].estimate()
    assert band.value == pytest.approx(0.5)
    naive = 1.96 * 0.5 / np.sqrt(len(by_donor))
    assert band.high - band.low > 3 * naive
    zero = difference_band(clustered, [clustered], "success").estimate()
    assert (zero.value, zero.low, zero.high) == (0, 0, 0)


# -- side effects of transplants, groups ---------------------------------------------------------------


def test_donors_values_are_set_throughout_a_text(tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    prompts = questions(model)
    basis, hand = both("sae", model, tmp_path)
    slots = [prompts.slot_names.index(name) for name in ("subject", "after subject")]
    nodes = Nodes.of([(0, slots[0], 3), (0, slots[1], 3), (1, slots[1], 9)])
    values = donor_values(model, prompts, basis, nodes)
    constant = constant_values(values, nodes)
    sample = Sample(model, torch.randint(3, 50, (3, 7), generator=torch.Generator().manual_seed(2)))
    found = donor_effect(model, basis, nodes, constant, sample, most=6)
    assert found.kl.shape == (prompts.n_prompts, 3, 6)
    for donor in range(prompts.n_prompts):
        given = recorded(hand, basis, nodes, tokens_of(prompts, donor))
        at = [prompts.slot[donor].tolist().index(slot) for slot in slots]
        wanted = {(0, 3): float(given[0][at, 3].mean()), (1, 9): float(given[1][at[1], 9])}
        kept = {(layer, position, unit): v for (layer, unit), v in wanted.items() for position in range(1, 7)}
        for row, line in enumerate(sample.tokens.tolist()):
            plain = hand.logits(line, [], lambda f, *_: f).log_softmax(-1)
            steered = hand.logits(line, list(kept), partial(value_at, kept)).log_softmax(-1)
            kl = (plain.exp() * (plain - steered)).sum(-1)[1:].clamp(min=0)
            np.testing.assert_allclose(found.kl[donor, row], kl.numpy(), atol=2e-4, rtol=1e-3)


def trace(prompt: str | None, tokens: list[str], nodes: list[tuple[str, int, int, int]]) -> Any:
    """As much of a trace as a group needs."""
    from basisbench.tracing.document import Asked, GroupRecord, Groups, NodeRecord, TraceDocument

    number = {"activation": 0.0, "attribution": 0.0, "influence": 0.0, "direct": 0.0}
    records = [NodeRecord(kind=k, layer=i, position=p, unit=u, **number) for k, i, p, u in nodes]  # type: ignore[arg-type]
    group = GroupRecord(name="Texas", nodes=list(range(len(records))), stability=1, attribution=0, rests_on="")
    about = Asked.model_construct(prompt=prompt)
    groups = Groups(criterion="", stability=1, groups=[group])
    return TraceDocument.model_construct(asked=about, tokens=tokens, nodes=records, groups=groups)


def test_a_group_of_a_trace_is_steered_where_it_stands(tiny: Make) -> None:
    model = tiny("llama")
    prompts = questions(model)
    subject = prompts.slot_names.index("subject")
    nodes = [("unit", 1, 1, 7), ("error", 1, 1, -1), ("unit", 2, 1, 7), ("unit", 1, 1, 8)]
    of_task = trace(None, ["start", "subject", "elsewhere"], nodes)
    expected = [(1, subject, 7), (2, subject, 7), (1, subject, 8)]
    assert group_nodes(of_task, "Texas", model, prompts).rows == expected
    prompt = " ".join(f"w{token}" for token in tokens_of(prompts, 2))
    of_prompt = trace(prompt, prompt.split(), nodes)
    assert group_nodes(of_prompt, "Texas", model, prompts).rows == expected
    pooled = group_nodes(of_prompt, "Texas", model, prompts, everywhere=True)
    assert pooled.rows == [(1, EVERYWHERE, 7), (2, EVERYWHERE, 7), (1, EVERYWHERE, 8)]
    with pytest.raises(UserError, match="did you mean 'Texas'"):
        group_nodes(of_task, "Texsa", model, prompts)
    for other in (trace("w3 w4", ["w3", "w4"], nodes), trace(None, ["start", "elsewhere"], nodes)):
        with pytest.raises(UserError, match="no slot of these prompts"):
            group_nodes(other, "Texas", model, prompts)


def test_recordings_are_of_the_sites_that_units_read(tiny: Make) -> None:
    model = tiny("llama")
    prompts = questions(model)
    basis = load_basis("mlp_out", model)
    nodes = Nodes.of([(1, 0, 2), (1, 1, 5)])
    values = donor_values(model, prompts, basis, nodes)[1]
    seen: list[Tensor] = []
    with torch.no_grad():
        model.forward(prompts.clean, prompts.last, edits=[(Site(1, "mlp_out"), seen.append)])
    for row in range(prompts.n_prompts):
        for slot in range(prompts.n_slots):
            at = (prompts.slot[row] == slot).nonzero()[:, 0]
            expected = seen[0][row, at[0]][[2, 5]] if len(at) else torch.full((2,), torch.nan)
            torch.testing.assert_close(values.table[row, slot], expected, atol=1e-4, rtol=1e-4, equal_nan=True)
