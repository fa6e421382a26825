"""What `--dry-run` says: cells against a folder, hours against computed cells, bytes; and what it leaves alone."""

import json
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from basisbench import UserError, cli, make_config
from basisbench.cli.outlook import hours, lines, size
from basisbench.grid import run as runner
from basisbench.grid.failures import record_failure
from basisbench.grid.hours import hours_of
from basisbench.grid.outlook import Bytes, Outlook, look_ahead, result_bytes, time_one
from basisbench.grid.records import Timed
from basisbench.grid.run import RunReport
from basisbench.models.adapter import Model
from basisbench.models.loading import load_model
from basisbench.models.names import bytes_to_fetch
from basisbench.models.shapes import TABLE
from basisbench.results.schema import Cell
from basisbench.submissions.scores_file import About, write_scores
from toys.models import pair_rows, write_task

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture
def asked(tiny_folder: Path, task_folder: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "model": str(tiny_folder), "tasks": str(task_folder), "bases": "mlp_out,neurons", "methods": "atp,random",
        "n_discovery": 4, "n_evaluation": 4, "sizes": "1,10,100", "seed": [0, 1], "out": tmp_path / "out",
    }  # fmt: skip


def counts(found: Outlook) -> tuple[int, int, int, int]:
    (model,) = found.models
    return model.cells, model.done, model.failed, len(model.left)


def look(options: dict[str, Any]) -> Outlook:
    return look_ahead(make_config(options))


# -- names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bases": "sae:llama_scope_lxm_8"}, r"no dictionaries .* did you mean 'llama_scope_lxm_8x'\?"),
        ({"bases": "sae:llama_scope_lxm_8x"}, r"has layers 12 to 31: valid for openai-community/gpt2: 0 to 11"),
        ({"bases": "sae"}, "sae alone means the dictionaries of smollm2-135m"),
        ({"bases": "neuron"}, r"unknown basis 'neuron': did you mean 'neurons'\?"),
        ({"bases": "neurons:3"}, "basis 'neurons' takes no option, got '3'"),
        ({"bases": "nowhere.py:own"}, r"no file nowhere.py: valid: path/to/file.py:Name"),
        ({"bases": "nowhere.py"}, "basis 'nowhere.py' names no class or function"),
        ({"bases": "neurons", "tasks": "sva/simpel"}, r"did you mean 'sva/simple'\?"),
        ({"bases": "neurons", "methods": "rel"}, "unknown method 'rel'"),
        ({"bases": "neurons", "ablation": "man"}, "did you mean 'mean'"),
        ({"bases": "neurons", "model": "nowhere"}, "unknown model 'nowhere'"),
        ({"bases": "sae:llama_scope_lxm_8", "model": "nobody/nothing"}, r"did you mean 'llama_scope_lxm_8x'\?"),
    ],
)
def test_names_that_a_run_would_refuse_are_refused_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        look({"model": "openai-community/gpt2"} | options)
    assert "\n" not in str(caught.value)


def test_code_that_a_config_names_is_not_run(asked: dict[str, Any], tmp_path: Path) -> None:
    marker, file = tmp_path / "was-run", tmp_path / "own.py"
    file.write_text(f"open({str(marker)!r}, 'w').close()\n\ndef own(*_):\n    raise AssertionError\n")
    named = f"{file}:own"
    found = look(asked | {"bases": ["neurons", named], "methods": ["atp", named], "tasks": [asked["tasks"], named]})
    assert not marker.exists()
    assert counts(found) == (16, 0, 0, 16)
    assert found.unread == (named,)
    printed = list(lines(found))
    assert f"{named}: not looked into, since its code would be run" in printed
    assert f"  {named}: layers ?, ? units each, ?, ? of weights" in printed
    # what it would fetch is not known either
    assert printed[1].split()[-1] == "?"


# -- cells that are there already ----------------------------------------------------------------------


