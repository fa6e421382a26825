"""Models from the hub: every architecture that a board names, their identity, and what is asked of the hub."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from transformers import PreTrainedTokenizerFast

import basisbench
from basisbench import UserError, make_config
from basisbench.grid.run import run
from basisbench.models import names
from hub.client import log_in, offline
from hub.models import PUBLISHED, add_model, model_files
from hub.server import Hub
from toys.models import one_line

GEMMA = "google/gemma-3-270m"
PROMPT = torch.tensor([[3, 4, 5, 6]])


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_model_is_loaded_whole(name: str, hub: Hub, tokenizer: PreTrainedTokenizerFast) -> None:
    hf = add_model(hub, name, tokenizer)
    model, digest = basisbench.load_model(name, device="cpu")
    assert digest == hub.add(name).references["main"]
    assert model.name == name
    with torch.no_grad():
        logits = model.logits(model.forward(PROMPT, torch.tensor([3])))
        torch.testing.assert_close(logits, hf(PROMPT).logits[:, -1], atol=1e-4, rtol=1e-4)


def test_a_commit_is_looked_up_once_and_all_files_are_of_it(hub: Hub, tokenizer: PreTrainedTokenizerFast) -> None:
    add_model(hub, GEMMA, tokenizer)
    sha = hub.add(GEMMA).references["main"]
    basisbench.load_model(GEMMA, device="cpu")
    assert len(hub.asked(f"/api/models/{GEMMA}/revision/")) + len(hub.asked(f"/api/models/{GEMMA}/tree/main")) <= 1
    assert all(f"/resolve/{sha}/" in request.path for request in hub.asked("/resolve/"))
    hub.requests.clear()
    basisbench.load_model(GEMMA, device="cpu")
    assert hub.asked("/resolve/") == []
    assert hub.asked("/lfs/") == []


def test_another_commit_is_another_model(hub: Hub, tokenizer: PreTrainedTokenizerFast) -> None:
    add_model(hub, GEMMA, tokenizer)
    before, first = basisbench.load_model(GEMMA, device="cpu")
    add_model(hub, GEMMA, tokenizer, seed=1)
    after, second = basisbench.load_model(GEMMA, device="cpu")
    assert first != second
    assert not torch.equal(before.projection("mlp_post", 0), after.projection("mlp_post", 0))
    # and the first is to be had as before, by its hash or by a name that stayed on it
    hub.add(GEMMA).references["v1"] = first
    for revision in (first, "v1"):
        again, digest = basisbench.load_model(f"{GEMMA}@{revision}", device="cpu")
        assert (again.name, digest) == (f"{GEMMA}@{revision}", first)
        assert torch.equal(again.projection("mlp_post", 0), before.projection("mlp_post", 0))


def test_results_of_another_commit_are_other_results(
    hub: Hub, tokenizer: PreTrainedTokenizerFast, task_folder: Path, tmp_path: Path
) -> None:
    settings = {"model": GEMMA, "tasks": str(task_folder), "bases": "mlp_out", "methods": "atp", "device": "cpu"}
    config = make_config(settings | {"n_discovery": 4, "n_evaluation": 4, "sizes": "1,10", "out": tmp_path / "out"})
    names = []
    for seed in (0, 0, 1):
        add_model(hub, GEMMA, tokenizer, seed=seed)
        report = run(config)
        names.append((report.results[0].name, report.results[0].environment.model_hash, report.reused))
    # a commit that changes a note alone is another one too: what is in it is not judged
    assert names[0][1] == next(iter(hub.add(GEMMA).commits))
    assert len({name for name, _, _ in names}) == len({digest for _, digest, _ in names}) == len(hub.add(GEMMA).commits)
    assert [reused for _, _, reused in names] == [0, 0, 0]
    assert run(config).reused == 1


def test_without_a_network_the_cache_says_which_commit(
    hub: Hub, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model(hub, GEMMA, tokenizer)
    _, digest = basisbench.load_model(GEMMA, device="cpu")
    hub.requests.clear()
    offline(monkeypatch)
    assert basisbench.load_model(GEMMA, device="cpu")[1] == digest
    assert hub.requests == []
    with pytest.raises(UserError, match="not in the local hub cache") as raised:
        basisbench.load_model("google/gemma-2-2b", device="cpu")
    one_line(raised)


@pytest.mark.parametrize(
    ("name", "token", "said"),
    [
        ("org/gated", "", "accept its terms"),
        ("org/gated", "hf_stranger", "accept its terms"),
        ("org/none", "", "the hub shows no model"),
        ("org/none", "hf_stranger", "the hub shows no model"),
        ("org/open@v9", "", "no revision 'v9'"),
        (f"org/open@{'0' * 40}", "", f"no revision '{'0' * 40}'"),
    ],
)
def test_a_refusal_is_one_line(name: str, token: str, said: str, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    for repository in ("org/gated", "org/open"):
        hub.add(repository).commit({"config.json": "{}"})
    hub.add("org/gated").gated = True
    if token:
        log_in(token, monkeypatch)
    with pytest.raises(UserError, match=said) as raised:
        basisbench.load_model(name, device="cpu")
    one_line(raised)


@pytest.mark.parametrize("status", [403, 429])
def test_a_hub_that_refuses_everything_is_one_line(status: int, hub: Hub) -> None:
    hub.down = status
    with pytest.raises(UserError, match=str(status)) as raised:
        basisbench.load_model(GEMMA, device="cpu")
    one_line(raised)


def test_a_model_of_texts_and_images_installs_nothing(
    hub: Hub, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TransformerLens has pip install torchvision where a processor's files, or torchvision, are lacking."""
    text = {
        "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 6, "vocab_size": 60, "max_position_embeddings": 64,
    }  # fmt: skip
    vision = {
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": 28, "patch_size": 14,
    }  # fmt: skip
    config = transformers.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
    hf = transformers.Gemma3ForConditionalGeneration._from_config(config, attn_implementation="eager").eval()
    hub.add("google/gemma-3-4b-pt").commit(model_files(hf, tokenizer))

    def refuse(*asked: object, **_: object) -> None:
        raise AssertionError(f"started {asked}")

    for start in ("check_call", "run", "Popen", "call", "check_output"):
        monkeypatch.setattr(subprocess, start, refuse)
    model, _ = basisbench.load_model("google/gemma-3-4b-pt", device="cpu")
    with torch.no_grad():
        logits = model.logits(model.forward(PROMPT, torch.tensor([3])))
        torch.testing.assert_close(logits, hf(input_ids=PROMPT).logits[:, -1], atol=1e-4, rtol=1e-4)
    assert hub.asked("processor") == []


