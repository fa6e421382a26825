"""Cross-layer transcoders in the published layout, against explicit loops over sources and targets."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from basisbench.attribution import Request, Scores, ask_scores, load_method
from basisbench.baselines.cross_layer import CrossLayerBasis, clt
from basisbench.bases.basis import Basis
from basisbench.bases.load import load_basis
from basisbench.circuits.curves import evaluate
from basisbench.circuits.ranking import rank_nodes
from basisbench.errors import UserError
from basisbench.models.adapter import Edit, Model
from basisbench.models.sites import Site
from basisbench.prompts.prompt_set import PromptSet
from toys.cross_layer import UNITS, WIDTH, Weights, activations, save_clt
from toys.models import LAYERS, assert_identity, pair_rows, prompt_set

Make = Callable[[str], Model]


@pytest.mark.parametrize("threshold", [True, False])
def test_units_write_to_all_later_layers(threshold: bool, tiny: Make, tmp_path: Path) -> None:
    weights = save_clt(tmp_path, threshold=threshold)
    basis = clt(tiny("llama"), str(tmp_path))
    x = torch.randn(2, 3, WIDTH)
    some = torch.tensor([20, 3, 11])
    assert basis.layers() == tuple(range(LAYERS))
    for layer in basis.layers():
        f = activations(weights, layer, x)
        assert 0.05 < (f != 0).float().mean() < 0.95
        torch.testing.assert_close(basis.encode(layer, x), f, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(basis.encode(layer, x, some), f[..., some], atol=1e-5, rtol=1e-5)
        assert basis.read(layer) == Site(layer, "resid_mid")
        assert basis.writes(layer) == tuple(Site(later, "mlp_out") for later in range(layer, LAYERS))
        for site in basis.writes(layer):
            for units in (None, some):
                chosen = range(UNITS) if units is None else units.tolist()
                kept = f if units is None else f[..., units]
                expected = torch.zeros(2, 3, WIDTH)
                for unit in chosen:
                    expected += f[..., unit, None] * weights[f"W_dec_{layer}"][unit, site.layer - layer]
                torch.testing.assert_close(basis.lift(layer, site, kept, units), expected, atol=1e-5, rtol=1e-5)
                g = torch.randn(2, 3, WIDTH)
                left, right = (expected * g).sum(), (kept * basis.project(layer, site, g, units)).sum()
                torch.testing.assert_close(left, right, atol=1e-3, rtol=1e-4)


def ranked(basis: Basis, n_slots: int, seed: int = 5) -> Scores:
    generator = torch.Generator().manual_seed(seed)
    layers = basis.layers()
    return Scores(basis.name, {i: torch.randn(n_slots, basis.n_units(i) + 1, generator=generator) for i in layers})


def record(model: Model, tokens: Tensor, last: Tensor, sites: set[Site]) -> dict[Site, Tensor]:
    stored: dict[Site, Tensor] = {}

    def keep(site: Site, x: Tensor) -> None:
        stored[site] = x

    with torch.no_grad():
        model.forward(tokens, last, edits=[(site, partial(keep, site)) for site in sites])
    return stored


def all_sites() -> set[Site]:
    return {Site(0, "resid_pre")} | {Site(i, kind) for i in range(LAYERS) for kind in ("resid_mid", "mlp_out")}


def test_everything_kept_is_the_plain_model(tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    save_clt(tmp_path)
    basis = clt(model, str(tmp_path))
    prompts = prompt_set(model, pair_rows(4, (5, 4)))
    ranking = rank_nodes(ranked(basis, prompts.n_slots), basis)
    assert_identity(model, basis, prompts, ranking)


def explicit_logits(
    model: Model, prompts: PromptSet, weights: Weights, is_kept: Mapping[int, Tensor], complement: bool
) -> Tensor:
    """Every layer's MLP output as the sum of each earlier layer's units and its own error, one source at a time.

    Nodes that are kept (or, in the complement, are not) are live; the others have their mean over corrupt prompts.
    """
    corrupt = record(model, prompts.corrupt, prompts.last, all_sites())
    live: dict[int, Tensor] = {}
    mixed: dict[int, Tensor] = {}
    edits: list[tuple[Site, Edit]] = []

    def other(layer: int) -> Tensor:
        return activations(weights, layer, corrupt[Site(layer, "resid_mid")])

    def read(layer: int, x: Tensor) -> None:
        live[layer] = activations(weights, layer, x)
        chosen = (is_kept[layer] != complement)[None, :, :-1]
        mixed[layer] = torch.where(chosen, live[layer], other(layer).mean(0, keepdim=True))

    def written(at: int, f: Mapping[int, Tensor]) -> Tensor:
        return sum((f[i] @ weights[f"W_dec_{i}"][:, at - i] for i in range(at + 1)), torch.zeros(()))

    def write(layer: int, x: Tensor) -> Tensor:
        error = x - written(layer, live)
        others = corrupt[Site(layer, "mlp_out")] - written(layer, {i: other(i) for i in range(layer + 1)})
        chosen = (is_kept[layer] != complement)[None, :, -1:]
        return written(layer, mixed) + torch.where(chosen, error, others.mean(0, keepdim=True))

    for layer in range(LAYERS):
        edits += [(Site(layer, "resid_mid"), partial(read, layer)), (Site(layer, "mlp_out"), partial(write, layer))]
    with torch.no_grad():
        return model.logits(model.forward(prompts.clean, prompts.last, edits=edits))


@pytest.mark.parametrize("first", range(LAYERS))
def test_kept_units_and_errors_equal_an_explicit_loop(first: int, tiny: Make, tmp_path: Path) -> None:
    """Also where no node before layer `first` is ranked high, and passes could start there."""
    model = tiny("llama")
    weights = save_clt(tmp_path)
    basis = clt(model, str(tmp_path))
    prompts = prompt_set(model, pair_rows(4))
    scores = ranked(basis, prompts.n_slots)
    for layer, values in scores.by_layer.items():
        values[:, -1] *= 3  # errors among the first
        if layer < first:
            values *= 1e-3
    ranking = rank_nodes(scores, basis)
    sizes = [10, 60]
    curve = evaluate(model, prompts, basis, ranking, sizes)
    assert curve.error_nodes[0] > 0
    positions = prompts.slot[0]
    for number, size in enumerate(sizes):
        kept = {layer: torch.zeros_like(values, dtype=torch.bool) for layer, values in scores.by_layer.items()}
        nodes = (column[:size].tolist() for column in (ranking.layer, ranking.slot, ranking.unit))
        for layer, slot, unit in zip(*nodes, strict=True):
            assert layer >= first
            kept[layer][slot, unit] = True
        by_position = {layer: values[positions] for layer, values in kept.items()}
        for complement, found in ((False, curve.circuit), (True, curve.complement)):
            logits = explicit_logits(model, prompts, weights, by_position, complement)
            expected = logits[prompts.pair_prompt].gather(1, prompts.answer.tokens)[:, 0]
            assert found.answer[number] == pytest.approx(expected.numpy(), abs=1e-4), (size, complement)


def test_scores_equal_autograd_through_an_explicit_splice(tiny: Make, tmp_path: Path) -> None:
    """A unit's score adds up over the layers it writes to, each with the gradient at that layer."""
    model = tiny("llama")
    weights = save_clt(tmp_path)
    basis = clt(model, str(tmp_path))
    prompts = prompt_set(model, pair_rows(4, (5, 4)))
    scores = ask_scores(load_method("atp"), Request(model, prompts, [basis]))[basis.name]
    clean = record(model, prompts.clean, prompts.last, all_sites())
    corrupt = record(model, prompts.corrupt, prompts.last, all_sites())
    f = {i: activations(weights, i, clean[Site(i, "resid_mid")]) for i in range(LAYERS)}
    delta = {i: activations(weights, i, corrupt[Site(i, "resid_mid")]) - f[i] for i in range(LAYERS)}
    expected = {i: torch.zeros(prompts.n_slots, UNITS + 1) for i in range(LAYERS)}
    for at in range(LAYERS):  # one written site at a time, as effects through later writes are their own
        sources = {i: f[i].clone().requires_grad_() for i in range(at + 1)}
        site = Site(at, "mlp_out")
        directions = {i: weights[f"W_dec_{i}"][:, at - i] for i in range(at + 1)}
        error = (clean[site] - sum(f[i] @ directions[i] for i in range(at + 1))).requires_grad_()
        moved = (corrupt[site] - clean[site]) - sum(delta[i] @ directions[i] for i in range(at + 1))

        def spliced(
            _: Tensor, sources: dict[int, Tensor] = sources, directions: dict[int, Tensor] = directions,
            error: Tensor = error,
        ) -> Tensor:  # fmt: skip
            return sum((sources[i] @ directions[i] for i in sources), error)

        logits = model.logits(model.forward(prompts.clean, prompts.last, edits=[(site, spliced)]))[prompts.pair_prompt]
        pairs = torch.arange(prompts.n_pairs)
        m = (logits[pairs, prompts.answer.tokens[:, 0]] - logits[pairs, prompts.foil.tokens[:, 0]]).sum()
        for_error, *for_units = torch.autograd.grad(m, [error, *sources.values()])
        for row in range(prompts.n_prompts):
            for position in range(int(prompts.last[row]) + 1):
                slot = prompts.slot[row, position]
                for i, gradient in zip(sources, for_units, strict=True):
                    expected[i][slot, :-1] += (gradient * delta[i])[row, position] / prompts.n_pairs
                expected[at][slot, -1] += (for_error * moved)[row, position].sum() / prompts.n_pairs
    for layer in range(LAYERS):
        assert expected[layer].abs().max() > 1e-4
        torch.testing.assert_close(scores.by_layer[layer], expected[layer], atol=1e-5, rtol=1e-4)


