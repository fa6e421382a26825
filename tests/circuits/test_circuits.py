"""Rankings and sizes, against plain sorting."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from basisbench.attribution import Scores
from basisbench.bases.basis import LinearBasis
from basisbench.circuits.gates import hard_gates, layer_nodes
from basisbench.circuits.ranking import check_sizes, count_nodes, rank_nodes
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
    assert ranking.total == count_nodes(b, slots, positions, error)  # type: ignore[arg-type]
    sizes = [k for k in (0, 1, 2, 5, limit) if k <= len(ranking.layer)]
    circuits = [ranking.circuit(k) for k in sizes]
    for k, circuit in zip(sizes, circuits, strict=True):
        kept = nodes[:k]
        assert circuit.distinct_units == len({(n[1], n[3]) for n in kept if n[3] < units})
        assert circuit.error_nodes == sum(n[3] == units for n in kept)
    held = layer_nodes(circuits, torch.device("cpu"))
    gates = hard_gates(circuits, held, slots, torch.device("cpu"))
    for point, k in enumerate(sizes):
        kept_at = {(n[1], slot, n[3]) for n in nodes[:k] for slot in (range(slots) if n[2] == -1 else [n[2]])}
        found = set()
        for layer, of_layer in gates.items():
            assert held[layer].units[of_layer.column].tolist() == of_layer.units.tolist()
            for slot, column in of_layer.gate[point].nonzero().tolist():
                found.add((layer, slot, int(of_layer.units[column])))
            if of_layer.error is not None:
                found |= {(layer, slot, units) for (slot,) in of_layer.error[point].nonzero().tolist()}
        assert found == kept_at
    # what none of the circuits keeps costs nothing
    assert all(of_layer.gate.any(0).any(0).all() for of_layer in gates.values())


def test_sizes_beyond_the_nodes_there_are_are_left_out() -> None:
    b = basis(1, 4, 4)
    ranking = rank_nodes(Scores("test", {0: torch.randn(2, 4)}), b)
    assert check_sizes([1, 2, 7, 8, 100], ranking) == [1, 2, 7]
    with pytest.raises(UserError, match="valid: from 1 to 7 nodes"):
        check_sizes([8, 100], ranking)


def test_nan_scores_are_refused() -> None:
    with pytest.raises(UserError, match="NaN or infinity in layer 1"):
        Scores("test", {0: torch.zeros(1, 1), 1: torch.tensor([[float("nan")]])})