def test_an_architecture_that_is_not_known_is_one_line(hub: Hub, tokenizer: PreTrainedTokenizerFast) -> None:
    hf = transformers.BioGptForCausalLM(
        transformers.BioGptConfig(
            vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
        )
    )
    hub.add("org/odd").commit(model_files(hf, tokenizer))
    with pytest.raises(UserError, match=r"'org/odd' is a BioGptForCausalLM: valid") as raised:
        basisbench.load_model("org/odd", device="cpu")
    one_line(raised)


# -- files on this machine -----------------------------------------------------------------------------


def _in_place(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _moved_over(path: Path, data: bytes) -> None:
    other = path.with_name("other")
    other.write_bytes(data)
    other.replace(path)


@pytest.mark.parametrize("write", [_in_place, _moved_over])
def test_a_file_replaced_within_its_times_is_another(
    write: Callable[[Path, bytes], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As two archives unpacked over each other leave it: the size and the time of change are the same."""
    monkeypatch.setenv("BASISBENCH_CACHE", str(tmp_path / "cache"))
    later = time.time_ns() + 10_000_000_000
    monkeypatch.setattr("basisbench.models.names.time.time_ns", lambda: later)  # long after: hashes are noted
    file = tmp_path / "model.safetensors"
    found = []
    for data in (b"one", b"two"):
        write(file, data)
        os.utime(file, ns=(10**18, 10**18))
        found.append(names.file_sha256(file))
    assert found[0] != found[1]
    assert len(list((tmp_path / "cache" / "hashes").iterdir())) == 2
