"""Families, sign flips and what they do not reject, against enumeration and scipy."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from basisbench.measures.families import (
    MAX_EXACT,
    family_means,
    family_weights,
    holm,
    sign_flip,
    smallest_p,
    standardised,
    typical_interval,
    weighted_median,
)


def test_a_family_counts_once_however_many_tasks_it_has() -> None:
    families = ["sva", "ioi", "sva", "sva"]
    weights = family_weights(families)
    assert weights == pytest.approx([1 / 6, 1 / 2, 1 / 6, 1 / 6])
    values = np.array([[1.0, 5.0, 2.0, 3.0], [0.0, 1.0, 0.0, 3.0]])
    assert family_means(values, families).tolist() == [[2.0, 5.0], [1.0, 1.0]]
    np.testing.assert_allclose(family_means(values, families).mean(1), values @ weights)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(1, 4)), min_size=1, max_size=8))
def test_a_weighted_median_is_the_median_of_repeats(items: list[tuple[int, int]]) -> None:
    values, weights = np.array(items).T
    found = weighted_median(values.astype(float), weights.astype(float))
    assert found == np.median(np.repeat(values, weights))


def test_a_weighted_median_is_taken_in_each_column() -> None:
    values = np.random.default_rng(0).normal(size=(5, 3, 4))
    np.testing.assert_allclose(weighted_median(values, np.full(5, 0.2)), np.median(values, axis=0))


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_sign_flips_are_enumerated(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.5, 1, (4, n))
    for difference, p in zip(differences, sign_flip(differences), strict=True):
        flips = [np.dot(signs, difference) for signs in itertools.product((1, -1), repeat=n)]
        assert p == np.mean([abs(flip) >= abs(difference.sum()) - 1e-12 for flip in flips])
        if n > 1:
            told = stats.permutation_test(
                [difference.tolist()], np.mean, permutation_type="samples", n_resamples=10**6, alternative="two-sided"
            )
            assert p == pytest.approx(told.pvalue)


def test_twenty_families_are_counted_exactly() -> None:
    assert MAX_EXACT == 20
    assert sign_flip(np.ones((1, 20)))[0] == 2.0**-19
    difference = np.random.default_rng(0).normal(0.5, 1, 20)
    drawn = np.random.default_rng(1).choice([-1.0, 1.0], (200_000, 20)) @ difference
    expected = (np.abs(drawn) >= abs(difference.sum())).mean()
    assert sign_flip(difference[None])[0] == pytest.approx(expected, abs=0.003)


def test_beyond_twenty_families_it_is_students_t() -> None:
    difference = np.random.default_rng(0).normal(0.3, 1, 25)
    told = stats.ttest_1samp(difference, 0)
    assert sign_flip(difference[None])[0] == pytest.approx(told.pvalue)
    assert typical_interval(difference) == pytest.approx(tuple(told.confidence_interval(0.95)))
    assert sign_flip(np.zeros((1, 25)))[0] == 1
    assert sign_flip(np.ones((1, 25)))[0] == 0
    assert typical_interval(np.ones(25)) == (1, 1)


def test_the_smallest_p() -> None:
    for n in (1, 4, 6, 12):
        assert sign_flip(np.ones((1, n)))[0] == smallest_p(n) == 2.0 ** (1 - n)
    assert sign_flip(np.zeros((1, 5)))[0] == 1
    assert smallest_p(5) > 0.05 > smallest_p(6)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-3, 5), min_size=1, max_size=9), st.floats(-6, 6))
def test_the_interval_over_families_is_what_sign_flips_do_not_reject(values: list[float], shift: float) -> None:
    differences = np.array(values)
    low, high = typical_interval(differences)
    if min(abs(shift - low), abs(shift - high)) > 1e-6:
        rejected = sign_flip((differences - shift)[None])[0] <= 0.05
        assert rejected == (not low <= shift <= high)
    assert np.isinf([low, high]).all() == (len(values) < 6)


@pytest.mark.parametrize("n", [6, 8, 12])
def test_the_interval_over_families_covers(n: int) -> None:
    """1,000 draws: 0.95 +- 0.02; six families allow 0.969 and no less."""
    rng = np.random.default_rng(n)
    expected = 1 - 2 * int(0.025 * 2**n) / 2**n
    for draw in (rng.normal, rng.laplace, lambda loc, scale, size: rng.uniform(loc - scale, loc + scale, size)):
        intervals = [typical_interval(draw(0.7, 1, n)) for _ in range(1000)]
        assert np.mean([low <= 0.7 <= high for low, high in intervals]) == pytest.approx(expected, abs=0.02)


def test_holm_by_hand() -> None:
    # in order 0.005 * 4, 0.01 * 3, 0.03 * 2, then 0.04 * 1, which may not be below the one before
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.6, 0.7])) == pytest.approx([1.0, 1.0])
    assert holm(np.array([0.04])).tolist() == [0.04]  # one comparison has one p


def test_effect_size_by_hand() -> None:
    assert standardised(np.array([1.0, 2.0, 3.0])) == pytest.approx(2.0)
    assert standardised(np.array([1.0])) is None
    assert standardised(np.array([0.1, 0.1, 0.1])) is None
