"""`basisbench figures`: numbers against independent calculations, files that last, names that cannot do harm."""

import csv
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image
from scipy import stats

from basisbench import cli
from basisbench.errors import UserError
from basisbench.figures import (
    FIGURES,
    LOOKS,
    WIDTHS,
    Comparison,
    LeftOutError,
    choose_style,
    compare,
    make_figures,
    make_look,
    read_folders,
)
from basisbench.figures.circuits import correlation_at, jaccard, nodes_of, overlap_at, shared_ranks
from basisbench.figures.panels import Drawing
from basisbench.figures.series import over_tasks
from basisbench.figures.style import drawn_in, short
from basisbench.measures.statistics import Band
from basisbench.results.files import RankingArrays
from basisbench.results.find import read_results
from basisbench.results.schema import Result
from toys.made import SIZES, made
from toys.models import one_line
from toys.results import write_toys

PAPER, SCREEN = choose_style("paper"), choose_style("screen")
Nodes = Sequence[tuple[int, int, int]]


def ranked(nodes: Nodes, scores: Sequence[float] | None = None) -> RankingArrays:
    """Return a ranking of (layer, position, unit), with falling scores unless `scores` are given."""
    layer, position, unit = (np.array(column, dtype=np.int32) for column in zip(*nodes, strict=True))
    score = np.array(scores if scores is not None else range(len(nodes), 0, -1), dtype=np.float32)
    return RankingArrays(layer, position, unit, score)


def drawn(name: str, comparison: Comparison, k: int = 100) -> Drawing:
    with drawn_in(SCREEN):
        return FIGURES[name](comparison, SCREEN, k)


def records(drawing: Drawing) -> list[dict[str, Any]]:
    return [dict(zip(drawing.header, row, strict=True)) for row in drawing.rows]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two tasks, two bases and two methods."""
    cells = [{"task": t, "basis": b, "method": m} for t in ("ioi", "sva/rc") for b in ("sae", "neurons") for m in "rs"]
    return write_toys(tmp_path_factory.mktemp("toys") / "runs", cells)


@pytest.fixture(scope="module")
def files(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All their figures in the style of papers."""
    out = tmp_path_factory.mktemp("paper")
    reading = read_folders([folder])
    report = make_figures(compare(reading.results, reading.ranking), out, style=PAPER, command="basisbench figures (a)")
    assert not report.left_out
    assert sorted(path.name for path in report.written) == sorted(
        f"{name}.{kind}" for name in FIGURES for kind in ("pdf", "svg", "png", "csv")
    )
    return out


# -- numbers -------------------------------------------------------------------------------------------


def test_the_table_of_curves_is_what_the_results_say(folder: Path, files: Path) -> None:
    rows = {(row["task"], row["basis"], row["method"], int(row["nodes"])): row for row in table(files / "curves.csv")}
    results = read_results(folder)
    ends = ("", "_low", "_high")
    for result in results:
        for name in ("faithfulness", "completeness"):
            for i, size in enumerate(result.curve.size):
                row = rows[result.cell.task, result.cell.basis, result.cell.method, size]
                assert [float(row[name + end]) for end in ends] == [
                    getattr(result.curve, name + end)[i] for end in ends
                ]
    for basis in ("sae", "neurons"):
        a, b = [r.curve for r in results if (r.cell.basis, r.cell.method) == (basis, "r")]
        for i, size in enumerate(a.size):
            row = rows["mean of 2 tasks", basis, "r", size]
            one, two, low, high = (a.faithfulness[i], b.faithfulness[i], a.faithfulness_low[i], b.faithfulness_low[i])
            assert None not in (one, two, low, high)
            assert float(row["faithfulness"]) == pytest.approx((one + two) / 2)  # type: ignore[operator]
            half = np.hypot(one - low, two - high) / 2  # type: ignore[operator]
            assert float(row["faithfulness"]) - float(row["faithfulness_low"]) == pytest.approx(half)
    assert len(rows) == (len(results) + 4) * len(results[0].curve.size)


