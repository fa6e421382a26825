"""The curves that a run ends with, and the tables: what is drawn and printed is what the results say."""

from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import colors
from matplotlib.figure import Figure
from matplotlib.image import imread
from rich.console import Console, RenderableType

from basisbench.errors import UserError
from basisbench.figures import LOOKS, draw_curves, plot_curves
from basisbench.results.tables import flags, markdown_table, result_detail, results_table
from basisbench.writing import compact
from toys.made import SIZES, made


def lines(figure: Figure, panel: int, basis: str) -> list[Any]:
    """Return the curves of `basis` in a panel, by its colour: [P, 2] each, x and y."""
    axis = figure.axes[panel]
    colour = colors.to_rgba(LOOKS[basis][0])
    drawn = [line for line in axis.lines if colors.to_rgba(line.get_color()) == colour]
    return [line.get_xydata() for line in drawn if line.get_linestyle() != "None"]


def text(renderable: RenderableType, width: int = 200) -> str:
    buffer = StringIO()
    Console(file=buffer, width=width).print(renderable)
    return buffer.getvalue()


def test_two_files_are_written_at_the_promised_resolution(tmp_path: Path) -> None:
    paths = plot_curves([made()], tmp_path / "new" / "curves.v2.png")
    assert [path.name for path in paths] == ["curves.v2.png", "curves.v2.svg"]
    assert paths[1].read_text().startswith("<?xml")
    height, width, _ = imread(paths[0]).shape
    figure = draw_curves([made()])
    assert (width, height) == pytest.approx(figure.get_size_inches() * 200, abs=1)
    assert [path.name for path in plot_curves([made()], tmp_path / "v1.5")] == ["v1.5.png", "v1.5.svg"]


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    results = [made(basis="sae"), made((0, 0.1, 0.5, 0.9), basis="neurons")]
    one, two = (plot_curves(results, tmp_path / name) for name in ("one", "two"))
    for first, second in zip(one, two, strict=True):
        assert first.read_bytes() == second.read_bytes()


def test_panels_hold_the_curves_of_their_task() -> None:
    results = [
        made(task="ioi", basis="sae"),
        made((0, 0.1, 0.5, 0.9), task="ioi", basis="neurons"),
        made((0, 0, 0.2, 0.3), task="greater-than", basis="sae"),
    ]
    figure = draw_curves(results)
    # Sorted tasks are columns, their mean is the last; faithfulness is above completeness.
    titles = [axis.get_title("left") for axis in figure.axes]
    assert titles == ["greater-than", "ioi", "mean of 2 tasks", "", "", ""]
    assert np.array_equal(lines(figure, 1, "sae")[0], np.transpose([SIZES, [0.1, 0.4, 0.8, 1.0]]))
    assert np.array_equal(lines(figure, 1, "neurons")[0], np.transpose([SIZES, [0, 0.1, 0.5, 0.9]]))
    assert np.allclose(lines(figure, 4, "neurons")[0], np.transpose([SIZES, [1, 0.9, 0.5, 0.1]]))
    assert lines(figure, 0, "neurons") == []
    assert np.allclose(lines(figure, 2, "sae")[0], np.transpose([SIZES, [0.05, 0.2, 0.5, 0.65]]))
    assert lines(figure, 2, "neurons") == []  # it has not been measured on every task
    assert all(axis.get_xscale() == "log" for axis in figure.axes)
    assert figure.get_suptitle() == "toy\nmean ablation, 40 evaluation pairs, 95 % bootstrap intervals"
    names = [entry.get_text() for entry in figure.legends[0].get_texts()]
    assert names == ["neurons", "sae"]


def test_bands_span_the_intervals() -> None:
    figure = draw_curves([made()])
    (band,) = figure.axes[0].collections
    points = np.asarray(band.get_paths()[0].vertices)
    for size, value in zip(SIZES, (0.1, 0.4, 0.8, 1.0), strict=True):
        at = points[np.isclose(points[:, 0], size), 1]
        assert (at.min(), at.max()) == pytest.approx((value - 0.1, value + 0.1))


def test_more_than_four_tasks_wrap_and_methods_get_a_line_style() -> None:
    results = [made(task=f"task{i}", method=method) for i in range(5) for method in ("ig", "relp")]
    figure = draw_curves(results)
    titles = [axis.get_title("left") for axis in figure.axes if axis.get_title("left")]
    assert titles == [*(f"task{i}" for i in range(5)), "mean of 5 tasks"]
    assert len(figure.axes) == 12
    assert len({axis.get_position().y0 for axis in figure.axes}) == 4  # two blocks of two rows
    styles = {line.get_linestyle() for line in figure.axes[0].lines if line.get_color() == LOOKS["sae"][0]}
    assert len(styles - {"None"}) == 2
    assert [entry.get_text() for entry in figure.legends[0].get_texts()] == ["sae", "ig", "relp"]


