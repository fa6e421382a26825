"""The leaderboard's files and words: what is read, what is refused, what is printed in every format."""

import csv
import io
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from basisbench import cli
from basisbench.errors import UserError
from basisbench.leaderboard import Leaderboard, from_json, to_json
from basisbench.leaderboard.formats import FORMATS, comma_separated, latex, markdown
from basisbench.leaderboard.terminal import terminal
from toys.board import PAIRS, TASKS, board_of, toy_curve, write_board, write_cell

Command = Callable[..., tuple[int, str, str]]
EIGHT = tuple(f"task{i}" for i in range(8))
HOSTILE = "=a|b_*[x](http://x.y)<script>&%$#{}~^\\`\u202ey"


# -- files ---------------------------------------------------------------------------------------------


def test_copies_count_once(tmp_path: Path) -> None:
    write_board(tmp_path / "a", {"neurons": 0.15, "sae": 0.28})
    write_board(tmp_path / "b", {"neurons": 0.15})
    path = write_cell(tmp_path / "b" / "inner", "sae", 0.28)
    for suffix in (".json", ".safetensors"):
        path.with_suffix(suffix).rename(path.with_name(f"a__renamed__copy__0{suffix}"))
    board = board_of(tmp_path / "a", tmp_path / "b")
    assert board.n_results == 4
    assert board.notes == board.problems == ()
    assert board.rows == board_of(tmp_path / "a").rows
    write_cell(tmp_path / "b", "neurons", 0.2)
    (note,) = board_of(tmp_path / "a", tmp_path / "b").notes
    assert "has other numbers than" in note
    assert note.endswith("which counts")


def test_bad_files_are_named_and_skipped(tmp_path: Path) -> None:
    write_board(tmp_path / "a", {"neurons": 0.15, "sae": 0.28})
    expected = board_of(tmp_path / "a").rows
    truncated, torn, foreign = (write_cell(tmp_path / "b", name) for name in ("mlp_out", "resid", "attn"))
    truncated.write_text(truncated.read_text()[:100])
    torn.with_suffix(".safetensors").write_bytes(b"short")
    foreign.with_suffix(".safetensors").unlink()
    (tmp_path / "b" / "manifest.json").write_text("{}")
    board = board_of(tmp_path / "a", tmp_path / "b")
    assert board.rows == expected
    assert len(board.problems) == 3
    for path, problem in zip(sorted([truncated, torn, foreign]), board.problems, strict=True):
        assert path.stem in problem
        assert "\n" not in problem


def test_a_good_copy_stands_in_for_a_bad_one(tmp_path: Path) -> None:
    bad = write_cell(tmp_path / "a", "sae")
    bad.write_text("{}")
    write_cell(tmp_path / "b", "sae")
    board = board_of(tmp_path / "a", tmp_path / "b")
    assert board.n_results == 1
    assert len(board.problems) == 1


def test_arrays_of_other_sizes_are_refused(tmp_path: Path) -> None:
    path = write_cell(tmp_path, "sae")
    path.write_text(path.read_text().replace("1000\n", "1001\n"))
    with pytest.raises(UserError, match=r"no valid result in .*field curve\.size differs"):
        board_of(tmp_path)


def test_a_metric_that_nothing_is_scored_by_is_refused(tmp_path: Path) -> None:
    write_board(tmp_path, {"neurons": 0.15})
    path = write_cell(tmp_path, "sae")
    path.write_text(path.read_text().replace('"metric": "logit_difference"', '"metric": "kl"'))
    board = board_of(tmp_path)
    assert [row.basis for row in board.rows] == ["neurons"]
    assert [problem for problem in board.problems if "unknown metric 'kl'" in problem]


def test_too_many_pairs_for_the_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cell(tmp_path, "sae")
    monkeypatch.setattr("basisbench.leaderboard.cells.MAX_PAIRS", PAIRS - 1)
    with pytest.raises(UserError, match="12 evaluation pairs"):
        board_of(tmp_path)


