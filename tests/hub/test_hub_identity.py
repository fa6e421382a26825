"""Dictionaries that are the model's own coordinates, through every loader: their curves are those of the coordinates.

An SAE of the axes and their opposites loses nothing, whatever its activation; a transcoder whose units are the neurons
of a plain ReLU MLP neither. Any scale, bias, transposition or hook that a loader gets wrong moves the curves.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

import basisbench
from basisbench.attribution import Request, Scores, ask_scores, load_method
from basisbench.bases.basis import Basis
from basisbench.bases.load import load_basis
from basisbench.circuits.ablation import Ablation
from basisbench.circuits.curves import evaluate
from basisbench.circuits.ranking import rank_nodes
from basisbench.measures.curve import Curve
from basisbench.models.adapter import Model
from basisbench.prompts.prompt_set import PromptSet
from hub.dictionaries import Weights, axes, cross_layer, publish
from hub.models import LAYERS, NEURONS, WIDTH, add_model, model_files, plain_relu
from hub.server import Hub
from toys.models import pair_rows, prompt_set

GEMMA, GEMMA_3, LLAMA = "google/gemma-2-2b", "google/gemma-3-270m", "meta-llama/Llama-3.1-8B"
GPT2, PYTHIA, QWEN = "openai-community/gpt2", "EleutherAI/pythia-70m-deduped", "Qwen/Qwen3-0.6B"
SAES = [
    (GEMMA, "sae:gemma-scope-2b-pt-mlp-canonical/layer_{layer}/width_16k/canonical", "mlp_out"),
    (GEMMA, "sae:gemma-scope-2b-pt-res-canonical/layer_{layer}/width_16k/canonical", "resid_post"),
    (GEMMA_3, "sae:gemma-scope-2-270m-pt-mlp-all/layer_{layer}_width_16k_l0_small", "mlp_out"),
    (GEMMA_3, "sae:gemma-scope-2-270m-pt-res-all/layer_{layer}_width_16k_l0_small", "resid_post"),
    (LLAMA, "sae:llama_scope_lxm_8x", "mlp_out"),
    (LLAMA, "sae:llama_scope_lxr_8x", "resid_post"),
    (GPT2, "sae:gpt2-small-mlp-out-v5-32k", "mlp_out"),
    (GPT2, "sae:gpt2-small-resid-post-v5-32k", "resid_post"),
    (GPT2, "sae:gpt2-small-res-jb", "resid_post"),
    (PYTHIA, "sae:pythia-70m-deduped-mlp-sm", "mlp_out"),
    (PYTHIA, "sae:pythia-70m-deduped-res-sm", "resid_post"),
    (PYTHIA, "sae:pythia-70m-deduped-att-sm", "attn_out"),
]
TRANSCODERS = [
    (GEMMA, "transcoder:gemma-scope-2b-pt-transcoders"),
    (GEMMA_3, "transcoder:gemma-scope-2-270m-pt-transcoders-all/layer_{layer}_width_16k_l0_small"),
    (GEMMA_3, "transcoder:gemma-scope-2-270m-pt-transcoders-all/layer_{layer}_width_16k_l0_small_affine"),
    (QWEN, "transcoder:mwhanna-qwen3-0.6b-transcoders-lowl0"),
]
ABLATED: tuple[Ablation, ...] = ("mean", "zero")
DTYPES = [("float32", 1e-4), ("bfloat16", 0.02)]


def random_scores(basis: Basis, prompts: PromptSet, width: int, last_first: bool = False) -> dict[int, Tensor]:
    draw = torch.Generator().manual_seed(3)
    found = {layer: torch.rand(prompts.n_slots, width, generator=draw) for layer in basis.layers()}
    return {layer: s + layer for layer, s in found.items()} if last_first else found


def outcomes(curve: Curve) -> Mapping[str, NDArray[np.float64]]:
    """All that a curve measured, by place."""
    parts = {"circuit": curve.circuit, "complement": curve.complement, "empty": curve.empty, "full": curve.full}
    return {f"{at} {name}": np.asarray(v) for at, part in parts.items() for name, v in vars(part).items()}


def assert_same_curves(mine: Curve, own: Curve, tolerance: float) -> None:
    found, expected = outcomes(mine), outcomes(own)
    scale = max(1.0, float(np.abs(expected["full answer"]).max()))
    for place, values in expected.items():
        assert found[place] == pytest.approx(values, abs=tolerance * scale), place


@pytest.mark.parametrize(("name", "basis", "site"), SAES, ids=[basis for _, basis, _ in SAES])
def test_an_sae_of_the_axes_is_the_site(
    name: str,
    basis: str,
    site: str,
    hub: Hub,
    tokenizer: PreTrainedTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_model(hub, name, tokenizer)
    publish(hub, basis, lambda layer: axes(), monkeypatch, LAYERS)
    for dtype, tolerance in DTYPES:
        assert_axes(basisbench.load_model(name, dtype, "cpu")[0], basis, site, tolerance)


def assert_axes(model: Model, basis: str, site: str, tolerance: float) -> None:
    prompts = prompt_set(model, pair_rows(4))
    dictionary, coordinates = load_basis(basis, model), load_basis(site, model)
    assert list(dictionary.layers()) == list(range(LAYERS))
    assert all(dictionary.writes(layer) == coordinates.writes(layer) for layer in range(LAYERS))

    # the same scores: an axis and its opposite are at hand together, at twice the size. What only some axes write has a
    # mean again, which these dictionaries do not see: of a stream, the layer that none reads again comes first
    scores = random_scores(coordinates, prompts, WIDTH, last_first=model.name == GPT2 and site == "resid_post")
    both = {layer: torch.cat([s, s, torch.zeros(len(s), 1)], 1) for layer, s in scores.items()}
    rankings = rank_nodes(Scores(site, scores), coordinates), rank_nodes(Scores(basis, both), dictionary)
    for ablation in ABLATED:
        own = evaluate(model, prompts, coordinates, rankings[0], [1, 10, 100], ablation=ablation)
        mine = evaluate(model, prompts, dictionary, rankings[1], [2, 20, 200], ablation=ablation)
        assert_same_curves(mine, own, tolerance)
    assert np.abs(own.circuit.answer - own.empty.answer).max() > 5 * tolerance  # or nothing was compared

    # and a method's scores of an axis and of its opposite add up to the axis' own
    found = ask_scores(load_method("relp"), Request(model, prompts, [dictionary, coordinates]))
    for layer in range(LAYERS):
        ours, expected = found[dictionary.name].by_layer[layer], found[site].by_layer[layer]
        scale = expected.abs().max()
        summed = ours[:, :WIDTH] + ours[:, WIDTH : 2 * WIDTH]
        torch.testing.assert_close(summed / scale, expected / scale, atol=10 * tolerance, rtol=0)
        assert ours[:, -1].abs().max() <= 10 * tolerance * scale


def neurons_of(hf: PreTrainedModel, layer: int, has_gain: bool) -> Weights:
    """The neurons of a plain ReLU MLP as a transcoder that reads its input (with or without the norm's gain)."""
    body: Any = hf.transformer
    block = body.h[layer]
    w_in, b_in = block.mlp.c_fc.weight.detach(), block.mlp.c_fc.bias.detach()
    if not has_gain:
        b_in = b_in + block.ln_2.bias.detach() @ w_in
        w_in = block.ln_2.weight.detach()[:, None] * w_in
    skip = torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(layer))
    out = block.mlp.c_proj
    return Weights(w_in, b_in, out.weight.detach(), out.bias.detach(), torch.zeros(NEURONS), skip)


