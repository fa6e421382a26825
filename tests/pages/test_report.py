"""The report's file: what it holds, what it asks of the network (nothing), and what hostile names can do (nothing)."""

import base64
import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import JsonValue

from basisbench import cli
from basisbench.errors import UserError
from basisbench.figures import LOOKS
from basisbench.leaderboard import build_leaderboard
from basisbench.pages.html import dump
from basisbench.pages.report import read_board_results, report_page
from basisbench.pages.report.columns import cell_record, encode_columns
from basisbench.pages.report.page import DARK_PAPER, contrast, on_dark
from basisbench.results.files import COUNTS
from basisbench.results.schema import MetricRecord, Result
from basisbench.values import Numbers
from toys.page import Page
from toys.results import FULL, HOSTILE, write_toys


def page_of(folder: Path, title: str = "A report") -> str:
    board = build_leaderboard([folder], n_resamples=200)
    return report_page(read_board_results(board, [folder]), board, title)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toys(tmp_path_factory.mktemp("results"), FULL)


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return page_of(folder)


def decoded(columns: dict[str, Any], index: int) -> dict[str, Any]:
    """What data.js reads of the cell at `index`."""

    def value(column: dict[str, Any]) -> Any:
        if "all" in column:
            return column["all"]
        return column["each"][index] if "each" in column else column["values"][column["codes"][index]]

    return {name: value(column) for name, column in columns.items()}


@pytest.fixture(scope="module")
def results(folder: Path) -> list[Result]:
    return read_board_results(build_leaderboard([folder], n_resamples=50), [folder])


def test_the_data_say_what_the_results_say(html: str, results: list[Result]) -> None:
    columns = Page(html).data["columns"]
    assert Page(html).data["cells"] == len(results) == len(FULL)
    for index, result in enumerate(results):
        cell = decoded(columns, index)
        assert cell["name"] == result.name
        for name in ("model", "task", "basis", "method", "ablation", "seed", "options", "n_resamples"):
            assert cell[name] == getattr(result.cell, name)
        for name, numbers in result.curve.columns.items():
            for number, thousandths in zip(
                numbers, cell[name] if name not in COUNTS else [], strict=name not in COUNTS
            ):
                assert number is not None
                assert thousandths == pytest.approx(1000 * number, abs=0.5)
        assert cell["size"] == result.curve.size
        assert cell["auc_f"] == pytest.approx([*vars(result.summary["auc_f"]).values()], rel=1e-4)
        assert cell["nodes@0.8"] == pytest.approx([*vars(result.summary["nodes@0.8"]).values()], rel=1e-4)
        assert cell["evaluation"]["unusable"] == result.data.evaluation.unusable
        assert cell["environment"]["packages"] == result.environment.packages
        assert dict(zip(cell["phases"], cell["seconds"], strict=True)) == pytest.approx(result.timing.seconds, abs=0.01)


def test_the_leaderboard_is_the_board(folder: Path, html: str) -> None:
    page = Page(html)
    board = build_leaderboard([folder], n_resamples=200)
    rows = page.data["board"]["rows"]
    assert [(row["basis"], row["method"]) for row in rows] == [(row.basis, row.method) for row in board.rows]
    for drawn, row in zip(rows, board.rows, strict=True):
        for entry in row.entries:
            shown = drawn["entries"][entry.task]
            names = [decoded(page.data["columns"], index)["name"] for index in shown["cells"]]
            assert names == [*entry.results]
            assert (shown["scores"] is None) == (entry.measures is None)
            if entry.measures:
                auc_f = entry.measures.statistics["auc_f"].value
                assert shown["scores"]["statistics"]["auc_f"][0] == pytest.approx(auc_f, rel=1e-4)
    for headline in board.headlines:
        assert headline.sentence in page.text
    assert page.text.index(board.headlines[0].sentence) < page.text.index("Leaderboard", page.text.index("How to"))


def test_the_results_of_the_board_are_those_of_the_folder_each_once(folder: Path, results: list[Result]) -> None:
    assert sorted(result.name for result in results) == sorted(path.stem for path in folder.glob("*__*.json"))
    assert read_board_results(build_leaderboard([folder, folder], n_resamples=50), [folder, folder]) == results
    assert [result.cell.task for result in results] == sorted(result.cell.task for result in results)


def test_each_column_takes_its_shortest_form_and_reads_back() -> None:
    records: list[dict[str, JsonValue]] = [
        {"same": "x", "few": "long name " + "ab"[i % 2], "all differ": [i, None]} for i in range(50)
    ]
    columns = encode_columns(records)
    assert [next(iter(column)) for column in columns.values()] == ["all", "values", "each"]
    assert [decoded(columns, index) for index in range(50)] == records
    assert encode_columns([]) == {}


def test_one_and_true_are_not_taken_for_each_other() -> None:
    records = [{"value": value} for value in (1, True, 1.5, "1", None, False, 0)]
    columns = json.loads(dump({**encode_columns(records)}))
    read = [decoded(columns, index)["value"] for index in range(len(records))]
    assert [(type(value), value) for value in read] == [(type(r["value"]), r["value"]) for r in records]


