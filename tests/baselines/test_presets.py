"""Every preset against sae-lens' own registry, offline."""

import re

import pytest
from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

from basisbench.baselines.dictionaries.sources import release_ids
from basisbench.baselines.presets import PRESETS, Preset, presets_for
from basisbench.errors import UserError


def release_and_pattern(preset: Preset) -> tuple[str, str]:
    kind, _, spec = preset.basis.partition(":")
    assert kind in ("sae", "transcoder")
    release, _, pattern = spec.partition("/")
    return release, pattern


def test_presets_are_distinct() -> None:
    assert len({preset.basis for preset in PRESETS}) == len(PRESETS)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.basis)
def test_a_preset_names_one_published_dictionary_for_each_layer(preset: Preset) -> None:
    release, pattern = release_and_pattern(preset)
    lookup = get_pretrained_saes_directory()[release]
    ids = release_ids(release, pattern)
    assert list(ids) == list(range(preset.n_layers))
    assert len(set(ids.values())) == preset.n_layers
    assert lookup.model.rpartition("/")[2].lower() in {m.rpartition("/")[2].lower() for m in preset.models}
    assert (preset.basis.startswith("transcoder:")) == ("transcoder" in release)
    for layer, sae_id in ids.items():
        # the layer as the published folder's name has it, for which sae-lens' id is only an alias
        folder = lookup.saes_map[sae_id]
        (number,) = {int(n) for n in re.findall(r"(?:^|layer_?|blocks\.|-L|_L)(\d+)", folder)}
        assert number == (layer + 1 if "resid_pre" in folder else layer), folder


def test_the_canonical_release_picks_the_right_average_l0() -> None:
    release = "gemma-scope-2b-pt-mlp-canonical"
    ids = release_ids(release, "layer_{layer}/width_16k/canonical")
    folders = get_pretrained_saes_directory()[release].saes_map
    assert [folders[ids[layer]] for layer in (0, 1, 25)] == [
        "layer_0/width_16k/average_l0_119",
        "layer_1/width_16k/average_l0_105",
        "layer_25/width_16k/average_l0_126",
    ]


def test_a_release_with_another_l0_in_each_layer_needs_no_pattern() -> None:
    ids = release_ids("gemma-scope-2b-pt-transcoders")
    assert (ids[0], ids[25]) == ("layer_0/width_16k/average_l0_76", "layer_25/width_16k/average_l0_41")


def test_a_residual_set_before_the_blocks_is_the_set_after_them() -> None:
    ids = release_ids("gpt2-small-res-jb")
    assert ids[0] == "blocks.1.hook_resid_pre"
    assert (ids[10], ids[11]) == ("blocks.11.hook_resid_pre", "blocks.11.hook_resid_post")


@pytest.mark.parametrize(
    ("release", "pattern", "message"),
    [
        ("gemma-scope-2b-pt-mlp", "", r"for layer 0 .*valid: .*PATTERN"),
        ("gemma-scope-2b-pt-mlp", "layer_{layer}/width_16k/*", r"has 5 dictionaries for layer 0"),
        ("gemma-scope-2b-pt-mlp-canonical", "layer_{layer}/width_1k/canonical", r"nothing in .* matches"),
        ("mntss-gemma-2-2b-2.5m-clt-as-per-layer", "", r"valid: clt:PATH"),
    ],
)
def test_an_unclear_set_is_refused(release: str, pattern: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        release_ids(release, pattern)


def test_a_star_stands_for_what_differs() -> None:
    ids = release_ids("gemma-scope-2b-pt-transcoders", "layer_{layer}/width_16k/average_l0_*")
    assert ids == release_ids("gemma-scope-2b-pt-transcoders")


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("google/gemma-2-2b", 6),
        ("gemma-2-2b", 6),
        ("google/gemma-2-2b@main", 6),
        ("some/folder/gemma-2-2b", 6),
        ("gpt2", 6),
        ("gpt2-small", 6),
        ("meta-llama/Meta-Llama-3.1-8B", 6),
        ("Qwen/Qwen3-0.6B", 1),
        ("google/gemma-3-270m", 5),
        ("google/gemma-2-2b-it", 0),
        ("smollm2-135m", 0),
    ],
)
def test_presets_are_found_by_model(name: str, count: int) -> None:
    assert len(presets_for(name)) == count
