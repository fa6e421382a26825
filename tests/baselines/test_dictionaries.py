"""SAEs and transcoders of every sae-lens architecture, against sae-lens' own encode and forward."""

import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from sae_lens.loading.pretrained_saes_directory import PretrainedSAELookup, get_pretrained_saes_directory
from torch import Tensor

from basisbench.attribution import Request, Scores, ask_scores, load_method
from basisbench.baselines.dictionaries import DictionaryBasis, dictionary_basis, sae, transcoder
from basisbench.baselines.dictionaries.byte_cache import ByteCache
from basisbench.bases.load import load_basis
from basisbench.circuits.ablation import ABLATIONS, Ablation
from basisbench.circuits.curves import evaluate
from basisbench.circuits.ranking import rank_nodes
from basisbench.errors import UserError
from basisbench.models.adapter import Edit, Model
from basisbench.models.sites import Site
from basisbench.prompts.prompt_set import PromptSet
from basisbench.values import ErrorTreatment
from hub.server import Hub
from toys.dictionaries import UNITS, WIDTH, Variant, basis_of, peer, save_dictionary
from toys.models import LAYERS, assert_identity, pair_rows, prompt_set

Make = Callable[[str], Model]


VARIANTS = (
    Variant("standard"),
    Variant("standard", settings={"apply_b_dec_to_input": False}),
    Variant("standard", "hook_resid_post", {"normalize_activations": "layer_norm"}),
    Variant("standard", settings={"normalize_activations": "constant_norm_rescale"}),
    Variant("gated", "hook_resid_post"),
    Variant("jumprelu", "hook_attn_out"),
    Variant("jumprelu", "attn.hook_z", {"reshape_activations": "hook_z"}),
    Variant("topk", settings={"k": 5}),
    Variant("topk", settings={"k": 5, "rescale_acts_by_decoder_norm": True}),
    Variant("topk", settings={"k": 5, "normalize_activations": "layer_norm"}),
    Variant("topk", settings={"k": 30}),  # so many that some are negative
    Variant("abstopk", settings={"k": 5}),
    Variant("transcoder", "mlp.hook_in"),
    Variant("transcoder", "mlp.hook_in", {"normalize_activations": "layer_norm"}),
    Variant("skip_transcoder", "mlp.hook_in"),
    Variant("jumprelu_transcoder", "ln2.hook_normalized"),
    Variant("jumprelu_skip_transcoder", "hook_resid_mid"),
)
every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=str)


def peer_input(variant: Variant, x: Tensor) -> Tensor:
    """What sae-lens is to be given for the activation that our basis reads."""
    if variant.hook != "ln2.hook_normalized":
        return x
    return x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()  # a Llama's norm, without its gain


