"""Every board in ``boards/``, dry-run offline: names against sae-lens' registry, cells, bytes."""

import socket
import sys
from pathlib import Path

import pytest

from basisbench import cli, make_config
from basisbench.baselines.dictionaries.sources import release_ids
from basisbench.checks.baseline import Baseline
from basisbench.grid.config import RunConfig
from basisbench.grid.outlook import look_ahead
from basisbench.models.shapes import TABLE

ROOT = Path(__file__).parents[2]
BOARDS = sorted((ROOT / "boards").glob("*.yaml"))


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network, and results and caches elsewhere."""

    def refuse(*_: object) -> None:
        raise AssertionError("a dry run must not reach for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("BASISBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def test_the_boards_are_those_that_are_promised() -> None:
    assert [path.stem for path in BOARDS] == [
        "embedded-sites", "embedded", "gemma-2-2b", "gemma-3-270m", "gpt2", "llama-3.1-8b", "pythia-70m", "quickstart",
        "qwen3-0.6b",
    ]  # fmt: skip


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_board_is_planned_offline(path: Path) -> None:
    config = make_config({}, path)
    found = look_ahead(config)
    (model,) = found.models
    shape = TABLE[model.model]
    assert model.cells == len(model.left) >= 32
    assert model.hours is None
    assert 5e4 < found.result_bytes < 1e6
    assert model.download.known >= (98_362_432 if model.model == "smollm2-135m" else 2 * shape.n_weights)
    assert set(model.outlines) == set(config.bases)
    for basis, told in model.outlines.items():
        kind, _, spec = basis.partition(":")
        assert told.layers == tuple(range(shape.n_layers))
        assert told.writes
        if kind in ("sae", "transcoder") and spec:
            release, _, pattern = spec.partition("/")
            assert list(release_ids(release, pattern)) == list(range(shape.n_layers))
            # only of Hanna's transcoders the width is stated nowhere here
            assert model.download.all == ("mwhanna" not in basis)
            if told.download is not None:
                assert model.download.known > told.download > 8 * shape.d_model * 10_000 * shape.n_layers
    # each begins with what it is and how it is run
    text = path.read_text()
    assert text.startswith("# ")
    assert f"#   basisbench run --board {path.stem}\n" in text


def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["basisbench", *words])
    return cli.command(), *capsys.readouterr()


def test_a_board_is_run_by_its_name_with_options_over_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    planned: list[RunConfig] = []
    monkeypatch.setattr("basisbench.cli.run._look_ahead", lambda settings, _: planned.append(settings))
    for options in ([], ["--seed", "1,2"]):
        assert command(monkeypatch, capsys, "run", "--board", "gpt2", *options, "--dry-run") == (0, "", "")
    file = ROOT / "boards" / "gpt2.yaml"
    assert planned == [make_config({}, file), make_config({"seed": [1, 2]}, file)]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--board", "gemma2-2b"], "unknown board 'gemma2-2b': did you mean 'gemma-2-2b'? valid: embedded, "),
        (["--board", "gpt2", "--config", "a.yaml"], "--board and --config are both files of settings: valid: one"),
        (["--board", "../boards/gpt2"], "unknown board '../boards/gpt2'"),
    ],
)
def test_a_board_that_cannot_be_meant_is_one_line(
    words: list[str], line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, printed, errors = command(monkeypatch, capsys, "run", *words)
    assert (status, printed, len(errors.splitlines())) == (2, "", 1)
    assert errors.startswith(f"basisbench: {line}")


@pytest.mark.parametrize("what", ["boards", "sweeps"])
def test_shipped_files_are_listed_with_what_they_are_and_where(
    what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, printed, _ = command(monkeypatch, capsys, "list", what)
    *lines, last = printed.splitlines()
    paths = sorted((ROOT / what).glob("*.yaml"))
    assert [line.split()[0] for line in lines] == [path.stem for path in paths]
    for line, path in zip(lines, paths, strict=True):
        about = line.split(maxsplit=1)[1]
        assert path.read_text().startswith(f"# {about}\n#\n")  # the first line is a sentence by itself
        assert about.endswith(".")
    assert status == 0
    assert last.endswith(str(ROOT / what))


def test_the_quickstart_is_what_run_does_by_itself() -> None:
    assert make_config({}, ROOT / "boards" / "quickstart.yaml") == RunConfig()


def test_the_embedded_board_has_the_tasks_that_the_model_can_do() -> None:
    config = make_config({}, ROOT / "boards" / "embedded.yaml")
    report = Baseline.model_validate_json((ROOT / "results" / "baseline" / "baseline.json").read_bytes())
    can = {row.task for row in report.tasks if row.can}
    assert set(config.tasks) == can
    (model,) = look_ahead(config).models
    # 16 tasks, three seeds: relp in all five bases, atp and ig in four, random in one
    assert model.cells == 16 * 3 * (5 + 4 + 4 + 1)
    sites = make_config({}, ROOT / "boards" / "embedded-sites.yaml")
    assert sites.tasks == config.tasks
    assert config.seed == [0, 1, 2]


def test_llama_is_asked_as_in_the_paper() -> None:
    config = make_config({}, ROOT / "boards" / "llama-3.1-8b.yaml")
    assert (config.n_discovery, config.n_evaluation, config.methods) == (300, 40, ["ig", "relp"])
    assert {"neurons", "mlp_out", "sae:llama_scope_lxm_8x", "sae:llama_scope_lxr_8x"} == set(config.bases)


def test_a_board_with_an_unknown_release_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "boards" / "pythia-70m.yaml").read_text()
    board = tmp_path / "board.yaml"
    board.write_text(text.replace("pythia-70m-deduped-mlp-sm", "pythia-70m-deduped-mlp-smm"))
    status, printed, errors = command(monkeypatch, capsys, "run", "--config", str(board), "--dry-run")
    assert (status, printed) == (2, "")
    (line,) = errors.splitlines()
    assert "no dictionaries 'pythia-70m-deduped-mlp-smm': did you mean 'pythia-70m-deduped-mlp-sm'?" in line