def test_full_and_empty_are_those_of_the_sites_coordinates(tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    save_clt(tmp_path)
    prompts = prompt_set(model, pair_rows(5))
    curves = []
    for basis in (clt(model, str(tmp_path)), load_basis("mlp_out", model)):
        layers = {i: torch.randn(prompts.n_slots, basis.n_units(i) + basis.has_error) for i in basis.layers()}
        curves.append(evaluate(model, prompts, basis, rank_nodes(Scores(basis.name, layers), basis), [1]))
    for mine, first in ((curves[0].empty, curves[1].empty), (curves[0].full, curves[1].full)):
        assert mine.answer == pytest.approx(first.answer, abs=1e-4)


def test_hooks_come_from_the_configuration(tiny: Make, tmp_path: Path) -> None:
    save_clt(tmp_path, config="feature_input_hook: mlp.hook_in\nfeature_output_hook: mlp.hook_out\n")
    basis = clt(tiny("gemma2"), str(tmp_path))
    assert basis.read(1) == Site(1, "mlp_in")
    assert basis.writes(1) == (Site(1, "mlp_proj"), Site(2, "mlp_proj"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": 2}, r"2 layers .*valid for model 'llama': 3 layers 24 wide"),
        ({"width": 16}, r"3 layers 16 wide"),
        ({"config": "feature_input_hook: hook_nowhere\n"}, r"unknown hook 'blocks.0.hook_nowhere'"),
        ({"config": "feature_output_hook: hook_resid_mid\n"}, r"can be read only"),
    ],
)
def test_another_models_transcoder_is_refused(
    settings: dict[str, Any], message: str, tiny: Make, tmp_path: Path
) -> None:
    save_clt(tmp_path, **settings)
    with pytest.raises(UserError, match=message):
        clt(tiny("llama"), str(tmp_path))


def test_a_folder_without_weights_is_refused(tiny: Make, tmp_path: Path) -> None:
    for option in ("", str(tmp_path), "no/such/folder"):
        with pytest.raises(UserError, match="valid: clt:PATH"):
            clt(tiny("llama"), option)
    save_clt(tmp_path)
    (tmp_path / "W_dec_1.safetensors").unlink()
    with pytest.raises(UserError, match="cannot read W_dec_1"):
        clt(tiny("llama"), str(tmp_path))


def test_weights_stay_in_the_budget(tiny: Make, tmp_path: Path) -> None:
    save_clt(tmp_path)
    made = clt(tiny("llama"), str(tmp_path))
    one = UNITS * WIDTH * 4
    small = CrossLayerBasis("small", made._folder, made._reads, made._writes, UNITS, made._device, budget=4 * one)
    f = torch.randn(2, UNITS)
    for layer in made.layers():
        for site in made.writes(layer):
            torch.testing.assert_close(small.lift(layer, site, f), made.lift(layer, site, f))
            assert small._decoders.nbytes <= 2 * one
    assert made._decoders.nbytes == one * LAYERS * (LAYERS + 1) / 2
