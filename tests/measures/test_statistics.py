"""Statistics of a curve, against closed forms, plain loops and simulated coverage."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basisbench.errors import UserError
from basisbench.measures.clusters import apart
from basisbench.measures.curve import Curve
from basisbench.measures.metrics import METRICS, Outcome
from basisbench.measures.resampling import resampled
from basisbench.measures.summary import summarise

GRID = [a * 10**b for b in range(4) for a in (1, 2, 3, 5, 7)] + [10_000]


def outcome(difference: Any) -> Outcome:
    """Outcome [...] with this logit difference, and a third token beside answer and foil."""
    foil = np.full(np.shape(difference), 2.0)
    answer = foil + difference
    return Outcome(answer, foil, np.logaddexp(np.logaddexp(answer, foil), 1.0), answer - 1, foil**2)


def curve(
    f: Any,
    c: Any = 0.0,
    size: Any = tuple(GRID),
    total: int = 50_000,
    full: Any = (3.0, 1.0),
    empty: Any = 1.0,
) -> Curve:
    """Curve whose per-pair values are empty + f * (full - empty); `f` and `c` broadcast to [P, N]."""
    full = np.asarray(full, dtype=float)
    empty = np.broadcast_to(np.asarray(empty, dtype=float), full.shape)
    f, c = (np.asarray(values, dtype=float) for values in (f, c))
    f, c = (values[:, None] if values.ndim == 1 else values for values in (f, c))
    shape = (len(size), len(full))
    counts = np.asarray(size, dtype=np.int64)
    return Curve(
        counts,
        counts,
        np.zeros_like(counts),
        total,
        apart(len(full)),
        outcome(full),
        outcome(empty),
        outcome(np.broadcast_to(empty + f * (full - empty), shape)),
        outcome(np.broadcast_to(empty + c * (full - empty), shape)),
    )


def noisy(seed: int, n: int, effect: float = 3.0) -> Curve:
    rng = np.random.default_rng(seed)
    x = np.log10(GRID)[:, None] / 4
    full = rng.normal(effect, 1, n)
    empty = rng.normal(0, 0.3, n)
    f, c = (x + rng.normal(0, 0.15, (len(GRID), n)), 1 - x + rng.normal(0, 0.15, (len(GRID), n)))
    return curve(f, c, full=full, empty=empty)


def test_metrics_of_one_prompt_by_hand() -> None:
    three = Outcome(
        np.log([0.5, 0.25, 0.1]), np.log([0.125, 0.25, 0.3]), np.zeros(3), np.array([-1.0, 0, 2]), np.array([0, 1.0, 3])
    )
    values = {metric.name: metric.compute(three).tolist() for metric in METRICS}
    assert values["logit_difference"] == pytest.approx(np.log([4, 1, 1 / 3]))
    assert values["probability_difference"] == pytest.approx([0.375, 0, -0.2])
    assert values["accuracy"] == [1, 0.5, 0]
    assert values["log_probability"] == pytest.approx(np.log([0.5, 0.25, 0.1]))
    assert values["candidate_accuracy"] == [0, 0.5, 1]
    assert values["kl"] == [0, 1, 3]


def test_straight_line_in_log_size_has_area_one_half() -> None:
    x = np.log10(GRID) / 4
    summary = summarise(curve(x, 1 - x)).summary
    assert summary["auc_f"].value == pytest.approx(0.5)
    assert summary["auc_c"].value == pytest.approx(0.5)
    # f >= t from k = 10**(4t) on: 100, 1585, 3981.
    assert summary["nodes@0.5"].value == 100
    assert summary["nodes@0.8"].value == 2000
    assert summary["nodes@0.9"].value == 5000


def test_overshoot_and_undershoot_cost_as_much_as_shortfall() -> None:
    flat = [summarise(curve(np.full(len(GRID), f), np.full(len(GRID), c))).summary for f, c in
            ((0.75, 0.25), (1.25, -0.25), (3.0, 2.0), (-1.0, 1.0))]  # fmt: skip
    assert [s["auc_f"].value for s in flat] == pytest.approx([0.75, 0.75, 0, 0])
    assert [s["auc_c"].value for s in flat] == pytest.approx([0.75, 0.75, 0, 0])


def test_curve_is_held_at_everything_where_the_basis_is_small() -> None:
    # f = 0 at k = 1 and 10, then all 100 nodes: 0 on [0, 1], a ramp on [1, 2], 1 on [2, 4] in log10 k.
    summary = summarise(curve([0, 0], [1, 1], size=(1, 10), total=100)).summary
    assert summary["auc_f"].value == pytest.approx((0 + 0.5 + 2) / 4)
    assert summary["auc_c"].value == pytest.approx((0 + 0.5 + 2) / 4)
    assert summary["nodes@0.8"].value == 100


def test_sizes_above_the_axis_are_cut_at_its_end() -> None:
    # A ramp from f = 0 at k = 100 to f = 1 at k = 1e6, of which the axis shows the first half.
    summary = summarise(curve([0, 0, 1], size=(1, 100, 10**6), total=10**7)).summary
    assert summary["auc_f"].value == pytest.approx(2 * (0 + 0.5) / 2 / 4)


def test_what_lies_below_the_smallest_size_is_not_given_away() -> None:
    # The first measurement, f = 1 at k = 100, earns a ramp up to it, not the whole decade pair.
    summary = summarise(curve([1], [0], size=(100,), total=10**6)).summary
    assert summary["auc_f"].value == pytest.approx((1 + 2) / 4)
    assert summary["auc_c"].value == pytest.approx((1 + 2) / 4)


def test_linear_areas_by_hand() -> None:
    # (0, 0), (0.1, 0.5), (0.5, 1.5), (1, 1): the areas under f and under |1 - f|.
    summary = summarise(curve([0.5, 1.5], size=(10, 50), total=100)).summary
    assert summary["cpr"].value == pytest.approx(0.1 * 0.25 + 0.4 * 1.0 + 0.5 * 1.25)
    assert summary["cmd"].value == pytest.approx(0.1 * 0.75 + 0.4 * 0.5 + 0.5 * 0.25)


def test_nodes_at_a_threshold_wait_for_the_last_dip() -> None:
    summary = summarise(curve([0.95, 0.6, 0.85, 0.7, 0.92, 0.81], size=(1, 2, 3, 5, 7, 10), total=100)).summary
    assert summary["nodes@0.5"].value == 1
    assert summary["nodes@0.8"].value == 7
    assert summary["nodes@0.9"].value == 100


def test_faithfulness_is_a_ratio_of_means() -> None:
    # Effects 9 and 1, recovered to 1 and to 0: 9/10 of the mean effect, though a mean ratio of 1/2.
    statistics = summarise(curve([[1.0, 0.0]], [[0.0, 1.0]], size=(1,), full=(10.0, 2.0)))
    assert statistics.faithfulness.value == pytest.approx([0.9])
    assert statistics.completeness.value == pytest.approx([0.1])


def test_circuit_and_complement_keep_their_own_accuracy() -> None:
    statistics = summarise(curve([[1.0, 1.0, -1.0]], [[-1.0, 0.0, -1.0]], size=(1,), full=(2, 2, 2), empty=0))
    assert statistics.reported["accuracy"].circuit.value == pytest.approx([2 / 3])
    assert statistics.reported["accuracy"].complement.value == pytest.approx([0.5 / 3])
    # exp(2), exp(2) e^2 and e^1 for the third token (foil logit 2): p = (e^4 - e^2) / (e^4 + e^2 + e).
    up, down = ((np.exp(2 + d) - np.exp(2)) / (np.exp(2 + d) + np.exp(2) + np.e) for d in (2, -2))
    assert statistics.reported["probability_difference"].circuit.value == pytest.approx([(2 * up + down) / 3])
    assert statistics.reported["probability_difference"].complement.value == pytest.approx([2 * down / 3])


def take(c: Curve, index: Any) -> Curve:
    """Return the curve of the pairs at `index`, repeats included."""
    parts = (c.full, c.empty, c.circuit, c.complement)
    full, empty, circuit, complement = (
        Outcome(*(values[..., index] for values in vars(part).values())) for part in parts
    )
    return dataclasses.replace(c, full=full, empty=empty, circuit=circuit, complement=complement)


def test_intervals_equal_a_loop_over_resampled_curves() -> None:
    c, n_resamples = noisy(3, 12), 150
    got = summarise(c, seed=5, n_resamples=n_resamples)
    indices = np.random.default_rng(5).integers(0, c.n, (n_resamples, c.n))
    replicates = [summarise(take(c, row), n_resamples=2) for row in indices]  # only their points are used

    def ends(values: list[Any]) -> Any:
        return np.percentile(np.array(values), [2.5, 97.5], axis=0)

    full, empty, kept = (part.answer - part.foil for part in (c.full, c.empty, c.circuit))
    by_hand = [
        [np.mean(kept[p][row] - empty[row]) / np.mean(full[row] - empty[row]) for p in range(len(GRID))]
        for row in indices
    ]
    assert np.array([got.faithfulness.low, got.faithfulness.high]) == pytest.approx(ends(by_hand))

    for name in ("faithfulness", "completeness"):
        band = getattr(got, name)
        assert np.array([band.low, band.high]) == pytest.approx(ends([getattr(r, name).value for r in replicates]))
    assert {"accuracy", "kl", "candidate_accuracy"} < got.reported.keys()
    for name, found in got.reported.items():
        for part in ("circuit", "complement"):
            band = getattr(found, part)
            loop = ends([getattr(r.reported[name], part).value for r in replicates])
            assert np.array([band.low, band.high]) == pytest.approx(loop)
    for name in ("auc_f", "auc_c", "nodes@0.5", "nodes@0.8", "nodes@0.9", "cpr", "cmd"):
        estimate = got.summary[name]
        loop = ends([r.summary[name].value for r in replicates])
        assert [estimate.low, estimate.high] == pytest.approx(loop)
    assert [got.f_full.low, got.f_full.high] == pytest.approx(ends([r.f_full.value for r in replicates]))


def test_nothing_to_explain_is_flagged_and_never_divided_by() -> None:
    statistics = summarise(curve(0.5, full=(2.0, 2.0, 2.0), empty=2.0 - 1e-7, size=(1, 2)))
    assert statistics.degenerate
    assert np.isnan(statistics.faithfulness.value).all()
    assert np.isnan(statistics.completeness.high).all()
    assert len(statistics.summary) == 7
    assert all(np.isnan(dataclasses.astuple(estimate)).all() for estimate in statistics.summary.values())
    assert statistics.reported["accuracy"].circuit.value == pytest.approx([1, 1])  # no ratio


def test_an_effect_whose_interval_contains_zero_is_flagged_but_computed() -> None:
    # A fifth of the resamples draw -1 twice: no effect, though the circuit has one. That is a tail, not an inf.
    statistics = summarise(curve([[1.0, 1.0, 1.0, 0.0]], size=(1,), full=(1.0, 1.0, 1.0, -1.0), empty=0.0))
    assert statistics.degenerate
    assert statistics.faithfulness.value == pytest.approx([1.5])
    assert 1000 < statistics.faithfulness.high[0] < np.inf
    assert not summarise(noisy(0, 20)).degenerate


def test_one_pair_has_no_interval_but_its_point() -> None:
    statistics = summarise(curve([0.25], size=(1,), full=(2.0,)))
    assert statistics.faithfulness.low == statistics.faithfulness.high == statistics.faithfulness.value == [0.25]
    assert not statistics.degenerate


def test_seed_fixes_the_intervals() -> None:
    c = noisy(0, 20)
    assert summarise(c, seed=1).summary == summarise(c, seed=1).summary
    assert summarise(c, seed=1).summary["auc_f"] != summarise(c, seed=2).summary["auc_f"]


def test_intervals_cover_the_true_mean() -> None:
    # 200 samples of 40: a 95 % percentile interval covers the mean about 93 % of the time.
    rng = np.random.default_rng(0)
    samples = rng.normal(1.0, 2.0, (200, 40))
    bands = [resampled(lambda w, x=x: {"mean": w @ x}, 40, i, 500)["mean"] for i, x in enumerate(samples)]  # type: ignore[misc]
    covered = np.mean([band.low <= 1.0 <= band.high for band in bands])
    assert 0.88 <= covered <= 0.99
    width = np.mean([band.high - band.low for band in bands])
    assert width == pytest.approx(2 * 1.96 * 2.0 / np.sqrt(40), rel=0.06)


@settings(deadline=None, max_examples=30)
@given(
    f=st.lists(st.floats(-2, 3), min_size=1, max_size=6),
    total=st.integers(1000, 10**6),
    scale=st.floats(0.1, 10),
)
def test_areas_stay_in_range_and_nodes_on_the_grid(f: list[float], total: int, scale: float) -> None:
    size = [1, 3, 10, 50, 200, 900][: len(f)]
    summary = summarise(curve(f, f, size=size, total=total, full=(scale, 2 * scale), empty=0), n_resamples=20).summary
    for estimate in (summary["auc_f"], summary["auc_c"]):
        assert -1e-9 <= estimate.low <= estimate.high + 1e-9 <= 1 + 2e-9
    assert summary["nodes@0.8"].value in (*size, total)
    stays = [k for i, k in enumerate(size) if min(f[i:]) >= 0.8 + 1e-9]
    if all(abs(value - 0.8) > 1e-6 for value in f):
        assert summary["nodes@0.8"].value == (stays[0] if stays else total)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": np.array([5, 3])}, "strictly increasing"),
        ({"size": np.array([0, 3])}, "positive"),
        ({"total_nodes": 10}, "below total_nodes"),
        ({"full": outcome(np.ones(3))}, "full and empty"),
        ({"circuit": outcome(np.ones((3, 2)))}, r"\[P, N\]"),
    ],
)
def test_a_curve_of_another_shape_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(curve([0.1, 0.2], size=(3, 10), total=100), **change)


def test_logits_that_are_not_finite_are_one_line() -> None:
    with pytest.raises(UserError, match="finite"):
        Outcome(np.array([1.0, np.nan]), *[np.zeros(2)] * 4)
