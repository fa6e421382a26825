"""Kinds of sites, and one more of them: `attn_in`, defined here, against torch hooks on the Hugging Face model."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from basisbench import LinearBasis, UserError
from basisbench.attribution import Request, ask_scores, load_method
from basisbench.attribution.relp import relp_hooks
from basisbench.bases.basis import Basis
from basisbench.bases.load import bind_basis
from basisbench.checks.basis import check_basis
from basisbench.circuits.curves import evaluate
from basisbench.circuits.ranking import rank_nodes
from basisbench.measures.metrics import LOGIT_DIFFERENCE
from basisbench.models.adapter import Edit, Model
from basisbench.models.shapes import shape_of
from basisbench.models.sites import SITES, Site, SiteKind
from basisbench.prompts.prompt_set import PromptSet
from toys.models import ARCHITECTURES, CONFIGS, LAYERS, VOCABULARY, pair_rows, prompt_set, random_hf

UNITS = 8
Tiny = Callable[[str], Model]
Splice = Callable[[int, Tensor], Tensor | None]
"""From a layer and attention's input there [positions, d_model] to another input, or None."""


@pytest.fixture
def attn_in(monkeypatch: pytest.MonkeyPatch) -> SiteKind:
    """A kind of site that does not ship: all that the engine is told of it."""
    kind = SiteKind("attn_in", "attn.hook_in", "Attention's input, after its norm.")
    monkeypatch.setitem(SITES.entries, "attn_in", kind)
    return kind


def directions(layer: int) -> Tensor:
    matrix, _ = torch.linalg.qr(torch.randn(24, 24, generator=torch.Generator().manual_seed(7 + layer)))
    part: Tensor = matrix[:UNITS]
    return part


def basis_at(kind: str, model: Model) -> Basis:
    """A third of a rotation, another in each layer: a basis with an error."""
    sites = [Site(layer, kind) for layer in range(LAYERS)]
    return bind_basis("own", lambda model: LinearBasis("own", sites, model.width(kind), directions, UNITS), model)


# -- a plain second implementation ---------------------------------------------------------------------


def attention(hf: PreTrainedModel, layer: int) -> torch.nn.Module:
    for path in (
        f"model.layers.{layer}.self_attn",
        f"transformer.h.{layer}.attn",
        f"gpt_neox.layers.{layer}.attention",
    ):
        try:
            return hf.get_submodule(path)
        except AttributeError:
            continue
    raise AssertionError("no attention module")


def logits(hf: PreTrainedModel, tokens: Tensor, splice: Splice) -> Tensor:
    """Logits [V] after the last of `tokens` [S], attention's inputs handed to `splice`."""
    with ExitStack() as stack:
        for layer in range(LAYERS):

            def hook(_: object, args: tuple[Any, ...], kwargs: dict[str, Any], layer: int = layer) -> Any:
                x = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
                new = splice(layer, x[0])
                if new is None:
                    return None
                if "hidden_states" in kwargs:
                    return args, {**kwargs, "hidden_states": new[None]}
                return (new[None], *args[1:]), kwargs

            handle = attention(hf, layer).register_forward_pre_hook(hook, with_kwargs=True)
            stack.callback(handle.remove)
        found: Tensor = hf(tokens[None]).logits[0, -1]
        return found


def inputs(hf: PreTrainedModel, tokens: Tensor) -> dict[int, Tensor]:
    """Attention's input [S, d_model] by layer."""
    seen: dict[int, Tensor] = {}
    with torch.no_grad():
        logits(hf, tokens, lambda layer, x: seen.update({layer: x}))
    return seen


def metric(prompts: PromptSet, pair: int, found: Tensor) -> Tensor:
    return found[prompts.answer.tokens[pair, 0]] - found[prompts.foil.tokens[pair, 0]]


def gradients(hf: PreTrainedModel, prompts: PromptSet, pair: int, tokens: Tensor) -> dict[int, Tensor]:
    """The metric's gradient at attention's input, by layer."""
    leaves: dict[int, Tensor] = {}

    def leaf(layer: int, x: Tensor) -> Tensor:
        leaves[layer] = x.requires_grad_() if not x.requires_grad else x
        leaves[layer].retain_grad()
        return leaves[layer]

    metric(prompts, pair, logits(hf, tokens, leaf)).backward()
    return {layer: x.grad for layer, x in leaves.items() if x.grad is not None}


