"""Every command that reads results says the same of a packed folder as of the files that it was made of."""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import basisbench
from basisbench import cli, make_config
from basisbench.grid import run as runner
from basisbench.grid.records import read_records
from basisbench.results.files import RankingArrays
from basisbench.results.find import PACKED, find_results
from basisbench.submissions.scores_file import read_scores
from toys.results import FULL, write_toys

Command = Callable[..., tuple[int, str, str]]
Said = tuple[int, str, str]


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command with arguments; return exit status, standard output and standard error."""

    def call(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["basisbench", *map(str, arguments)])
        capsys.readouterr()
        status = cli.command()
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def both(run_cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Said]]:
    """Gives what a command says of results in files of their own, and of the same results packed.

    They lie in `runs` and, half of them, in a folder within.
    """
    for place in ("loose", "packed"):
        write_toys(tmp_path / place / "runs", FULL[:10])
        write_toys(tmp_path / place / "runs" / "inner", FULL[10:])
    monkeypatch.chdir(tmp_path / "packed")
    status, said, _ = run_cli("pack")
    assert status == 0
    assert [line.split(",")[0] for line in said.splitlines()] == [
        "runs: 10 results packed",
        "runs/inner: 11 results packed",
    ]
    assert not list((tmp_path / "packed").rglob("*__*.json"))

    def call(*arguments: object) -> list[Said]:
        found = []
        for place in ("loose", "packed"):
            monkeypatch.chdir(tmp_path / place)
            found.append(run_cli(*arguments))
        return found

    return call


def written(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.parametrize("form", ["md", "json", "csv", "latex", "terminal"])
def test_the_leaderboard(form: str, both: Callable[..., list[Said]]) -> None:
    loose, packed = both("leaderboard", "--format", form)
    assert loose == packed
    assert loose[0] == 0
    assert loose[1]


def test_figures(both: Callable[..., list[Said]], tmp_path: Path) -> None:
    loose, packed = both("figures", "--style", "paper", "--only", "curves,overlap-methods,profile")
    assert loose == packed
    assert loose[0] == 0
    files = written(tmp_path / "loose" / "figures")
    assert len(files) > 8
    assert files == written(tmp_path / "packed" / "figures")


def test_the_report(both: Callable[..., list[Said]], tmp_path: Path) -> None:
    loose, packed = both("report")
    assert loose == packed
    assert loose[0] == 0
    assert (tmp_path / "loose" / "report.html").read_bytes() == (tmp_path / "packed" / "report.html").read_bytes()


def test_one_result_shown(both: Callable[..., list[Said]], tmp_path: Path) -> None:
    for stored in [*find_results([tmp_path / "packed"])][::9]:
        place = stored.path.relative_to(tmp_path / "packed")
        for name in (place, place.with_suffix(""), str(place)[:-8]):
            loose, packed = both("show", name)
            assert loose == packed
            assert loose[0] == 0


def test_validation(both: Callable[..., list[Said]], tmp_path: Path) -> None:
    loose, packed = both("validate", "runs")
    assert loose == packed
    assert "21 results" in loose[1]
    one = next(find_results([tmp_path / "packed"])).path.relative_to(tmp_path / "packed")
    loose, packed = both("validate", one, "runs/inner")
    assert loose == packed
    assert "12 results" in loose[1]
    assert both("validate", f"runs/{PACKED}")[1][1].endswith("10 results: 10 broken\n")  # toys are


def test_python(both: Callable[..., list[Said]], tmp_path: Path) -> None:
    loose, packed = (basisbench.read_results(tmp_path / place / "runs") for place in ("loose", "packed"))
    assert loose == packed
    assert len(loose) == 21
    for result in loose:
        folder = "runs/inner" if list((tmp_path / "loose/runs/inner").glob(f"{result.name}.json")) else "runs"
        paths = [tmp_path / place / folder / f"{result.name}.json" for place in ("loose", "packed")]
        assert [basisbench.read_result(path) for path in paths] == [result, result]
        (curve, ranking), (curve_again, ranking_again) = (basisbench.read_arrays(path, result) for path in paths)
        assert curve.circuit.kl.tobytes() == curve_again.circuit.kl.tobytes()
        assert ranking.score.tobytes() == ranking_again.score.tobytes()


# -- with a model ----------------------------------------------------------------------------------------


@pytest.fixture
def asked(tiny_folder: Path, task_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Settings of a run of one task into `out`."""
    monkeypatch.setenv("BASISBENCH_CACHE", str(tmp_path / "cache"))
    return {
        "model": str(tiny_folder), "tasks": str(task_folder), "bases": "mlp_out,neurons", "methods": "atp",
        "n_discovery": 6, "n_evaluation": 6, "sizes": "1,10,100", "ablation": "zero", "device": "cpu",
        "out": tmp_path / "out",
    }  # fmt: skip


def test_a_run_computes_only_what_is_not_packed(asked: dict[str, Any], run_cli: Command, tmp_path: Path) -> None:
    first = runner.run(make_config(asked))
    assert run_cli("pack", tmp_path / "out")[0] == 0
    again = runner.run(make_config(asked))
    assert (again.reused, again.failures) == (2, ())
    assert again.results == first.results
    assert not list((tmp_path / "out").glob("*.json"))
    more = runner.run(make_config(asked | {"bases": "mlp_out,neurons,rotated_mlp_out"}))
    assert (more.reused, len(more.results)) == (2, 3)
    assert len(list((tmp_path / "out").glob("*.json"))) == 1
    assert len(read_records(tmp_path / "out").done) == 3  # what a dry run counts
    assert "1 of them new" in run_cli("pack", tmp_path / "out")[1]
    assert runner.run(make_config(asked)).reused == 2


def test_a_run_beside_a_packed_file_that_cannot_be_read_is_one_line(
    asked: dict[str, Any], run_cli: Command, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / PACKED).write_bytes(b"PAR1")
    options = [word for name, value in asked.items() for word in (f"--{name.replace('_', '-')}", value)]
    status, _, errors = run_cli("run", *options)
    assert status == 2
    assert "does not end as a Parquet file does" in errors.splitlines()[-1]


def test_a_packed_result_is_made_again(asked: dict[str, Any], run_cli: Command, tmp_path: Path) -> None:
    result, _ = runner.run(make_config(asked)).results
    path = tmp_path / "out" / f"{result.name}.json"
    here = ("--device", "cpu", "--task", asked["tasks"], "--model", asked["model"])
    before = run_cli("reproduce", path, *here)
    scores = read_scores(path)
    assert run_cli("pack", tmp_path / "out")[0] == 0
    assert not path.exists()
    again = read_scores(path)
    assert isinstance(again.nodes, RankingArrays)
    assert isinstance(scores.nodes, RankingArrays)
    assert again.nodes.score.tobytes() == scores.nodes.score.tobytes()
    assert (again.about, again.sha256) == (scores.about, scores.sha256)
    after = run_cli("reproduce", path.with_suffix(""), *here)
    assert before[0] == after[0] == 0
    status, said, _ = run_cli("validate", tmp_path / "out")
    assert (status, "2 results" in said) == (0, True)
