"""What families tell of a basis before it is made, against the basis that they make."""

from collections.abc import Callable
from pathlib import Path

import pytest

from basisbench import UserError, load_basis
from basisbench.baselines.dictionaries.family import stated_units
from basisbench.bases.basis import BASES, Basis
from basisbench.bases.outlines import UNKNOWN, Outline, outline
from basisbench.models.adapter import Model
from basisbench.models.shapes import TABLE, Shape, find_shape, shape_of
from toys.cross_layer import save_clt
from toys.dictionaries import Variant, save_dictionary
from toys.models import ARCHITECTURES, CONFIGS, LAYERS

Tiny = Callable[[str], Model]
COORDINATES = ("neurons", "mlp_out", "resid_post", "attn_out", "attn_z", "rotated_neurons", "rotated_mlp_out")
SMOLLM2 = TABLE["smollm2-135m"]


def shape_like(architecture: str) -> Shape:
    return shape_of(CONFIGS[architecture]().to_dict())


def assert_told(told: Outline, basis: Basis) -> None:
    """The outline is the basis'."""
    layers = tuple(basis.layers())
    assert told.layers == layers
    assert told.n_units == max(map(basis.n_units, layers))
    assert {told.reads} == {basis.read(layer).kind for layer in layers}
    assert {told.writes} == {site.kind for layer in layers for site in basis.writes(layer)}
    assert told.has_error == basis.has_error
    assert told.download == 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_coordinates_are_told_as_they_are_made(architecture: str, tiny: Tiny) -> None:
    for name in COORDINATES:
        told, basis = outline(name, architecture, shape_like(architecture)), load_basis(name, tiny(architecture))
        assert_told(told, basis)
        width = tiny(architecture).width(basis.read(0).kind)
        assert told.n_bytes == (4 * width * width if name.startswith("rotated") else 0)


def test_every_family_that_ships_tells(tmp_path: Path) -> None:
    shipped = {name for name in BASES if type(BASES.get(name)).__module__.startswith("basisbench.baselines")}
    assert shipped == {*COORDINATES, "sae", "transcoder", "clt"}
    for name in shipped - {"clt"}:
        assert outline(name, "smollm2-135m", SMOLLM2).n_units
        # without a shape: nothing that depends on it, and no error
        assert outline(name, "smollm2-135m", None).layers is None


@pytest.mark.parametrize(
    "variant",
    [
        Variant("standard"),
        Variant("topk", "hook_resid_post", {"k": 3}),
        Variant("jumprelu", "mlp.hook_post", {"d_in": 40}),
        Variant("standard", "hook_resid_pre"),
        Variant("transcoder", "mlp.hook_in"),
    ],
    ids=str,
)
def test_local_dictionaries_are_told_as_they_are_made(variant: Variant, tiny: Tiny, tmp_path: Path) -> None:
    for layer in range(LAYERS):
        save_dictionary(tmp_path, variant, layer)
    name = f"{'transcoder' if variant.is_transcoder else 'sae'}:{tmp_path}"
    told, basis = outline(name, "tiny", shape_like("llama")), load_basis(name, tiny("llama"))
    assert_told(told, basis)
    # float32, encoders and decoders
    width = 40 if "d_in" in variant.settings else 24
    assert told.n_bytes == len(basis.layers()) * 2 * 4 * width * 40
    one = outline(f"{name}/layer_{{layer}}", "tiny", shape_like("llama"))
    assert one == told


def test_a_cross_layer_transcoder_is_told_as_it_is_made(tiny: Tiny, tmp_path: Path) -> None:
    weights = save_clt(tmp_path, config="feature_input_hook: mlp.hook_in\n")
    name = f"clt:{tmp_path}"
    told = outline(name, "tiny", shape_like("llama"))
    assert_told(told, load_basis(name, tiny("llama")))
    assert told.n_bytes == pytest.approx(sum(tensor.nbytes for tensor in weights.values()), rel=0.1)
    with pytest.raises(UserError, match="valid for model 'smollm2-135m': 30 layers 576 wide"):
        outline(name, "smollm2-135m", SMOLLM2)


@pytest.mark.parametrize("content", ["[]", '{"d_sae": 77}', '{"d_sae": 77, "d_in": 24, "hook_name": "blocks.1.hook"}'])
def test_a_folder_is_refused_in_the_words_of_a_run(content: str, tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "cfg.json").write_text(content)
    with pytest.raises(UserError) as told:
        outline(f"sae:{tmp_path}", "m", SMOLLM2)
    with pytest.raises(UserError) as loaded:
        load_basis(f"sae:{tmp_path}", tiny("llama"))
    assert str(told.value) == str(loaded.value)


