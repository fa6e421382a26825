"""What statistics, forms and ranks do by themselves, each against a calculation by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest

from basisbench.errors import UserError
from basisbench.measures.forms import CHANCE, COUNT, MEBIBYTES, RATIO, SHARE
from basisbench.measures.metrics import METRICS, reported_metrics, scoring_metric, scoring_metrics
from basisbench.measures.ranks import places
from basisbench.measures.statistic import HEADLINE, SIZE, STATISTICS, Statistic, board_statistic, board_statistics
from basisbench.registry import Records
from basisbench.results.schema import Interval


def test_every_statistic_says_what_it_is() -> None:
    assert len({statistic.name for statistic in STATISTICS}) == 7
    for statistic in STATISTICS:
        assert statistic.title
        assert statistic.about.endswith(".")
        assert statistic.identifier.isidentifier()
        # an average of ratios is taken where they are differences
        assert statistic.logarithmic == (statistic.form is COUNT)
    assert [statistic.name for statistic in STATISTICS if statistic.better == "lower"] == [
        *("nodes@0.5", "nodes@0.8", "nodes@0.9", "cmd")
    ]
    assert [statistic.name for statistic in board_statistics()] == ["auc_f", "auc_c", "nodes@0.8"]
    assert board_statistic(SIZE).threshold == 0.8
    assert board_statistic(HEADLINE).name == "auc_f"
    with pytest.raises(UserError, match=r"unknown statistic 'cpr': .*valid: auc_c, auc_f, nodes@0\.8"):
        board_statistic("cpr")


def test_averages_are_taken_on_the_scale_of_the_statistic() -> None:
    values = np.array([10.0, 1000.0, 10_000.0])
    size, area = STATISTICS.get("nodes@0.8"), STATISTICS.get("auc_f")
    assert size.unscaled(float(size.averaged(size.scaled(values)))) == pytest.approx(10 ** (8 / 3))
    assert area.unscaled(float(area.averaged(area.scaled(values)))) == pytest.approx(11_010 / 3)
    median = Statistic("m", "m", "m.", lambda weighed: weighed.effect, average="median")
    assert median.averaged(values) == 1000
    assert size.unscaled(2.0) == 100.0  # a count comes back whole
    assert (size.unscaled(None), area.unscaled(None)) == (None, None)
    assert (size.sign, area.sign) == (-1.0, 1.0)
    assert (size.direction, area.direction, STATISTICS.get("cmd").direction) == ("fewer", "more", "less")
    assert size.identifier == "nodes_at_08"


def test_the_metrics_are_those_that_they_were() -> None:
    assert [metric.name for metric in scoring_metrics()] == [
        *("logit_difference", "log_probability", "probability_difference")
    ]
    assert [metric.name for metric in reported_metrics()] == [
        *("accuracy", "candidate_accuracy", "probability_difference", "kl")
    ]
    assert all(metric.axis and metric.heading for metric in METRICS)
    with pytest.raises(UserError, match="unknown metric 'kl': valid: log_probability, "):
        scoring_metric("kl")


def test_numbers_are_written_in_their_form() -> None:
    interval = Interval(value=-0.001, low=None, high=1.0)
    assert SHARE.interval(interval) == "0.00 [-, 1.00]"
    assert COUNT.interval(Interval(value=1234.0, low=7.0, high=20_000.0), whole=20_000) == "1.23k [7, all]"
    assert STATISTICS.get("auc_f").text(Interval(value=1.0, low=1.0, high=1.0), whole=1) == "1.00 [1.00, 1.00]"
    assert [RATIO.write(ratio) for ratio in (0.5, 1.236, 99.9, 100, 12_345)] == [
        "0.500",
        "1.24",
        "99.9",
        "100",
        "12.3k",
    ]
    assert [CHANCE.write(p) for p in (0.0161, 0.5, 0.0004)] == ["0.016", "0.5", "4e-04"]
    assert MEBIBYTES.write(3 * 2**30) == "3,072"


def test_intervals_are_turned_and_mapped() -> None:
    interval = Interval(value=1.0, low=-1.0, high=2.0)
    assert interval.turned == Interval(value=-1.0, low=-2.0, high=1.0)
    assert interval.mapped(lambda x: 10**x) == Interval(value=10.0, low=0.1, high=100.0)
    assert Interval(value=None, low=None, high=0.0).turned == Interval(value=None, low=0.0, high=None)


def test_records_of_other_packages_are_met_after_the_built_in_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (tmp_path / "theirs.py").write_text(
        "from basisbench.measures import Statistic\n"
        "BEST = Statistic('best', 'Best', 'The best.', lambda weighed: weighed.faithfulness.max(axis=0))\n"
        "NAMELESS = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def theirs(value: str) -> Records[Statistic]:
        (info / "entry_points.txt").write_text(f"[basisbench.statistics]\nbest = {value}\n")
        return Records("statistic", "basisbench.statistics", STATISTICS.own)

    found = theirs("theirs:BEST")
    assert found.names == (*STATISTICS.names, "best")
    assert found.get("best").title == "Best"
    for value, words in (("theirs:WORST", "has no attribute 'WORST'"), ("theirs:NAMELESS", "has no attribute 'name'")):
        with pytest.raises(UserError, match=f"statistic 'best' from {value} failed to load: .*{words}"):
            assert theirs(value).names
    (tmp_path / "theirs.py").write_text("from basisbench.measures.statistics.areas import AUC_F\n")
    monkeypatch.delitem(sys.modules, "theirs")
    with pytest.raises(UserError, match="statistic 'auc_f' is registered twice"):
        assert theirs("theirs:AUC_F").names


def test_ranks_count_what_is_smaller() -> None:
    values = np.random.default_rng(0).integers(0, 4, (6, 5)).astype(np.float64)
    least, shared = places(values, ties="min"), places(values)
    for row, column in np.ndindex(values.shape):
        others = values[:, column]
        smaller, equal = (others < values[row, column]).sum(), (others == values[row, column]).sum()
        assert least[row, column] == 1 + smaller
        assert shared[row, column] == smaller + (1 + equal) / 2
