"""Rankings and sizes, against plain sorting."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from basisbench.attribution import Scores
from basisbench.bases.basis import LinearBasis
from basisbench.circuits.ranking import NEVER, check_sizes, nodes_by_layer, rank_nodes
from basisbench.errors import UserError
from basisbench.models.sites import Site
from basisbench.values import Positions, Rank, size_grid


def basis(n_layers: int, units: int, width: int) -> LinearBasis:
    return LinearBasis("test", [Site(layer, "mlp_out") for layer in range(n_layers)], width, n_units=units)


def test_the_grid_is_1_2_3_5_7_a_decade() -> None:
    assert size_grid(100) == [1, 2, 3, 5, 7, 10, 20, 30, 50, 70, 100]
    assert size_grid()[-1] == 10_000
    assert len(size_grid()) == 21


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    rank=st.sampled_from(["abs", "signed"]),
    positions=st.sampled_from(["kept", "pooled"]),
    error=st.sampled_from(["score", "keep", "remove"]),
    limit=st.sampled_from([3, 10, 1000]),
)
def test_ranking_is_a_sort(seed: int, rank: Rank, positions: Positions, error: str, limit: int) -> None:
    slots, units, layers = 3, 4, 2
    b = basis(layers, units, width=6)
    generator = torch.Generator().manual_seed(seed)
    scores = Scores("test", {layer: torch.randn(slots, units + 1, generator=generator) for layer in range(layers)})
    ranking = rank_nodes(scores, b, rank=rank, positions=positions, error=error, limit=limit)  # type: ignore[arg-type]
    nodes = []
    for layer, values in scores.by_layer.items():
        for unit in range(units + (error == "score")):
            if positions == "pooled":
                nodes.append((float(values[:, unit].sum()), layer, -1, unit))
            else:
                nodes += [(float(values[slot, unit]), layer, slot, unit) for slot in range(slots)]
    nodes.sort(key=lambda node: -abs(node[0]) if rank == "abs" else node[0])
    columns = (ranking.layer, ranking.slot, ranking.unit)
    assert list(zip(*(c.tolist() for c in columns), strict=True)) == [node[1:] for node in nodes[:limit]]
    assert ranking.total == len(nodes)
    assert ranking.is_error.tolist() == [node[3] == units for node in nodes[:limit]]
    seen = [{(n[1], n[3]) for n in nodes[: i + 1] if n[3] < units} for i in range(len(ranking.layer))]
    assert ranking.distinct_units.tolist() == [len(s) for s in seen]
    for layer, held in nodes_by_layer(ranking, b, slots, torch.device("cpu")).items():
        for slot in range(slots):
            for column, unit in enumerate(held.units.tolist()):
                places = [
                    i for i, n in enumerate(nodes[:limit]) if n[1] == layer and n[2] in (slot, -1) and n[3] == unit
                ]
                assert held.place[slot, column] == (places[0] if places else NEVER)
            places = [i for i, n in enumerate(nodes[:limit]) if n[1] == layer and n[2] in (slot, -1) and n[3] == units]
            assert held.error_place[slot] == (places[0] if places else NEVER)


def test_sizes_beyond_the_nodes_there_are_are_left_out() -> None:
    b = basis(1, 4, 4)
    ranking = rank_nodes(Scores("test", {0: torch.randn(2, 4)}), b)
    assert check_sizes([1, 2, 7, 8, 100], ranking) == [1, 2, 7]
    with pytest.raises(UserError, match="valid: from 1 to 7 nodes"):
        check_sizes([8, 100], ranking)


def test_nan_scores_are_refused() -> None:
    with pytest.raises(UserError, match="NaN or infinity in layer 1"):
        Scores("test", {0: torch.zeros(1, 1), 1: torch.tensor([[float("nan")]])})