def projected(prompts: PromptSet, pair: int, layer: int, gradient: Tensor, delta: Tensor) -> Tensor:
    """A pair's share of the scores of a layer [n_slots, units + error]."""
    rows = directions(layer)
    units = (gradient @ rows.T) * (delta @ rows.T)
    error = (gradient * (delta - delta @ rows.T @ rows)).sum(-1, keepdim=True)
    scores = torch.zeros(prompts.n_slots, UNITS + 1)
    slots = prompts.slot[prompts.pair_prompt[pair]]
    return scores.index_add(0, slots, torch.cat([units, error], -1)) / prompts.n_pairs


def tokens_of(prompts: PromptSet, pair: int) -> tuple[Tensor, Tensor]:
    prompt = int(prompts.pair_prompt[pair])
    return prompts.clean[prompt], prompts.corrupt[prompt]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_basis_at_a_new_site_is_scored_and_evaluated(architecture: str, attn_in: SiteKind, tiny: Tiny) -> None:
    model, hf = tiny(architecture), random_hf(architecture)
    prompts = prompt_set(model, pair_rows(3))
    basis = basis_at(attn_in.name, model)
    expected = {layer: torch.zeros(prompts.n_slots, UNITS + 1) for layer in range(LAYERS)}
    for pair in range(prompts.n_pairs):
        clean, corrupt = tokens_of(prompts, pair)
        before, after, field = inputs(hf, clean), inputs(hf, corrupt), gradients(hf, prompts, pair, clean)
        for layer in range(LAYERS):
            expected[layer] += projected(prompts, pair, layer, field[layer], after[layer] - before[layer])
    scores = ask_scores(load_method("atp"), Request(model, prompts, [basis]))["own"]
    for layer, found in scores.by_layer.items():
        assert found.abs().max() > 1e-4
        torch.testing.assert_close(found, expected[layer], atol=1e-4, rtol=1e-3)

    ranking = rank_nodes(scores, basis)
    curve = evaluate(model, prompts, basis, ranking, [1, 5, 40, 120], ablation="counterfactual")
    assert curve.error_nodes[-1] > 0
    for index, size in enumerate(curve.size.tolist()):
        kept = torch.zeros(LAYERS, prompts.n_slots, UNITS + 1, dtype=torch.bool)
        kept[ranking.layer[:size], ranking.slot[:size], ranking.unit[:size]] = True
        for outcome, complement in ((curve.circuit, False), (curve.complement, True)):
            values = [spliced(hf, prompts, pair, kept != complement) for pair in range(prompts.n_pairs)]
            np.testing.assert_allclose(LOGIT_DIFFERENCE.compute(outcome)[index], values, atol=3e-4)
    assert not np.allclose(LOGIT_DIFFERENCE.compute(curve.full), LOGIT_DIFFERENCE.compute(curve.empty), atol=1e-2)


def spliced(hf: PreTrainedModel, prompts: PromptSet, pair: int, kept: Tensor) -> float:
    """The metric with what is not `kept` [layers, n_slots, units + error] at its value in the corrupt run."""
    clean, corrupt = tokens_of(prompts, pair)
    ablated = inputs(hf, corrupt)
    slots = prompts.slot[prompts.pair_prompt[pair]]

    def splice(layer: int, x: Tensor) -> Tensor:
        rows, at = directions(layer), kept[layer][slots]
        f, other = x @ rows.T, ablated[layer] @ rows.T
        error, other_error = x - f @ rows, ablated[layer] - other @ rows
        return torch.where(at[:, :UNITS], f, other) @ rows + torch.where(at[:, UNITS:], error, other_error)

    with torch.no_grad():
        return metric(prompts, pair, logits(hf, clean, splice)).item()