def test_results_computed_in_batches_are_those_computed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_board(tmp_path, {"neurons": 0.15, "sae": 0.28, "mlp_out": 0.1}, method="atp")
    write_cell(tmp_path, "bad").write_text("{")
    one = board_of(tmp_path)
    monkeypatch.setattr("basisbench.leaderboard.cells.BATCH", 1)
    monkeypatch.setattr("basisbench.leaderboard.cells.AHEAD", 1)
    assert board_of(tmp_path) == one


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "auc"}, "unknown statistic 'auc': did you mean 'auc_"),
        ({"tasks": ["iio"]}, "unknown task 'iio': did you mean 'ioi'"),
        ({"method": "rel"}, "unknown method 'rel': did you mean 'relp'"),
        ({"method": "random"}, "unknown method 'random'"),  # a control answers nothing
    ],
)
def test_unknown_names(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    write_board(tmp_path, {"sae": 0.2})
    write_board(tmp_path, {"sae": 0.2}, method="random")
    with pytest.raises(UserError, match=message):
        board_of(tmp_path, **options)


def test_folders_without_results(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no results in"):
        board_of(tmp_path)
    with pytest.raises(UserError, match="no folder"):
        board_of(tmp_path / "nowhere")


# -- the sentence --------------------------------------------------------------------------------------


def sentence(folder: Path, **options: Any) -> str:
    (found,) = board_of(folder, **options).headlines
    assert "\n" not in found.sentence
    return found.sentence


NUMBER = r"-?[0-9.]+k?"
INTERVAL = rf"{NUMBER} \[{NUMBER}, {NUMBER}\]"


def test_many_tasks_and_a_clear_winner(tmp_path: Path) -> None:
    write_board(tmp_path, {"neurons": 0.26, "sae": 0.2, "mlp_out": 0.1}, EIGHT)
    assert re.fullmatch(
        rf"Sparsest basis with relp: neurons, auc_f {INTERVAL}, {INTERVAL} above the next basis, sae; "
        r"Holm p = 0\.016 over 8 tasks\.",  # 2 / 2^8 for each of two comparisons
        sentence(tmp_path),
    )
    by_nodes = sentence(tmp_path, by="nodes@0.8")
    assert re.search(rf"neurons, nodes@0.8 {INTERVAL}, {INTERVAL} times fewer than the next basis, sae; ", by_nodes)
    value = float(by_nodes.split(" times")[0].split(", ")[-2].split(" ")[0])
    assert value > 1


def test_few_tasks_cannot_speak_for_others(tmp_path: Path) -> None:
    write_board(tmp_path, {"neurons": 0.26, "sae": 0.2})
    assert re.fullmatch(
        rf"Sparsest on these tasks with relp: neurons, auc_f {INTERVAL}, {INTERVAL} above the next basis, sae; "
        r"on other tasks one cannot tell neurons from sae, Holm p = 0\.5 over 2 tasks "
        r"\(with 2 tasks and 1 comparison it cannot be below 0\.5\)\.",
        sentence(tmp_path),
    )


def test_tasks_that_disagree_cannot_tell_of_others(tmp_path: Path) -> None:
    for number, task in enumerate(EIGHT):
        write_cell(tmp_path, "neurons", 0.26 if number < 6 else 0.16, task=task)
        write_cell(tmp_path, "sae", 0.2, task=task)
    (found,) = board_of(tmp_path).headlines
    assert found.verdict == "on these tasks"
    assert "one cannot tell neurons from sae" in found.sentence
    assert "cannot be below" not in found.sentence


def test_an_interval_around_zero_cannot_tell(tmp_path: Path) -> None:
    for number, task in enumerate(EIGHT):
        for basis in ("neurons", "sae"):
            write_cell(tmp_path, basis, curve=toy_curve(0.2, task=f"{basis}{number}", noise=1.0), task=task)
    found = sentence(tmp_path)
    assert re.fullmatch(
        rf"Cannot tell (neurons from sae|sae from neurons) with relp: auc_f {INTERVAL} and {INTERVAL}, "
        rf"{INTERVAL} apart; Holm p = {NUMBER} over 8 tasks\.",
        found,
    )
    assert sentence(tmp_path, by="nodes@0.8").startswith("Cannot tell ")


def test_equal_rows_cannot_be_told_apart(tmp_path: Path) -> None:
    write_board(tmp_path, {"neurons": 0.2, "sae": 0.2})
    assert sentence(tmp_path).startswith("Cannot tell neurons from sae with relp: ")


def test_one_basis_alone(tmp_path: Path) -> None:
    write_board(tmp_path, {"neurons": 0.2})
    assert re.fullmatch(
        rf"Only one basis, neurons, has all 2 tasks with relp: auc_f {INTERVAL}, and nothing to compare it with\.",
        sentence(tmp_path),
    )


def test_no_basis_has_all_tasks(tmp_path: Path) -> None:
    write_cell(tmp_path, "neurons", task="ioi")
    write_cell(tmp_path, "sae", task="sva/rc")
    assert sentence(tmp_path) == "No basis has usable results on all 2 tasks, so nothing can be compared."


def test_no_usable_result(tmp_path: Path) -> None:
    write_cell(tmp_path, "neurons", curve=toy_curve(0.2, effect=0.0))
    board = board_of(tmp_path)
    assert board.headline == "No basis has a usable result, so nothing can be compared."
    for form in FORMATS.values():
        assert form(board)


def test_only_controls(tmp_path: Path) -> None:
    write_board(tmp_path, {"neurons": 0.2, "rotated_neurons": 0.1}, method="random")
    assert sentence(tmp_path) == "No basis has usable results on all 2 tasks, so nothing can be compared."


def test_bases_are_compared_under_one_method(tmp_path: Path) -> None:
    write_board(tmp_path, {"neurons": 0.2, "sae": 0.1, "mlp_out": 0.05}, method="ig")
    write_board(tmp_path, {"neurons": 0.1, "sae": 0.2}, method="relp")
    assert "with ig: neurons, " in sentence(tmp_path)  # has most bases
    assert "with relp: sae, " in sentence(tmp_path, method="relp")
    write_board(tmp_path, {"mlp_out": 0.05}, method="relp")
    assert "with relp: sae, " in sentence(tmp_path)  # as many, and the usual one


# -- formats -------------------------------------------------------------------------------------------


@pytest.fixture
def full(tmp_path: Path) -> Leaderboard:
    """Rows ranked and not, seeds, a control, a degenerate cell."""
    for seed in (0, 1):
        write_board(tmp_path, {"neurons": 0.2 + 0.02 * seed, "sae": 0.26, "rotated_neurons": 0.05}, seed=seed)
    write_cell(tmp_path, "mlp_out")
    write_cell(tmp_path, "mlp_out", curve=toy_curve(0.2, effect=0.0), task="sva/rc")
    write_cell(tmp_path, "attn_out")
    return board_of(tmp_path)


@pytest.fixture
def hostile(tmp_path: Path) -> Leaderboard:
    write_board(tmp_path, {HOSTILE: 0.26, "sae": 0.2}, (HOSTILE, "ioi"), method=HOSTILE)
    return board_of(tmp_path)


def shown(board: Leaderboard, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(terminal(board, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_json_comes_back_whole(full: Leaderboard) -> None:
    assert from_json(to_json(full)) == full
    document = json.loads(to_json(full), parse_constant=lambda name: pytest.fail(name))
    assert full.rows[0].overall
    assert document["rows"][0]["overall"]["auc_f"]["value"] == full.rows[0].overall.auc_f.value
    assert document["rows"][0]["comparison"] is None


def test_csv_holds_every_number(full: Leaderboard) -> None:
    lines = list(csv.DictReader(io.StringIO(comma_separated(full))))
    assert len(lines) == len(full.rows) * (1 + len(TASKS))
    second = full.rows[1]
    (line,) = [line for line in lines if line["key"] == second.key and line["scope"] == "overall"]
    assert second.overall
    assert second.comparison
    assert float(line["auc_f"]) == second.overall.auc_f.value
    assert float(line["nodes@0.8_high"]) == second.overall.nodes_at_08.high
    assert float(line["auc_f_seed_sd"]) == second.overall.auc_f_sd
    assert float(line["difference_low"]) == second.comparison.difference.low
    assert float(line["holm"]) == second.comparison.holm
    assert line["reference"] == full.rows[0].key
    task = second.entries[1]
    (line,) = [line for line in lines if line["key"] == second.key and line["task"] == task.task]
    assert task.measures
    assert float(line["auc_c_low"]) == task.measures.auc_c.low
    assert line["seeds"] == "0 1"
    assert {line["status"] for line in lines if line["basis"] == "mlp_out"} == {"missing", "measured", "degenerate"}


def test_markdown_has_every_row_in_every_table(full: Leaderboard) -> None:
    text = markdown(full)
    assert text.startswith("**Sparsest on these tasks with relp: sae, ")
    assert [line for line in text.splitlines() if line.startswith("###")] == [
        "### Over all tasks",
        *(f"### {name} on each task" for name in ("auc\\_f", "auc\\_c", "nodes@0.8")),
        "### Nodes / distinct units without positions / error nodes, at nodes@0.8",
    ]
    for basis in ("sae", "neurons", "rotated\\_neurons", "mlp\\_out", "attn\\_out"):
        assert len(re.findall(rf"\| {re.escape(basis)} \|", text)) == 5
    assert "control" in text
    assert "not ranked; no: sva/rc" in text
    assert "not ranked; degenerate: sva/rc" in text
    assert "| seed sd |" in text
    (sizes,) = [line for line in text.splitlines()[-12:] if line.startswith("| sae ")]
    assert sizes.endswith("| 1k / 900 / 100 | 316 / 285 / 55 |")  # 100 with one of two seeds


def test_latex_is_booktabs(full: Leaderboard) -> None:
    text = latex(full)
    for command in ("toprule", "midrule", "bottomrule", "begin{tabular}", "end{tabular}", "end{table}"):
        assert text.count(f"\\{command}") == 2
    assert text.count("{") == text.count("}")
    assert "rotated\\_neurons & relp & 0." in text
    assert not re.search(r"(?<!\\)_", text)


@pytest.mark.parametrize("width", [60, 90, 120, 300])
def test_a_terminal_is_filled_and_not_overrun(full: Leaderboard, width: int) -> None:
    text = shown(full, width)
    assert max(map(len, text.splitlines())) <= width
    for basis in ("sae", "neurons", "rotated_neurons", "mlp_out", "attn_out"):
        assert re.search(rf"\b{basis} +relp", text)
    assert "0.26" not in full.headline or "Sparsest" in text
    assert ("too narrow for MiB" in text) == (width < 300)
    assert ("missing" in text) == (width > 60 or "too narrow for auc_f on each" not in text)


def test_names_break_no_markdown(hostile: Leaderboard) -> None:
    lines = markdown(hostile).splitlines()
    cells = {len(re.findall(r"(?<!\\)\|", line)) for line in lines if line.startswith("| ") and "sae" in line}
    headers = {len(re.findall(r"(?<!\\)\|", line)) for line in lines if line.startswith("| rank") or "| basis" in line}
    assert cells <= headers
    text = "\n".join(lines)
    assert r"=a\|b\_\*\[x\](http://x.y)\<script\>\&%\$\#\{\}\~^\\\`?y" in text
    assert not re.search(r"(?<!\\)(<script|\]\()", text)


def test_names_break_no_latex(hostile: Leaderboard) -> None:
    text = latex(hostile)
    assert (
        r"=a\textbar{}b\_*[x](http://x.y)\textless{}script\textgreater{}"
        r"\&\%\$\#\{\}\textasciitilde{}\textasciicircum{}\textbackslash{}`?y"
    ) in text
    (line,) = [
        line for line in latex(renamed(hostile, "[1em] x")).splitlines() if line.startswith("1 ") or "[1em]" in line
    ][:1]
    assert line.startswith("{}[1em] x & ")


def renamed(board: Leaderboard, basis: str) -> Leaderboard:
    first = replace(board.rows[0], basis=basis, method="rel", rank=None)
    return replace(board, rows=(first,), headlines=())


def test_names_are_no_formulas(hostile: Leaderboard) -> None:
    for line in csv.reader(io.StringIO(comma_separated(hostile))):
        for cell in line:
            assert not re.match(r"[=+@\t\r]|-(?![0-9.])", cell)
    assert any(line["basis"] == f"'{HOSTILE[:-2]}?y" for line in csv.DictReader(io.StringIO(comma_separated(hostile))))


@pytest.mark.parametrize("form", [*FORMATS.values(), lambda board: shown(board, 200)])
def test_no_format_prints_what_turns_lines_around(hostile: Leaderboard, form: Callable[[Leaderboard], str]) -> None:
    text = form(hostile)
    assert "script" in text
    assert all(character.isprintable() or character == "\n" for character in text)


# -- the command ---------------------------------------------------------------------------------------


@pytest.fixture
def run_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command in an empty folder; return exit status, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["basisbench", "leaderboard", *map(str, arguments)])
        capsys.readouterr()
        status = cli.command()
        return status, *capsys.readouterr()

    return call


def test_the_default_is_the_folder_runs(run_cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    write_board(Path("runs"), {"neurons": 0.2, "sae": 0.26})
    status, printed, errors = run_cli()
    assert (status, errors) == (0, "")
    assert printed.startswith("Sparsest on these tasks with relp: sae, ")
    assert re.search(r"^ *1 \[1, 1\] +sae +relp ", printed, re.MULTILINE)


def test_a_bad_file_costs_the_exit_status_and_no_table(run_cli: Command) -> None:
    write_board(Path("runs"), {"neurons": 0.2, "sae": 0.26})
    bad = write_cell(Path("runs"), "mlp_out")
    bad.write_text("{}")
    status, printed, errors = run_cli("--format", "md")
    assert status == 1
    assert printed.startswith("**Sparsest")
    (line,) = errors.splitlines()
    assert line.startswith(f"skipped: {bad} is not a valid result: ")


@pytest.mark.parametrize(("name", "begin"), [("b.md", "**"), ("b.csv", "key,"), ("b.tex", "% needs"), ("b.json", "{")])
def test_the_suffix_is_the_format(run_cli: Command, name: str, begin: str) -> None:
    write_board(Path("runs"), {"neurons": 0.2, "sae": 0.26})
    status, printed, _ = run_cli("--out", f"new/{name}")
    assert status == 0
    assert printed.splitlines()[-1] == f"leaderboard: new/{name}"
    assert Path("new", name).read_text().startswith(begin)
    # a board among the results is no result
    assert run_cli("--out", f"runs/{name}")[0] == run_cli()[0] == 0


def test_options_reach_the_board(run_cli: Command) -> None:
    write_board(Path("a"), {"neurons": 0.2, "sae": 0.26})
    write_board(Path("a"), {"neurons": 0.26, "sae": 0.2}, method="atp")
    _, printed, _ = run_cli("a", "--by", "nodes@0.8", "--tasks", "ioi", "--method", "atp", "--format", "json")
    board = from_json(printed)
    assert (board.by, board.tasks, board.headlines[0].method) == ("nodes@0.8", ("ioi",), "atp")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "no folder runs: valid is a folder of results, as `basisbench run` writes them"),
        (["--by", "auc"], "unknown statistic 'auc': did you mean 'auc_f'? valid: auc_c, auc_f, nodes@0.8"),
        (["--format", "html"], "unknown format 'html': valid: csv, json, latex, md, terminal"),
        (["--out", "x.pdf"], "cannot tell the format of x.pdf: valid: .md, .csv, .tex, .json, or say --format"),
        (["--out", "x.md", "--format", "terminal"], "a file has no format terminal: valid: md, csv, latex, json"),
    ],
)
def test_wrong_options_are_one_line(run_cli: Command, arguments: list[str], line: str) -> None:
    status, printed, errors = run_cli(*arguments)
    assert (status, printed, errors) == (2, "", f"basisbench: {line}\n")
