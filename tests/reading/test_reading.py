"""Reading a node: each part of the evidence against an independent calculation, and labels on hand-made evidence."""

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from basisbench import cli
from basisbench.attribution import Request, ask_scores, load_method
from basisbench.bases.basis import Basis
from basisbench.bases.load import load_basis
from basisbench.errors import UserError
from basisbench.models.adapter import Edit, Model
from basisbench.models.sites import Site
from basisbench.progress import silent
from basisbench.prompts.selection import load_prompts
from basisbench.reading import default_texts, named_texts, read_units
from basisbench.reading.always_on import always_on_units, first_count, why_always_on
from basisbench.reading.contexts import TextReading, contexts_at, read_text
from basisbench.reading.direct import Direct, direct_effects, norms_on_the_way
from basisbench.reading.evidence import Context, TaskUse
from basisbench.reading.labels import Side, make_label
from basisbench.reading.rows import Rows, rows_of
from basisbench.reading.serves import TaskScores, score_tasks
from basisbench.tasks.load import load_task
from basisbench.text.named import BUILT_IN, PROMPTS_A_TASK, Source
from toys.cross_layer import save_clt
from toys.dictionaries import peer
from toys.edges import TOKENS, Clean, named_basis
from toys.models import LAYERS, VOCABULARY, altered, one_line, pair_rows, write_task

Make = Callable[[str], Model]
LAST = LAYERS - 1
DICTIONARIES = ("sae", "topk", "transcoder", "clt")


# -- the direct path -----------------------------------------------------------------------------------


def directions(name: str, basis: Basis, layer: int, folder: Path) -> tuple[str, list[Tensor]]:
    """Where units of `layer` write, and the directions [units, width] for it and each later layer, from the weights."""
    if name == "clt":
        decoder = save_clt(folder)[f"W_dec_{layer}"]
        return "mlp_out", list(decoder.unbind(1))
    if name in DICTIONARIES:
        return "mlp_out", [peer(folder, layer).W_dec.detach()]
    kind = basis.writes(layer)[0].kind
    return kind, [torch.eye(basis.n_units(layer))]


def logits_added(model: Model, clean: Clean, site: Site, direction: Tensor) -> Tensor:
    """What `direction`, added at `site` at every token, adds to all logits before a cap, norms' scales held: [S, V]."""
    post = f"blocks.{site.layer}.{'ln1' if site.kind.startswith('attn') else 'ln2'}_post"
    norms = [name for name in (post, "ln_final") if model.hook_exists(f"{name}.hook_in")]
    inputs: dict[str, Tensor] = {}
    hidden: list[Tensor] = []
    hooks: list[tuple[str, Callable[[Tensor], Tensor | None]]] = [("unembed.hook_in", hidden.append)]
    for name in norms:
        hooks.append((f"{name}.hook_in", lambda x, name=name: inputs.update({name: x})))  # type: ignore[misc]
        hooks.append((f"{name}.hook_out", lambda _, name=name: clean.scaled(name, inputs[name])))  # type: ignore[misc]
    kept: list[tuple[Site, Edit]] = []
    if site.kind == "attn_z":  # the MLP of this layer must not see it
        held = clean.seen[model.hook_name(Site(site.layer, "mlp_proj"))]
        kept.append((Site(site.layer, "mlp_proj"), lambda _: held))
    tokens, last = torch.tensor([TOKENS]), torch.tensor([len(TOKENS) - 1])
    with torch.no_grad():
        for amount in (0, 1):
            model.forward(tokens, last, edits=[(site, partial(torch.add, amount * direction)), *kept], hooks=hooks)
    unembedding: Tensor = model._bridge.unembed.original_component.weight
    return (hidden[1] - hidden[0])[0] @ unembedding.T


def some_rows(counted: Sequence[int]) -> Rows:
    """TOKENS as one row of which these places count."""
    mask = torch.zeros(1, len(TOKENS), dtype=torch.bool)
    mask[0, list(counted)] = True
    return Rows(torch.tensor([TOKENS]), torch.tensor([len(TOKENS)]), mask, ("text",))