def test_the_interval_of_a_mean_over_tasks_is_that_of_drawn_means() -> None:
    means, deviations = np.array([0.2, 0.9, 0.5]), np.array([0.05, 0.2, 0.1])
    reach = 1.959964 * deviations
    bands = [Band(np.array([m]), np.array([m - r]), np.array([m + r])) for m, r in zip(means, reach, strict=True)]
    drawn_means = np.random.default_rng(0).normal(means, deviations, (200_000, 3)).mean(1)
    mean = over_tasks(bands)
    low, high = np.quantile(drawn_means, [0.025, 0.975])
    assert [mean.value[0], mean.low[0], mean.high[0]] == pytest.approx([means.mean(), low, high], abs=2e-3)


def test_the_mean_over_tasks_has_only_what_every_task_has() -> None:
    results = [
        *(made((0.0, 0.2, 0.4, 0.6), task="a", seed=seed) for seed in (0, 1)),
        *(made((0.2, 0.4, 0.6, 0.8), task="b", seed=seed) for seed in (1, 2)),  # only seed 1 has both tasks
        made(task="a", basis="neurons"),
        made(task="b", basis="neurons", degenerate=True),
        made(task="a", basis="mlp_out"),
    ]
    rows = [row for row in records(drawn("curves", compare(results))) if row["task"].startswith("mean")]
    assert {row["basis"] for row in rows} == {"sae"}
    assert [row["faithfulness"] for row in rows] == pytest.approx([0.1, 0.3, 0.5, 0.7])
    assert rows[0]["spread"] == "95 % bootstrap interval of independent tasks"


def test_the_mean_over_tasks_of_several_seeds_has_the_range_of_the_seeds_means() -> None:
    values = {("a", 0): 0.1, ("a", 1): 0.5, ("b", 0): 0.9, ("b", 1): 0.3}
    results = [made((value,) * 4, task=task, seed=seed) for (task, seed), value in values.items()]
    rows = [row for row in records(drawn("curves", compare(results))) if row["task"] == "mean of 2 tasks"]
    found = [rows[0][f"faithfulness{end}"] for end in ("", "_low", "_high")]
    assert found == pytest.approx([0.45, 0.4, 0.5])  # of seed 0 the mean is 0.5, of seed 1 0.4
    assert rows[0]["spread"] == "lowest to highest of 2 seeds"


def test_nodes_are_the_summaries_and_all_is_said() -> None:
    results = [
        made(nodes=30, basis="sae"),
        made(nodes=46080, basis="neurons"),
        *(made(nodes=nodes, basis="mlp_out", seed=i) for i, nodes in enumerate((50, 46080, 20, 70))),
        made(basis="attn_out", degenerate=True),
    ]
    drawing = drawn("nodes", compare(results))
    found = {row["basis"]: row for row in records(drawing) if row["threshold"] == 0.8}
    assert found.keys() == {"sae", "neurons", "mlp_out"}
    assert [found["sae"][name] for name in ("nodes", "nodes_low", "nodes_high", "all")] == [30, 10, 46080, "false"]
    assert (found["neurons"]["nodes"], found["neurons"]["all"]) == (46080, "true")
    # the higher of the two middle seeds, and their range
    assert [found["mlp_out"][name] for name in ("nodes", "nodes_low", "nodes_high")] == [70, 20, 46080]
    axis = drawing.figure.axes[1]
    ends = {bar.get_facecolor()[:3]: bar for bar in axis.patches if isinstance(bar, Rectangle)}
    at = {name: bar for name, (colour, _) in LOOKS.items() if (bar := ends.get(mpl.colors.to_rgb(colour)))}
    assert at["sae"].get_x() + at["sae"].get_width() == pytest.approx(30)
    beyond = at["neurons"].get_x() + at["neurons"].get_width()
    assert beyond > SIZES[-1]
    assert (at["sae"].get_alpha(), at["neurons"].get_alpha()) == (None, 0.3)
    assert beyond in axis.get_xticks()
    assert axis.get_xticklabels()[list(axis.get_xticks()).index(beyond)].get_text() == "all"


