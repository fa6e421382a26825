"""Splice identity: with nothing ablated, logits and upstream gradients are those of the plain model."""

from collections.abc import Callable

import pytest
import torch

from basisbench.attribution import Request, Scores, ask_scores, load_method
from basisbench.bases.basis import BASES, Basis, LinearBasis
from basisbench.bases.load import load_basis
from basisbench.circuits.ablation import ABLATIONS, Ablation
from basisbench.circuits.curves import evaluate
from basisbench.circuits.ranking import rank_nodes
from basisbench.measures.metrics import METRICS
from basisbench.models.adapter import Model
from basisbench.models.sites import Site
from basisbench.values import LARGEST
from toys.models import ARCHITECTURES, assert_identity, pair_rows, prompt_set

BUILT_IN = ("neurons", "mlp_out", "resid_post", "attn_out", "attn_z", "rotated_neurons", "rotated_mlp_out")


def truncated(model: Model) -> Basis:
    """A basis with an error: the first half of a rotation of the MLP output."""
    size = model.d_model
    rotation, _ = torch.linalg.qr(torch.randn(size, size, generator=torch.Generator().manual_seed(3)))
    sites = [Site(layer, "mlp_out") for layer in range(model.n_layers)]
    return LinearBasis("truncated", sites, size, lambda _: rotation[: size // 2], size // 2)


def all_ranked(model: Model, basis: Basis, n_slots: int) -> Scores:
    generator = torch.Generator().manual_seed(5)
    return Scores(
        basis.name,
        {
            layer: torch.randn(n_slots, basis.n_units(layer) + basis.has_error, generator=generator)
            for layer in basis.layers()
        },
    )


def bases(model: Model) -> list[Basis]:
    return [*(load_basis(name, model) for name in BUILT_IN), truncated(model)]


def test_every_shipped_basis_is_tested() -> None:
    assert {name for name in BASES if not name.startswith(("sae", "transcoder", "clt"))} == set(BUILT_IN)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nothing_ablated_is_the_plain_model(architecture: str, tiny: Callable[[str], Model]) -> None:
    model = tiny(architecture)
    prompts = prompt_set(model, pair_rows(4, (5, 4)))
    for basis in bases(model):
        ranking = rank_nodes(all_ranked(model, basis, prompts.n_slots), basis)
        assert len(ranking.layer) == ranking.total < LARGEST
        assert_identity(model, basis, prompts, ranking)


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_bases_of_a_site_share_full_and_empty(ablation: Ablation, tiny: Callable[[str], Model]) -> None:
    """The ablated activation is the same in any basis, so one denominator serves all of a site."""
    model = tiny("llama")
    prompts = prompt_set(model, pair_rows(5))
    metric = METRICS.get("logit_difference").compute
    empties: dict[str, float] = {}
    for basis in bases(model):
        ranking = rank_nodes(all_ranked(model, basis, prompts.n_slots), basis)
        curve = evaluate(model, prompts, basis, ranking, [1], ablation=ablation)
        plain = model.forward(prompts.clean, prompts.last)
        answer = model.logits_of(plain[prompts.pair_prompt], prompts.answer.tokens)[:, 0]
        assert curve.full.answer == pytest.approx(answer.numpy(), abs=1e-4)
        empties[basis.name] = metric(curve.empty).mean()
        assert abs(metric(curve.full) - metric(curve.empty)).max() > 0.01
    for one, other in (("neurons", "rotated_neurons"), ("mlp_out", "rotated_mlp_out"), ("mlp_out", "truncated")):
        assert empties[one] == pytest.approx(empties[other], abs=1e-4)
    assert empties["neurons"] == pytest.approx(empties["mlp_out"], abs=1e-4)  # no bias: one site


@pytest.mark.parametrize("method", ["atp", "relp", "ig", "ig_inputs", "delta", "activation", "random"])
def test_every_method_scores_every_node(method: str, tiny: Callable[[str], Model]) -> None:
    model = tiny("llama")
    prompts = prompt_set(model, pair_rows(4))
    chosen = bases(model)
    scores = ask_scores(load_method(method), Request(model, prompts, chosen))
    for basis in chosen:
        for layer in basis.layers():
            assert scores[basis.name].by_layer[layer].shape == (
                prompts.n_slots,
                basis.n_units(layer) + basis.has_error,
            )