def check_direct(found: Direct, column: int, added: Tensor) -> None:
    """Tokens, amounts and how far they stand out, from all logits [V]."""
    order = added.argsort(descending=True)
    scale = float(added.abs().max())
    assert found.raised.shape[1] == found.lowered.shape[1] == 7
    for tokens, amounts, right in (
        (found.raised, found.raised_by, order),
        (found.lowered, found.lowered_by, order.flip(0)),
    ):
        torch.testing.assert_close(amounts[column], added[right[:7]], rtol=1e-3, atol=1e-4 * scale)
        torch.testing.assert_close(added[tokens[column]], amounts[column], rtol=1e-3, atol=1e-4 * scale)
    z = (added[order[:3]].mean() - added.mean()) / added.std()
    assert float(found.raised_z[column]) == pytest.approx(float(z), rel=1e-3)
    z = (added.mean() - added[order[-3:]].mean()) / added.std()
    assert float(found.lowered_z[column]) == pytest.approx(float(z), rel=1e-3)


@pytest.mark.parametrize("name", ["neurons", "mlp_out", "attn_z", "resid_post", "rotated_neurons", *DICTIONARIES])
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma2", "neox"])
def test_the_direct_path_is_what_the_model_does_with_norms_held(
    architecture: str, name: str, tiny: Make, tmp_path: Path
) -> None:
    model = tiny(architecture)
    basis = named_basis(name, model, tmp_path)
    # scales of two norms in a row are averaged apart: at one token that makes no difference
    counted = [3] if architecture == "gemma2" else [1, 2, 3, 4]
    units = torch.tensor([5, 0, 17])
    reading = read_text(
        model, basis, {LAST: units}, some_rows(counted), norms_on_the_way(model, basis, [LAST]), 1, silent
    )
    found = direct_effects(model, basis, LAST, units, reading.scales, 7)
    clean = Clean(model)
    if name == "rotated_neurons":
        kind = "mlp_post"
        rows = load_basis(name, model)._directions(LAST)  # type: ignore[attr-defined]
    else:
        kind, (rows,) = directions(name, basis, LAST, tmp_path)
    for column, unit in enumerate(units.tolist()):
        check_direct(found, column, logits_added(model, clean, Site(LAST, kind), rows[unit])[counted].mean(0))


@pytest.mark.parametrize("name", ["mlp_out", "sae", "clt"])
def test_units_of_earlier_layers_add_up_in_the_stream(name: str, tiny: Make, tmp_path: Path) -> None:
    """All that a unit writes, put into the last layer's output; a cross-layer unit writes every layer from its own."""
    model = tiny("llama")
    basis = named_basis(name, model, tmp_path)
    units = torch.arange(4)
    reading = read_text(model, basis, {0: units}, some_rows([2, 4]), norms_on_the_way(model, basis, [0]), 1, silent)
    found = direct_effects(model, basis, 0, units, reading.scales, 7)
    _, rows = directions(name, basis, 0, tmp_path)
    assert len(rows) == (LAYERS if name == "clt" else 1)
    for unit in units.tolist():
        whole = torch.stack([row[unit] for row in rows]).sum(0)
        check_direct(found, unit, logits_added(model, Clean(model), Site(LAST, "resid_post"), whole)[[2, 4]].mean(0))