def test_cells_that_are_done_or_failed_are_counted_by_their_settings(asked: dict[str, Any], tmp_path: Path) -> None:
    first: RunReport = runner.run(make_config(asked))
    assert len(first.results) == 8
    assert counts(look(asked)) == (8, 8, 0, 0)
    more = asked | {"bases": "mlp_out,neurons,attn_out"}
    assert counts(look(more)) == (12, 8, 0, 4)
    # a cell that has a result now is done, whatever came before; one that failed is left to a retry
    record_failure(tmp_path / "out", "zero", first.results[0].cell, "it broke")
    assert counts(look(asked)) == (8, 8, 0, 0)
    other = first.results[0].cell.model_copy(update={"basis": "attn_out"})
    record_failure(tmp_path / "out", "one", other, "it broke")
    assert counts(look(more)) == (12, 8, 1, 3)
    assert counts(look(more | {"retry": True})) == (12, 8, 1, 4)
    for changed in ({"n_evaluation": 5}, {"sizes": "1,10"}, {"ablation": "zero"}, {"require_correct": True}):
        assert counts(look(asked | changed))[1] == 0
    # files that are no results do not count, whatever they hold
    (tmp_path / "out" / "bad.json").write_bytes(b'{"cell": {"model": "\x00')
    (tmp_path / "out" / "worse.json").write_text("[" * 10_000)
    assert counts(look(asked)) == (8, 8, 0, 0)
    # a basis without an error has one treatment of it, as in a run
    assert counts(look(asked | {"error": "score,keep,remove"})) == (8, 8, 0, 0)


def test_kept_runs_are_done() -> None:
    found = look_ahead(make_config({"out": RESULTS / "sva"}, RESULTS.parent / "boards" / "quickstart.yaml"))
    assert counts(found) == (40, 40, 0, 0)
    # nothing is left to take hours, or to be fetched for
    assert (found.models[0].hours, found.models[0].download) == (None, Bytes(0))
    assert list(lines(found))[1].split()[5:] == ["0.00", "0", "MB", "0", "MB"]