def relp_gradients(model: Model, prompts: PromptSet, pair: int) -> dict[int, Tensor]:
    """The metric's gradient at attention's input under RelP's rules, by the hook's own name: a pass of one pair."""
    tokens, _ = tokens_of(prompts, pair)
    stored: dict[str, Tensor] = {}

    def keep(name: str) -> tuple[str, Edit]:
        return name, lambda x: stored.update({name: x})

    kept = [keep(f"blocks.{layer}.attn.hook_in") for layer in range(LAYERS)]
    start: tuple[str, Edit] = ("blocks.0.hook_in", lambda x: x.detach().requires_grad_())
    hidden = model.forward(tokens[None], torch.tensor([len(tokens) - 1]), hooks=[start, *kept, *relp_hooks(model)])
    pair_tokens = torch.cat([prompts.answer.tokens[pair], prompts.foil.tokens[pair]])
    answer, foil = model.logits_of(hidden, pair_tokens[None], cap_as_gain=True)[0]
    found = torch.autograd.grad(answer - foil, [stored[name] for name, _ in kept])
    return {layer: gradient[0] for layer, gradient in enumerate(found)}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_relp_reaches_a_new_site(architecture: str, attn_in: SiteKind, tiny: Tiny) -> None:
    model, hf = tiny(architecture), random_hf(architecture)
    prompts = prompt_set(model, pair_rows(3))
    expected = {layer: torch.zeros(prompts.n_slots, UNITS + 1) for layer in range(LAYERS)}
    for pair in range(prompts.n_pairs):
        before, after = (inputs(hf, tokens) for tokens in tokens_of(prompts, pair))
        for layer, gradient in relp_gradients(model, prompts, pair).items():
            expected[layer] += projected(prompts, pair, layer, gradient, after[layer] - before[layer])
    basis = basis_at(attn_in.name, model)
    scores = ask_scores(load_method("relp"), Request(model, prompts, [basis]))["own"]
    for layer, part in scores.by_layer.items():
        torch.testing.assert_close(part, expected[layer], atol=1e-4, rtol=1e-3)


def test_a_new_site_is_checked_like_the_others(attn_in: SiteKind, tiny: Tiny) -> None:
    model = tiny("llama")
    draw = torch.Generator().manual_seed(0)
    text = " ".join(f"w{int(i)}" for i in torch.randint(3, VOCABULARY, (600,), generator=draw))
    whole = LinearBasis("whole", [Site(layer, "attn_in") for layer in range(LAYERS)], model.width("attn_in"))
    report = check_basis(model, whole, [text])
    assert [check.verdict for check in report.layers] == ["ok"] * LAYERS
    assert report.layers[0].read == Site(0, "attn_in")


# -- the kinds that ship -------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_widths_are_those_of_the_activations_and_of_the_shape(architecture: str, tiny: Tiny) -> None:
    model = tiny(architecture)
    shape = shape_of(CONFIGS[architecture]().to_dict())
    seen: dict[str, int] = {}

    def keep(kind: str) -> Edit:
        return lambda x: seen.update({kind: x.shape[-1]})

    kinds = [kind for kind in SITES if model.has_site(Site(0, kind))]
    with torch.no_grad():
        ids = torch.tensor([[3, 4, 5]])
        model.forward(ids, torch.tensor([2]), edits=[(Site(0, kind), keep(kind)) for kind in kinds])
    assert len(seen) == len(kinds) == 10
    assert seen == {kind: model.width(kind) for kind in kinds} == {kind: SITES.get(kind).width(shape) for kind in kinds}


def test_each_kind_feeds_a_kind_and_no_two_have_one_name_in_files() -> None:
    kinds = [SITES.get(name) for name in SITES]
    assert all(SITES.get(kind.feeds) for kind in kinds if kind.feeds)
    for names in ([a for kind in kinds for a in kind.aliases], [a for kind in kinds for a in kind.hf_aliases]):
        assert len(names) == len(set(names))
    assert {kind.name for kind in kinds if kind.through} == {"attn_z", "mlp_post"}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_summand_moves_the_stream_behind_the_block_by_as_much(architecture: str, tiny: Tiny) -> None:
    """What `SiteKind.summand` promises: passes with another value there begin behind the block."""
    model = tiny(architecture)
    ids, last = torch.tensor([[3, 4, 5, 6]]), torch.tensor([3])
    change = torch.randn(1, 4, model.d_model, generator=torch.Generator().manual_seed(0))
    for kind in SITES:
        site, behind = Site(1, kind), Site(1, "resid_post")
        if kind == "resid_post" or model.width(kind) != model.d_model:
            continue
        streams: list[Tensor] = []
        with torch.no_grad():
            for edits in ([], [(site, lambda x: x + change)]):
                model.forward(ids, last, edits=[*edits, (behind, streams.append)])
        moved = (streams[1] - streams[0] - change).abs().max() < 1e-4
        assert model.is_summand(site) <= moved
        # other sites may be summands in models without post-norms too: what is asked for is what the record says
        assert model.is_summand(site) == (kind == "mlp_out" or (kind == "attn_out" and model.is_parallel))


def test_a_site_that_can_only_be_read_is_not_written(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"basis 'own' writes resid_mid\[0\], which can only be read"):
        basis_at("resid_mid", tiny("llama"))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UserError, match="unknown kind of site 'mlp_posts': did you mean 'mlp_post'"):
        Site(0, "mlp_posts")