def test_entries_of_the_unembedding_that_are_no_tokens_are_left_out(
    tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny("llama")
    basis, units = load_basis("neurons", model), torch.arange(40)
    whole = direct_effects(model, basis, LAST, units, {"ln_final": 1.0}, VOCABULARY)
    monkeypatch.setattr(model, "tokenizer", range(VOCABULARY - 8))
    found = direct_effects(model, basis, LAST, units, {"ln_final": 1.0}, VOCABULARY)
    for ours, all_of_them in zip(found.raised.tolist(), whole.raised.tolist(), strict=True):
        assert ours == [token for token in all_of_them if token < VOCABULARY - 8]


def test_units_that_write_before_a_norm_are_refused(tiny: Make) -> None:
    from basisbench.bases.basis import LinearBasis

    model = tiny("llama")
    basis = LinearBasis("inner", [Site(0, "mlp_in")], model.d_model)
    with pytest.raises(UserError, match="no direct path"):
        read_units(model, basis, [(0, 1)], [("text", "w3 w4 w5")])


# -- rows and contexts ---------------------------------------------------------------------------------

TEXTS: list[Source] = [
    ("one", "w3 w10 w11 w12 w9 w8"),
    ("two", "w3 w10 w11 w20 w21 w22 w23 w24"),
    ("long", " ".join(f"w{3 + i * i * 7 % 47}" for i in range(150))),
    ("one again", "w3 w10 w11 w12 w9 w8"),
    ("short", "w7"),
    ("last", "w40 w41 w42 w10 w11"),
]


def brute_rows(texts: Sequence[Source]) -> list[tuple[str, list[int], list[int]]]:
    """Source, tokens and counted places of each row, by looking back at all rows before."""
    found: list[tuple[str, list[int], list[int]]] = []
    earlier: set[tuple[int, ...]] = set()
    for source, text in texts:
        ids = [int(word[1:]) for word in text.split()]
        for begin in range(0, len(ids), 64):
            row = ids[begin : begin + 64]
            counted = [i for i in range(1, len(row)) if tuple(row[: i + 1]) not in earlier]
            earlier |= {tuple(row[: i + 1]) for i in range(len(row))}
            if counted:
                found.append((source, row, counted))
    return found


def test_each_token_counts_once_and_the_first_of_a_row_never(tiny: Make) -> None:
    rows = rows_of(tiny("llama"), iter(TEXTS))
    expected = brute_rows(TEXTS)
    assert [source for source, _, _ in expected] == ["one", "two", "long", "long", "long", "last"]
    assert rows.source == tuple(source for source, _, _ in expected)
    for i, (_, row, counted) in enumerate(expected):
        assert rows.tokens[i, : rows.length[i]].tolist() == row
        assert rows.counted[i].nonzero()[:, 0].tolist() == counted
    assert rows.n_counted == sum(len(counted) for _, _, counted in expected)
    assert expected[1][2][0] == 3, "the second text begins as the first does"


def test_no_more_is_read_than_asked_for(tiny: Make) -> None:
    def texts() -> Any:
        yield from TEXTS[:2]
        raise AssertionError("read too far")

    assert rows_of(tiny("llama"), texts(), 8).source == ("one", "two")
    for nothing in ([], [("empty", "")], [("one token", "w5")]):
        with pytest.raises(UserError) as error:
            rows_of(tiny("llama"), nothing)
        assert "no token" in one_line(error)


def test_a_start_token_stands_before_each_row_and_is_not_counted(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("llama")
    plain = model.tokenizer

    def with_start(text: str, add_special_tokens: bool = True, **_: object) -> dict[str, list[int]]:
        ids = list(plain(text, add_special_tokens=False)["input_ids"])
        return {"input_ids": [2, *ids] if add_special_tokens else ids}

    monkeypatch.setattr(model, "tokenizer", with_start)
    rows = rows_of(model, TEXTS[2:3])
    assert rows.tokens[:, 0].tolist() == [2, 2, 2]
    assert rows.length.tolist() == [64, 64, 150 - 2 * 63 + 1]
    assert not rows.counted[:, 0].any()
    assert rows.n_counted == 150


def brute_reading(model: Model, basis: Basis, layer: int) -> list[tuple[str, list[int], list[int], Tensor]]:
    """Rows with the activations [length, units] of all units of a layer, one row at a time without padding."""
    found = []
    for source, row, counted in brute_rows(TEXTS):
        seen: list[Tensor] = []
        with torch.no_grad():
            model.forward(torch.tensor([row]), torch.tensor([len(row) - 1]), edits=[(basis.read(layer), seen.append)])
            found.append((source, row, counted, basis.encode(layer, seen[0])[0]))
    return found


def whole_reading(model: Model, basis: Basis, count: int) -> TextReading:
    units = {layer: torch.arange(basis.n_units(layer)).flip(0) for layer in basis.layers()}
    return read_text(model, basis, units, rows_of(model, TEXTS), norms_on_the_way(model, basis, [LAST]), count, silent)


@pytest.mark.parametrize("name", ["neurons", "sae", "topk", "transcoder"])
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_contexts_are_those_of_one_row_at_a_time(architecture: str, name: str, tiny: Make, tmp_path: Path) -> None:
    model = tiny(architecture)
    basis = named_basis(name, model, tmp_path)
    reading = whole_reading(model, basis, 3)
    silent_units = 0
    for layer in basis.layers():
        rows = brute_reading(model, basis, layer)
        every = torch.cat([f[counted] for _, _, counted, f in rows])
        found = reading.layers[layer]
        for column, unit in enumerate(found.units.tolist()):
            for sign, peaks in ((1, found.highest), (-1, found.lowest)):
                best = []
                for source, row, counted, f in rows:
                    at = max(counted, key=lambda i: sign * float(f[i, unit]))
                    best.append((float(f[at, unit]), source, row[max(0, at - 16) : at + 9], min(at, 16)))
                best = sorted((b for b in best if sign * b[0] > 1e-6), key=lambda b: -sign * b[0])[:3]
                contexts = contexts_at(model, reading.rows, peaks, column, sign)
                assert [c.activation for c in contexts] == pytest.approx([b[0] for b in best], rel=1e-3, abs=1e-5)
                for context, (_, source, tokens, place) in zip(contexts, best, strict=True):
                    assert (context.source, context.at) == (source, place)
                    assert context.tokens == [f"w{token}" for token in tokens]
            largest = float(every[:, unit].abs().max())
            silent_units += largest == 0
            assert float(found.largest[column]) == pytest.approx(largest, rel=1e-4, abs=1e-6)
            active = (every[:, unit].abs() >= 0.1 * largest).float().mean() if largest else 0.0
            assert float(found.active_share[column]) == pytest.approx(float(active), abs=1.5 / len(every))
    assert (silent_units > 0) <= (name != "neurons")


def test_scales_of_norms_are_means_over_counted_tokens(tiny: Make) -> None:
    for architecture in ("llama", "gpt2", "gemma2"):
        model = tiny(architecture)
        reading = whole_reading(model, load_basis("neurons", model), 1)
        assert len(reading.scales) == (2 if architecture == "gemma2" else 1)
        for name, scale in reading.scales.items():
            module = model._bridge.get_submodule(name).original_component
            eps = module.eps if hasattr(module, "eps") else module.variance_epsilon
            total, n = 0.0, 0
            for _, row, counted in brute_rows(TEXTS):
                seen: list[Tensor] = []
                with torch.no_grad():
                    model.forward(
                        torch.tensor([row]), torch.tensor([len(row) - 1]), hooks=[(f"{name}.hook_in", seen.append)]
                    )
                for place in counted:
                    x = seen[0][0, place]
                    x = x - x.mean() if architecture == "gpt2" else x
                    total, n = total + float((x.pow(2).mean() + eps) ** -0.5), n + 1
            assert scale == pytest.approx(total / n, rel=1e-4)


def test_too_many_units_for_the_memory_are_refused(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("llama")
    monkeypatch.setattr("basisbench.reading.contexts.MOST_BYTES", 4 * 10 * 4)
    texts = [("text", "w3 w4 w5 w6 w7 w8 w9 w10 w11 w12 w13")]
    units = [(0, unit) for unit in range(4)]
    assert len(read_units(model, load_basis("neurons", model), units, texts)) == 4
    with pytest.raises(UserError) as error:
        read_units(model, load_basis("neurons", model), [*units, (1, 0)], texts)
    assert one_line(error) == "5 units are too many to read on 10 tokens: valid: up to 4"


# -- tasks ---------------------------------------------------------------------------------------------


@pytest.fixture
def task_folders(tmp_path: Path) -> list[str]:
    """Three tasks of the same pairs."""
    return [
        str(write_task(tmp_path / f"task{i}", discovery=pair_rows(6), evaluation=pair_rows(6, seed=1)))
        for i in range(3)
    ]


@pytest.mark.parametrize("name", ["neurons", "sae"])
def test_shares_slots_and_ranks(name: str, tiny: Make, tmp_path: Path, task_folders: list[str]) -> None:
    model = tiny("llama")
    basis = named_basis(name, model, tmp_path)
    (task,) = score_tasks(model, basis, task_folders[:1], n=6, progress=silent)
    prompts = load_prompts(load_task(task_folders[0]), "discovery", 6, 0, model)
    scores = ask_scores(load_method("relp"), Request(model, prompts, [basis]))[basis.name].by_layer
    own = {
        (layer, unit): [abs(float(s)) for s in scores[layer][:, unit]]
        for layer in basis.layers()
        for unit in range(basis.n_units(layer))
    }
    total = sum(map(sum, own.values()))
    if basis.has_error:
        assert sum(float(s.abs().sum()) for s in scores.values()) > 1.01 * total, "errors are left out"
    order = sorted(own, key=lambda unit: -sum(own[unit]))
    shares = []
    scored = [unit for unit in order if sum(own[unit]) > 0]
    assert (len(scored) < len(own)) == (name == "sae"), "units that are silent on all pairs"
    assert {task.rank(*unit) for unit in order[len(scored) :]} <= {len(own)}
    assert set(task.first(len(own))) == set(scored)
    for rank, unit in enumerate(scored[:30], start=1):
        use = task.use(*unit)
        shares.append(use.share)
        assert use.share == pytest.approx(sum(own[unit]) / total, rel=1e-4)
        assert use.slot == prompts.slot_names[own[unit].index(max(own[unit]))]
        assert use.task == task_folders[0]
        assert task.rank(*unit) == rank
        assert set(task.first(rank)) == set(order[:rank])
    assert shares[0] > 2 * shares[-1]
    assert task.n_units == len(own)
    assert sum(task.use(*unit).share for unit in own) == pytest.approx(1, rel=1e-4)


def test_a_task_without_a_usable_pair_is_skipped_and_said(tiny: Make, tmp_path: Path, task_folders: list[str]) -> None:
    rows = [altered(pair, corrupt=f"{pair.corrupt} w4") for pair in pair_rows(4)]
    useless = str(write_task(tmp_path / "useless", discovery=rows, evaluation=pair_rows(4, seed=1)))
    said: list[str] = []
    model = tiny("llama")
    evidence = read_units(
        model, load_basis("neurons", model), [(0, 1)], TEXTS, [useless, task_folders[0]], say=said.append
    )
    assert [use.task for use in evidence["0:1"].serves] == task_folders[:1]
    (line,) = said
    assert line.startswith("skipped: task 'useless' has no usable pair")
    with pytest.raises(UserError, match="unknown task"):
        read_units(model, load_basis("neurons", model), [(0, 1)], TEXTS, ["nonsense"])


# -- always on -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["neurons", "sae", "clt"])
def test_always_on_units_of_a_basis_are_those_that_one_reading_finds(
    name: str, tiny: Make, tmp_path: Path, task_folders: list[str]
) -> None:
    model = tiny("llama")
    basis = named_basis(name, model, tmp_path)
    found = always_on_units(model, basis, TEXTS)
    expected = {
        (layer, unit)
        for layer in basis.layers()
        for _, _, counted, _ in [brute_reading(model, basis, layer)[0]]
        for f in [torch.cat([f[counted] for _, _, counted, f in brute_reading(model, basis, layer)]).abs()]
        for unit in range(basis.n_units(layer))
        if float(f[:, unit].max()) > 0 and float((f[:, unit] >= 0.1 * f[:, unit].max()).float().mean()) >= 0.5
    }
    assert found == expected
    n_units = sum(basis.n_units(layer) for layer in basis.layers())
    assert 0 < len(found) < n_units
    # with three tasks, those that are first on all of them as well; two are too few
    scores = score_tasks(model, basis, task_folders, progress=silent)
    most = max(1, n_units // 100)
    first = {unit for unit in set(scores[0].first(n_units)) if scores[0].rank(*unit) <= most}
    assert len(first) == most == first_count(n_units)
    assert always_on_units(model, basis, TEXTS, task_folders) == found | first
    assert always_on_units(model, basis, TEXTS, task_folders[:2]) == found
    unit = next(iter(first))
    assert why_always_on(0.49, scores, *unit) == "among the first 1% of units on each of 3 tasks"
    assert why_always_on(0.49, scores[:2], *unit) == ""
    other = next(iter(set(scores[0].first(n_units)) - first))
    assert why_always_on(0.49, scores, *other) == ""
    assert why_always_on(0.5, [], *other).startswith("at least 0.1 of its largest |activation| at 50%")


def scores(task: str, *values: float) -> TaskScores:
    """Scores of a basis with one layer and one slot."""
    return TaskScores(task, {4: torch.tensor([values])}, ("end",))


def test_a_unit_that_is_first_on_two_of_three_tasks_is_not_always_on() -> None:
    assert why_always_on(0, [scores("ioi", 3, 2), scores("induction", 3, 2), scores("mine", 2, 3)], 4, 0) == ""
    assert why_always_on(0, [scores("ioi", 3, 2), scores("induction", 3, 2), scores("mine", 3, 2)], 4, 0) != ""


def test_what_serves_all_tasks_of_two_families_is_not_always_on() -> None:
    agreement = [scores(f"sva/{name}", 3, 2) for name in ("simple", "nounpp", "rc", "within_rc")]
    assert why_always_on(0, [*agreement, scores("ioi", 3, 2)], 4, 0) == ""
    assert why_always_on(0, [*agreement, scores("ioi", 3, 2), scores("gender_pronoun", 3, 2)], 4, 0) != ""


# -- labels --------------------------------------------------------------------------------------------


def context(text: str, activation: float = 1.0, source: str = "text") -> Context:
    """The token between stars is the driving one; tokens are parted by bars."""
    tokens = text.split("|")
    at = next(i for i, token in enumerate(tokens) if token.startswith("*"))
    return Context(tokens=[t.strip("*") for t in tokens], at=at, activation=activation, source=source)


def side(contexts: Sequence[Context] = (), raised_z: float = 4.0, lowered_z: float = 4.0) -> Side:
    return Side(contexts, ["�", " are", " Are", "are", " were", "\n", " x"], raised_z, [" is", " was"], lowered_z)


def test_labels_of_what_drives_a_unit() -> None:
    same = [context(f"a{i}|*{token}*|b{i}") for i, token in enumerate([" key", " Key", "key", " cat"])]
    label = make_label("3:5", side(same), "")
    assert label.text == "on ' key'"
    assert label.rests_on == "3 of 4 contexts that drive it most have ' key' (all in text)"
    # three of five are too few
    assert make_label("3:5", side([*same, context("x|* dog*")]), "").text.startswith("unclear 3:5, often on") is False
    # contexts that drive it a fifth as much as the first do not count
    weak = [context("x|* dog*", 0.2), context("y|* cow*", 0.2)]
    assert make_label("3:5", side([*same, *weak]), "").text == "on ' key'"
    # a longer run, from two sources
    run = [context(f"a{i}| of| the|* key*", 2.0, f"source {i % 2}") for i in range(5)]
    label = make_label("3:5", side(run), "")
    assert label.text == "on ' of the key'"
    assert label.rests_on == "5 of 5 contexts that drive it most have ' of the key' (in 2 texts)"
    # before and after
    assert make_label("1:1", side([context(f"a{i}|*t{i}*| of| {i}") for i in range(4)]), "").text == (
        "before ' of': 't0', 't1', 't2'"
    )
    label = make_label("1:1", side([context(f"a{i}| the|*t{i}*", -1.0) for i in range(4)]), "")
    assert label.text == "after ' the': 't0', 't1', 't2'"
    assert label.rests_on == "4 of 4 contexts that drive it most, below zero, stand after ' the' (all in text)"
    # the same place at the end of a row is not shared
    assert make_label("1:1", side([context(f"a{i}|*t{i}*") for i in range(4)]), "").text.startswith("unclear 1:1")


def test_labels_of_what_a_unit_says() -> None:
    said = make_label("3:5", side(raised_z=6.5), "")
    assert said.text == "says ' are', ' were', '\\n'"
    assert said.rests_on == "the tokens it raises most stand 6.5 standard deviations out of the vocabulary"
    against = make_label("3:5", side(lowered_z=7.25), "")
    assert against.text == "against ' is', ' was'"
    assert "lowers" in against.rests_on
    assert make_label("3:5", side(raised_z=6.4), "").text.startswith("unclear 3:5, ")
    driven = [context(f"a{i}|* key*") for i in range(4)]
    both = make_label("3:5", side(driven, raised_z=9.0, lowered_z=9.0), "")
    assert both.text == "on ' key', says ' are', ' were', '\\n'"
    assert len(both.rests_on.split("; ")) == 2
    assert make_label("3:5", side(driven, raised_z=9.0), "at 80% of tokens").text == "always on"


def test_hints_are_called_weak() -> None:
    def hint(contexts: Sequence[Context], **z: float) -> tuple[str, str]:
        use = TaskUse(task="sva", share=0.02, slot="end")
        label = make_label("3:5", side(contexts, **z), "", [use])
        assert label.rests_on.startswith("weak: ")
        return label.text.removeprefix("unclear 3:5, "), label.rests_on

    numbers = [context(f"a{i}|*{i}*|b{i}") for i in range(4)]
    assert hint(numbers)[0] == "mostly on numbers: '0', '1', '2'"
    plurals = [context(f"a{i}|* {word}*") for i, word in enumerate(["keys", "Boys", "roads", "sky"])]
    assert hint(plurals) == (
        "mostly on words in -s: ' keys', ' Boys', ' roads'",
        "weak: 3 of 4 contexts that drive it most have words in -s there (all in text)",
    )
    mixed = [
        context(f"a{i}|* {word}*", source=f"s{i}")
        for i, word in enumerate(["it", "it", "it", "it", "a", "1", "!", "an"])
    ]
    assert hint(mixed)[0] == "often on ' it'"
    assert hint(mixed, raised_z=6.0)[0] == "perhaps says ' are', ' were', '\\n'"
    assert hint(mixed[3:])[0] == "serves sva"
    assert hint([context(c.tokens[0] + "|*" + c.tokens[1] + "*") for c in mixed[3:]])[0] == "mostly in text"
    assert hint([])[0] == "silent on the text"
    assert make_label("3:5", side(mixed[3:]), "").text == "unclear 3:5, as on ' it', ' a', ' 1'"
    assert "pieces of characters" in make_label("3:5", side([context("a|*\N{REPLACEMENT CHARACTER}*")]), "").text


def test_labels_are_single_printable_lines() -> None:
    nasty = [context(f"a{i}|*\x1b[31m\n\u2028{'x' * 300}*") for i in range(4)]
    for label in (make_label("1:2", side(nasty), ""), make_label("1:2", Side([], ["\x9b2J", "\r"], 9, [], 0), "")):
        assert label.text.isprintable()
        assert label.rests_on.isprintable()
        assert len(label.text) < 200


# -- all together --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["neurons", "sae"])
def test_evidence_is_of_the_unit_asked_for_and_its_label_of_the_sign(
    name: str, tiny: Make, tmp_path: Path, task_folders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny("llama")
    basis = named_basis(name, model, tmp_path)
    units = [(2, 7), (0, 3), (2, 1), (0, 3)]
    sides: list[Side] = []

    def keep(unit: str, seen: Side, always_on: str, serves: Sequence[TaskUse]) -> Any:
        sides.append(seen)
        return make_label(unit, seen, always_on, serves)

    monkeypatch.setattr("basisbench.reading.make_label", keep)
    evidence = read_units(model, basis, units, TEXTS, task_folders[:2], {(2, 7): -1, (0, 3): 1, (2, 1): 1})
    assert list(evidence) == ["2:7", "0:3", "2:1"]
    by_unit = dict(zip(["2:7", "2:1", "0:3"], sides, strict=True))
    for key, known in evidence.items():
        layer, unit = map(int, key.split(":"))
        alone = read_units(model, basis, [(layer, unit)], TEXTS)[key]
        assert [c.activation for c in alone.contexts] == pytest.approx([c.activation for c in known.contexts], rel=1e-4)
        assert [t.token for t in alone.promotes] == [t.token for t in known.promotes]
        assert len(known.promotes) == len(known.suppresses) == 10
        assert (
            known.promotes[0].score > known.promotes[-1].score > known.suppresses[-1].score > known.suppresses[0].score
        )
        assert [c.activation for c in known.contexts] == sorted((c.activation for c in known.contexts), reverse=True)
        assert all(c.activation > 0 for c in known.contexts)
        assert all(c.activation < 0 for c in known.negative_contexts)
        assert bool(known.negative_contexts) == (name == "neurons")
        assert {use.task for use in known.serves} <= set(task_folders)
        seen, flipped = by_unit[key], key == "2:7"
        assert list(seen.contexts) == (known.negative_contexts if flipped else known.contexts)
        assert list(seen.raised) == [t.token for t in (known.suppresses if flipped else known.promotes)]
        assert list(seen.lowered) == [t.token for t in (known.promotes if flipped else known.suppresses)]
    # without a sign, that of the largest activation
    sides.clear()
    (known,) = read_units(model, basis, [(2, 7)], TEXTS).values()
    peaks = [abs(c[0].activation) if c else 0 for c in (known.contexts, known.negative_contexts)]
    assert list(sides[-1].contexts) == (known.contexts if peaks[0] >= peaks[1] else known.negative_contexts)


def test_units_that_are_not_there_are_refused(tiny: Make) -> None:
    model = tiny("llama")
    basis = load_basis("neurons", model)
    assert read_units(model, basis, [], TEXTS) == {}
    for unit, message in (
        ((7, 0), "no layer 7 in basis 'neurons': valid: 0 to 2"),
        ((1, 40), "no unit 40 in layer 1 of 'neurons': valid: 0 to 39"),
        ((1, -1), "no unit -1 in layer 1 of 'neurons': valid: 0 to 39"),
    ):
        with pytest.raises(UserError) as error:
            read_units(model, basis, [(0, 0), unit], TEXTS)
        assert one_line(error) == message


def test_the_default_text_holds_discovery_prompts_only() -> None:
    texts = default_texts()
    assert texts[0][0] == BUILT_IN
    names = {name for name, _ in texts[1:]}
    assert {"sva/nounpp", "capitals/state_capital", "greater_than", "ioi"} <= names
    assert not any(name.startswith(("mib/", "marks/")) for name in names)
    for name in ("sva/nounpp", "greater_than", "capitals/state_capital"):
        found = [text for source, text in texts if source == name]
        assert len(found) == len(set(found)) == PROMPTS_A_TASK
        for split, is_in in (("discovery", True), ("evaluation", False)):
            pairs = load_task(name).pairs(split, 5000, 0)  # type: ignore[arg-type]
            lines = {pair.clean + answer for pair in pairs for answer in pair.answers}
            assert all((text in lines) == is_in for text in found)
    assert len(default_texts(["sva/nounpp"])) == len(texts)


def test_text_of_a_folder_is_mixed_and_limited(tiny: Make, tmp_path: Path) -> None:
    words = [f"w{3 + i % 47}" for i in range(3000)]
    for number in range(2):
        (tmp_path / f"{number}.txt").write_text(" ".join(words[number * 1500 : (number + 1) * 1500]))
    pieces = named_texts([str(tmp_path)], say=print)
    assert sorted(" ".join(text for _, text in pieces).split()) == sorted(words)
    assert all(len(text) <= 2001 and source == str(tmp_path) for source, text in pieces)
    assert pieces == named_texts([str(tmp_path)], say=print)
    in_order = [piece.split()[0] for _, piece in pieces]
    assert in_order != sorted(in_order, key=words.index)


# -- the command ---------------------------------------------------------------------------------------


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["basisbench", *map(str, arguments)])
        capsys.readouterr()
        status = cli.command()
        return status, *capsys.readouterr()

    return call


def test_the_command_prints_evidence_and_writes_it(
    run_cli: Callable[..., tuple[int, str, str]], tiny_folder: Path, tmp_path: Path, task_folders: list[str]
) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text(TEXTS[2][1])
    options = ["--model", tiny_folder, "--text", tmp_path / "texts", "--serves", task_folders[0]]
    status, printed, _ = run_cli("read", "2:7,0:3", *options, "--out", tmp_path / "out.json", "--sign", "-")
    assert status == 0
    written = json.loads((tmp_path / "out.json").read_text())
    assert list(written) == ["2:7", "0:3"]
    lines = printed.splitlines()
    for key, known in written.items():
        place = lines.index(f"{key}  {known['label']}")
        assert lines[place + 1] == f"  rests on  {known['rests_on']}"
        driving = known["contexts"][0]
        assert any(
            f"{driving['activation']:+.2f}" in line and f"«{driving['tokens'][driving['at']]}»" in line
            for line in lines
        )
        assert any(f"{known['serves'][0]['task']} {known['serves'][0]['share']:.2%}" in line for line in lines)
        assert repr(known["promotes"][0]["token"]) in printed
    assert lines[-1] == f"evidence: {tmp_path / 'out.json'}"
    assert all(line.isprintable() for line in lines)
    _, fewer, _ = run_cli("read", "2:7", "--model", tiny_folder, "--text", tmp_path / "texts", "--text-tokens", 20)
    assert "serves" not in fewer


def test_the_command_refuses_in_one_line(
    run_cli: Callable[..., tuple[int, str, str]], tiny_folder: Path, tmp_path: Path
) -> None:
    def refusal(*arguments: object) -> str:
        status, printed, errors = run_cli("read", *arguments)
        assert (status, printed) == (2, "")
        return errors.splitlines()[-1].removeprefix("basisbench: ")

    model = ("--model", tiny_folder)
    (tmp_path / "a.txt").write_text("w3 w4 w5 w6")
    text = ("--text", tmp_path)
    for wrong in ("12", "a:3", "1:2,", "1:-2", ""):
        assert "is no unit: valid: layer:unit, separated by commas" in refusal(wrong)
    assert refusal("1:2", "--sign", "up") == "setting sign: Input should be '+' or '-', got 'up'"
    assert "dtype" in refusal("1:2", "--dtype", "int4")
    assert refusal("9:2", *model, *text) == "no layer 9 in basis 'neurons': valid: 0 to 2"
    assert refusal("1:99", *model, *text) == "no unit 99 in layer 1 of 'neurons': valid: 0 to 39"
    assert "unknown text 'nonsense'" in refusal("1:2", *model, "--text", "nonsense")
    assert "unknown basis 'neuron'" in refusal("1:2", *model, *text, "--basis", "neuron")
    assert "unknown task 'sva'" in refusal("1:2", *model, *text, "--serves", "sva")
