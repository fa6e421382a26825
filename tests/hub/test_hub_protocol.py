"""The stand-in hub against the clients that are installed: what they ask for and what they make of the answers."""

from pathlib import Path

import datasets
import pytest
from huggingface_hub import HfApi, hf_hub_download, list_repo_files, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from sae_lens.loading.pretrained_sae_loaders import get_safetensors_tensor_shapes
from safetensors.torch import save
from torch import zeros

from hub.client import log_in, offline
from hub.server import Hub

WEIGHTS = save({"a": zeros(3, 5), "b": zeros(7)})


def test_files_come_whole_and_once(hub: Hub, hub_cache: Path) -> None:
    sha = hub.add("org/model").commit({"config.json": '{"x": 1}', "deep/weights.safetensors": WEIGHTS})
    for _ in range(2):
        paths = [Path(hf_hub_download("org/model", name)) for name in ("config.json", "deep/weights.safetensors")]
    assert [path.read_bytes() for path in paths] == [b'{"x": 1}', WEIGHTS]
    assert paths[0].parent == hub_cache / "models--org--model" / "snapshots" / sha
    sent = [request.sent for request in hub.asked(method="GET") if request.status == 200]
    assert sorted(sent) == [8, len(WEIGHTS)]
    assert sorted(list_repo_files("org/model")) == ["config.json", "deep/weights.safetensors"]
    assert Path(snapshot_download("org/model")) == paths[0].parent


def test_a_branch_moves_and_a_commit_stays(hub: Hub) -> None:
    repository = hub.add("gpt2")
    first = repository.commit({"a.txt": "one", "b.txt": "same"})
    assert HfApi(hub.address).resolve_revision("gpt2").resolved == first
    second = repository.commit({"a.txt": "two"})
    repository.commit({"a.txt": "three"}, branch="refs/pr/1")
    assert HfApi(hub.address).resolve_revision("gpt2").resolved == second != first

    def text(revision: str | None) -> str:
        return Path(hf_hub_download("gpt2", "a.txt", revision=revision)).read_text()

    assert [text(revision) for revision in (None, first, second, "refs/pr/1")] == ["two", "one", "two", "three"]
    assert Path(hf_hub_download("gpt2", "b.txt")).read_text() == "same"


def test_refusals_are_those_of_the_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/open").commit({"a": "x"})
    gated, private = hub.add("org/gated"), hub.add("org/private")
    gated.gated = private.private = True
    for repository in (gated, private):
        repository.commit({"a": "x"})
        repository.readers.add("hf_reader")
    for name, file, revision, kind in (
        ("org/open", "b", None, EntryNotFoundError),
        ("org/open", "a", "v9", RevisionNotFoundError),
        ("org/none", "a", None, RepositoryNotFoundError),
        ("org/private", "a", None, RepositoryNotFoundError),
        ("org/gated", "a", None, GatedRepoError),
    ):
        with pytest.raises(kind):
            hf_hub_download(name, file, revision=revision)
    assert HfApi(hub.address).model_info("org/gated").gated == "manual"
    log_in("hf_stranger", monkeypatch)
    with pytest.raises(GatedRepoError, match="403"):
        hf_hub_download("org/gated", "a")
    log_in("hf_reader", monkeypatch)
    assert [Path(hf_hub_download(name, "a")).read_text() for name in ("org/gated", "org/private")] == ["x", "x"]


def test_what_was_not_there_is_remembered_for_a_commit(hub: Hub) -> None:
    sha = hub.add("org/model").commit({"a": "x"})
    with pytest.raises(EntryNotFoundError):
        hf_hub_download("org/model", "b")
    found = try_to_load_from_cache("org/model", "b", revision=sha)
    assert found is not None
    assert not isinstance(found, str)


def test_a_part_of_a_file_is_sent_alone(hub: Hub) -> None:
    hub.add("org/model").commit({"w.safetensors": WEIGHTS})
    assert get_safetensors_tensor_shapes("org/model", "w.safetensors") == {"a": [3, 5], "b": [7]}
    assert hub.sent < len(WEIGHTS)


def test_it_can_be_out_of_order_and_out_of_reach(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/model").commit({"a": "x"})
    hub.down = 403
    with pytest.raises(HfHubHTTPError, match="403"):
        HfApi(hub.address).model_info("org/model")
    asked = len(hub.requests)
    offline(monkeypatch)
    with pytest.raises(LocalEntryNotFoundError):
        hf_hub_download("org/model", "a")
    assert len(hub.requests) == asked


def test_data_sets_are_read_from_it(hub: Hub, tmp_path: Path) -> None:
    rows = "".join(f'{{"n": {n}}}\n' for n in range(3))
    hub.add("org/pairs", "dataset").commit({"train.jsonl": rows, "README.md": ""})
    found = datasets.load_dataset("org/pairs", split="train", cache_dir=str(tmp_path / "datasets"))
    assert found["n"][:] == [0, 1, 2]