def test_a_basis_from_a_file_counts_by_its_name_and_content(asked: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text("from basisbench import LinearBasis, Site\n\ndef own(model):\n"
                    "    sites = [Site(i, 'mlp_out') for i in range(model.n_layers)]\n"
                    "    return LinearBasis('own', sites, model.d_model)\n")  # fmt: skip
    config = asked | {"bases": f"{file}:own", "methods": "atp", "seed": 0}
    assert len(runner.run(make_config(config)).results) == 1
    assert counts(look(config)) == (1, 1, 0, 0)
    file.write_text(file.read_text() + "\n# changed\n")
    assert counts(look(config)) == (1, 0, 0, 1)


def test_a_method_from_a_file_counts_by_its_name_and_content(asked: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    text = "from basisbench.attribution.fields import Atp\n\nclass Own(Atp):\n    pass\n"
    file.write_text(text)
    config = asked | {"bases": "mlp_out", "methods": f"{file}:Own", "seed": 0}
    assert len(runner.run(make_config(config)).results) == 1
    assert counts(look(config)) == (1, 1, 0, 0)
    file.write_text(text + "\n# changed\n")
    assert counts(look(config)) == (1, 0, 0, 1)
    # someone's scores, called by their own name in results
    model, _ = load_model(str(asked["model"]), device="cpu")
    values = {layer: np.ones((5, model.d_model), np.float32) for layer in range(model.n_layers)}
    write_scores(tmp_path / "s.safetensors", About(name="theirs"), values)
    config |= {"methods": f"scores:{tmp_path / 's.safetensors'}"}
    assert [result.cell.method for result in runner.run(make_config(config)).results] == ["scores:theirs"]
    assert counts(look(config)) == (1, 1, 0, 0)


# -- hours ---------------------------------------------------------------------------------------------


def cell(**settings: Any) -> Cell:
    usual: dict[str, Any] = {
        "model": "toy", "task": "ioi", "basis": "neurons", "method": "relp", "ablation": "mean", "positions": "kept",
        "rank": "abs", "error": "score", "n_discovery": 8, "n_evaluation": 8, "split": "evaluation", "seed": 0,
        "dtype": "float32", "grid": [1, 10],
    }  # fmt: skip
    return Cell.model_validate(usual | settings)


def timed(seconds: float, device: str = "cpu, 1 threads", **settings: Any) -> Timed:
    return Timed(cell(**settings), seconds, device)


def test_a_cell_takes_as_long_as_those_most_like_it() -> None:
    known = [
        timed(1.0), timed(3.0, task="sva"), timed(10.0, method="ig"), timed(100.0, basis="sae:one", method="ig"),
    ]  # fmt: skip
    for left, seconds in (
        (cell(task="other"), 2.0),  # its own method and basis
        (cell(basis="sae:two", method="ig"), 100.0),  # the same kinds
        (cell(basis="neurons", method="exact:30"), (1 + 3 + 10) / 3),  # the basis: a curve is most of a cell
        (cell(basis="mlp_out", method="ig"), 55.0),  # the method
        (cell(basis="mlp_out", method="atp"), 114 / 4),  # any
    ):
        found = hours_of([left], known)
        assert found is not None
        assert found.seconds == pytest.approx(seconds)
        assert (found.timed, found.alike) == (4, int(seconds == 2.0))
    both = hours_of([cell(task="other"), cell(basis="sae:two", method="ig")], [*known, timed(1.0, "cuda, 8 threads")])
    assert both is not None
    assert both.seconds == pytest.approx(5 / 3 + 100)
    assert both.devices == ("cpu, 1 threads", "cuda, 8 threads")


def test_cells_of_another_cost_say_nothing() -> None:
    for other in ({"model": "large"}, {"grid": [1]}, {"n_discovery": 9}, {"n_evaluation": 9}, {"dtype": "bfloat16"}):
        assert hours_of([cell()], [timed(1.0, **other)]) is None
    assert hours_of([cell()], []) is None
    assert hours_of([], [timed(1.0)]) is None


def test_hours_come_from_cells_that_are_done(asked: dict[str, Any]) -> None:
    assert look(asked).models[0].hours is None
    done = runner.run(make_config(asked | {"seed": 0}))
    (model,) = look(asked).models
    assert model.hours is not None
    # seed 1 is left: as much again
    assert model.hours.seconds == pytest.approx(sum(sum(r.timing.seconds.values()) for r in done.results))
    assert (model.hours.timed, model.hours.alike) == (4, 4)
    assert "4 of the 4 left have one of their method and basis among them" in "\n".join(lines(look(asked)))


def test_one_real_cell_is_timed_and_kept(asked: dict[str, Any]) -> None:
    config = make_config(asked | {"exclude": [{"basis": "mlp_out", "method": "atp"}]})
    # what other cells took, elsewhere perhaps, does not count beside it
    slow = runner.run(make_config(asked | {"bases": "attn_out", "seed": 0, "methods": "atp"})).results[0]
    path = config.out / f"{slow.name}.json"
    document = json.loads(path.read_text())
    document["timing"]["seconds"] = {"curve": 1e6}
    path.write_text(json.dumps(document))
    result = time_one(config)
    # the plan's first: mlp_out with atp is excluded
    assert (result.cell.basis, result.cell.method, result.cell.seed) == ("neurons", "atp", 0)
    (model,) = look_ahead(config, [Timed.of(result)]).models
    assert (model.done, len(model.left)) == (1, 5)
    assert model.hours is not None
    assert model.hours.seconds == pytest.approx(5 * sum(result.timing.seconds.values()))
    report = runner.run(config)
    assert (len(report.results), report.reused) == (6, 1)
    with pytest.raises(UserError, match="no cell of this run is left to be timed"):
        time_one(config)


def test_a_cell_that_fails_is_no_measure(asked: dict[str, Any]) -> None:
    config = make_config(asked | {"sizes": "100000000"})
    with pytest.raises(UserError, match="the cell to be timed failed: words atp mlp_out mean: no circuit size"):
        time_one(config)
    (model,) = look_ahead(config).models
    assert (model.failed, model.hours) == (1, None)


# -- bytes ---------------------------------------------------------------------------------------------


def test_results_are_as_large_as_said(tiny_folder: Path, tmp_path: Path) -> None:
    rows = pair_rows(40, seed=1)
    task = write_task(tmp_path / "words", discovery=pair_rows(8), evaluation=rows)
    sizes = [1, 2, 3, 5, 7, 10, 20, 30, 50, 70, 100, 200, 300]
    options = {"model": str(tiny_folder), "tasks": str(task), "bases": "neurons", "methods": "atp", "sizes": sizes}
    config = make_config(options | {"out": tmp_path / "out"})
    (result,) = runner.run(config).results
    files = [tmp_path / "out" / f"{result.name}{suffix}" for suffix in (".json", ".safetensors")]
    said = result_bytes(len(sizes), 300, result.data.evaluation.usable)
    assert said == pytest.approx(sum(file.stat().st_size for file in files), rel=0.3)
    assert look_ahead(config).result_bytes == result_bytes(len(sizes), 300, 40)


def test_downloads_are_of_models_and_bases_that_are_not_here(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASISBENCH_CACHE", str(tmp_path / "cache"))
    gpt2 = TABLE["openai-community/gpt2"]
    assert bytes_to_fetch(str(tiny_folder), None) == 0
    assert bytes_to_fetch("smollm2-135m", TABLE["smollm2-135m"]) == 98_362_432
    assert bytes_to_fetch("openai-community/gpt2", gpt2) == gpt2.n_weights * 4
    assert bytes_to_fetch("nobody/nothing", None) is None
    found = look({"model": "openai-community/gpt2", "bases": "neurons,sae:gpt2-small-res-jb", "out": tmp_path})
    assert found.models[0].download == Bytes(gpt2.n_weights * 4 + 12 * 2 * 768 * 24576 * 4)
    hub = look({"model": "openai-community/gpt2", "bases": "sae:a/b/layer_{layer}", "out": tmp_path})
    assert hub.models[0].download == Bytes(gpt2.n_weights * 4, all=False)


# -- what users see ------------------------------------------------------------------------------------


def test_a_dry_run_loads_nothing_fetches_nothing_and_writes_nothing(
    asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a dry run must not do this")

    monkeypatch.setattr(runner, "load_model", refuse)
    monkeypatch.setattr(Model, "__init__", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    board = tmp_path / "board.yaml"
    board.write_text(
        f"model: [{asked['model']}, nobody/nothing]\ntasks: [{asked['tasks']}, mib/ioi]\nbases: [neurons]\n"
        f"out: {tmp_path / 'out'}\nexclude: [{{method: atp, task: mib/ioi}}]\n"
    )
    monkeypatch.setattr(sys, "argv", ["basisbench", "run", "--config", str(board), "--dry-run", "--seed", "0,1"])
    assert cli.command() == 0
    printed, errors = capsys.readouterr()
    assert errors == ""
    assert not (tmp_path / "out").exists()
    head, first, second, total = (line.split() for line in printed.splitlines()[:4])
    assert head == ["model", "cells", "done", "failed", "left", "hours", "results", "downloads"]
    assert first[1:6] == ["6", "0", "0", "6", "?"]
    assert first[-2:] == ["0", "MB"]
    assert second[1:6] == ["6", "0", "0", "6", "?"]
    assert second[-1] == "?"
    assert total[:2] == ["in", "all"]
    assert total[2] == "12"
    assert total[-1] == "?"
    assert "2 tasks x 1 basis x 2 methods x 1 ablation x 1 error x 2 seeds" in printed
    assert "  neurons: layers 3 (0 to 2), 40 units each, mlp_post\n" in printed
    assert "  neurons: layers ?, ? units each, mlp_post\n" in printed
    assert "no cell of these settings is done in the folder; --time-one computes one and multiplies" in printed


def test_the_command_times_one_cell_on_request(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [f"--{name.replace('_', '-')}={value}" for name, value in asked.items() if name != "seed"]
    monkeypatch.setattr(sys, "argv", ["basisbench", "run", *options, "--dry-run", "--time-one"])
    assert cli.command() == 0
    printed, _ = capsys.readouterr()
    kept, _, row, *_ = printed.splitlines()
    assert kept.startswith("computed and kept: words__mlp_out__atp__")
    assert row.split()[1:6] == ["4", "1", "0", "3", "0.00"]
    assert "of one process, from 1 computed cell (cpu, " in printed
    assert "0 of the 3 left have one of their method and basis among them" in printed
    monkeypatch.setattr(sys, "argv", ["basisbench", "run", *options, "--time-one"])
    assert cli.command() == 2
    assert "--time-one times one cell for a plan: valid with --dry-run" in capsys.readouterr().err


def test_amounts_are_short() -> None:
    assert [hours(s) for s in (40, 7200, 36_000_000)] == ["0.01", "2.0", "10,000"]
    assert [size(Bytes(n)) for n in (0, 5_000, 3_400_000, 2_500_000_000)] == ["0 MB", "0.01 MB", "3 MB", "2.5 GB"]
    assert [size(Bytes(n, all=False)) for n in (0, 3_400_000)] == ["?", "3 MB+"]
