"""Gradient fields and scores against autograd by hand, single passes in a loop, and patches by hand."""

from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from basisbench.attribution import Request, ask, ask_scores, fields, load_method
from basisbench.attribution.activations import Chunk, chunks
from basisbench.attribution.relp import relp_hooks
from basisbench.bases.basis import Basis
from basisbench.bases.load import load_basis
from basisbench.errors import UserError
from basisbench.models.adapter import Edit, Model, Start
from basisbench.models.sites import Site
from basisbench.prompts.prompt_set import PromptSet
from toys.models import ARCHITECTURES, LAYERS, altered, pair_rows, prompt_set, random_hf

ALL = ("neurons", "mlp_out", "resid_post", "attn_out", "attn_z", "rotated_neurons", "rotated_mlp_out")


def constant(value: Tensor) -> Edit:
    return lambda _: value


def score(model: Model, prompts: PromptSet, method: str, names: Sequence[str]) -> dict[str, dict[int, Tensor]]:
    chosen = [load_basis(name, model) for name in names]
    scores = ask_scores(load_method(method), Request(model, prompts, chosen))
    return {name: dict(scores[name].by_layer) for name in names}


def m_of(
    model: Model, prompts: PromptSet, pair: int, edits: Sequence[tuple[Site, Edit]], corrupt: bool = False
) -> Tensor:
    """m of one pair from one full pass over its own prompt: no batch, no prefix, no restart."""
    prompt = int(prompts.pair_prompt[pair])
    last = int(prompts.last[prompt])
    tokens = (prompts.corrupt if corrupt else prompts.clean)[prompt : prompt + 1, : last + 1]
    hidden = model.forward(tokens, torch.tensor([last]), edits=edits, start=None)
    logits = model.logits(hidden)[0]
    return logits[prompts.answer.tokens[pair, 0]] - logits[prompts.foil.tokens[pair, 0]]


def activation(model: Model, prompts: PromptSet, pair: int, site: Site, corrupt: bool) -> Tensor:
    stored: list[Tensor] = []
    with torch.no_grad():
        m_of(model, prompts, pair, [(site, stored.append)], corrupt)
    return stored[0]


def gradient_at(model: Model, prompts: PromptSet, pair: int, site: Site, value: Tensor) -> Tensor:
    leaf = value.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(m_of(model, prompts, pair, [(site, constant(leaf))]), leaf)
    return gradient


def naive_ig(model: Model, prompts: PromptSet, basis: Basis, layer: int, steps: int) -> Tensor:
    """Scores [n_slots, units] by a loop over pairs and steps, each a full pass with the written site set."""
    site = basis.writes(layer)[0]
    total = torch.zeros(prompts.n_slots, basis.n_units(layer))
    for pair in range(prompts.n_pairs):
        clean, corrupt = (activation(model, prompts, pair, site, side) for side in (False, True))
        mean = torch.zeros_like(clean)
        for step in range(steps):
            mean += gradient_at(model, prompts, pair, site, clean + step / steps * (corrupt - clean)) / steps
        delta = basis.encode(layer, corrupt) - basis.encode(layer, clean)
        scores = (basis.project(layer, site, mean) * delta)[0]
        slots = prompts.slot[prompts.pair_prompt[pair]]
        for position in range(scores.shape[0]):
            total[slots[position]] += scores[position] / prompts.n_pairs
    return total


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_equal_single_full_passes(architecture: str, tiny: Callable[[str], Model]) -> None:
    """`atp` and `ig` for every basis, batched, restarted and prefixed, against one pass a pair and step."""
    model = tiny(architecture)
    prompts = prompt_set(model, pair_rows(3, (5, 4)))
    assert prompts.unchanged == 1
    got = {method: score(model, prompts, method, ALL) for method in ("atp", "ig")}
    for name in ALL:
        basis = load_basis(name, model)
        for layer in (0, LAYERS - 1):
            for method, steps in (("atp", 1), ("ig", fields.STEPS)):
                expected = naive_ig(model, prompts, basis, layer, steps)
                scale = expected.abs().max()
                torch.testing.assert_close(got[method][name][layer], expected, atol=float(1e-4 * scale), rtol=1e-3)


