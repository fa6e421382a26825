"""From a model name to a loaded model: names, folders, the hub's refusals, fingerprints."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from basisbench.errors import UserError
from basisbench.models import embedded, names, wheels
from hub.server import Hub
from toys.models import ignore, one_line


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BASISBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a whole model folder of a few kilobytes."""
    folder = tmp_path_factory.mktemp("tiny")
    config = LlamaConfig(
        vocab_size=4,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=16,
    )
    with embedded.quiet_transformers():
        LlamaForCausalLM(config).save_pretrained(folder)
    words = Tokenizer(models.WordLevel({"<unk>": 0, "a": 1, "b": 2, "c": 3}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    fast: Callable[..., PreTrainedTokenizerBase] = PreTrainedTokenizerFast
    fast(tokenizer_object=words, unk_token="<unk>").save_pretrained(folder)
    return folder


@pytest.fixture
def folder(tiny: Path, tmp_path: Path) -> Path:
    """Return a copy of the tiny model that a test may spoil."""
    return Path(shutil.copytree(tiny, tmp_path / "mine"))


def test_a_registered_name_says_what_it_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said: list[str] = []

    def fetched(progress: Callable[[str], None]) -> Path:
        progress("fetching")
        return tmp_path

    monkeypatch.setattr(names, "fetch_embedded", fetched)
    source = names.resolve_model("smollm2-135m", said.append)
    assert source == names.ModelSource("smollm2-135m", str(tmp_path), "SmolLM2-135M-Instruct (dequantised Q4_1)", None)
    assert said == ["fetching"]


def test_a_local_folder_is_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    for name in ("mine", "./mine", str(folder)):
        assert names.resolve_model(name, ignore) == names.ModelSource(name, str(folder), "mine", None)


@pytest.mark.parametrize(("lost", "said"), [("config.json", "config.json"), ("model.safetensors", "weights")])
def test_a_folder_that_is_not_a_model(lost: str, said: str, folder: Path) -> None:
    (folder / lost).unlink()
    for use in (
        lambda: names.resolve_model(str(folder), ignore),
        lambda: names.fingerprint(folder),
        lambda: names.load_hf(names.ModelSource("mine", str(folder), "mine"), torch.float32, "cpu"),
    ):
        with pytest.raises(UserError) as error:
            use()
        assert said in one_line(error)


@pytest.mark.parametrize(
    ("name", "path", "revision"),
    [
        ("google/gemma-2-2b", "google/gemma-2-2b", None),
        ("org/name@refs/pr/1", "org/name", "refs/pr/1"),
        ("EleutherAI/pythia-70m@step3000", "EleutherAI/pythia-70m", "step3000"),
    ],
)
def test_a_hub_name_passes_through(name: str, path: str, revision: str | None) -> None:
    assert names.resolve_model(name, ignore) == names.ModelSource(name, path, name, revision)


@pytest.mark.parametrize(
    "name", ["smolm2-135m", "gpt2", "", "/no/such/folder", "./nowhere", "~/nowhere", "~no-such-user/x", "a/b/c", "a/"]
)
def test_an_unknown_name_says_what_is_valid(name: str) -> None:
    with pytest.raises(UserError) as error:
        names.resolve_model(name, ignore)
    message = one_line(error)
    assert "smollm2-135m" in message
    assert "hub name org/name" in message
    assert ("did you mean 'smollm2-135m'?" in message) == (name == "smolm2-135m")


def test_load_hf_gives_the_saved_weights_ready_for_attribution(folder: Path) -> None:
    model, tokenizer = names.load_hf(names.ModelSource("m", str(folder), "m"), torch.float64, "cpu")
    saved = load_file(folder / "model.safetensors")
    assert set(saved) <= set(model.state_dict())
    for name, weight in saved.items():
        assert torch.equal(model.state_dict()[name], weight.double())
    assert not model.training
    assert not any(weight.requires_grad for weight in model.parameters())
    assert model.config._attn_implementation == "eager"
    assert tokenizer("a c b").input_ids == [1, 3, 2]


def test_missing_weights_are_not_made_up(folder: Path) -> None:
    saved = load_file(folder / "model.safetensors")
    del saved["model.layers.0.mlp.up_proj.weight"]
    save_file(saved, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError) as error:
        names.load_hf(names.ModelSource("mine", str(folder), "mine"), torch.float32, "cpu")
    assert "model.layers.0.mlp.up_proj.weight" in one_line(error)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", b"cut short"),
        ("config.json", b"{not json"),
        ("config.json", b'{"model_type": "vit"}'),
        ("config.json", b'{"model_type": "unheard-of"}'),
        ("tokenizer.json", b'{"version": "1.0", "trunc'),
    ],
)
def test_spoilt_files_are_one_line(file: str, content: bytes, folder: Path) -> None:
    (folder / file).write_bytes(content)
    with pytest.raises(UserError) as error:
        names.load_hf(names.ModelSource("mine", str(folder), "mine"), torch.float32, "cpu")
    assert "cannot load mine" in one_line(error)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("org/gated", "accept its terms"),
        ("org/none", "the hub shows no model"),
        ("org/open@v9", "no revision 'v9'"),
    ],
)
def test_what_the_hub_refuses_is_one_line(name: str, said: str, hub: Hub) -> None:
    for repository in ("org/gated", "org/open"):
        hub.add(repository).commit({"config.json": "{}"})
    hub.add("org/gated").gated = True
    with pytest.raises(UserError) as error:
        names.load_hf(names.resolve_model(name, ignore), torch.float32, "cpu")
    assert said in one_line(error)