def test_results_that_differ_in_a_setting_do_not_share_a_panel_and_seeds_are_averaged() -> None:
    figure = draw_curves(
        [made(ablation="mean"), made((0.1, 0.2, 0.8, 1.0), ablation="zero"), made(ablation="zero", seed=1)]
    )
    assert [axis.get_title("left") for axis in figure.axes[:2]] == ["ioi\nablation mean", "ioi\nablation zero"]
    assert [len(lines(figure, panel, "sae")) for panel in (0, 1)] == [1, 1]
    assert np.allclose(lines(figure, 1, "sae")[0][:, 1], [0.1, 0.3, 0.8, 1.0])
    (band,) = figure.axes[1].collections
    points = np.asarray(band.get_paths()[0].vertices)
    at = points[np.isclose(points[:, 0], 10), 1]
    assert (at.min(), at.max()) == pytest.approx((0.2, 0.4))  # the seeds' range, not their intervals
    assert "the range of 2 seeds" in " ".join(figure.get_suptitle().split())


def test_values_beyond_the_edge_are_marked_there() -> None:
    figure = draw_curves([made((-9.0, 0.5, 7.0, 1.0))])
    axis = figure.axes[0]
    assert axis.get_ylim() == (-0.25, 1.5)
    marks = {line.get_marker(): np.asarray(line.get_xydata()).tolist() for line in axis.lines if not line.get_clip_on()}
    assert marks == {"v": [[1, -0.25]], "^": [[100, 1.5]]}


def test_degenerate_results_are_said_not_drawn() -> None:
    nothing = made((None,) * 4, nodes=None, degenerate=True, basis="neurons")
    figure = draw_curves([made(), nothing])
    (note,) = figure.axes[0].texts
    assert note.get_text().splitlines()[-1] == "neurons"
    assert lines(figure, 0, "neurons") == []
    assert len(lines(figure, 0, "sae")) == 1
    (note,) = draw_curves([nothing]).axes[0].texts
    assert "too near 0" in note.get_text()


def test_odd_names_are_only_text(tmp_path: Path) -> None:
    results = [made(basis="$\\frac{$", task="[bold]$x_{", method="a|b")]
    plot_curves(results, tmp_path / "odd")
    assert "[bold]$x_{" in text(results_table(results))
    assert "| a\\|b |" in markdown_table(results)


def test_no_results_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no results to plot"):
        plot_curves([], tmp_path / "none")


def test_rows_are_sorted_by_task_then_by_nodes() -> None:
    results = [
        made(task="b", basis="never", nodes=None),
        made(task="b", basis="many", nodes=46080),
        made(task="b", basis="few", nodes=7),
        made(task="a", basis="only", nodes=1200),
    ]
    rows = [line.split(" | ") for line in markdown_table(results).splitlines()[2:6]]
    assert [row[1] for row in rows] == ["only", "few", "many", "never"]
    assert [row[3] for row in rows] == ["1.2k [10, all]", "7 [10, all]", "all [10, all]", "- [10, all]"]
    assert rows[0][4:7] == ["0.50 [0.25, 0.75]", "- [-, -]", "3.00"]


def test_terminal_and_markdown_say_the_same() -> None:
    results = [made(), made(basis="neurons", nodes=2000, seed=1, degenerate=True)]
    printed = text(results_table(results)).split()
    for line in markdown_table(results).splitlines():
        if line and set(line) - set("|-: "):
            assert all(word in printed for word in line.replace("|", " ").split())
    assert "seed" in text(results_table(results)).splitlines()[1]  # a column, as the results differ in it


def test_flags_say_what_to_distrust() -> None:
    assert flags(made()) == []
    assert flags(made(degenerate=True, n=1)) == ["degenerate", "one pair, no interval"]
    assert flags(made().model_copy(update={"f_full": 0.4})) == ["F(full) < F(empty)"]


@pytest.mark.parametrize(
    ("count", "written"), [(1, "1"), (999, "999"), (1000, "1k"), (1234, "1.23k"), (46080, "46.1k"), (2.5e6, "2.5M")]
)
def test_counts_are_compact(count: float, written: str) -> None:
    assert compact(count) == written


def test_detail_shows_everything() -> None:
    shown = text(result_detail(made(options={"steps": 10})))
    for expected in ("'steps': 10", "40 used, 3 wrong answer", "nodes@0.8", "1,000", "torch", "2.0 s", "3 MiB"):
        assert expected in shown
    assert "0.80 [0.70, 0.90]" in shown
    assert "-0.00" not in shown