def test_json_in_a_script_holds_nothing_that_html_reads() -> None:
    hostile: dict[str, JsonValue] = {
        "a": "</script><!--<script>",
        "b": "&lt;\u2028\u2029]]>",
        "c": ["<img src=x onerror=1>"],
    }
    text = dump(hostile)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == hostile


def test_the_policy_admits_this_style_and_this_script_only(html: str) -> None:
    page = Page(html)
    assert page.elements["script"] == 2
    assert page.elements["style"] == 1

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert page.policy.split("; ") == [
        "default-src 'none'",
        f"script-src {source(page.inside['script'])}",
        f"style-src {source(page.inside['style'])}",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_nothing_points_out_of_the_file(html: str) -> None:
    page = Page(html)
    for tag, name, value in page.attributes:
        assert name not in ("src", "srcset", "action", "formaction", "style", "background", "poster"), (tag, name)
        assert not name.startswith("on"), (tag, name)
        assert name != "href" or value.startswith("#"), (tag, value)
    assert not page.elements.keys() & {"link", "iframe", "object", "embed", "img", "base", "form"}
    # the name of SVG is an address that nobody asks
    assert set(re.findall(r"[a-z]+://[^\s\"'`]*", html)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"url\((?!#)|@import|\bfetch\(|XMLHttpRequest|WebSocket|innerHTML|insertAdjacent|\beval\(",
                         page.inside["style"] + page.inside["script"])  # fmt: skip


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    evil = '</title></script><script>alert(1)</script>{{data}}"'
    plain = Page(page_of(write_toys(tmp_path / "plain", [{}]), "A report"))
    html = page_of(write_toys(tmp_path / "evil", [dict.fromkeys(("basis", "method", "task", "model"), HOSTILE)]), evil)
    page = Page(html)
    assert page.elements == plain.elements
    assert page.inside["script"] == plain.inside["script"]
    assert page.policy == plain.policy
    assert evil in page.text
    assert HOSTILE in page.text  # the sentence names it
    assert decoded(page.data["columns"], 0)["basis"] == HOSTILE


def test_colours_are_those_of_the_figures_and_stand_out_on_dark(html: str, results: list[Result]) -> None:
    looks = Page(html).data["looks"]
    drawn = {result.cell.basis for result in results}
    assert list(looks) == [name for name in LOOKS if name in drawn]
    assert {name: (look["light"], look["marker"]) for name, look in looks.items()} == {n: LOOKS[n] for n in looks}
    dark = [on_dark(colour) for colour, _ in LOOKS.values()]
    assert min(contrast(colour, DARK_PAPER) for colour in dark) >= 3
    assert len(set(dark)) == len(dark)
    assert on_dark("#E69F00") == "#E69F00"
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)  # by definition
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.005)  # the usual example of just too little


def test_ten_thousand_cells_stay_a_file_that_opens(results: list[Result]) -> None:
    draw = np.random.default_rng(0)
    records = []
    for index in range(1000):
        cell = results[index % len(results)]

        def moved(values: Numbers) -> Numbers:
            return [None if value is None else value + draw.normal(0, 0.01) for value in values]

        bands = [name for name in type(cell.curve).model_fields if name.startswith(("faith", "complete"))]
        reported = {
            name: MetricRecord(circuit=moved(found.circuit), complement=moved(found.complement))
            for name, found in cell.curve.reported.items()
        }
        update = {name: moved(getattr(cell.curve, name)) for name in bands} | {"reported": reported}
        curve = cell.curve.model_copy(update=update)
        records.append(cell_record(cell.model_copy(update={"curve": curve})))
    assert len(dump({**encode_columns(records)})) / 1000 < 1600  # bytes a cell: 16 MB for 10,000


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command with arguments; return exit status, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["basisbench", *map(str, arguments)])
        return cli.command(), *capsys.readouterr()

    return call


def test_the_files_of_the_page_go_into_the_package() -> None:
    root = Path(__file__).parents[2]
    settings = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["basisbench.pages.report"]
    packed = {path for pattern in patterns for path in (root / "harness/pages/report").glob(pattern)}
    assert {
        path for path in (root / "harness/pages/report").iterdir() if path.suffix in (".html", ".css", ".js")
    } <= packed


def test_the_command_writes_the_page(folder: Path, tmp_path: Path, run_cli: Command) -> None:
    out = tmp_path / "new" / "page.html"
    status, said, complaints = run_cli("report", folder, "--out", out, "--title", "Ours")
    page = Page(out.read_text("utf-8"))
    assert (status, complaints) == (0, "")
    assert "Ours" in page.text
    assert said.splitlines()[0] in page.text
    assert f"report: {out} ({len(FULL)} cells" in said


def test_results_that_went_away_are_a_line(folder: Path, tmp_path: Path) -> None:
    board = build_leaderboard([folder], n_resamples=200)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="not there any more"):
        read_board_results(board, [tmp_path / "empty"])


def test_a_folder_that_is_not_there_is_a_line_and_the_old_page_stays(tmp_path: Path, run_cli: Command) -> None:
    out = tmp_path / "page.html"
    out.write_text("old", "utf-8")
    status, said, complaint = run_cli("report", tmp_path / "nowhere", "--out", out)
    assert (status, said) == (2, "")
    assert "nowhere" in complaint
    assert complaint.count("\n") == 1
    assert out.read_text("utf-8") == "old"
