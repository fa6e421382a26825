"""Wide dictionaries: all units are encoded only where an error is kept, and only some tokens at a time."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from basisbench.attribution import Scores
from basisbench.bases.basis import LinearBasis
from basisbench.circuits.ablation import ABLATIONS, Ablation
from basisbench.circuits.curves import evaluate
from basisbench.circuits.ranking import Ranking, rank_nodes
from basisbench.measures.curve import Curve
from basisbench.models.adapter import Model
from basisbench.models.sites import Site
from basisbench.values import ErrorTreatment
from toys.models import pair_rows, prompt_set

Make = Callable[[str], Model]
N_UNITS = 12


class Counting(LinearBasis):
    """Half of the MLP output's coordinates in layers 0 and 2; counts the tokens on which all units are encoded."""

    def __init__(self, model: Model) -> None:
        directions = torch.eye(model.d_model)[:N_UNITS]
        sites = [Site(layer, "mlp_out") for layer in (0, 2)]
        super().__init__("counting", sites, model.d_model, lambda layer: directions, N_UNITS)
        self.whole: list[int] = []

    def encode(self, layer: int, x: Tensor, units: Tensor | None = None) -> Tensor:
        if units is None:
            self.whole.append(x[..., 0].numel())
        return super().encode(layer, x, units)


def ranking(basis: Counting, n_slots: int, errors: Sequence[tuple[int, int]]) -> Ranking:
    """The errors at these (layer, slot) first, then units at random."""
    generator = torch.Generator().manual_seed(1)
    by_layer = {layer: torch.rand(n_slots, N_UNITS + 1, generator=generator) for layer in basis.layers()}
    for layer, scores in by_layer.items():
        scores[:, -1] = 0
        for slot in (slot for i, slot in errors if i == layer):
            scores[slot, -1] = 2
    return rank_nodes(Scores(basis.name, by_layer), basis, limit=10)


@pytest.mark.parametrize(
    ("treatment", "errors", "expected"),
    [
        ("score", [], 0),
        ("score", [(2, 1)], 6 * (4 + 1 + 1)),  # the ablated value at every position, and one in circuit and complement
        ("score", [(0, 1), (2, 1), (2, 3)], 6 * (2 * 4 + 2 * 3)),
        ("keep", [], 6 * (2 * 4 + 2 * 4)),  # in the circuit
        ("remove", [], 6 * (2 * 4 + 2 * 4)),  # in the complement
    ],
)
def test_all_units_are_encoded_where_an_error_is_kept(
    treatment: ErrorTreatment, errors: list[tuple[int, int]], expected: int, tiny: Make
) -> None:
    model = tiny("llama")
    prompts = prompt_set(model, pair_rows(6))
    assert (prompts.n_prompts, prompts.clean.shape[1] - prompts.shared) == (6, 4)
    basis = Counting(model)
    curve = evaluate(model, prompts, basis, ranking(basis, prompts.n_slots, errors), [9], error=treatment)
    assert curve.error_nodes[0] == len(errors)
    assert sum(basis.whole) == expected


@pytest.mark.parametrize("ablation", ABLATIONS)
@pytest.mark.parametrize("treatment", ["score", "keep", "remove"])
def test_some_tokens_at_a_time_give_the_same(
    treatment: ErrorTreatment, ablation: Ablation, tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny("llama")
    prompts = prompt_set(model, pair_rows(5, (5, 4)))

    def curve() -> tuple[Curve, list[int]]:
        basis = Counting(model)
        chosen = ranking(basis, prompts.n_slots, [(0, 2), (2, 1)])
        return evaluate(model, prompts, basis, chosen, [4, 9], ablation=ablation, error=treatment), basis.whole

    whole, _ = curve()
    monkeypatch.setattr("basisbench.circuits.ablation.UNITS_AT_ONCE", 3 * N_UNITS)
    pieces, encoded = curve()
    assert max(encoded) == 3
    for one, other in ((whole.circuit, pieces.circuit), (whole.complement, pieces.complement)):
        assert other.answer == pytest.approx(one.answer, abs=1e-5)
