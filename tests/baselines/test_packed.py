"""Packed dictionaries: rounding against an explicit one, and what stands in the cache after unpacking."""

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from sae_lens import SAE
from safetensors.torch import load_file, save_file

from basisbench.baselines import packed
from basisbench.baselines.dictionaries import dictionary_basis
from basisbench.bases.packing import Dictionary, Kind, from_int8, to_int8
from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.models.sites import Site, SiteKind
from basisbench.settings.train import TrainConfig
from basisbench.training import pack
from basisbench.training.trainer import train


def ignore(line: str) -> None:
    """Take progress lines nobody looks at."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASISBENCH_CACHE", str(tmp_path / "cache"))


def random_dictionary(seed: int, d: int = 5, n: int = 9) -> Dictionary:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((d, n), (n,), (n, d), (d,), (n,))
    w_enc, b_enc, w_dec, b_dec, threshold = (torch.randn(shape, generator=generator) for shape in shapes)
    w_enc[:, 3] = 0  # a latent without an encoder must not divide by zero
    return Dictionary(w_enc, b_enc, w_dec, b_dec, threshold.abs())


def test_rounding_is_the_nearest_of_255_steps_a_row() -> None:
    dictionary = random_dictionary(0)
    tensors = to_int8({7: dictionary})
    assert tensors["7.w_enc"].dtype == tensors["7.w_dec"].dtype == torch.int8
    assert tensors["7.w_enc"].shape == (9, 5)
    (found,) = from_int8(tensors).values()
    for name, rows, their_rows in (
        ("encoder", dictionary.w_enc.T, found.w_enc.T),
        ("decoder", dictionary.w_dec, found.w_dec),
    ):
        for row, their_row in zip(rows.tolist(), their_rows.tolist(), strict=True):
            step = max(map(abs, row)) / 127
            by_hand = [round(value / step) * step if step else 0.0 for value in row]
            assert their_row == pytest.approx(by_hand, rel=1e-5, abs=1e-7), name
            assert max(abs(a - b) for a, b in zip(row, their_row, strict=True)) <= step / 2 + 1e-7
    for exact in ("b_enc", "b_dec", "threshold"):
        assert torch.equal(getattr(found, exact), getattr(dictionary, exact))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A packed folder of two transcoder files, made by hand."""
    target = tmp_path / "packed"
    target.mkdir()
    manifest: dict[str, dict[str, str]] = {"transcoder": {}}
    for name, layers in (("a.safetensors", (0, 1)), ("b.safetensors", (2,))):
        save_file(to_int8({layer: random_dictionary(layer) for layer in layers}), target / name)
        manifest["transcoder"][name] = hashlib.sha256((target / name).read_bytes()).hexdigest()
    (target / "packed.json").write_text(json.dumps(manifest))
    return target


def test_unpacked_folders_are_the_dequantised_weights_to_sae_lens(folder: Path) -> None:
    said: list[str] = []
    found = packed.unpack("transcoder", said.append, folder)
    assert packed.unpack("transcoder", said.append, folder) == found
    assert len(said) == 1
    assert sorted(path.name for path in found.iterdir()) == ["layer_0", "layer_1", "layer_2"]
    for file, layer in (("a", 0), ("a", 1), ("b", 2)):
        raw = load_file(folder / f"{file}.safetensors")
        loaded = SAE.load_from_disk(found / f"layer_{layer}")
        assert loaded.cfg.architecture() == "jumprelu_transcoder"
        assert loaded.cfg.metadata.hook_name_out == f"blocks.{layer}.hook_mlp_out"
        encoder = raw[f"{layer}.w_enc"].float() * raw[f"{layer}.w_enc_scale"][:, None]
        decoder = raw[f"{layer}.w_dec"].float() * raw[f"{layer}.w_dec_scale"][:, None]
        x = torch.randn(20, 5)
        z = x @ encoder.T + raw[f"{layer}.b_enc"]
        f = z.relu() * (z > raw[f"{layer}.threshold"])
        assert (f > 0).any()
        torch.testing.assert_close(loaded.encode(x), f)
        torch.testing.assert_close(loaded(x), f @ decoder + raw[f"{layer}.b_dec"])


@pytest.mark.parametrize("damage", ["cut", "absent"])
def test_a_damaged_file_leaves_nothing_in_the_cache(folder: Path, tmp_path: Path, damage: str) -> None:
    file = folder / "b.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[:-1]) if damage == "cut" else file.unlink()
    with pytest.raises(UserError, match=r"b\.safetensors is missing or damaged"):
        packed.unpack("transcoder", ignore, folder)
    assert not list((tmp_path / "cache" / "dictionaries").iterdir())


def test_what_is_not_shipped_is_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown shipped dictionary 'sae': valid: transcoder"):
        packed.unpack("sae", ignore, folder)
    with pytest.raises(UserError, match="no shipped dictionaries"):
        packed.unpack("sae", ignore, tmp_path / "nothing")
    with pytest.raises(UserError, match="no finished training"):
        pack.pack(tmp_path, folder, ignore)


def test_packing_a_training_keeps_its_quality(
    tiny_folder: Path, tiny: Callable[[str], Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(0)
    words = tmp_path / "text"
    words.mkdir()
    for i in range(20):
        (words / f"{i}.txt").write_text(" ".join(f"w{draw.randrange(3, 50)}" for _ in range(100)))
    config = TrainConfig(
        model=str(tiny_folder), k=4, tokens=3000, batch=64, context=16, text=[str(words)], out=tmp_path / "trained"
    )
    trained = train(config, ignore)
    monkeypatch.setattr(pack, "LAYERS_A_FILE", 2)
    pack.pack(trained, tmp_path / "packed", ignore)
    names = sorted(path.name for path in (tmp_path / "packed").glob("*.safetensors"))
    assert names == [f"{kind}-{part}.safetensors" for kind in ("sae", "transcoder") for part in ("00-01", "02-02")]
    card = json.loads((tmp_path / "packed" / "card.json").read_text())
    for before, after in zip(card["quality"], card["quality_packed"], strict=True):
        assert (after["kind"], after["layer"]) == (before["kind"], before["layer"])
        assert after["unexplained"] == pytest.approx(before["unexplained"], abs=0.01)
        assert after["unexplained"] != before["unexplained"]
    readme = (tmp_path / "packed" / "README.md").read_text()
    assert readme.count("unexplained (packed)") == readme.count("| kind | layer |") == 1
    kinds: tuple[Kind, ...] = ("sae", "transcoder")
    for kind in kinds:
        found = packed.unpack(kind, ignore, tmp_path / "packed")
        basis = dictionary_basis(kind, str(found), tiny("llama"))
        assert list(basis.layers()) == [0, 1, 2]
        for layer in range(3):
            ours, theirs = (Dictionary.load(f / f"layer_{layer}") for f in (trained / kind, found))
            bound = ours.w_dec.abs().amax(1, keepdim=True) / 254 + 1e-6
            assert ((ours.w_dec - theirs.w_dec).abs() <= bound).all()
            assert torch.equal(ours.threshold, theirs.threshold)
            read: SiteKind = "mlp_out" if kind == "sae" else "mlp_in"
            assert (basis.read(layer), *basis.writes(layer)) == (Site(layer, read), Site(layer, "mlp_out"))
            x = torch.randn(7, 24)
            torch.testing.assert_close(basis.encode(layer, x), theirs.encode(x))