def peer_parts(variant: Variant, loaded: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """What sae-lens' units write, and the rest of its output: biases and the skip path."""
    x = peer_input(variant, x)
    whole = loaded(x)
    f = loaded.encode(x)
    rest = loaded.decode(torch.zeros_like(f))
    if hasattr(loaded, "W_skip"):
        rest = rest + x @ loaded.W_skip.T
    return whole - rest, rest


@every_variant
def test_units_and_directions_are_those_of_sae_lens(variant: Variant, tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    basis = basis_of(variant, model, tmp_path)
    generator = torch.Generator().manual_seed(0)
    for layer in basis.layers():
        x = torch.randn(3, 5, WIDTH, generator=generator)
        loaded = peer(tmp_path, layer)
        (site,) = basis.writes(layer)
        with torch.no_grad():
            expected = loaded.encode(peer_input(variant, x))
            if not variant.is_transcoder and variant.settings.get("normalize_activations") == "layer_norm":
                expected = expected * x.std(-1, keepdim=True)
            if variant.settings.get("normalize_activations") == "constant_norm_rescale":
                expected = expected * x.norm(dim=-1, keepdim=True) / WIDTH**0.5
            written, _ = peer_parts(variant, loaded, x)
        assert 0.05 < (expected != 0).float().mean() < 0.95
        f = basis.encode(layer, x)
        assert f.shape == (3, 5, basis.n_units(layer)) == (3, 5, UNITS)
        torch.testing.assert_close(f, expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(basis.lift(layer, site, f), written, atol=1e-5, rtol=1e-5)
        some = torch.randperm(UNITS, generator=generator)[:7]
        torch.testing.assert_close(basis.encode(layer, x, some), expected[..., some], atol=1e-5, rtol=1e-5)
        alone = torch.zeros_like(f).index_copy(-1, some, f[..., some])
        torch.testing.assert_close(
            basis.lift(layer, site, f[..., some], some), basis.lift(layer, site, alone), atol=1e-5, rtol=1e-5
        )


@every_variant
def test_project_is_the_transpose_of_lift(variant: Variant, tiny: Make, tmp_path: Path) -> None:
    basis = basis_of(variant, tiny("llama"), tmp_path, 1)
    (site,) = basis.writes(0)
    for units in (None, torch.tensor([31, 4, 17])):
        f = torch.randn(2, UNITS if units is None else len(units))
        g = torch.randn(2, WIDTH)
        left, right = (basis.lift(0, site, f, units) * g).sum(), (f * basis.project(0, site, g, units)).sum()
        torch.testing.assert_close(left, right, atol=1e-4, rtol=1e-4)


def test_a_topk_dictionary_is_not_read_as_relu(tiny: Make, tmp_path: Path) -> None:
    basis = basis_of(Variant("topk", settings={"k": 5}), tiny("llama"), tmp_path, 1)
    x = torch.randn(50, WIDTH)
    assert (basis.encode(0, x) != 0).sum(-1).max() == 5
    one_by_one = torch.cat([basis.encode(0, x, torch.tensor([unit])) for unit in range(UNITS)], -1)
    torch.testing.assert_close(one_by_one, basis.encode(0, x), atol=1e-6, rtol=1e-6)


def record(model: Model, tokens: Tensor, last: Tensor, sites: set[Site]) -> dict[Site, Tensor]:
    stored: dict[Site, Tensor] = {}

    def keep(site: Site, x: Tensor) -> None:
        stored[site] = x

    with torch.no_grad():
        model.forward(tokens, last, edits=[(site, partial(keep, site)) for site in sites])
    return stored


def sites_of(basis: DictionaryBasis) -> set[Site]:
    return {s for layer in basis.layers() for s in (basis.read(layer), *basis.writes(layer))}


@pytest.mark.parametrize("architecture", ["gemma2", "gpt2", "llama", "neox", "qwen3"])
def test_normalised_input_is_the_norm_without_its_gain(architecture: str, tiny: Make, tmp_path: Path) -> None:
    """The published norm's output, divided by its gain, is what a Gemma Scope transcoder reads."""
    model = tiny(architecture)
    basis = basis_of(Variant("jumprelu_transcoder", "ln2.hook_normalized"), model, tmp_path, 2)
    prompts = prompt_set(model, pair_rows(3))
    stored = record(model, prompts.clean, prompts.last, {Site(1, "mlp_in"), basis.read(1)})
    norm = model._bridge.get_submodule("blocks.1.ln2").original_component
    bias = getattr(norm, "bias", None)
    gain = norm.weight + (1 if architecture == "gemma2" else 0)
    normalised = (stored[Site(1, "mlp_in")] - (0 if bias is None else bias)) / gain
    with torch.no_grad():
        expected = peer(tmp_path, 1).encode(normalised)
    torch.testing.assert_close(basis.encode(1, stored[basis.read(1)]), expected, atol=1e-4, rtol=1e-4)


def test_centred_weights_are_honoured_where_norms_centre(tiny: Make, tmp_path: Path) -> None:
    """With `center_writing_weights` TransformerLens shows the stream without its mean."""
    kwargs = {"model_from_pretrained_kwargs": {"center_writing_weights": True}}
    save_dictionary(tmp_path, Variant("standard", "hook_resid_post"), 0, **kwargs)
    x = torch.randn(4, WIDTH) + 3
    for architecture, seen in (("gpt2", x - x.mean(-1, keepdim=True)), ("llama", x)):
        basis = dictionary_basis("sae", str(tmp_path), tiny(architecture))
        with torch.no_grad():
            torch.testing.assert_close(basis.encode(0, x), peer(tmp_path, 0).encode(seen), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("hook", "metadata", "kind", "layer"),
    [
        ("hook_resid_pre", {}, "resid_post", 0),
        ("hook_resid_post", {}, "resid_post", 1),
        ("mlp.hook_post", {}, "mlp_post", 1),
        ("hook_mlp_in", {"hf_hook_name": "model.layers.1.output"}, "resid_post", 1),
        ("attn.hook_z", {"hf_hook_name": "model.layers.1.self_attn.o_proj.input"}, "attn_z", 1),
    ],
)
def test_sites_come_from_the_metadata(
    hook: str, metadata: dict[str, str], kind: str, layer: int, tiny: Make, tmp_path: Path
) -> None:
    settings = {"d_in": 40} if kind == "mlp_post" else {}
    save_dictionary(tmp_path, Variant("standard", hook, settings), 1, **metadata)
    basis = dictionary_basis("sae", str(tmp_path), tiny("llama"))
    assert basis.layers() == (layer,)
    assert basis.writes(layer) == (basis.read(layer),) == (Site(layer, kind),)


@pytest.mark.parametrize(
    ("hook", "metadata", "kind"),
    [
        ("mlp.hook_in", {}, "mlp_in"),
        ("mlp.hook_in", {"model_from_pretrained_kwargs": {"fold_ln": True}}, "resid_mid"),
        ("hook_mlp_in", {}, "resid_mid"),
        ("hook_mlp_in", {"hf_hook_name": "model.layers.2.pre_feedforward_layernorm.output"}, "mlp_in"),
        ("ln2.hook_normalized", {}, "resid_mid"),
    ],
)
def test_transcoders_read_the_mlps_input(
    hook: str, metadata: dict[str, Any], kind: str, tiny: Make, tmp_path: Path
) -> None:
    save_dictionary(tmp_path, Variant("transcoder", hook), 2, **metadata)
    basis = dictionary_basis("transcoder", str(tmp_path), tiny("gemma2"))
    assert (basis.read(2), *basis.writes(2)) == (Site(2, kind), Site(2, "mlp_out"))


# -- in the engine -------------------------------------------------------------------------------------


def ranked(basis: DictionaryBasis, n_slots: int, seed: int = 5) -> Scores:
    generator = torch.Generator().manual_seed(seed)
    layers = basis.layers()
    return Scores(basis.name, {i: torch.randn(n_slots, basis.n_units(i) + 1, generator=generator) for i in layers})


@every_variant
def test_everything_kept_is_the_plain_model(variant: Variant, tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    basis = basis_of(variant, model, tmp_path)
    prompts = prompt_set(model, pair_rows(4, (5, 4)))
    ranking = rank_nodes(ranked(basis, prompts.n_slots), basis)
    assert_identity(model, basis, prompts, ranking)


def explicit_logits(
    model: Model,
    prompts: PromptSet,
    basis: DictionaryBasis,
    variant: Variant,
    folder: Path,
    is_kept: Mapping[int, Tensor],
    complement: bool,
) -> Tensor:
    """Logits with whole sae-lens decompositions: kept nodes [S, units + 1] live, the others at their mean."""
    corrupt = record(model, prompts.corrupt, prompts.last, sites_of(basis))
    seen: dict[int, Tensor] = {}
    edits: list[tuple[Site, Edit]] = []

    def note(layer: int, x: Tensor) -> None:
        seen[layer] = x

    def write(layer: int, x: Tensor) -> Tensor:
        loaded = peer(folder, layer)
        (site,) = basis.writes(layer)
        units, _ = terms(loaded, seen[layer])
        other_units, _ = terms(loaded, corrupt[basis.read(layer)])
        error, other_error = x - units.sum(2), corrupt[site] - other_units.sum(2)
        live = is_kept[layer] != complement
        units = torch.where(live[None, :, :-1, None], units, other_units.mean(0, keepdim=True))
        error = torch.where(live[None, :, -1:], error, other_error.mean(0, keepdim=True))
        return units.sum(2) + error

    def terms(loaded: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        """Each unit's own contribution to sae-lens' output [U, S, units, width], from its encode and decode."""
        x = peer_input(variant, x)
        f = loaded.encode(x)
        scale = torch.ones(*x.shape[:-1], 1)
        if not variant.is_transcoder:
            how = str(variant.settings.get("normalize_activations"))
            scale = {"layer_norm": x.std(-1, keepdim=True), "constant_norm_rescale": x.norm(dim=-1, keepdim=True)
                     / WIDTH**0.5}.get(how, scale)  # fmt: skip
        directions = loaded.W_dec
        if variant.settings.get("rescale_acts_by_decoder_norm"):
            directions = directions / directions.norm(dim=-1, keepdim=True)
        return (f * scale)[..., None] * directions, f

    for layer in basis.layers():
        edits += [(basis.read(layer), partial(note, layer)), (basis.writes(layer)[0], partial(write, layer))]
    with torch.no_grad():
        return model.logits(model.forward(prompts.clean, prompts.last, edits=edits))


@every_variant
def test_kept_columns_equal_whole_decompositions(variant: Variant, tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    basis = basis_of(variant, model, tmp_path)
    prompts = prompt_set(model, pair_rows(4))
    scores = ranked(basis, prompts.n_slots)
    ranking = rank_nodes(scores, basis)
    sizes = [3, 150]
    curve = evaluate(model, prompts, basis, ranking, sizes)
    positions = prompts.slot[0]
    assert (prompts.slot == positions).all()
    for number, size in enumerate(sizes):
        kept = {layer: torch.zeros_like(values, dtype=torch.bool) for layer, values in scores.by_layer.items()}
        for layer, slot, unit in zip(*(c[:size].tolist() for c in (ranking.layer, ranking.slot, ranking.unit)),
                                     strict=True):  # fmt: skip
            kept[layer][slot, unit] = True
        by_position = {layer: values[positions] for layer, values in kept.items()}
        for complement, found in ((False, curve.circuit), (True, curve.complement)):
            logits = explicit_logits(model, prompts, basis, variant, tmp_path, by_position, complement)
            for tokens, ours in ((prompts.answer.tokens[:, 0], found.answer), (prompts.foil.tokens[:, 0], found.foil)):
                expected = logits[prompts.pair_prompt].gather(1, tokens[:, None])[:, 0]
                assert ours[number] == pytest.approx(expected.numpy(), abs=1e-5, rel=1e-5)


@every_variant
def test_scores_equal_autograd_through_an_explicit_splice(variant: Variant, tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    basis = basis_of(variant, model, tmp_path)
    prompts = prompt_set(model, pair_rows(4, (5, 4)))
    scores = ask_scores(load_method("atp"), Request(model, prompts, [basis]))[basis.name]
    clean = record(model, prompts.clean, prompts.last, sites_of(basis))
    corrupt = record(model, prompts.corrupt, prompts.last, sites_of(basis))
    for layer in basis.layers():
        (site,) = basis.writes(layer)
        read = basis.read(layer)
        loaded = peer(tmp_path, layer)
        ours, theirs = basis.encode(layer, clean[read]), basis.encode(layer, corrupt[read])
        with torch.no_grad():
            written, _ = peer_parts(variant, loaded, clean[read])
            other, _ = peer_parts(variant, loaded, corrupt[read])
        directions = basis.project(layer, site, torch.eye(WIDTH)).T  # [units, width]
        f = ours.clone().requires_grad_()
        error = (clean[site] - written).requires_grad_()
        other_error = corrupt[site] - other

        def spliced(_: Tensor, f: Tensor = f, error: Tensor = error, directions: Tensor = directions) -> Tensor:
            return f @ directions + error

        hidden = model.forward(prompts.clean, prompts.last, edits=[(site, spliced)])
        logits = model.logits(hidden)[prompts.pair_prompt]
        pairs = torch.arange(prompts.n_pairs)
        m = (logits[pairs, prompts.answer.tokens[:, 0]] - logits[pairs, prompts.foil.tokens[:, 0]]).sum()
        for_units, for_error = torch.autograd.grad(m, [f, error])
        nodes = torch.cat(
            [for_units * (theirs - ours), (for_error * (other_error - error.detach())).sum(-1, keepdim=True)], -1
        )
        expected = torch.zeros(prompts.n_slots, UNITS + 1)
        for row in range(prompts.n_prompts):
            for position in range(int(prompts.last[row]) + 1):
                expected[prompts.slot[row, position]] += nodes[row, position] / prompts.n_pairs
        assert expected.abs().max() > 1e-4
        torch.testing.assert_close(scores.by_layer[layer], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("ablation", "error"), [*((each, "score") for each in ABLATIONS), ("mean", "remove")])
def test_dictionaries_share_full_and_empty_with_the_sites_coordinates(
    ablation: Ablation, error: ErrorTreatment, tiny: Make, tmp_path: Path
) -> None:
    model = tiny("llama")
    prompts = prompt_set(model, pair_rows(5))
    chosen = [load_basis("mlp_out", model)]
    for variant in (VARIANTS[0], VARIANTS[7], VARIANTS[14]):
        chosen.append(basis_of(variant, model, tmp_path / str(variant)))
    found = []
    for basis in chosen:
        layers = {i: torch.randn(prompts.n_slots, basis.n_units(i) + basis.has_error) for i in basis.layers()}
        ranking = rank_nodes(Scores(basis.name, layers), basis, error=error)
        found.append(evaluate(model, prompts, basis, ranking, [1], ablation=ablation, error=error))
    for curve in found[1:]:
        for mine, first in ((curve.empty, found[0].empty), (curve.full, found[0].full)):
            assert mine.answer == pytest.approx(first.answer, abs=1e-4)
            assert mine.logsumexp == pytest.approx(first.logsumexp, abs=1e-4)


# -- what is refused, said and held --------------------------------------------------------------------


def test_lacking_layers_are_said(tiny: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_dictionary(tmp_path, Variant("standard"), 1)
    with caplog.at_level(logging.WARNING, "basisbench"):
        basis = dictionary_basis("sae", str(tmp_path), tiny("llama"))
    assert basis.layers() == (1,)
    assert "layers without a dictionary: 0, 2" in caplog.text


def test_the_embeddings_dictionary_is_left_out(tiny: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_dictionary(tmp_path / "before", Variant("standard", "hook_resid_pre"), 0)
    with pytest.raises(UserError, match="no dictionary for any layer"):
        dictionary_basis("sae", str(tmp_path), tiny("llama"))
    save_dictionary(tmp_path / "after", Variant("standard", "hook_resid_post"), 0)
    with caplog.at_level(logging.WARNING, "basisbench"):
        assert dictionary_basis("sae", str(tmp_path), tiny("llama")).read(0) == Site(0, "resid_post")
    assert "embedding" in caplog.text


def test_a_pattern_picks_folders(tiny: Make, tmp_path: Path) -> None:
    for layer in range(LAYERS):
        save_dictionary(tmp_path / f"{layer}" / "small", Variant("standard"), layer)
        save_dictionary(tmp_path / f"{layer}" / "large", Variant("standard", settings={"d_sae": 60}), layer)
    with pytest.raises(UserError, match="two dictionaries for layer 0"):
        dictionary_basis("sae", str(tmp_path), tiny("llama"))
    basis = dictionary_basis("sae", f"{tmp_path}/{{layer}}/large/*", tiny("llama"))
    assert [basis.n_units(layer) for layer in basis.layers()] == [60] * LAYERS


@pytest.mark.parametrize(
    ("variant", "kind", "metadata", "message"),
    [
        (Variant("standard", "hook_mlp"), "sae", {}, r"unknown hook 'blocks.1.hook_mlp': valid: blocks.L"),
        (Variant("standard", "hook_resid_mid"), "sae", {}, r"can be read only"),
        (Variant("standard", settings={"d_in": 32}), "sae", {}, r"reads mlp_out\[1\] 32 wide, .* not of 'tiny'"),
        (Variant("transcoder", "mlp.hook_in", {"d_in": 32}), "transcoder", {}, r"reads mlp_in\[1\] 32 wide"),
        (Variant("transcoder", "mlp.hook_in"), "sae", {}, r"is no sae .*valid: transcoder:"),
        (Variant("standard"), "transcoder", {}, r"is no transcoder .*valid: sae:"),
        (
            Variant("transcoder", "mlp.hook_in"),
            "transcoder",
            {"hook_name_out": "blocks.2.hook_mlp_out"},
            r"reads mlp_in\[1\] and writes mlp_out\[2\]",
        ),
        (Variant("transcoder", "mlp.hook_in"), "transcoder", {"hook_name_out": None}, r"unknown hook 'None'"),
        (Variant("standard"), "sae", {"hook_name": "blocks.9.hook_mlp_out"}, r"valid layers: 0 to 2"),
        (Variant("matching_pursuit"), "sae", {}, r"architecture 'matching_pursuit' cannot be a basis"),
        (
            Variant("standard", "attn.hook_z"),
            "sae",
            {"model_from_pretrained_kwargs": {"fold_value_biases": True}},
            r"folded biases",
        ),
    ],
)
def test_a_wrong_dictionary_is_refused_in_one_line(
    variant: Variant, kind: Any, metadata: dict[str, Any], message: str, tiny: Make, tmp_path: Path
) -> None:
    save_dictionary(tmp_path, variant, 1, **metadata)
    with pytest.raises(UserError, match=message) as raised:
        dictionary_basis(kind, str(tmp_path), tiny("llama"))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("how", ["expected_average_only_in", "covariance_whitening"])
def test_a_normalisation_that_is_not_folded_is_refused(how: str, tiny: Make, tmp_path: Path) -> None:
    """sae-lens only warns, and would encode activations of the wrong scale."""
    basis = basis_of(Variant("standard", settings={"normalize_activations": how}), tiny("llama"), tmp_path, 1)
    with pytest.raises(UserError, match=f"'{how}' is not folded"):
        basis.encode(0, torch.randn(2, WIDTH))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "batchtopk"}, "architecture 'batchtopk' cannot be a basis"),
        ({"architecture": "temporal"}, "architecture 'temporal' cannot be a basis"),
        ({"activation_fn": "tanh-relu"}, "activation function 'tanh-relu'"),
        ({"activation_fn": "topk", "metadata": {}}, "activation function 'topk'"),
    ],
)
def test_a_configuration_that_sae_lens_would_misread_is_refused(
    changes: dict[str, Any], message: str, tiny: Make, tmp_path: Path
) -> None:
    path = save_dictionary(tmp_path, Variant("standard"), 0) / "cfg.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(UserError, match=message):
        dictionary_basis("sae", str(tmp_path), tiny("llama"))


def test_broken_files_are_refused(tiny: Make, tmp_path: Path) -> None:
    folder = save_dictionary(tmp_path, Variant("standard"), 0)
    basis = dictionary_basis("sae", str(tmp_path), tiny("llama"))
    (folder / "sae_weights.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot load"):
        basis.encode(0, torch.randn(2, WIDTH))
    (folder / "cfg.json").write_text("{")
    with pytest.raises(UserError, match="cannot load"):
        dictionary_basis("sae", str(tmp_path), tiny("llama"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gpt2-small-mlp-out-v5-33k", "did you mean 'gpt2-small-mlp-out-v5-32k'"),
        ("no/such/folder", "no dictionaries 'no/such/folder'"),
        ("gemma-scope-2b-pt-mlp", "valid: gemma-scope-2b-pt-mlp/PATTERN"),
    ],
)
def test_unknown_names_are_refused(spec: str, message: str, tiny: Make) -> None:
    with pytest.raises(UserError, match=message):
        dictionary_basis("sae", spec, tiny("llama"))


def test_another_models_release_is_refused(tiny: Make) -> None:
    """Gemma Scope's configurations need no network."""
    with pytest.raises(UserError, match=r"reads resid_mid\[0\] 2304 wide, .* not of 'gemma-2-2b'"):
        dictionary_basis("transcoder", "gemma-scope-2b-pt-transcoders", tiny("llama"))


@pytest.mark.parametrize("scaled", [True, False])
def test_a_release_is_loaded_with_its_scale_folded_in(
    scaled: bool, tiny: Make, tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for layer in range(LAYERS):
        settings = {"normalize_activations": "expected_average_only_in", "apply_b_dec_to_input": False}
        save_dictionary(tmp_path, Variant("standard", settings=settings), layer)
    ids = {f"blocks.{layer}.hook_mlp_out": f"layer_{layer}" for layer in range(LAYERS)}
    scales = {sae_id: 1.5 + layer for layer, sae_id in enumerate(ids)} if scaled else {}
    release = PretrainedSAELookup("tiny", "org/tiny", "tiny", None, ids, {}, {}, {}, scales, None)
    monkeypatch.setitem(get_pretrained_saes_directory(), "tiny", release)

    hub.add("org/tiny").commit_folder(tmp_path)
    basis = dictionary_basis("sae", "tiny", tiny("llama"))
    assert basis.layers() == tuple(range(LAYERS))
    x = torch.randn(3, WIDTH)
    if not scaled:
        with pytest.raises(UserError, match="not folded"):
            basis.encode(1, x)
        return
    plain = peer(tmp_path, 1)
    with torch.no_grad():
        expected = plain.encode(2.5 * x)
        written = (plain.decode(expected) - plain.b_dec) / 2.5
    torch.testing.assert_close(basis.encode(1, x), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(basis.lift(1, Site(1, "mlp_out"), expected), written, atol=1e-5, rtol=1e-5)


def test_an_empty_folder_is_refused(tiny: Make, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no .*cfg.json in"):
        dictionary_basis("sae", str(tmp_path), tiny("llama"))


def test_an_empty_option_means_the_embedded_set(tiny: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variant in (Variant("jumprelu"), Variant("jumprelu_transcoder", "mlp.hook_in")):
        save_dictionary(tmp_path / ("transcoder" if variant.is_transcoder else "sae"), variant, 0)
    with pytest.raises(UserError, match="sae alone means the dictionaries of smollm2-135m"):
        sae(tiny("llama"), "")
    monkeypatch.setattr("basisbench.baselines.dictionaries.family.MODEL", tiny("llama").name)
    monkeypatch.setattr("basisbench.baselines.dictionaries.family.unpack", lambda kind, say: tmp_path / kind)
    assert (sae(tiny("llama"), "").name, transcoder(tiny("llama"), "").name) == ("sae", "transcoder")
    assert transcoder(tiny("llama"), "").read(0) == Site(0, "mlp_in")
    assert sae(tiny("llama"), str(tmp_path / "sae")).name == f"sae:{tmp_path / 'sae'}"


def test_the_cache_stays_in_its_budget_and_never_serves_other_units() -> None:
    loaded: list[tuple[int, list[int] | None]] = []

    def load(key: int, units: Tensor | None) -> Tensor:
        loaded.append((key, None if units is None else units.tolist()))
        return torch.full((100,), float(key)) if units is None else units + 10 * key

    cache = ByteCache(load, lambda part, places: part[places], budget=1000)
    assert [float(cache.get(key)[0]) for key in (0, 1, 1, 0, 2, 0)] == [0, 1, 1, 0, 2, 0]
    assert [key for key, _ in loaded] == [0, 1, 2]  # 2 took the place of 1, used before 0
    assert cache.nbytes == 800
    cache.get(1)
    assert [key for key, _ in loaded] == [0, 1, 2, 1]
    units = torch.tensor([4, 3, 8])
    assert cache.get(7, units).tolist() == [74, 73, 78]
    assert cache.get(7, units[:1]).tolist() == [74]  # taken out of what is held
    units[0] = 5
    assert cache.get(7, units).tolist() == [75, 73, 78]
    assert cache.get(7, torch.tensor([9])).tolist() == [79]
    assert cache.get(7, torch.tensor([], dtype=torch.long)).tolist() == []
    assert loaded[4:] == [(7, [3, 4, 8]), (7, [3, 5, 8]), (7, [9])]
    for key in range(20, 24):
        cache.get(key)
        assert cache.nbytes <= 1000
    assert cache.get(7, torch.tensor([9])).tolist() == [79]
    assert (7, [9]) not in loaded[7:]  # a part outlives wholes
    big: ByteCache[int, Tensor] = ByteCache(lambda key, units: torch.zeros(1000), lambda part, places: part, budget=10)
    assert big.get(0).numel() == big.get(1).numel() == 1000
    assert big.nbytes == 4000


def test_one_layer_at_a_time_is_in_memory(tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    whole = basis_of(Variant("jumprelu"), model, tmp_path)
    whole.encode(0, torch.randn(1, WIDTH))
    one_layer = whole._weights.nbytes
    small = DictionaryBasis("small", whole._layers, budget=one_layer)
    x = torch.randn(2, WIDTH)
    for _ in range(2):
        for layer in range(LAYERS):
            torch.testing.assert_close(small.encode(layer, x), whole.encode(layer, x))
            assert small._weights.nbytes <= one_layer
    assert whole._weights.nbytes == LAYERS * one_layer


def test_activations_keep_the_models_dtype(tiny: Make, tmp_path: Path) -> None:
    basis = basis_of(Variant("jumprelu_skip_transcoder", "mlp.hook_in"), tiny("llama"), tmp_path, 1)
    x = torch.randn(2, WIDTH, dtype=torch.bfloat16)
    f = basis.encode(0, x)
    site = Site(0, "mlp_out")
    assert {f.dtype, basis.lift(0, site, f).dtype, basis.project(0, site, x).dtype} == {torch.bfloat16}
