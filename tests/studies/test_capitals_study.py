"""The capitals study's own statistics, against plain calculations and planted neurons."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats

from basisbench.bases.load import load_basis
from basisbench.models.adapter import Model
from basisbench.models.recording import record
from basisbench.models.sites import Site
from studies.capitals import say_a_capital, which_state
from toys.models import LAYERS, pair_rows, prompt_set

Make = Callable[[str], Model]


def planted(signal: float, groups: int = 6, each: int = 5, columns: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Noise, with a mean of each group's own in the first column."""
    draw = np.random.default_rng(0)
    group = np.repeat(np.arange(groups), each)
    values = draw.normal(size=(len(group), columns))
    values[:, 0] += signal * draw.permutation(groups)[group]
    return values, group


def test_the_share_between_groups_is_that_of_an_analysis_of_variance() -> None:
    values, group = planted(0.4)
    found = which_state.eta_squared(values, group)
    n, k = len(group), int(group.max()) + 1
    for column, share in enumerate(found):
        f = stats.f_oneway(*(values[group == g, column] for g in range(k))).statistic
        assert share / (1 - share) * (n - k) / (k - 1) == pytest.approx(f)
    assert which_state.eta_squared(np.ones((n, 1)), group) == 0


def test_planted_neurons_are_found_and_noise_is_not() -> None:
    values, group = planted(2.0)
    tested = which_state.selectivity(values, group, permutations=2000)
    assert tested.p[0] < 0.01
    assert (tested.p[1:] > 0.05).all()
    # of permuted groups, in expectation (k - 1) / (n - 1)
    assert tested.null.mean() == pytest.approx(5 / 29, abs=0.01)


def test_the_nearest_mean_leaves_its_own_item_out() -> None:
    values, group = planted(1.0)
    z = (values - values.mean(0)) / values.std(0)
    expected = []
    for i in range(len(group)):
        others = np.arange(len(group)) != i
        means = np.stack([z[others & (group == g)].mean(0) for g in range(6)])
        expected.append(float(((means - z[i]) ** 2).sum(1).argmin() == group[i]))
    found = which_state.told(values, group)
    assert found.tolist() == expected
    assert 0 < found.mean() < 1
    assert which_state.accuracy(values, group).value == pytest.approx(found.mean())
    assert which_state.told(*planted(50.0, columns=1)).mean() == 1


def test_an_item_alone_in_its_group_is_left_out() -> None:
    assert which_state.with_others(np.array([0, 1, 1, 2, 0])).tolist() == [0, 1, 2, 4]


def test_a_contribution_is_the_direct_path_times_the_mean_activation(
    tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny("llama")
    basis = load_basis("neurons", model)
    prompts = prompt_set(model, pair_rows(5))
    capitals, states = torch.tensor([5, 9, 11]), torch.tensor([7, 20])
    monkeypatch.setattr(say_a_capital, "name_tokens", lambda _: (capitals, states))
    sites = [Site(layer, "mlp_post") for layer in range(LAYERS)]
    last = Site(LAYERS - 1, "resid_post")
    stored, _ = record(model, prompts.clean, prompts.last, [*sites, last])
    rows = torch.arange(prompts.n_prompts)
    at_end = torch.stack([stored[site][rows, prompts.last] for site in sites], 1)
    found = say_a_capital.contributions(model, basis, prompts, at_end)
    # by hand: the last hidden state moved by a neuron's output, behind a norm that is held
    (norm,) = (norm for norm in model.norms if norm.name == "ln_final")
    x = stored[last][rows, prompts.last]
    scale = (x.square().mean(-1, keepdim=True) + norm.eps).rsqrt()
    for layer, unit in ((0, 3), (1, 17), (2, 39)):
        moved = x + model.projection("mlp_post", layer)[unit]
        change = model.logits(moved * scale * norm.gain) - model.logits(x * scale * norm.gain)
        gap = float((change[:, capitals].mean(1) - change[:, states].mean(1)).mean())
        assert float(found.gap[layer, unit]) == pytest.approx(gap, rel=1e-3, abs=1e-5)
        mean = float(at_end[:, layer, unit].mean())
        assert float(found.value[layer, unit]) == pytest.approx(gap * mean, rel=1e-3, abs=1e-5)
    ranked = found.ranked()
    values = [value for _, _, value in ranked]
    assert values == sorted(values, reverse=True)
    half = found.half()
    positive = sum(value for value in values if value > 0)
    assert sum(values[: half - 1]) < positive / 2 <= sum(values[:half]) + 1e-6
