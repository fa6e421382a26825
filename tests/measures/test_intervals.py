"""Intervals against closed forms, exact integrals and simulated coverage."""

import numpy as np
import pytest
from scipy import integrate, stats

from basisbench.measures.intervals import (
    corrected_distance,
    interval,
    pooled_degrees,
    tail_probability,
)


def bias_by_integral(x: float, spread: float, cap: float) -> float:
    """E min(cap, |x + spread z|) - min(cap, |x|) for a standard normal z."""

    def distance(value: float) -> float:
        return min(cap, abs(value))

    kinks = sorted((k - x) / spread for k in (-cap, 0, cap) if np.isfinite(k) and abs((k - x) / spread) < 9)
    mean, _ = integrate.quad(lambda z: distance(x + spread * z) * stats.norm.pdf(z), -9, 9, points=kinks, limit=200)
    return mean - distance(x)


@pytest.mark.parametrize("cap", [1.0, np.inf])
@pytest.mark.parametrize("x", [-1.1, -0.93, -0.4, -0.02, 0.0, 0.05, 0.2, 0.97, 1.0, 1.3])
def test_the_correction_is_the_bias_of_normal_noise(x: float, cap: float) -> None:
    noise = np.array([-0.1, 0.1] * 50)  # a spread of 0.1
    corrected = corrected_distance(np.append(x, x + noise), cap)
    assert corrected[0] == pytest.approx(min(cap, abs(x)) - bias_by_integral(x, 0.1, cap), abs=0.1 * 0.002)


def test_what_has_no_noise_is_not_corrected() -> None:
    x = np.array([[0.3, 0.3, 0.3], [-2.0, -2.0, -2.0]])
    assert corrected_distance(x).tolist() == [[0.3] * 3, [1.0] * 3]
    assert corrected_distance(x, np.inf).tolist() == [[0.3] * 3, [2.0] * 3]


def test_resamples_are_corrected_as_the_point_is() -> None:
    # a resample that lies where the point of another lies is corrected to the same
    noise = np.random.default_rng(0).normal(0, 0.2, 5000)
    x = np.append(0.1, 0.1 + noise)
    spread = x[1:].std()
    corrected = corrected_distance(x)
    for i in (1, 2, 3):
        expected = min(1, abs(x[i])) - bias_by_integral(float(x[i]), float(spread), 1.0)
        assert corrected[i] == pytest.approx(expected, abs=0.003 * spread)


def test_a_wild_resample_moves_no_spread() -> None:
    x = np.append(0.0, np.random.default_rng(0).normal(0, 0.1, 400))
    tame = corrected_distance(x)[0]
    x[7] = 1e9
    assert corrected_distance(x)[0] == pytest.approx(tame, abs=0.02)


@pytest.mark.parametrize("n", [4, 10, 40])
def test_percentiles_are_expanded_to_students_interval(n: int) -> None:
    # the resamples of a mean of n are normal with the standard deviation s sqrt((n - 1) / n) / sqrt(n)
    values = np.random.default_rng(n).normal(size=n)
    s = values.std(ddof=1)
    spread = s * np.sqrt((n - 1) / n) / np.sqrt(n)
    replicates = values.mean() + spread * stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    low, high = interval(values.mean(), replicates, n - 1, centred=False)
    expected = stats.t.interval(0.95, n - 1, values.mean(), s / np.sqrt(n))
    assert (low, high) == pytest.approx(expected, rel=2e-3)


def test_with_many_degrees_the_tails_are_two_and_a_half_percent() -> None:
    assert tail_probability(1e9) == pytest.approx(0.025)
    assert tail_probability(9) < tail_probability(30) < 0.025


def test_centred_replicates_lie_around_the_point() -> None:
    replicates = np.random.default_rng(0).normal(5, 1, (2, 1000))
    low, high = interval(np.array([3.0, 0.0]), replicates, 100, centred=True)
    plain = interval(np.array([3.0, 0.0]), replicates, 100, centred=False)
    shift = replicates.mean(1) - [3.0, 0.0]
    np.testing.assert_allclose(low, plain[0] - shift)
    np.testing.assert_allclose(high, plain[1] - shift)


def test_one_cluster_has_no_interval() -> None:
    low, high = interval(np.array([1.0, 2.0]), np.ones((2, 10)), 0.0, centred=False)
    assert np.isnan(low).all()
    assert np.isnan(high).all()


def test_degrees_of_a_sum_by_hand() -> None:
    # Satterthwaite: (4 + 1)^2 / (16 / 9 + 1 / 19)
    assert pooled_degrees(np.array([4.0, 1.0]), np.array([9.0, 19.0])) == pytest.approx(25 / (16 / 9 + 1 / 19))
    assert pooled_degrees(np.array([1.0] * 3), np.array([9.0] * 3)) == pytest.approx(27)
    assert pooled_degrees(np.array([1.0, 0.0]), np.array([9.0, 0.0])) == 0  # a part of one cluster
    assert pooled_degrees(np.zeros(2), np.array([9.0, 4.0])) == 13  # nothing varies: the point is all there is


def test_the_mean_over_tasks_of_a_distance_is_covered_and_was_not() -> None:
    """30 tasks of 40 pairs, eleven sizes each with c falling from 1 to 0: where |c| is kinked most.

    The usual percentiles cover a few percent of the time, the corrected ones 95 % (400 boards: 0.95 +- 0.03).
    """
    rng = np.random.default_rng(0)
    truth_c = np.linspace(1, 0, 11) ** 4
    truth = np.minimum(1, truth_c).mean()
    usual, corrected = [], []
    for _ in range(400):
        # a task's c, and its resamples: one shared factor a task, as a curve's sizes share their pairs
        noise = 0.25 * (0.8 * rng.normal(size=(30, 1)) + 0.6 * rng.normal(size=(30, 11)))
        again = 0.25 * (0.8 * rng.normal(size=(30, 1, 300)) + 0.6 * rng.normal(size=(30, 11, 300)))
        c = truth_c + noise
        x = np.concatenate([c[..., None], c[..., None] + again], axis=-1)
        plain = np.minimum(1, np.abs(x)).mean(axis=(0, 1))
        low, high = interval(plain[0], plain[1:], 1000, centred=False)
        usual.append(low <= truth <= high)
        better = corrected_distance(x).mean(axis=(0, 1))
        low, high = interval(better[0], better[1:], 1000, centred=True)
        corrected.append(low <= truth <= high)
    assert np.mean(usual) < 0.3
    assert 0.92 <= np.mean(corrected) <= 0.98
