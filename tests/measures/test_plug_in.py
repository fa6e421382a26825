"""A metric, a statistic, a board column and a figure that are defined here show up wherever such things are told."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from basisbench import cli
from basisbench.errors import UserError
from basisbench.figures import FIGURES, Comparison, Plot, Style, compare, make_figures, read_folders
from basisbench.figures.panels import Drawing
from basisbench.leaderboard import COLUMNS, Column, Leaderboard, Measured, Row, build_leaderboard, from_json
from basisbench.leaderboard.columns import mean
from basisbench.leaderboard.formats import FORMATS
from basisbench.leaderboard.terminal import terminal
from basisbench.measures import METRICS, STATISTICS, Metric, Statistic
from basisbench.measures.forms import COUNT
from basisbench.measures.statistics.nodes import nodes_at_threshold
from basisbench.pages.report import read_board_results, report_page
from basisbench.results.files import read_arrays, read_result, read_results
from basisbench.results.schema import Result
from basisbench.results.tables import markdown_table, result_detail
from basisbench.submissions.recompute import check_numbers, check_record
from basisbench.tracking.board import board_contents
from basisbench.tracking.contents import cell_contents
from toys.page import Page
from toys.results import TASKS, write_toys

CELLS: list[dict[str, Any]] = [
    {"task": task, "basis": basis} for task in TASKS for basis in ("sae", "neurons", "resid_post")
]
LEAD = Metric("lead", "answer above the next", lambda outcome: outcome.lead, short="ld", reported=True)
GAP = Statistic(
    "gap",
    "Mean gap",
    "The mean of |1 - f| over the measured sizes.",
    lambda weighed: np.abs(1 - weighed.faithfulness).mean(axis=0),
    better="lower",
    average="median",
    board=True,
)
NODES = nodes_at_threshold(0.6)
EARLY = Column(
    "early_errors",
    "early errors",
    measured=Measured(lambda result, curve, at: int(curve.error_nodes[4]), mean),
    form=COUNT,
    title="errors of 100",
    about="Error nodes among the first 100",
)


def _lost(row: Row, by: str) -> float | None:
    found = row.overall
    return found.statistics["auc_c"].value - found.statistics["auc_f"].value if found else None  # type: ignore[operator]


LOST = Column("lost", "lost", of_row=_lost)


def _draw(comparison: Comparison, style: Style, k: int) -> Drawing:
    rows = [(result.cell.basis, k, result.curve.error_nodes[-1]) for result in comparison.results]
    return Drawing(Figure(), "errors at the end", ("basis", "k", "errors"), [*rows])


ERRORS = Plot("errors", "error nodes of the largest circuit", "any result", _draw)


RARE = Statistic(  # defined where ten nodes keep a half
    "rare",
    "Rare",
    "What is not always defined.",
    lambda weighed: np.where(weighed.faithfulness[2] < 0.5, np.nan, weighed.faithfulness[2]),
    board=True,
)


@pytest.fixture
def plugged() -> Iterator[None]:
    """Everything defined above, registered; afterwards it is gone."""
    METRICS.add(LEAD)
    STATISTICS.add(GAP)
    STATISTICS.add(NODES)
    COLUMNS.add(EARLY)
    COLUMNS.add(LOST)
    FIGURES.add(ERRORS)
    yield
    METRICS.remove("lead")
    STATISTICS.remove("gap")
    STATISTICS.remove("nodes@0.6")
    COLUMNS.remove("early_errors")
    COLUMNS.remove("lost")
    FIGURES.remove("errors")


@pytest.fixture
def results(plugged: None, tmp_path: Path) -> list[Result]:
    return read_results(write_toys(tmp_path / "runs", CELLS))


@pytest.fixture
def board(results: list[Result], tmp_path: Path) -> Leaderboard:
    return build_leaderboard([tmp_path / "runs"], by="gap", n_resamples=200)


def gap(result: Result) -> float:
    return float(np.mean(np.abs(1 - np.array(result.curve.faithfulness, dtype=np.float64))))


def printed(thing: Any, width: int = 400) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(thing)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


# -- a result ------------------------------------------------------------------------------------------


def test_a_result_holds_the_metric_and_the_statistics(results: list[Result], tmp_path: Path) -> None:
    for result in results:
        curve, _ = read_arrays(tmp_path / "runs" / f"{result.name}.json", result)
        lead = result.curve.reported["lead"]
        assert lead.circuit == pytest.approx(curve.circuit.lead.mean(1).tolist())
        assert lead.complement == pytest.approx(curve.complement.lead.mean(1).tolist())
        found = result.summary["gap"]
        assert found.value == pytest.approx(gap(result))
        assert found.low is not None
        assert found.high is not None
        assert found.low < found.high
        f = np.array(result.curve.faithfulness, dtype=np.float64)
        stays = [size for i, size in enumerate(result.curve.size) if (f[i:] >= 0.6).all()]
        assert result.summary["nodes@0.6"].value == (stays[0] if stays else result.total_nodes)


def test_tables_of_results_show_them(results: list[Result]) -> None:
    text = printed(result_detail(results[0]))
    assert "ld: answer above the next" in text
    assert "ld but" in text
    assert f"gap           {gap(results[0]):.2f} [" in text
    assert "nodes@0.6" in text
    header = markdown_table(results).splitlines()[0]
    assert header == "| task | basis | method | nodes@0.8 | auc_f | auc_c | gap | F(full) | flags |"


def test_validation_computes_them_again(results: list[Result], tmp_path: Path) -> None:
    path = tmp_path / "runs" / f"{results[0].name}.json"
    curve, _ = read_arrays(path, results[0])
    assert check_numbers(results[0], curve).problems == ()
    document = json.loads(path.read_text())
    document["summary"]["gap"]["value"] -= 0.01
    document["curve"]["reported"]["lead"]["complement"][2] += 1.0
    path.write_text(json.dumps(document))
    first, second = (problem.words for problem in check_numbers(read_result(path), curve).problems)
    assert first.startswith("lead_complement at 10 is ")
    assert second.startswith("gap (value) is ")


# -- the board -----------------------------------------------------------------------------------------


def test_the_board_is_ordered_by_the_statistic_as_it_says(board: Leaderboard, results: list[Result]) -> None:
    of_basis = {basis: [gap(r) for r in results if r.cell.basis == basis] for basis in ("sae", "neurons", "resid_post")}
    medians = {basis: float(np.median(values)) for basis, values in of_basis.items()}
    assert [row.basis for row in board.rows] == sorted(medians, key=medians.__getitem__)
    assert board.rows[0].best
    for row in board.rows:
        assert row.overall
        assert row.overall.statistics["gap"].value == pytest.approx(medians[row.basis])
    (headline,) = board.headlines
    assert headline.comparison
    best, following, _ = sorted(medians.values())
    assert headline.comparison.difference.value == pytest.approx(best - following)
    assert f"gap {min(medians.values()):.2f} [" in headline.sentence
    assert "] below the next basis, neurons; " in headline.sentence


def test_a_statistic_that_is_not_defined_costs_its_own_rank_alone(tmp_path: Path) -> None:
    STATISTICS.add(RARE)
    try:
        folder = write_toys(tmp_path, CELLS)
        board = build_leaderboard([folder], by="rare", n_resamples=50)
        by_area = build_leaderboard([folder], n_resamples=50)
        texts = [form(board) for form in FORMATS.values()]
        f = {(r.cell.task, r.cell.basis): r.curve.faithfulness[2] or 0 for r in read_results(folder)}
    finally:
        STATISTICS.remove("rare")
    defined = [basis for basis in ("sae", "neurons", "resid_post") if min(f[t, basis] for t in TASKS) >= 0.5]
    assert defined == ["sae"]
    for row in board.rows:
        assert row.overall
        assert row.overall.statistics["auc_f"].value is not None
        assert (row.overall.statistics["rare"].value is not None) == (row.basis in defined)
        assert (row.rank is not None) == (row.basis in defined)
        assert row.note == ("" if row.basis in defined else "not ranked; rare is not defined")
    assert board.rows[0].basis == "sae"
    assert all(text for text in texts)
    assert all(row.rank for row in by_area.rows)


def test_spreads_over_seeds_are_of_the_average_as_it_is_taken(plugged: None, tmp_path: Path) -> None:
    folder = write_toys(tmp_path, [{"task": task, "seed": seed} for task in TASKS for seed in (0, 1, 2)])
    (row,) = build_leaderboard([folder], n_resamples=50).rows
    assert row.overall
    by_seed = [[gap(r) for r in read_results(folder) if r.cell.seed == seed] for seed in (0, 1, 2)]
    assert row.overall.spreads["gap"] == pytest.approx(np.std(np.median(by_seed, axis=1), ddof=1))
    for entry in row.entries:
        assert entry.measures
        values = [gap(r) for r in read_results(folder) if r.cell.task == entry.task]
        assert entry.measures.statistics["gap"].value == pytest.approx(np.median(values))
        assert entry.measures.spreads["gap"] == pytest.approx(np.std(values, ddof=1))


def test_every_format_of_the_board_shows_them(board: Leaderboard, results: list[Result]) -> None:
    first = board.rows[0]
    assert first.overall
    value = first.overall.statistics["gap"].value
    assert value is not None
    errors = np.mean([r.curve.error_nodes[4] for r in results if r.cell.basis == first.basis])
    assert first.overall.numbers["early_errors"] == errors == 10
    lost = _lost(first, "gap")
    for text in (printed(terminal(board, 400)), FORMATS["md"](board).replace("\\", ""), FORMATS["latex"](board)):
        for heading in ("gap", "early errors", "lost"):
            assert heading in text
        assert f"{value:.2f} [" in text
        assert f"{lost:.2f}" in text
    assert "### gap on each task" in FORMATS["md"](board)
    assert "Means over tasks (of nodes: geometric; of gap: medians)." in FORMATS["md"](board)
    line = next(csv.DictReader(io.StringIO(FORMATS["csv"](board))))
    assert [float(line[name]) for name in ("gap", "early_errors", "lost")] == pytest.approx([value, errors, lost])
    document = json.loads(FORMATS["json"](board))["rows"][0]
    assert document["overall"]["gap"]["value"] == value
    assert (document["overall"]["early_errors"], document["lost"]) == (errors, lost)
    assert from_json(FORMATS["json"](board)) == board


def test_a_narrow_terminal_does_without_them_first(board: Leaderboard) -> None:
    widths = {name: width for width in range(60, 400) for name in ("lost", "early errors", "MiB")
              if f"  {name}" not in printed(terminal(board, width), width).partition("too narrow")[0]}  # fmt: skip
    assert widths["lost"] >= widths["MiB"]
    assert widths["early errors"] >= widths["MiB"]


def test_the_report_shows_them(board: Leaderboard, results: list[Result], tmp_path: Path) -> None:
    html = report_page(read_board_results(board, [tmp_path / "runs"]), board, "A report")
    page = Page(html)
    data = page.data
    (told,) = [one for one in data["statistics"] if one["name"] == "gap"]
    assert (told["better"], told["form"], told["board"], told["about"]) == ("lower", "share", True, GAP.about)
    assert GAP.about in page.text
    assert {"name": "lead", "heading": "ld", "axis": "answer above the next", "form": "share"} in data["metrics"]
    assert {"gap", "nodes@0.6", "lead", "lead_complement"} < data["columns"].keys()
    titles = {column["name"]: column["title"] for column in data["board"]["columns"]}
    assert (titles["early_errors"], titles["lost"], titles["gap"]) == ("errors of 100", "lost", "overall gap")
    row = data["board"]["rows"][0]
    assert row["values"]["early_errors"] == 10
    assert row["values"]["lost"] == pytest.approx(_lost(board.rows[0], "gap"), rel=1e-4)
    assert row["overall"]["statistics"]["gap"] == row["values"]["gap"]


def test_wandb_is_told_of_them(results: list[Result], tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    cell = cell_contents(results[0], folder / f"{results[0].name}.json", "a board")
    assert cell.summary["gap"] == pytest.approx(gap(results[0]))
    assert {"nodes_at_06", "gap_low", "gap_high"} < cell.summary.keys()
    assert [point["curve/lead"] for point in cell.points] == results[0].curve.reported["lead"].circuit
    assert {"lead", "lead_complement"} < set(cell.tables["curve_table"].columns)
    board = board_contents(results, folder, "a board", "0" * 16, lambda line: pytest.fail(line))
    assert board.summary["gap"] == pytest.approx(np.median([gap(result) for result in results]))
    assert {"gap", "gap_low", "early_errors", "lost"} < set(board.tables["leaderboard"].columns)
    assert board.charts["comparison/gap"]["layout"]["title"] == {"text": "Mean gap (less is sparser)"}  # type: ignore[index,call-overload]


# -- figures -------------------------------------------------------------------------------------------

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command with arguments; return exit status, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["basisbench", *map(str, arguments)])
        capsys.readouterr()
        return cli.command(), *capsys.readouterr()

    return call


def test_the_command_draws_the_figure_alone(results: list[Result], tmp_path: Path, run_cli: Command) -> None:
    out = tmp_path / "figures"
    status, _, complaints = run_cli("figures", tmp_path / "runs", "--out", out, "--only", "errors", "--nodes", 7)
    assert (status, complaints) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == ["errors.csv", "errors.pdf", "errors.png", "errors.svg"]
    rows = list(csv.reader(io.StringIO((out / "errors.csv").read_text())))
    assert rows[0] == ["basis", "k", "errors"]
    assert rows[1] == ["neurons", "7", "100"]
    assert len(rows) == 1 + len(results)


def test_help_names_what_there_is(plugged: None, run_cli: Command) -> None:
    _, text, _ = run_cli("figures", "--help")
    assert "profile, errors" in " ".join(text.split())
    assert "errors: error nodes of the largest circuit (needs any result)" in text
    _, text, _ = run_cli("leaderboard", "--help")
    assert "auc_f, auc_c, nodes@0.8, gap" in " ".join(text.split())


def test_a_size_is_a_panel_of_the_figure_of_sizes(results: list[Result], tmp_path: Path) -> None:
    reading = read_folders([tmp_path / "runs"])
    make_figures(compare(reading.results, reading.ranking), tmp_path / "figures", only=["nodes"])
    rows = list(csv.DictReader(io.StringIO((tmp_path / "figures" / "nodes.csv").read_text())))
    assert {row["statistic"] for row in rows} == {"nodes@0.5", "nodes@0.6", "nodes@0.8", "nodes@0.9"}
    drawn = {(row["task"], row["basis"]): float(row["nodes"]) for row in rows if row["statistic"] == "nodes@0.6"}
    assert drawn == {(r.cell.task, r.cell.basis): r.summary["nodes@0.6"].value for r in results}


# -- and goes away again -------------------------------------------------------------------------------


def test_results_made_before_are_read_with_it(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder = write_toys(tmp_path / "runs", CELLS)
    request.getfixturevalue("plugged")
    results = read_results(folder)
    assert "gap" not in results[0].summary
    assert results[0].statistic("gap").value is None
    assert "gap           - [-, -]" in printed(result_detail(results[0]))
    board = build_leaderboard([folder], by="gap", n_resamples=50)  # computed anew from the arrays
    assert board.rows[0].overall
    assert board.rows[0].overall.statistics["gap"].value == pytest.approx(
        np.median([gap(result) for result in results if result.cell.basis == board.rows[0].basis])
    )
    page = Page(report_page(read_board_results(board, [folder]), board, "A report"))
    assert page.data["columns"]["gap"] == {"all": [None, None, None]}
    board_contents(results, folder, "a board", "0" * 16, lambda line: pytest.fail(line))
    reading = read_folders([folder])
    make_figures(compare(reading.results, reading.ranking), tmp_path / "figures", only=["nodes", "cost", "errors"])
    curve, _ = read_arrays(folder / f"{results[0].name}.json", results[0])
    assert check_numbers(results[0], curve).problems == ()
    warned = [problem for problem in check_record(results[0]).problems if "not reported" in problem.words]
    assert [(problem.verdict, problem.words) for problem in warned] == [
        ("warning", "not reported, as by a version that did not know them: lead, gap, nodes@0.6")
    ]


def test_results_made_with_it_are_refused_without_it(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("plugged")
    folder = write_toys(tmp_path, CELLS[:1])
    (path,) = folder.glob("*.json")
    assert read_result(path).summary["gap"].value is not None
    for records, name in ((METRICS, "lead"), (STATISTICS, "gap")):
        record = records.get(name)
        records.remove(name)
        with pytest.raises(UserError, match=f"unknown {records.kind} '{name}': valid: ") as error:
            read_result(path)
        assert "\n" not in str(error.value)
        records.add(record)  # type: ignore[arg-type]


def test_what_is_gone_is_nowhere() -> None:
    names = {*METRICS.names, *STATISTICS.names, *COLUMNS.names, *FIGURES.names}
    assert not names & {"lead", "gap", "nodes@0.6", "early_errors", "lost", "errors"}
    assert STATISTICS.names == ("auc_f", "auc_c", "nodes@0.5", "nodes@0.8", "nodes@0.9", "cpr", "cmd")


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="statistic 'auc_f' is registered twice"):
        STATISTICS.add(STATISTICS.get("auc_f"))
    with pytest.raises(UserError, match="unknown statistic 'auc-f': did you mean 'auc_f'"):
        STATISTICS.get("auc-f")