# -- circuits ------------------------------------------------------------------------------------------

A = [(0, 1, 5), (0, 2, 5), (3, 1, -1), (2, 0, 7), (9, 9, 9)]
B = [(0, 4, 5), (3, 4, -1), (2, 0, 8), (1, 0, 1), (2, 0, 7)]


def planted(**rankings: Nodes) -> Callable[[Result], RankingArrays]:
    return lambda result: ranked(rankings[result.cell.task if result.cell.task in rankings else result.cell.method])


def test_overlap_across_tasks_counts_units_whatever_their_position() -> None:
    comparison = compare([made(task="a"), made(task="b")], planted(a=A, b=B))
    (row,) = records(drawn("overlap-tasks", comparison, k=4))
    # {(0, 5), (3, error), (2, 7)} and {(0, 5), (3, error), (2, 8), (1, 1)}
    assert (row["task_a"], row["task_b"], row["k"], row["seeds"]) == ("a", "b", 4, 1)
    assert row["jaccard"] == pytest.approx(2 / 5)


def test_overlap_across_methods_counts_nodes_with_their_position() -> None:
    comparison = compare([made(method="atp"), made(method="relp")], planted(atp=A, relp=B))
    (row,) = records(drawn("overlap-methods", comparison, k=5))
    assert (row["method_a"], row["method_b"]) == ("atp", "relp")
    assert row["jaccard"] == pytest.approx(1 / 9)  # (2, 0, 7) alone


