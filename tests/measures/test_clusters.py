"""Pairs of one prompt are drawn whole, and a prompt is drawn alike wherever it stands."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basisbench.measures.clusters import draw_weights, effective_clusters, prompt_number

R = 4000


def means_of(cluster: list[int], values: list[float], n_resamples: int = R) -> np.ndarray:
    return draw_weights(np.array(cluster), n_resamples)[1:] @ np.array(values)


def test_the_first_weights_are_the_point() -> None:
    weights = draw_weights(np.array([3, 3, 8, 1]), 50)
    assert weights.shape == (51, 4)
    assert weights[0].tolist() == [0.25] * 4
    np.testing.assert_allclose(weights.sum(1), 1)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=12))
def test_pairs_of_one_prompt_have_one_weight(cluster: list[int]) -> None:
    weights = draw_weights(np.array(cluster), 20)
    for number in set(cluster):
        same = weights[:, [other == number for other in cluster]]
        assert (same == same[:, :1]).all()


def test_a_prompt_counts_alike_in_every_result() -> None:
    # counts are weights times their sum: their ratios are those of counts
    first, second = draw_weights(np.array([5, 7, 9]), 200), draw_weights(np.array([9, 100, 5, 200]), 200)
    both = (first[:, 2] > 0) & (second[:, 0] > 0)
    assert both.sum() > 50
    np.testing.assert_allclose(first[both, 0] / first[both, 2], second[both, 2] / second[both, 0])


def test_more_resamples_begin_with_the_fewer() -> None:
    assert np.array_equal(draw_weights(np.arange(9), 100)[:31], draw_weights(np.arange(9), 30))


def test_spread_of_a_mean_is_that_of_independent_prompts() -> None:
    values = np.random.default_rng(0).normal(size=50)
    spread = means_of(list(range(50)), values.tolist()).std()
    assert spread == pytest.approx(values.std() / np.sqrt(50), rel=0.05)


def test_repeated_pairs_add_nothing() -> None:
    # every pair stands four times: as sure as 25 pairs, not as 100
    values = np.random.default_rng(1).normal(size=25)
    once = means_of(list(range(25)), values.tolist()).std()
    again = means_of(list(range(25)) * 4, np.tile(values, 4).tolist()).std()
    assert again == pytest.approx(once)
    assert means_of(list(range(100)), np.tile(values, 4).tolist()).std() == pytest.approx(once / 2, rel=0.05)


def test_effective_clusters_by_hand() -> None:
    assert effective_clusters(np.array([4, 4, 9, 9])) == 2
    assert effective_clusters(np.arange(7)) == 7
    # 9 pairs of one prompt and one of another: 100 / 82
    assert effective_clusters(np.array([1] * 9 + [2])) == pytest.approx(100 / 82)


def test_one_prompt_leaves_nothing_to_resample() -> None:
    weights = draw_weights(np.array([5, 5, 5]), 30)
    np.testing.assert_allclose(weights, 1 / 3)


def test_prompts_are_numbered_by_their_tokens() -> None:
    numbers = {prompt_number(tokens) for tokens in ((1, 2), (2, 1), (12,), (1, 2, 3))}
    assert len(numbers) == 4
    assert all(0 <= number < 2**63 for number in numbers)
    assert prompt_number((1, 2)) == prompt_number((1, 2))