def assert_neurons(name: str, basis: str) -> None:
    for dtype, tolerance in DTYPES:
        model, _ = basisbench.load_model(name, dtype, "cpu")
        prompts = prompt_set(model, pair_rows(4))
        neurons, transcoder = load_basis("neurons", model), load_basis(basis, model)
        scores = random_scores(neurons, prompts, NEURONS)
        with_error = {layer: torch.cat([s, torch.zeros(len(s), 1)], 1) for layer, s in scores.items()}
        rankings = {"neurons": rank_nodes(Scores("neurons", scores), neurons)}
        rankings[basis] = rank_nodes(Scores(basis, with_error), transcoder)
        for ablation in ABLATED:
            own, mine = (
                evaluate(model, prompts, chosen, rankings[chosen.name], [1, 10, 100], ablation=ablation)
                for chosen in (neurons, transcoder)
            )
            assert_same_curves(mine, own, tolerance)
        assert np.abs(own.circuit.answer - own.empty.answer).max() > 5 * tolerance  # or nothing was compared


@pytest.mark.parametrize(("name", "basis"), TRANSCODERS, ids=[basis for _, basis in TRANSCODERS])
def test_a_transcoder_of_the_neurons_is_the_neurons(
    name: str,
    basis: str,
    hub: Hub,
    tokenizer: PreTrainedTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hf = plain_relu(len(tokenizer))
    hub.add(name).commit(model_files(hf, tokenizer))
    has_gain = "gemma-scope-2b" not in basis
    publish(hub, basis, lambda layer: neurons_of(hf, layer, has_gain), monkeypatch, LAYERS)
    assert_neurons(name, basis)


def test_a_cross_layer_transcoder_of_the_neurons_is_the_neurons(
    hub: Hub, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    hf = plain_relu(len(tokenizer))
    hub.add(GEMMA).commit(model_files(hf, tokenizer))
    nothing = torch.zeros(NEURONS, WIDTH)
    files = cross_layer([neurons_of(hf, i, True) for i in range(LAYERS)], lambda *_: nothing, "mlp.hook_in")
    for path, data in files.items():
        (tmp_path / path).write_bytes(data)
    assert_neurons(GEMMA, f"clt:{tmp_path}")