@pytest.mark.parametrize("kind", ["mlp_out", "resid_post", "attn_out"])
def test_ig_sums_to_the_effect_of_the_whole_site_as_steps_grow(
    kind: str, tiny: Callable[[str], Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny("llama")
    prompts = prompt_set(model, pair_rows(4))
    errors = []
    for steps in (4, 32, 256):
        monkeypatch.setattr(fields, "STEPS", steps)
        got = score(model, prompts, "ig", [kind])[kind]
        gaps = []
        for layer in range(LAYERS):
            site = Site(layer, kind)
            effect = torch.zeros(())
            for pair in range(prompts.n_pairs):
                corrupt = activation(model, prompts, pair, site, corrupt=True)
                with torch.no_grad():
                    effect += m_of(model, prompts, pair, [(site, constant(corrupt))])
                    effect -= m_of(model, prompts, pair, [])
            gaps.append(abs(got[layer].sum() - effect / prompts.n_pairs))
        errors.append(float(max(gaps)))
    assert errors[0] > 4 * errors[1] > 16 * errors[2]  # a Riemann sum: the error falls like 1 / steps
    assert errors[2] < 1e-2


def test_ig_inputs_equals_a_loop_over_interpolated_embeddings(tiny: Callable[[str], Model]) -> None:
    model = tiny("llama")
    prompts = prompt_set(model, pair_rows(3))
    got = score(model, prompts, "ig_inputs", ["neurons"])["neurons"]
    embedding, site = Site(0, "resid_pre"), Site(1, "mlp_post")
    total = torch.zeros_like(got[1])
    for pair in range(3):
        begin, end = (activation(model, prompts, pair, embedding, side) for side in (False, True))
        delta = activation(model, prompts, pair, site, True) - activation(model, prompts, pair, site, False)
        for step in range(10):
            at = (begin + step / 10 * (end - begin)).requires_grad_()
            stored: list[Tensor] = []
            m = m_of(model, prompts, pair, [(embedding, constant(at)), (site, stored.append)])
            (gradient,) = torch.autograd.grad(m, stored[0])
            total[prompts.slot[prompts.pair_prompt[pair]]] += (gradient * delta)[0] / 10 / 3
    torch.testing.assert_close(got[1], total, atol=1e-5, rtol=1e-3)


def test_exact_equals_a_patch_by_hand(tiny: Callable[[str], Model]) -> None:
    model = tiny("gpt2")
    prompts = prompt_set(model, pair_rows(3, (5, 4)))
    for name in ("neurons", "rotated_mlp_out", "attn_z"):
        basis = load_basis(name, model)
        got = score(model, prompts, "exact", [name])[name]
        for layer, slot, unit in ((0, 1, 3), (1, int(prompts.slot[0, 2]), 0), (2, int(prompts.slot[0, -1]), 7)):
            site = basis.writes(layer)[0]
            total = torch.zeros(())
            for pair in range(prompts.n_pairs):
                slots = prompts.slot[prompts.pair_prompt[pair]]
                clean, corrupt = (activation(model, prompts, pair, site, side) for side in (False, True))
                units = basis.encode(layer, clean)
                for position in range(clean.shape[1]):
                    if slots[position] == slot:
                        units[0, position, unit] = basis.encode(layer, corrupt)[0, position, unit]
                patched = basis.lift(layer, site, units)  # these bases have no error: lift gives all of it
                with torch.no_grad():
                    total += m_of(model, prompts, pair, [(site, constant(patched))])
                    total -= m_of(model, prompts, pair, [])
            assert got[layer][slot, unit] == pytest.approx(float(total) / prompts.n_pairs, abs=2e-5)


def test_exact_of_some_nodes_is_exact_there_and_zero_elsewhere(tiny: Callable[[str], Model]) -> None:
    model = tiny("llama")
    prompts = prompt_set(model, pair_rows(3))
    everything = score(model, prompts, "exact", ["neurons"])["neurons"]
    some = score(model, prompts, "exact:20", ["neurons"])["neurons"]
    patched = [(layer, some[layer] != 0) for layer in some]
    assert sum(int(mask.sum()) for _, mask in patched) == 20
    for layer, mask in patched:
        torch.testing.assert_close(some[layer][mask], everything[layer][mask], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("count", [1, 599])
def test_exact_patches_no_more_nodes_than_asked(count: int, tiny: Callable[[str], Model]) -> None:
    """One node leaves layers without any; and among nodes that score zero no tie is patched beyond the count."""
    model = tiny("llama")
    prompts = prompt_set(model, pair_rows(3))
    total = sum(values.numel() for values in score(model, prompts, "atp", ["neurons"])["neurons"].values())
    assert total == 600
    patched: list[int] = []
    request = Request(
        model, prompts, [load_basis("neurons", model)], progress=lambda what, done, _: patched.append(done)
    )
    ask(load_method(f"exact:{count}"), request)
    assert patched[-1] == count * prompts.n_prompts


def test_exact_refuses_what_would_take_for_ever() -> None:
    with pytest.raises(UserError, match=r"valid: exact:K with K from 1"):
        load_method("exact:many")
    with pytest.raises(UserError, match="takes no option"):
        load_method("relp:3")
    with pytest.raises(UserError, match="did you mean 'relp'"):
        load_method("relpp")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_relp_leaves_the_forward_pass_as_it_is(architecture: str, tiny: Callable[[str], Model]) -> None:
    model = tiny(architecture)
    prompts = prompt_set(model, pair_rows(4, (5, 3)))
    with torch.no_grad():
        plain = model.logits(model.forward(prompts.clean, prompts.last))
        ruled = model.logits(model.forward(prompts.clean, prompts.last, hooks=relp_hooks(model)))
    torch.testing.assert_close(ruled, plain, atol=1e-5, rtol=1e-5)


def without_biases(hf: PreTrainedModel) -> PreTrainedModel:
    with torch.no_grad():
        for name, parameter in hf.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    return hf


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_relp_conserves_the_logit(architecture: str, tiny: Callable[[str], Model]) -> None:
    """Without biases, the sum over positions of gradient x embedding is the logit."""
    model = Model(architecture, without_biases(random_hf(architecture)), tiny(architecture).tokenizer)
    prompts = prompt_set(model, pair_rows(4))
    inputs: list[Tensor] = []
    with torch.no_grad():
        model.forward(prompts.clean, prompts.last, edits=[(Site(0, "resid_pre"), inputs.append)])
    leaf = inputs[0].clone().requires_grad_()
    hidden = model.forward(prompts.clean, prompts.last, hooks=relp_hooks(model), start=Start(0, leaf))
    logit = model.logits_of(hidden, prompts.answer.tokens, cap_as_gain=True)[:, 0]
    (gradient,) = torch.autograd.grad(logit.sum(), leaf)
    torch.testing.assert_close((gradient * leaf).sum((1, 2)), logit, atol=1e-4, rtol=1e-4)


def test_a_capped_logit_of_zero_has_the_gradient_of_one_that_is_not_capped(tiny: Callable[[str], Model]) -> None:
    """Half precision rounds logits to 0, where the cap's gain tanh(x)/x is 1."""
    model = tiny("gemma2")
    hidden = torch.zeros(1, model.d_model, requires_grad=True)
    tokens = torch.tensor([[5]])
    for cap_as_gain in (False, True):
        logit = model.logits_of(hidden, tokens, cap_as_gain=cap_as_gain)
        (gradient,) = torch.autograd.grad(logit.sum(), hidden)
        torch.testing.assert_close(gradient, model._unembedding[tokens[0]])


def test_pairs_that_share_prompts_count_as_often_as_they_stand(tiny: Callable[[str], Model]) -> None:
    model = tiny("llama")
    rows = pair_rows(3)
    others = [((" w7",), (" w8",)), ((" w9",), (" w10",))]
    doubled = [*rows, *(altered(rows[0], answers=answers, foils=foils) for answers, foils in others)]
    prompts = prompt_set(model, doubled)
    assert (prompts.n_pairs, prompts.n_prompts) == (5, 3)
    for method in ("atp", "delta"):
        together = score(model, prompts, method, ["neurons"])["neurons"]
        apart = [score(model, prompt_set(model, [row]), method, ["neurons"])["neurons"] for row in doubled]
        for layer, got in together.items():
            torch.testing.assert_close(got, sum(a[layer] for a in apart) / 5, atol=1e-6, rtol=1e-4)


def test_scores_do_not_depend_on_how_prompts_are_cut_into_chunks(
    tiny: Callable[[str], Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny("llama")
    prompts = prompt_set(model, pair_rows(7, (5, 4)))
    whole = {method: score(model, prompts, method, ["neurons"]) for method in ("ig", "relp", "activation", "exact")}
    monkeypatch.setattr("basisbench.attribution.activations.MEMORY_BUDGET", 1)
    assert sum(1 for _ in chunks(model, prompts, {Site(0, "mlp_out")})) == 7
    for method, expected in whole.items():
        got = score(model, prompts, method, ["neurons"])["neurons"]
        for layer, values in expected["neurons"].items():
            torch.testing.assert_close(got[layer], values, atol=1e-5, rtol=1e-3)


def test_one_field_serves_neurons_and_mlp_output(tiny: Callable[[str], Model], monkeypatch: pytest.MonkeyPatch) -> None:
    """Neurons, MLP outputs and rotations ask for one field a layer; behind a post-norm for two."""
    asked: list[int] = []

    class Counted(fields.Atp):
        def field(self, model: Model, chunk: Chunk, sites: Sequence[Site]) -> Iterator[tuple[Site, Tensor]]:
            asked.append(len(sites))
            return super().field(model, chunk, sites)

    names = ("neurons", "mlp_out", "rotated_neurons", "rotated_mlp_out")
    for architecture, per_layer in (("llama", 1), ("gemma2", 2)):
        model = tiny(architecture)
        chosen = [load_basis(name, model) for name in names]
        ask(Counted(), Request(model, prompt_set(model, pair_rows(2)), chosen))
        assert asked.pop() == per_layer * LAYERS