def test_overlap_is_averaged_over_the_seeds_that_both_have() -> None:
    results = [made(task=task, seed=seed) for task, seed in (("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2))]
    sets: dict[tuple[str, int], Nodes] = {
        ("a", 0): A, ("b", 0): A, ("a", 1): [(0, 0, 1), (0, 0, 2)], ("b", 1): [(0, 0, 2), (0, 0, 3)], ("b", 2): A,
    }  # fmt: skip
    comparison = compare(results, lambda result: ranked(sets[result.cell.task, result.cell.seed]))
    (row,) = records(drawn("overlap-tasks", comparison))
    assert (row["jaccard"], row["jaccard_low"], row["jaccard_high"], row["seeds"]) == (
        pytest.approx((1 + 1 / 3) / 2),
        pytest.approx(1 / 3),
        1,
        2,
    )


def test_results_of_other_settings_are_never_compared() -> None:
    results = [made(task="a", ablation="mean"), made(task="b", ablation="zero")]
    with pytest.raises(LeftOutError, match="two tasks"):
        drawn("overlap-tasks", compare(results, planted(a=A, b=B)))


def test_nodes_without_a_score_are_in_no_circuit() -> None:
    assert nodes_of(ranked(A, [3, 2, 0, 0, -1])) == [A[0], A[1], A[4]]
    assert nodes_of(ranked([A[0], A[1], A[0]])) == A[:2]
    assert np.isnan(jaccard(set(), set()))


def test_agreement_is_that_of_sets_and_of_scipy() -> None:
    rng = np.random.default_rng(0)
    nodes = [(int(i), 0, int(j)) for i in range(6) for j in range(20)]
    a, b = ([nodes[i] for i in rng.permutation(len(nodes))[:100]] for _ in "ab")
    ranks = shared_ranks(a, b)
    for k in (1, 7, 50, 100):
        both = [node for node in a[:k] if node in b[:k]]
        assert overlap_at(ranks, k) == len(both) / k
        if len(both) >= 10:
            wanted = stats.spearmanr([a.index(node) for node in both], [b.index(node) for node in both]).statistic
            assert correlation_at(ranks, k) == pytest.approx(wanted)
        else:
            assert np.isnan(correlation_at(ranks, k))
    assert overlap_at(shared_ranks(a, a), 100) == 1
    assert correlation_at(shared_ranks(a, a), 100) == pytest.approx(1)


def test_methods_are_compared_with_exact_patching_up_to_what_it_patched() -> None:
    results = [made(method=method) for method in ("atp", "relp", "exact:3", "exact:2")]
    comparison = compare(results, lambda r: ranked(A, [5, 4, 3, 0, 0] if r.cell.method == "exact:3" else None))
    rows = records(drawn("agreement", comparison))
    assert {row["methods"] for row in rows} == {f"{method} and exact:3" for method in ("atp", "relp", "exact:2")}
    assert [row["k"] for row in rows if row["methods"].startswith("atp")] == [1, 2, 3]
    without = compare(results[:2], planted(atp=A, relp=B))
    rows = records(drawn("agreement", without))
    assert {row["methods"] for row in rows} == {"atp and relp"}
    assert [row["overlap"] for row in rows] == [0, 0, 0, 1 / 5]  # k = 1, 2, 3, 5


def test_profiles_count_the_first_nodes_by_layer_and_position() -> None:
    rows = records(drawn("profile", compare([made()], lambda _: ranked([*A, (7, 7, 7)], [6, 5, 0, 3, 2, 1])), k=4))
    share = {(row["by"], row["place"]): row["share"] for row in rows}
    # of (0, 1, 5), (0, 2, 5), (2, 0, 7), (9, 9, 9)
    assert {key: value for key, value in share.items() if value} == {
        ("layer", 0): 0.5, ("layer", 2): 0.25, ("layer", 9): 0.25,
        ("position", 0): 0.25, ("position", 1): 0.25, ("position", 2): 0.25, ("position", 9): 0.25,
    }  # fmt: skip
    assert len(share) == 20
    pooled = records(drawn("profile", compare([made()], lambda _: ranked([(0, -1, 3), (1, -1, 3)]))))
    assert [row["share"] for row in pooled if (row["by"], row["place"]) == ("position", -1)] == [1]


def test_a_profile_of_an_absurd_layer_is_left_out() -> None:
    with pytest.raises(LeftOutError, match="layer"):
        drawn("profile", compare([made()], lambda _: ranked([(2**31 - 1, 0, 0)])))


def timed(result: Result, seconds: float, device: str = "cpu") -> Result:
    timing = result.timing.model_copy(update={"seconds": {"attribution": seconds, "curve": 4.0}})
    environment = result.environment.model_copy(update={"device": device})
    return result.model_copy(update={"timing": timing, "environment": environment})


def test_costs_are_means_over_seeds_and_machines_stay_apart() -> None:
    results = [
        timed(made(basis="sae", seed=0), 2),
        timed(made(basis="sae", seed=1), 4),
        timed(made(basis="neurons"), 8),
    ]
    rows = {row["basis"]: row for row in records(drawn("cost", compare(results)))}
    assert [rows[basis]["attribution_seconds"] for basis in ("sae", "neurons")] == [3, 8]
    assert rows["neurons"]["auc_f_low"] == 0.25
    elsewhere = [*results, timed(made(basis="sae", seed=2), 100, "cuda")]
    drawing = drawn("cost", compare(elsewhere))
    assert sorted((row["machine"], row["attribution_seconds"]) for row in records(drawing)) == [
        ("cpu", 3), ("cpu", 8), ("cuda", 100),
    ]  # fmt: skip
    assert [axis.get_title("left") for axis in drawing.figure.axes] == ["ioi\ncpu", "ioi\ncuda"]


def test_costs_apart_by_orders_of_magnitude_have_ticks_that_can_be_read() -> None:
    results = [timed(made(basis=b, task=f"task{i}"), s) for i in range(4) for b, s in (("sae", 3e-4), ("neurons", 4e3))]
    narrow = choose_style("paper", "acl-column")
    with drawn_in(narrow):
        no_text_lies_on_another(FIGURES["cost"](compare(results), narrow, 100).figure)


# -- what is compared ----------------------------------------------------------------------------------


def test_only_seeds_are_averaged() -> None:
    results = [made(n_discovery=8), made(n_discovery=16), made(n_discovery=16, seed=1), made(grid=[*SIZES, 2000])]
    comparison = compare(results)
    assert sorted(len(series.results) for series in comparison.series) == [1, 1, 2]
    labels = [series.basis for series in comparison.series]
    assert len(set(labels)) == 3
    assert sum("n_discovery 16" in label for label in labels) == 1
    assert all("sizes" in series.basis for series in compare([made(), made(grid=[*SIZES, 2000], seed=1)]).series)
    other_rows = made().model_copy(update={"data": made().data.model_copy(update={"hash": "other rows"})})
    assert all("pairs" in series.basis for series in compare([made(), other_rows]).series)
    scored = [made(options={"scores_sha256": digest}, seed=seed) for digest, seed in (("a", 0), ("b", 1))]
    assert len(compare(scored).series) == 1  # a submitted ranking has a file a seed
    scored.append(made(options={"scores_sha256": "c"}))
    assert len(compare(scored).series) == 3
    assert len(compare([made(), made()]).series[0].results) == 1


def test_bases_that_are_not_known_are_told_apart() -> None:
    look = make_look([f"sae:{i}" for i in range(16)], [])
    assert len(set(look.bases.values())) == 16
    assert not set(look.bases.values()) & set(LOOKS.values())


def test_copies_count_once_and_bad_files_are_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    copy = sorted(folder.glob("*.json"))[0]
    (tmp_path / "b" / copy.name).write_bytes(copy.read_bytes())
    (tmp_path / "b" / "a__b__c__0.json").write_text("{")
    reading = read_folders([folder, tmp_path])
    assert [result.name for result in reading.results] == sorted(result.name for result in read_results(folder))
    (problem,) = reading.problems
    assert "a__b__c__0.json" in problem


# -- files ---------------------------------------------------------------------------------------------


def test_files_say_how_they_were_made(files: Path) -> None:
    for name in FIGURES:
        pdf = (files / f"{name}.pdf").read_bytes()
        assert rb"/Keywords (basisbench figures \(a\))" in pdf
        assert f"/Title ({name})".encode() in pdf
        assert b"CreationDate" not in pdf
        tree = ElementTree.parse(files / f"{name}.svg")
        elements = {element.tag.rpartition("}")[2]: element for element in tree.iter()}
        assert elements["source"].text == "basisbench figures (a)"
        assert "date" not in elements
        said = Image.open(files / f"{name}.png").info
        assert said["Source"] == "basisbench figures (a)"
        assert said["Description"].startswith("toy ")


def test_text_stays_text(files: Path) -> None:
    pdf = (files / "curves.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Subtype /Type3" not in pdf
    texts = [
        element.text for element in ElementTree.parse(files / "curves.svg").iter("{http://www.w3.org/2000/svg}text")
    ]
    assert {"faithfulness", "sva/rc", "nodes kept", "neurons"} <= set(texts)


@pytest.mark.parametrize("width", ["icml-column", "7.25"])
def test_figures_are_as_wide_as_the_column(width: str, folder: Path, tmp_path: Path) -> None:
    reading = read_folders([folder])
    comparison = compare(reading.results, reading.ranking)
    make_figures(comparison, tmp_path, style=choose_style("paper", width), only=["overlap-methods", "nodes"])
    for name in ("overlap-methods", "nodes"):
        box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ", (tmp_path / f"{name}.pdf").read_bytes())
        assert box is not None
        assert float(box[1]) == pytest.approx(72 * WIDTHS.get(width, 7.25))


def test_equal_results_give_equal_bytes(folder: Path, files: Path, tmp_path: Path) -> None:
    reading = read_folders([folder])
    backwards = compare(reversed(reading.results), reading.ranking)
    command = "basisbench figures (a)"
    report = make_figures(backwards, tmp_path, style=PAPER, only=["nodes", "overlap-tasks"], command=command)
    assert len(report.written) == 8
    for path in report.written:
        assert path.read_bytes() == (files / path.name).read_bytes()


@pytest.fixture
def tex() -> Iterator[None]:
    """Settings that a user may have in a file of their own."""
    with mpl.rc_context({"text.usetex": True, "text.parse_math": True, "pdf.fonttype": 3}):
        yield


@pytest.mark.usefixtures("tex")
def test_names_are_only_text(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    odd: dict[str, Any] = {
        "task": "$\\frac{x",
        "model": "\\input{/etc/passwd} </text><script>",
        "basis": "=cmd|'/c calc'!A0 任务",
    }
    results = [made(**odd, method=method) for method in ("@SUM(1)", "relp")]
    results.append(made(**odd | {"task": "b" * 400}, method="relp"))
    comparison = compare(results, lambda _: ranked(A))
    command = "basisbench figures 'a\x1b]0;x\x07\n<b>'"
    report = make_figures(
        comparison, tmp_path, style=PAPER, only=["curves", "overlap-tasks", "overlap-methods"], command=command
    )
    assert not report.left_out
    for path in report.written:
        if path.suffix == ".svg":
            assert not [e for e in ElementTree.parse(path).iter() if e.tag.rpartition("}")[2] in ("script", "b")]
            assert "$\\frac{x" in path.read_text()
        if path.suffix == ".csv":
            cells = [cell for row in table(path) for cell in row.values()]
            assert not [cell for cell in cells if cell.startswith(("=", "@"))]
    assert b"/Subtype /Type3" not in (tmp_path / "curves.pdf").read_bytes()
    assert "basisbench figures 'a?]0;x? <b>'" in str(Image.open(tmp_path / "curves.png").info["Source"])
    assert capfd.readouterr() == ("", "")


def test_huge_numbers_are_drawn_beyond_the_edge() -> None:
    figure = drawn("curves", compare([made((-1e300, 0.5, 1e300, 1.0))])).figure
    figure.canvas.draw()
    assert figure.axes[0].get_ylim() == (-0.25, 1.5)


def test_short_names_keep_both_ends() -> None:
    assert short("abcdefghij", 10) == "abcdefghij"
    assert short("abcdefghijk", 10) == "abcd…ghijk"
    assert len(short("x" * 400, 24)) == 24


# -- room ----------------------------------------------------------------------------------------------

TASKS = [f"family_{i}/a_task_of_usual_length" for i in range(16)]


def boxes(figure: Figure) -> list[tuple[str, NDArray[np.float64]]]:
    """Return the texts that are seen and the corners of each, in pixels."""
    figure.canvas.draw()
    beyond = set()  # matplotlib keeps, but does not draw, the names of ticks outside the limits
    for axis in [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]:
        low, high = sorted(axis.get_view_interval())
        beyond |= {tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high}
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text not in beyond]
    seen = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_visible() and text.get_text()]
    return [(text, np.array(box.extents)) for text, box in seen if box.width * box.height > 0]


@pytest.mark.parametrize(("style", "width"), [("paper", "acl-column"), ("screen", None)])
@pytest.mark.parametrize("name", ["curves", "nodes", "overlap-tasks", "overlap-methods"])
def test_names_of_sixteen_tasks_do_not_collide(name: str, style: str, width: str | None) -> None:
    chosen = choose_style(style, width)
    methods = ("atp",) if name in ("curves", "overlap-tasks") else ("atp", "relp")
    results = [
        made(task=task, basis=basis, method=m) for task in TASKS for basis in ("sae", "neurons") for m in methods
    ]
    with drawn_in(chosen):
        figure = FIGURES[name](compare(results, lambda _: ranked(A)), chosen, 100).figure
        texts = no_text_lies_on_another(figure)
    assert sum("family_" in text or "…" in text for text in texts) >= 16


def no_text_lies_on_another(figure: Figure) -> list[str]:
    """Check that texts are within the figure and apart, and return them."""
    texts = boxes(figure)
    width_in_pixels, height_in_pixels = figure.get_size_inches() * figure.dpi
    for text, (left, bottom, right, top) in texts:
        assert min(left, bottom) >= -1, text
        assert max(right - width_in_pixels, top - height_in_pixels) <= 1, text
    for (one, a), (two, b) in combinations(texts, 2):
        apart = a[2] <= b[0] + 1 or b[2] <= a[0] + 1 or a[3] <= b[1] + 1 or b[3] <= a[1] + 1
        assert apart, f"{one!r} lies on {two!r}"
    return [text for text, _ in texts]


# -- the command ---------------------------------------------------------------------------------------

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["/usr/bin/basisbench", *map(str, arguments)])
        capsys.readouterr()
        status = cli.command()
        return status, *capsys.readouterr()

    return call


def test_the_command_writes_what_it_names(run_cli: Command, folder: Path, tmp_path: Path) -> None:
    status, printed, errors = run_cli("figures", folder, "--only", "nodes", "--out", "my figures", "--bases", "sae")
    assert (status, errors) == (0, "")
    paths = [Path(line.partition(": ")[2]) for line in printed.splitlines()]
    assert [path.name for path in paths] == ["nodes.pdf", "nodes.svg", "nodes.png", "nodes.csv"]
    assert {row["basis"] for row in table(tmp_path / paths[-1])} == {"sae"}
    command = f"basisbench figures {folder} --only nodes --out 'my figures' --bases sae"
    assert Image.open(tmp_path / paths[2]).info["Source"] == command


def test_what_cannot_be_drawn_is_a_line_and_the_rest_is_drawn(run_cli: Command, folder: Path) -> None:
    status, printed, errors = run_cli("figures", folder, "--only", "agreement,nodes", "--methods", "r")
    assert status == 0
    assert errors == "left out: agreement: no task and basis has results of two methods\n"
    assert len(printed.splitlines()) == 4
    status, printed, errors = run_cli("figures", folder, "--only", "overlap-tasks", "--tasks", "ioi")
    assert (status, printed) == (1, "")
    assert errors == "left out: overlap-tasks: no basis and method has results on two tasks\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "curvs"], "unknown figure 'curvs': did you mean 'curves'?"),
        (["--style", "papre"], "unknown style 'papre': did you mean 'paper'?"),
        (["--width", "icml"], "unknown width 'icml': did you mean"),
        (["--width", "0.1"], "valid: 2 to 40"),
        (["--width", "nan"], "valid: 2 to 40"),
        (["-k", "0"], "valid is 1 or more"),
        (["--bases", "saes"], "unknown basis 'saes': did you mean 'sae'?"),
        (["--out", "there/taken"], "cannot write"),
    ],
)
def test_wrong_options_are_one_line(
    arguments: list[str], said: str, run_cli: Command, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "there").write_text("a file")
    status, _, errors = run_cli("figures", folder, "--only", "nodes", *arguments)
    assert status == 2
    (line,) = errors.splitlines()
    assert said in line


def test_no_results_are_one_line(run_cli: Command, tmp_path: Path) -> None:
    status, printed, errors = run_cli("figures", tmp_path)
    assert (status, printed) == (2, "")
    (line,) = errors.splitlines()
    assert "no results" in line
    (tmp_path / "a__b__c__0.json").write_text("{")
    assert "a__b__c__0.json is not a valid result" in run_cli("figures", tmp_path)[2]
    with pytest.raises(UserError) as error:
        compare([])
    assert "valid is one result or more" in one_line(error)


def test_a_changed_arrays_file_is_named(run_cli: Command, folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    damaged = sorted(tmp_path.glob("*.safetensors"))[0]
    damaged.write_bytes(b"")
    status, _, errors = run_cli("figures", tmp_path, "--only", "nodes,profile", "--out", "out")
    assert status == 2
    assert damaged.name in errors
    assert len(errors.splitlines()) == 1
    assert (tmp_path / "out" / "nodes.csv").exists()  # what needs no arrays is there