def test_no_network_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError) as error:
        names.load_hf(names.ModelSource("no-such/model", "no-such/model", "x"), torch.float32, "cpu")
    assert "no-such/model is not in the local hub cache" in one_line(error)


def test_fingerprint_is_the_stated_hash(folder: Path) -> None:
    files = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    config = json.loads((folder / "config.json").read_bytes())
    del config["transformers_version"]
    contents = [json.dumps(config, sort_keys=True).encode(), *((folder / f).read_bytes() for f in files[1:])]
    lines = (f"{f} {hashlib.sha256(said).hexdigest()}\n" for f, said in zip(files, contents, strict=True))
    stated = "".join(lines)
    assert names.fingerprint(folder) == hashlib.sha256(stated.encode()).hexdigest()
    (folder / "README.md").write_text("of no consequence")
    assert names.fingerprint(folder) == hashlib.sha256(stated.encode()).hexdigest()


def test_fingerprint_is_of_the_model_not_of_who_saved_it(folder: Path) -> None:
    before = names.fingerprint(folder)
    config = json.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(json.dumps(config | {"transformers_version": "9.9.9"}))
    assert names.fingerprint(folder) == before
    (folder / "config.json").write_text(json.dumps(config | {"rope_theta": 1.0}))
    assert names.fingerprint(folder) != before
    (folder / "config.json").write_text("[1]")
    assert names.fingerprint(folder) != before


def test_fingerprint_is_the_same_offline(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    said = json.loads(path.read_bytes())
    found = set()
    for offline in (False, True):  # as transformers writes it with HF_HUB_OFFLINE unset and set
        path.write_text(json.dumps(said | {"local_files_only": offline}, indent=2))
        found.add(names.fingerprint(folder))
    assert len(found) == 1
    path.write_text(json.dumps(said | {"local_files_only": False, "eos_token": "a"}, indent=2))
    assert names.fingerprint(folder) not in found


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_fingerprint_changes_with_one_bit(file: str, folder: Path) -> None:
    now = time.time_ns()
    os.utime(folder / file, ns=(now, now))
    before = names.fingerprint(folder)
    content = bytearray((folder / file).read_bytes())
    content[-1] ^= 1
    (folder / file).write_bytes(content)
    os.utime(folder / file, ns=(now, now))  # the same size in the same tick of the clock
    assert names.fingerprint(folder) != before


def test_fingerprint_of_unchanged_files_reads_none_of_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.time_ns() + 10_000_000_000
    monkeypatch.setattr("basisbench.models.names.time.time_ns", lambda: later)
    first = names.fingerprint(folder)

    def read(*_: object) -> None:
        raise AssertionError("hashed again")

    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", read)
        assert names.fingerprint(folder) == first
    (folder / "config.json").write_bytes(b"{}")
    assert names.fingerprint(folder) != first


@pytest.mark.model
def test_the_real_model_from_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    with TemporaryDirectory() as folder:  # pytest would keep its half gigabyte
        monkeypatch.setenv("BASISBENCH_CACHE", folder)
        check_the_real_model(Path(folder), monkeypatch)


def check_the_real_model(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = names.resolve_model("smollm2-135m", ignore)
    assert source.label == "SmolLM2-135M-Instruct (dequantised Q4_1)"
    assert own_cache in Path(source.path).parents
    note = json.loads((Path(source.path) / "basisbench.json").read_text())
    assert note["sha256"] == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

    def no_installer(*_: object, **__: object) -> None:
        raise AssertionError("an installer was started again")

    monkeypatch.setattr(wheels, "install_wheel", no_installer)
    assert names.resolve_model("smollm2-135m", ignore) == source
    model, tokenizer = names.load_hf(source, torch.float32, "cpu")
    logits = model(**tokenizer("The capital of France is", return_tensors="pt")).logits
    assert tokenizer.decode(logits[0, -1].argmax()) == " Paris"
