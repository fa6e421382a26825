"""Every board from beginning to end: those of a hub's models on miniatures of the model and of its published sets.

A board is cut to a few pairs and sizes, and to this machine's processor; its bases, methods, dtype and filter are its
own. Miniatures have three layers where a board is run; at the real depth every dictionary that it names is loaded once.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

import basisbench
from basisbench import RunConfig, make_config
from basisbench.bases.load import load_basis
from basisbench.grid.plan import plan_groups
from basisbench.grid.run import run
from basisbench.models.adapter import Model
from basisbench.models.shapes import TABLE
from basisbench.settings import EMBEDDED
from hub.client import offline
from hub.dictionaries import publish, random_weights
from hub.models import LAYERS, PUBLISHED, WIDTH, add_model, miniature
from hub.server import Hub
from hub.words import texts_of, tokenizer_of

ROOT = Path(__file__).parents[2]
EVERY = sorted((ROOT / "boards").glob("*.yaml"))
BOARDS = [path for path in EVERY if make_config({}, path).model[0] in PUBLISHED]
STARTING = ("google/gemma-2-2b", "google/gemma-3-270m", "meta-llama/Llama-3.1-8B")
"""Models whose tokenizers put a start token before a text."""
CUT = {"n_discovery": 2, "n_evaluation": 2, "sizes": "1,100"}
every_board = pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
Words = Callable[[str], PreTrainedTokenizerFast]


@pytest.fixture(scope="session")
def words(tmp_path_factory: pytest.TempPathFactory) -> Words:
    """From a model's name to a tokenizer for every word of the boards' tasks."""
    tasks = dict.fromkeys(task for path in BOARDS for task in make_config({}, path).tasks)
    texts = list(texts_of(tasks))
    made = {starts: tokenizer_of(texts, tmp_path_factory.mktemp("words"), starts) for starts in (True, False)}
    return lambda name: made[name in STARTING]


def dictionaries(config: RunConfig) -> list[str]:
    return [basis for basis in config.bases if ":" in basis]


def put_up(path: Path, hub: Hub, words: Words, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model of a board and all its sets, on the hub."""
    board = make_config({}, path)
    (name,) = board.model
    add_model(hub, name, words(name))
    for basis in dictionaries(board):
        publish(hub, basis, random_weights, monkeypatch, LAYERS)


def test_every_board_is_run_here() -> None:
    assert len(BOARDS) == 6
    assert {make_config({}, path).model[0] for path in EVERY} == {*PUBLISHED, EMBEDDED}


@every_board
def test_a_board_runs(path: Path, hub: Hub, words: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_up(path, hub, words, monkeypatch)
    config = make_config({**CUT, "device": "cpu", "tasks": "sva/simple", "out": tmp_path / "out"}, path)
    report = run(config)
    assert report.failures == ()
    planned = sum(len(group.treatments) for group in plan_groups(config))
    assert len(report.results) == planned == len(config.bases) * len(config.methods)
    (name,) = config.model
    assert {result.environment.model_hash for result in report.results} == {hub.add(name).references["main"]}
    # nothing kept, or all, is the same model whatever the basis
    assert len({result.f_full for result in report.results}) == 1
    assert all(result.f_full != result.f_empty for result in report.results)
    for result in report.results:
        repository, _, commit = str(result.cell.options.get("content", "")).partition(", ")[0].partition("@")
        assert (repository != "") == (result.cell.basis in dictionaries(config))
        assert not repository or commit == hub.add(repository).references["main"]
        wants_a_start = result.cell.basis == "sae:gpt2-small-res-jb"
        assert len(result.notes) == wants_a_start
    # again: what is there is not computed, and the hub is asked for no file
    hub.requests.clear()
    assert run(config).reused == planned
    assert hub.asked("/resolve/") == hub.asked("/lfs/") == []
    hub.requests.clear()
    offline(monkeypatch)
    assert run(config).reused == planned
    assert hub.requests == []


@every_board
def test_every_task_of_a_board_runs_in_a_dictionary(
    path: Path, hub: Hub, words: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A random model is right too seldom to keep only pairs that it gets right."""
    put_up(path, hub, words, monkeypatch)
    board = make_config({}, path)
    basis, *_ = dictionaries(board)
    cut = {**CUT, "device": "cpu", "methods": "relp", "bases": [basis], "require_correct": False}
    report = run(make_config({**cut, "out": tmp_path / "out"}, path))
    assert report.failures == ()
    assert [result.cell.task for result in report.results] == board.tasks


@every_board
def test_every_dictionary_of_a_board_is_found_at_the_real_depth(
    path: Path, hub: Hub, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = make_config({}, path)
    (name,) = board.model
    depth = TABLE[name].n_layers
    model = Model(name, miniature(name, len(tokenizer), depth), tokenizer)
    x = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(0))
    for basis in dictionaries(board):
        publish(hub, basis, random_weights, monkeypatch)
        loaded = load_basis(basis, model)
        assert list(loaded.layers()) == list(range(depth))
        for layer in {0, 1, depth - 1}:
            (site,) = loaded.writes(layer)
            rows = loaded.project(layer, site, torch.eye(WIDTH)).T
            expected = random_weights(layer).w_dec
            torch.testing.assert_close(rows / rows.norm(dim=1, keepdim=True), expected, atol=1e-5, rtol=1e-5)
            assert loaded.encode(layer, x).shape == (2, len(expected))


def test_the_command_line_goes_to_the_hub_that_is_named(hub: Hub, words: Words, tmp_path: Path) -> None:
    """HF_ENDPOINT and HF_HOME as a user sets them, in a process of its own."""
    name, basis = "EleutherAI/pythia-70m-deduped", "sae:pythia-70m-deduped-mlp-sm"
    add_model(hub, name, words(name), TABLE[name].n_layers)
    with pytest.MonkeyPatch.context() as patch:  # the other process has the registry as it is
        publish(hub, basis, random_weights, patch)
    options = [part for key, value in CUT.items() for part in (f"--{key.replace('_', '-')}", str(value))]
    board = ["--config", str(ROOT / "boards" / "pythia-70m.yaml"), "--tasks", "sva/simple", "--methods", "relp"]
    own = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "basisbench", "run", *board, "--bases", f"mlp_out,{basis}", *options,
         "--out", str(tmp_path / "out")],
        env={**os.environ, **own}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = basisbench.read_results(tmp_path / "out")
    assert {result.cell.basis for result in results} == {"mlp_out", basis}
    assert {result.environment.model_hash for result in results} == {hub.add(name).references["main"]}
    assert hub.asked("/lfs/")


@pytest.mark.model
@pytest.mark.parametrize("path", [path for path in EVERY if path not in BOARDS], ids=lambda path: path.stem)
def test_a_board_of_the_embedded_model_runs_without_a_hub(
    path: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BASISBENCH_CACHE")  # the model is fetched once for all tests
    config = make_config({**CUT, "device": "cpu", "tasks": "sva/simple", "seed": 0, "out": tmp_path / "out"}, path)
    report = run(config)
    assert report.failures == ()
    assert len(report.results) == sum(len(group.treatments) for group in plan_groups(config))
    assert hub.requests == []
