"""The leaderboard's numbers: every one against a calculation made another way, or a planted answer."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from basisbench.leaderboard import Leaderboard, Row, TaskEntry
from basisbench.leaderboard.cells import draw_weights, statistics
from basisbench.leaderboard.formats import markdown
from basisbench.leaderboard.inference import DRAWN, MAX_EXACT, holm, ranks, sign_flip, smallest_p, standardised
from basisbench.measures.metrics import SCORING_METRICS, Floats, Outcome
from basisbench.measures.statistics import statistics_of, summarise
from basisbench.results.find import read_arrays, read_result
from toys.board import PAIRS, RESAMPLES, TASKS, board_of, toy_curve, write_board, write_cell


def row(board: Leaderboard, *words: str) -> Row:
    (found,) = [row for row in board.rows if set(words) <= set(row.label.split(", "))]
    return found


def entry(board: Leaderboard, basis: str, task: str) -> TaskEntry:
    (found,) = [entry for entry in row(board, basis).entries if entry.task == task]
    return found


# -- one cell ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", SCORING_METRICS)
def test_statistics_are_those_of_a_result(metric: str) -> None:
    curve = toy_curve(0.22, task="x", noise=0.4)
    weights = draw_weights("ioi", PAIRS, 50)
    expected = statistics_of(curve, weights, SCORING_METRICS[metric])
    auc_f, auc_c, nodes = statistics(curve, weights, metric)
    np.testing.assert_allclose(auc_f, expected["auc_f"], rtol=1e-12)
    np.testing.assert_allclose(auc_c, expected["auc_c"], rtol=1e-12)
    np.testing.assert_allclose(10**nodes, expected["nodes_at_08"], rtol=1e-12)
    assert len(np.unique(nodes)) > 1


def test_more_resamples_than_fit_at_once_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    curve, weights = toy_curve(0.22, task="x"), draw_weights("ioi", PAIRS, 50)
    whole = statistics(curve, weights, "logit_difference")
    monkeypatch.setattr("basisbench.leaderboard.cells.BLOCK", 7)
    np.testing.assert_allclose(statistics(curve, weights, "logit_difference"), whole, rtol=1e-12)


def test_resamples_are_the_tasks_own() -> None:
    weights = draw_weights("ioi", 6, 4000)
    assert np.array_equal(weights, draw_weights("ioi", 6, 4000))
    assert not np.array_equal(weights, draw_weights("sva/rc", 6, 4000))
    np.testing.assert_allclose(weights.sum(1), 1)
    assert weights[0].tolist() == [1 / 6] * 6
    # a pair is drawn 6 times with chance 1/6 each: variance 6 * 1/6 * 5/6
    np.testing.assert_allclose((6 * weights[1:]).var(0), 5 / 6, rtol=0.1)


def test_the_metric_of_a_cell_is_used(tmp_path: Path) -> None:
    path = write_cell(tmp_path, "sae", curve=toy_curve(0.2, noise=0.5), metric="probability_difference")
    curve, _ = read_arrays(path, read_result(path))
    expected = summarise(curve, metric=SCORING_METRICS["probability_difference"]).summary.auc_f.value
    found = entry(board_of(tmp_path), "sae", "ioi").measures
    assert found
    assert found.auc_f.value == pytest.approx(expected, rel=1e-12)
    assert found.auc_f.value != pytest.approx(summarise(curve).summary.auc_f.value, abs=1e-3)


# -- tests across tasks --------------------------------------------------------------------------------


def test_holm_by_hand() -> None:
    # in order 0.005 * 4, 0.01 * 3, 0.03 * 2, then 0.04 * 1, which may not be below the one before
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.6, 0.7])) == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("n_tasks", [1, 2, 5, 8])
def test_sign_flips_are_enumerated(n_tasks: int) -> None:
    differences = np.random.default_rng(n_tasks).normal(0.5, 1, (4, n_tasks))
    for difference, p in zip(differences, sign_flip(differences), strict=True):
        flips = [np.dot(signs, difference) for signs in itertools.product((1, -1), repeat=n_tasks)]
        assert p == np.mean([abs(flip) >= abs(difference.sum()) - 1e-12 for flip in flips])
        if n_tasks > 1:
            told = stats.permutation_test(
                [difference.tolist()], np.mean, permutation_type="samples", n_resamples=10**6, alternative="two-sided"
            )
            assert p == pytest.approx(told.pvalue)


def test_the_smallest_p() -> None:
    for n_tasks in (1, 4, 6, MAX_EXACT):
        assert sign_flip(np.ones((1, n_tasks)))[0] == smallest_p(n_tasks) == 2.0 ** (1 - n_tasks)
    assert sign_flip(np.ones((1, 30)))[0] == smallest_p(30) == 1 / (DRAWN + 1)
    assert sign_flip(np.zeros((1, 5)))[0] == 1


def test_drawn_flips_agree_with_the_normal_limit() -> None:
    difference = np.random.default_rng(0).normal(0.3, 1, (1, 40))
    z = difference.sum() / np.sqrt((difference**2).sum())
    assert sign_flip(difference)[0] == pytest.approx(2 * stats.norm.sf(abs(z)), rel=0.1)


def test_effect_size_by_hand() -> None:
    assert standardised(np.array([1.0, 2.0, 3.0])) == pytest.approx(2.0)
    assert standardised(np.array([1.0])) is None
    assert standardised(np.array([0.1, 0.1, 0.1])) is None


def test_ranks_are_counted_in_each_resample() -> None:
    point = np.array([0.5, 0.9, 0.5, 0.1])
    replicates = np.random.default_rng(0).normal(point[:, None], 0.2, (4, 400))
    for i, rank in enumerate(ranks(point, replicates)):
        assert rank.value == 1 + sum(point > point[i])
        counted = sorted(1 + sum(replicates[:, r] > replicates[i, r]) for r in range(400))
        assert (rank.low, rank.high) == (counted[10], counted[389])  # 2.5 and 97.5 % of 400


# -- rows and means ------------------------------------------------------------------------------------


def test_differences_are_paired_as_by_brute_force(tmp_path: Path) -> None:
    paths = {
        (basis, task): write_cell(tmp_path, basis, curve=toy_curve(quality, task=basis + task, noise=1.0), task=task)
        for (basis, quality), task in itertools.product({"sae": 0.24, "neurons": 0.18}.items(), TASKS)
    }

    def resample(basis: str, task: str, counts: Floats) -> Floats:
        path = paths[basis, task]
        curve, _ = read_arrays(path, read_result(path))
        drawn = np.repeat(np.arange(PAIRS), np.rint(counts * PAIRS).astype(int))
        full, empty, circuit, complement = (
            Outcome(*(part[..., drawn] for part in vars(outcome).values()))
            for outcome in (curve.full, curve.empty, curve.circuit, curve.complement)
        )
        taken = replace(curve, full=full, empty=empty, circuit=circuit, complement=complement)
        found = statistics_of(taken, np.full((1, PAIRS), 1 / PAIRS))
        return np.array([found["auc_f"][0], np.log10(found["nodes_at_08"][0])])

    differences = [
        np.mean([resample("neurons", task, w[task]) - resample("sae", task, w[task]) for task in TASKS], axis=0)
        for w in ({task: draw_weights(task, PAIRS, RESAMPLES)[1 + r] for task in TASKS} for r in range(RESAMPLES))
    ]
    found = row(board_of(tmp_path), "neurons").comparison
    assert found
    low, high = np.quantile(differences, [0.025, 0.975], axis=0)
    assert (found.difference.low, found.difference.high) == pytest.approx((low[0], high[0]))
    assert (found.node_ratio.low, found.node_ratio.high) == pytest.approx((10 ** low[1], 10 ** high[1]))
    assert low[0] < high[0]


def test_means_over_tasks_and_what_a_circuit_counts(tmp_path: Path) -> None:
    # f rises by 0.3 a decade: 0.8 is reached at 100; by 0.21 only at 1000
    write_cell(tmp_path, "sae", curve=toy_curve(0.3, noise=0), task="ioi", seconds=1)
    write_cell(tmp_path, "sae", curve=toy_curve(0.21, noise=0), task="sva/rc", seconds=3)
    board = board_of(tmp_path)
    first, second, overall = (
        entry(board, "sae", "ioi").measures,
        entry(board, "sae", "sva/rc").measures,
        row(board, "sae").overall,
    )
    assert first
    assert second
    assert overall
    assert [first.nodes_at_08.value, second.nodes_at_08.value] == pytest.approx([100, 1000])
    assert [first.units_at_08, first.errors_at_08] == [90, 10]
    assert overall.nodes_at_08.value == pytest.approx(10**2.5)
    assert overall.units_at_08 == pytest.approx((90 * 900) ** 0.5)
    assert overall.errors_at_08 == (10 + 100) / 2
    # areas by hand: decades of height 1, trapezoids between f at 1, 10, 100, 1000 and 20,000 cut at 10,000
    assert first.auc_f.value
    assert second.auc_f.value
    heights = [0.3, 0.6, 0.9, 1.0, 1.0]
    assert first.auc_f.value == pytest.approx(np.trapezoid(heights, dx=1) / 4)
    assert overall.auc_f.value == pytest.approx((first.auc_f.value + second.auc_f.value) / 2)
    assert (overall.seconds, overall.peak_memory_bytes, overall.cells) == (2.0, 3 * 2**20, 2)


def test_seconds_of_several_machines_are_left_out(tmp_path: Path) -> None:
    write_board(tmp_path, {"sae": 0.2, "neurons": 0.1})
    board = board_of(tmp_path)
    assert [row.overall and row.overall.seconds for row in board.rows] == [2.0, 2.0]
    assert "seconds" in markdown(board)
    write_board(tmp_path, {"mlp_out": 0.05}, device="cuda:0")
    board = board_of(tmp_path)
    every = [row.overall for row in board.rows] + [entry.measures for row in board.rows for entry in row.entries]
    assert len(every) == 3 * (1 + len(TASKS))
    assert all(found and found.seconds is None and found.peak_memory_bytes is None for found in every)
    assert board.notes == ("seconds and memory are left out: cells were computed on 2 machines (cpu, cuda:0)",)
    header = next(line for line in markdown(board).splitlines() if line.startswith("| rank"))
    assert "seconds" not in header
    assert "MiB" not in header


def test_a_circuit_that_never_suffices_has_no_units(tmp_path: Path) -> None:
    write_board(tmp_path, {"sae": 0.1})
    overall = row(board_of(tmp_path), "sae").overall
    assert overall
    assert overall.nodes_at_08.value == pytest.approx(20_000)
    assert (overall.unreached, overall.units_at_08, overall.errors_at_08) == (2, None, None)


def test_seeds_are_averaged_within_their_task_and_their_spread_stands_apart(tmp_path: Path) -> None:
    for seed, quality in enumerate((0.1, 0.2, 0.24)):
        write_cell(tmp_path, "sae", curve=toy_curve(quality, noise=0), task="ioi", seed=seed)
    write_cell(tmp_path, "sae", curve=toy_curve(0.15, noise=0), task="sva/rc")
    board = board_of(tmp_path)
    values = [summarise(toy_curve(q, noise=0)).summary.auc_f.value for q in (0.1, 0.2, 0.24, 0.15)]
    found, overall = entry(board, "sae", "ioi"), row(board, "sae").overall
    assert found.measures
    assert overall
    assert found.seeds == (0, 1, 2)
    assert found.measures.auc_f.value == pytest.approx(np.mean(values[:3]))
    assert found.measures.auc_f_sd == pytest.approx(np.std(values[:3], ddof=1))
    # no noise over pairs: the interval has no width, whatever the seeds do
    assert found.measures.auc_f.low == pytest.approx(found.measures.auc_f.high)
    assert overall.auc_f.value == pytest.approx((np.mean(values[:3]) + values[3]) / 2)
    assert overall.auc_f_sd is None  # one task has one seed
    write_cell(tmp_path, "sae", curve=toy_curve(0.15, noise=0), task="sva/rc", seed=1)
    write_cell(tmp_path, "sae", curve=toy_curve(0.18, noise=0), task="sva/rc", seed=2)
    overall = row(board_of(tmp_path), "sae").overall
    assert overall
    other = [*values[3:], *values[3:], summarise(toy_curve(0.18, noise=0)).summary.auc_f.value]
    assert overall.auc_f_sd == pytest.approx(np.std(np.add(values[:3], other) / 2, ddof=1))


def test_a_row_without_a_task_is_shown_and_not_ranked(tmp_path: Path) -> None:
    write_board(tmp_path, {"sae": 0.2, "neurons": 0.15})
    write_cell(tmp_path, "transcoder", 0.3)
    board = board_of(tmp_path)
    found = row(board, "transcoder")
    assert (found.rank, found.overall, found.comparison) == (None, None, None)
    assert found.note == "not ranked; no: sva/rc"
    assert [entry.status for entry in found.entries] == ["measured", "missing"]
    assert board.rows[-1] is found
    assert [r.basis for r in board.rows if r.best] == ["sae"]
    alone = board_of(tmp_path, tasks=["ioi"])
    assert [r.basis for r in alone.rows if r.best] == ["transcoder"]
    assert alone.tasks == ("ioi",)


def test_degenerate_cells_are_shown_and_not_averaged(tmp_path: Path) -> None:
    write_board(tmp_path, {"sae": 0.2, "neurons": 0.15})
    before = entry(board_of(tmp_path), "sae", "ioi").measures
    for basis in ("sae", "neurons"):
        write_cell(tmp_path, basis, curve=toy_curve(0.2, effect=0.0), seed=1)
    write_cell(tmp_path, "mlp_out", 0.2)
    write_cell(tmp_path, "mlp_out", curve=toy_curve(0.2, effect=0.0), task="sva/rc")
    board = board_of(tmp_path)
    found = entry(board, "sae", "ioi")
    assert (found.status, found.seeds, found.degenerate_seeds) == ("measured", (0,), (1,))
    assert found.measures == before
    assert entry(board, "mlp_out", "sva/rc").status == "degenerate"
    assert entry(board, "mlp_out", "sva/rc").measures is None
    assert row(board, "mlp_out").note == "not ranked; degenerate: sva/rc"
    assert row(board, "sae").rank


def test_a_task_that_is_degenerate_for_all_is_no_task_of_the_mean(tmp_path: Path) -> None:
    write_board(tmp_path, {"sae": 0.2, "neurons": 0.15})
    for basis in ("sae", "neurons"):
        write_cell(tmp_path, basis, curve=toy_curve(0.2, effect=0.0), task="void")
    board = board_of(tmp_path)
    assert board.tasks == ("ioi", "sva/rc", "void")
    assert row(board, "sae").rank
    assert board.headlines[0].comparison
    assert board.headlines[0].comparison.tasks == 2


def test_other_pairs_are_not_compared(tmp_path: Path) -> None:
    write_board(tmp_path, {"sae": 0.2, "neurons": 0.15})
    write_cell(tmp_path, "mlp_out", 0.3)
    write_cell(tmp_path, "mlp_out", 0.3, task="sva/rc", pairs="others")
    found = row(board_of(tmp_path), "mlp_out")
    assert (found.rank, found.comparison, found.best) == (None, None, False)
    assert found.note == "not ranked; other pairs or seeds than most: sva/rc"
    assert found.overall


# -- who is best ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["auc_f", "auc_c", "nodes@0.8"])
def test_a_planted_winner_wins(tmp_path: Path, by: str) -> None:
    write_board(tmp_path, {"neurons": 0.15, "sae": 0.28, "transcoder": 0.2})
    board = board_of(tmp_path, by=by)
    assert next((r.basis, r.best) for r in board.rows) == ("sae", True)
    values = [r.rank.value for r in board.rows if r.rank]
    assert values == [1, 2, 3]
    assert board.rows[0].comparison is None
    for other in board.rows[1:]:
        assert other.comparison
        assert other.comparison.reference == board.rows[0].key
        assert other.comparison.difference.value
        assert (other.comparison.difference.value > 0) == (by == "nodes@0.8")
        assert other.comparison.node_ratio.value
        assert other.comparison.node_ratio.value >= 1
        assert other.comparison.p == 0.5  # two tasks
        assert other.comparison.smallest_holm == 1.0


def test_a_control_is_never_the_best(tmp_path: Path) -> None:
    write_board(tmp_path, {"neurons": 0.15, "rotated_neurons": 0.3})
    write_board(tmp_path, {"sae": 0.29}, method="random")
    board = board_of(tmp_path)
    assert [(r.label, r.control, r.best) for r in board.rows] == [
        ("rotated_neurons, relp", True, False),
        ("sae, random", True, False),
        ("neurons, relp", False, True),
    ]
    assert board.headlines[0].best == board.rows[2].key
    assert "a control is ahead: rotated_neurons, relp; sae, random" in board.headline


def test_a_task_that_only_controls_have_is_no_task_of_the_mean(tmp_path: Path) -> None:
    write_board(tmp_path, {"neurons": 0.15, "rotated_neurons": 0.1})
    write_cell(tmp_path, "rotated_neurons", 0.1, task="other")
    board = board_of(tmp_path)
    assert [(r.basis, r.rank is not None) for r in board.rows] == [("neurons", True), ("rotated_neurons", True)]
    assert board.tasks == ("ioi", "other", "sva/rc")


def test_settings_that_differ_are_part_of_the_label(tmp_path: Path) -> None:
    write_board(tmp_path, {"neurons": 0.15, "sae": 0.2})
    write_board(tmp_path, {"sae": 0.25}, error="keep")
    board = board_of(tmp_path)
    assert [r.label for r in board.rows] == [
        "sae, relp, error keep",
        "sae, relp, error score",
        "neurons, relp, error score",
    ]
    assert row(board, "sae", "error keep").best  # of all rows
    # the sentence compares under equal settings, those that most bases have
    assert board.headlines[0].best == row(board, "sae", "error score").key
    assert "with relp, error score: " in board.headline
    assert "error" not in board.settings


def test_one_name_for_other_weights_is_another_row(tmp_path: Path) -> None:
    write_board(tmp_path, {"sae": 0.2}, options={"content": "first-0123456789"})
    write_board(tmp_path, {"sae": 0.25}, options={"content": "other-0123456789"})
    write_board(tmp_path, {"neurons": 0.15}, options={})
    labels = {r.label for r in board_of(tmp_path).rows}
    assert labels == {"sae, relp, content first-012345", "sae, relp, content other-012345", "neurons, relp"}
    assert len({r.key for r in board_of(tmp_path).rows}) == 3


def test_rankings_of_one_method_submitted_task_by_task_are_one_row(tmp_path: Path) -> None:
    for task in TASKS:
        write_cell(tmp_path, "neurons", method="mine", task=task, options={"scores_sha256": f"hash of {task}"})
    (found,) = board_of(tmp_path).rows
    assert found.label == "neurons, mine"
    assert found.overall


def test_other_weights_under_one_model_name_are_other_rows(tmp_path: Path) -> None:
    write_board(tmp_path, {"neurons": 0.15, "sae": 0.28})
    write_board(tmp_path, {"neurons": 0.25}, model_hash="o" * 16)
    board = board_of(tmp_path)
    assert {r.label for r in board.rows} == {
        f"neurons, relp, model_hash {'m' * 12}",
        f"neurons, relp, model_hash {'o' * 12}",
        f"sae, relp, model_hash {'m' * 12}",
    }
    assert f"with relp, model_hash {'m' * 12}: sae, " in board.headline


def test_models_are_questions_of_their_own(tmp_path: Path) -> None:
    write_board(tmp_path, {"neurons": 0.15, "sae": 0.28})
    write_board(tmp_path, {"neurons": 0.25, "sae": 0.12}, model="other", model_hash="o" * 16)
    board = board_of(tmp_path)
    assert [h.question.split(",")[0] for h in board.headlines] == ["model other", "model toy"]
    best = {r.model: r.basis for r in board.rows if r.best}
    assert best == {"other": "neurons", "toy": "sae"}
    for r in board.rows:
        assert r.comparison is None or r.comparison.comparisons == 1