def test_dictionaries_in_an_older_layout_are_told(tmp_path: Path) -> None:
    (tmp_path / "cfg.json").write_text('{"d_sae": 77, "d_in": 576, "hook_name": "blocks.29.hook_mlp_out"}')
    told = outline(f"sae:{tmp_path}", "smollm2-135m", SMOLLM2)
    assert (told.layers, told.n_units, told.writes, told.n_bytes) == ((29,), 77, "mlp_out", 4 * 77 * 2 * 576)


def test_dictionaries_beyond_the_models_layers_are_refused(tmp_path: Path) -> None:
    save_dictionary(tmp_path, Variant("standard"), 30)
    with pytest.raises(UserError, match="has layers 30: valid for smollm2-135m: 0 to 29"):
        outline(f"sae:{tmp_path}", "smollm2-135m", SMOLLM2)


@pytest.mark.parametrize(
    ("names", "units"),
    [
        ("layer_0/width_16k/average_l0_119 gemma-2-2b/0-gemmascope-mlp-16k", 2**14),
        ("layer_3/width_1m/average_l0_9", 2**20),
        ("llama_scope_lxm_8x l0m_8x Llama3_1-8B-Base-L0M-8x llama3.1-8b/0-llamascope-mlp-32k", 2**15),
        ("llama_scope_lxm_8x l0m_8x", 8 * 4096),
        ("v5_128k_layer_0", 2**17),
        ("OpenAI: 131k", 2**17),
        ("Bloom: residual stream, 25k", 24576),
        ("gemma-scope-2-270m-pt-mlp-all layer_0_width_65k_l0_small", 2**16),
        ("pythia-70m-deduped-mlp-sm 0-mlp-sm", None),
    ],
)
def test_widths_are_read_off_names(names: str, units: int | None) -> None:
    assert stated_units(names, 4096) == units


def test_published_sets_are_told_from_the_registry() -> None:
    llama = TABLE["meta-llama/Llama-3.1-8B"]
    sae = outline("sae:llama_scope_lxr_8x", "meta-llama/Llama-3.1-8B", llama)
    assert (sae.layers, sae.n_units, sae.writes, sae.has_error) == (tuple(range(32)), 32768, "resid_post", True)
    assert sae.download == sae.n_bytes == 32 * 2 * 4096 * 32768 * 4
    gpt2 = TABLE["openai-community/gpt2"]
    jb = outline("sae:gpt2-small-res-jb", "openai-community/gpt2", gpt2)
    assert (jb.n_units, jb.writes) == (24576, "resid_post")
    # a width that is not stated is not known, and is not guessed
    qwen = outline("transcoder:mwhanna-qwen3-0.6b-transcoders-lowl0", "Qwen/Qwen3-0.6B", TABLE["Qwen/Qwen3-0.6B"])
    assert (len(qwen.layers or ()), qwen.n_units, qwen.n_bytes, qwen.download) == (28, None, None, None)
    hub = outline("sae:someone/dictionaries/layer_{layer}", "m", gpt2)
    assert (hub.layers, hub.n_units, hub.has_error) == (None, None, True)


def test_of_a_users_file_nothing_is_known_and_it_is_not_run(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text("raise SystemExit('this was run')\n")
    assert outline(f"{file}:own", "m", SMOLLM2) == UNKNOWN


def test_a_family_that_is_a_mere_function_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def plain(model: Model) -> Basis:
        raise AssertionError("an outline makes no basis")

    monkeypatch.setitem(BASES.entries, "plain", plain)
    assert outline("plain", "m", SMOLLM2) == UNKNOWN
    with pytest.raises(UserError, match=r"unknown basis 'plane': did you mean 'plain'\?"):
        outline("plane", "m", SMOLLM2)


def test_the_shape_of_a_folder_is_that_of_its_config(tiny_folder: Path, tmp_path: Path) -> None:
    assert find_shape(str(tiny_folder)) == Shape(3, 24, 40, 4, 2, 6, 50, itemsize=4)
    (tmp_path / "config.json").write_text('{"text_config": {"hidden_size": 8}}')
    assert find_shape(str(tmp_path)) is None
    assert find_shape("nobody/nothing") is None
    assert find_shape("meta-llama/Meta-Llama-3.1-8B@main") == TABLE["meta-llama/Llama-3.1-8B"]


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("smollm2-135m", 134.5), ("meta-llama/Llama-3.1-8B", 8030), ("google/gemma-2-2b", 2614),
        ("google/gemma-3-270m", 268), ("google/gemma-3-1b-pt", 1000), ("google/gemma-3-4b-pt", 3880),
        ("openai-community/gpt2", 124), ("EleutherAI/pythia-70m-deduped", 70.4), ("Qwen/Qwen3-0.6B", 596),
        ("Qwen/Qwen3-1.7B", 1720), ("Qwen/Qwen3-4B", 4022), ("Qwen/Qwen3-8B", 8190),
    ],
)  # fmt: skip
def test_the_table_has_as_many_weights_as_published(name: str, millions: float) -> None:
    assert TABLE[name].n_weights == pytest.approx(millions * 1e6, rel=0.01)
