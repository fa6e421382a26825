"""Curves against brute force: one pair at a time, plain torch hooks on the Hugging Face model, every node by name."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from basisbench.attribution import Request, Scores, ask_scores, load_method
from basisbench.bases.basis import Basis, LinearBasis
from basisbench.bases.load import load_basis
from basisbench.circuits.ablation import ABLATIONS, Ablation, donors, reference
from basisbench.circuits.circuit import Circuit, Circuits
from basisbench.circuits.curves import evaluate
from basisbench.circuits.gates import LayerGates, LayerNodes
from basisbench.circuits.ranking import Ranking, count_nodes, rank_nodes
from basisbench.circuits.splice import Splice
from basisbench.errors import UserError
from basisbench.measures.curve import Curve
from basisbench.measures.metrics import METRICS
from basisbench.measures.summary import summarise
from basisbench.models.adapter import Model
from basisbench.models.sites import Site
from basisbench.prompts.prompt_set import PromptSet
from basisbench.prompts.scoring import outcome as outcome_of
from basisbench.values import ErrorTreatment, Positions
from toys.models import LAYERS, altered, pair_rows, prompt_set, random_hf

SIZES = [1, 3, 10, 40, 200]


def rotation(size: int, kept: int) -> Tensor:
    matrix, _ = torch.linalg.qr(torch.randn(size, size, generator=torch.Generator().manual_seed(3)))
    part: Tensor = matrix[:kept]
    return part


def truncated(model: Model) -> Basis:
    """Two thirds of a rotation of the MLP output: a basis with an error."""
    size = model.d_model
    sites = [Site(layer, "mlp_out") for layer in range(LAYERS)]
    return LinearBasis("truncated", sites, size, lambda _: rotation(size, 16), 16)


def random_scores(basis: Basis, n_slots: int) -> Scores:
    generator = torch.Generator().manual_seed(5)
    width = {layer: basis.n_units(layer) + basis.has_error for layer in basis.layers()}
    return Scores(basis.name, {layer: torch.randn(n_slots, w, generator=generator) for layer, w in width.items()})


class BruteForce:
    """A second implementation, for a tiny Llama: bases as dense matrices on the output of each MLP module.

    `encode` [d_read, units] and `decode` [units, d_model] per layer; neurons read the down projection's input.
    """

    def __init__(self, hf: PreTrainedModel, prompts: PromptSet, basis: str) -> None:
        self.hf = hf
        self.prompts = prompts
        self.mlps = [layer.mlp for layer in hf.model.layers]
        if basis == "neurons":
            self.decode: list[Tensor] = [mlp.down_proj.weight.T for mlp in self.mlps]
            self.encode = [torch.eye(len(d)) for d in self.decode]
        else:
            matrix = torch.eye(24) if basis == "mlp_out" else rotation(24, 16)
            self.decode = [matrix] * LAYERS
            self.encode = [matrix.T] * LAYERS
        self.reads_post = basis == "neurons"

    def run(self, pair: int, corrupt: bool, splice: Callable[[int, Tensor, Tensor], Tensor] | None = None) -> Tensor:
        """Logits at the last token; `splice` gets (layer, read, written), [position, width] each."""
        prompt = int(self.prompts.pair_prompt[pair])
        tokens = (self.prompts.corrupt if corrupt else self.prompts.clean)[prompt, : int(self.prompts.last[prompt]) + 1]
        handles = []
        for layer, mlp in enumerate(self.mlps):
            reads: list[Tensor] = []
            handles.append(mlp.down_proj.register_forward_pre_hook(lambda _, args, r=reads: r.append(args[0][0])))

            def hook(
                _m: object, _a: object, out: Tensor, layer: int = layer, reads: list[Tensor] = reads
            ) -> Tensor | None:
                read = reads[0] if self.reads_post else out[0]
                return None if splice is None else splice(layer, read, out[0])[None]

            handles.append(mlp.register_forward_hook(hook))
        with torch.no_grad():
            logits: Tensor = self.hf(tokens[None]).logits[0, -1]
        for handle in handles:
            handle.remove()
        return logits

    def recorded(self, pair: int, corrupt: bool) -> list[tuple[Tensor, Tensor]]:
        """(unit activations, error) per layer, [position, units] and [position, d_model]."""
        found = []

        def note(layer: int, read: Tensor, out: Tensor) -> Tensor:
            f = read @ self.encode[layer]
            found.append((f, out - f @ self.decode[layer]))
            return out

        self.run(pair, corrupt, note)
        return found

    def ablation_values(self, ablation: Ablation, pair: int) -> list[tuple[Tensor, Tensor]]:
        own = self.recorded(pair, corrupt=True)
        if ablation == "zero":
            return [(torch.zeros_like(f), torch.zeros_like(e)) for f, e in own]
        if ablation == "counterfactual":
            return own
        if ablation == "resample":
            donor = int(donors(self.prompts, 0)[self.prompts.pair_prompt[pair]])
            return self.recorded(self.prompts.pair_prompt.tolist().index(donor), corrupt=True)
        everything = [self.recorded(p, corrupt=ablation == "mean") for p in range(self.prompts.n_pairs)]
        slots = [self.prompts.slot[self.prompts.pair_prompt[p]].tolist() for p in range(self.prompts.n_pairs)]
        result = []
        for layer in range(LAYERS):
            parts = []
            for part in (0, 1):
                rows = []
                for slot in slots[pair][: len(own[layer][0])]:
                    same = [
                        everything[p][layer][part][slots[p].index(slot)]
                        for p in range(self.prompts.n_pairs)
                        if slot in slots[p]
                    ]
                    rows.append(torch.stack(same).mean(0))
                parts.append(torch.stack(rows))
            result.append((parts[0], parts[1]))
        return result

    def m(
        self,
        kept: set[tuple[int, int, int]] | dict[tuple[int, int, int], float],
        complement: bool,
        ablation: Ablation,
        error: ErrorTreatment,
    ) -> Tensor:
        """The metric of each pair with only the nodes in `kept` left as they are (`complement`: only those ablated).

        Of a mapping, each node is kept to that share.
        """
        gates = kept if isinstance(kept, dict) else dict.fromkeys(kept, 1.0)
        values = []
        for pair in range(self.prompts.n_pairs):
            ablated = self.ablation_values(ablation, pair)
            slots = self.prompts.slot[self.prompts.pair_prompt[pair]].tolist()

            def splice(
                layer: int,
                read: Tensor,
                out: Tensor,
                ablated: list[tuple[Tensor, Tensor]] = ablated,
                slots: list[int] = slots,
            ) -> Tensor:
                f = read @ self.encode[layer]
                e = out - f @ self.decode[layer]
                new_f, new_e = ablated[layer][0].clone(), ablated[layer][1].clone()
                n_units = f.shape[1]
                for position, unit in itertools.product(range(len(f)), range(n_units + 1)):
                    share = max(gates.get((layer, slot, unit), 0.0) for slot in (slots[position], -1))
                    share = 1 - share if complement else share
                    if unit == n_units and error != "score":
                        share = float(error == "keep")
                    if unit == n_units:
                        new_e[position] += share * (e[position] - new_e[position])
                    else:
                        new_f[position, unit] += share * (f[position, unit] - new_f[position, unit])
                return new_f @ self.decode[layer] + new_e

            logits = self.run(pair, False, splice)
            values.append(logits[self.prompts.answer.tokens[pair, 0]] - logits[self.prompts.foil.tokens[pair, 0]])
        return torch.stack(values)


def setting(
    tiny: Callable[[str], Model], name: str, lengths: tuple[int, ...] = (5,)
) -> tuple[Model, PromptSet, Basis, BruteForce]:
    model = tiny("llama")
    rows = pair_rows(4, lengths)
    prompts = prompt_set(model, [*rows, altered(rows[1], answers=(" w7",), foils=(" w8",))])
    basis = truncated(model) if name == "truncated" else load_basis(name, model)
    return model, prompts, basis, BruteForce(random_hf("llama"), prompts, name)


def kept_nodes(chosen: Ranking | Circuits, k: int) -> set[tuple[int, int, int]]:
    """The nodes of a circuit as brute force counts them: an error's unit is the one after the last."""
    if isinstance(chosen, Circuits):
        return {(layer, slot, unit if unit >= 0 else 16) for layer, slot, unit in chosen.circuit(k).nodes.tolist()}
    columns = (chosen.layer, chosen.slot, chosen.unit)
    return set(zip(*(column[:k].tolist() for column in columns), strict=True))


def assert_equals_brute_force(
    curve: Curve, chosen: Ranking | Circuits, brute: BruteForce, ablation: Ablation, error: ErrorTreatment
) -> None:
    metric = METRICS.get("logit_difference").compute
    for index, size in enumerate(curve.size.tolist()):
        kept = kept_nodes(chosen, size)
        for outcome, complement in ((curve.circuit, False), (curve.complement, True)):
            expected = brute.m(kept, complement, ablation, error).numpy()
            np.testing.assert_allclose(metric(outcome)[index], expected, atol=2e-4)
    np.testing.assert_allclose(metric(curve.empty), brute.m(set(), False, ablation, "remove").numpy(), atol=2e-4)
    np.testing.assert_allclose(metric(curve.full), brute.m(set(), True, ablation, "keep").numpy(), atol=2e-4)


@pytest.mark.parametrize("ablation", ABLATIONS)
@pytest.mark.parametrize("name", ["neurons", "mlp_out"])
def test_curve_equals_brute_force(name: str, ablation: Ablation, tiny: Callable[[str], Model]) -> None:
    model, prompts, basis, brute = setting(tiny, name, (5, 4))
    ranking = rank_nodes(random_scores(basis, prompts.n_slots), basis)
    curve = evaluate(model, prompts, basis, ranking, SIZES[1:4], ablation=ablation)
    assert_equals_brute_force(curve, ranking, brute, ablation, "score")


@pytest.mark.parametrize("positions", ["kept", "pooled"])
@pytest.mark.parametrize("error", ["score", "keep", "remove"])
def test_errors_equal_brute_force(error: ErrorTreatment, positions: Positions, tiny: Callable[[str], Model]) -> None:
    model, prompts, basis, brute = setting(tiny, "truncated")
    scores = random_scores(basis, prompts.n_slots)
    ranking = rank_nodes(scores, basis, error=error, positions=positions)
    sizes = [3, 20] if positions == "pooled" else SIZES[1:]
    curve = evaluate(model, prompts, basis, ranking, sizes, error=error)
    assert_equals_brute_force(curve, ranking, brute, "mean", error)
    assert (curve.error_nodes.max() > 0) == (error == "score")
    kept = kept_nodes(ranking, sizes[-1])
    assert curve.error_nodes[-1] == sum(unit == 16 for _, _, unit in kept)
    assert curve.distinct_units[-1] == len({(layer, unit) for layer, _, unit in kept if unit != 16})
    per_layer = 16 + (error == "score")
    assert curve.total_nodes == LAYERS * per_layer * (1 if positions == "pooled" else prompts.n_slots)


@pytest.mark.parametrize("error", ["score", "keep", "remove"])
@pytest.mark.parametrize("positions", ["kept", "pooled"])
def test_circuits_of_their_own_sizes_equal_brute_force(
    positions: Positions, error: ErrorTreatment, tiny: Callable[[str], Model]
) -> None:
    """No circuit holds another; one is smaller than its size, one is empty."""
    model, prompts, basis, brute = setting(tiny, "truncated", (5, 4))
    total = count_nodes(basis, prompts.n_slots, positions, error)
    generator = torch.Generator().manual_seed(2)

    def drawn(count: int) -> Circuit:
        per_slot = 16 + (error == "score")
        node = torch.randperm(total, generator=generator)[:count]
        slot = node // (LAYERS * per_slot) if positions == "kept" else torch.full_like(node, -1)
        layer, unit = node // per_slot % LAYERS, node % per_slot
        return Circuit(layer, slot, torch.where(unit == 16, -1, unit))

    # the first begins late: what comes before its first layer is left as it is
    late = Circuit(*(torch.tensor([part]) for part in (LAYERS - 1, -1 if positions == "pooled" else 2, 3)))
    by_size = {1: late, 2: drawn(0), 8: drawn(8), 30: drawn(25), 40: drawn(40)}
    chosen = Circuits(basis.name, by_size, total)
    curve = evaluate(model, prompts, basis, chosen, [1, 2, 5, 8, 30, 40, 10**6], error=error)
    assert curve.size.tolist() == [1, 2, 8, 30, 40]  # sizes without a circuit are not measured
    assert curve.total_nodes == total
    assert_equals_brute_force(curve, chosen, brute, "mean", error)
    for index, size in enumerate(curve.size.tolist()):
        kept = kept_nodes(chosen, size)
        assert curve.error_nodes[index] == sum(unit == 16 for _, _, unit in kept)
        assert curve.distinct_units[index] == len({(layer, unit) for layer, _, unit in kept if unit != 16})


def test_a_ranking_and_its_circuits_one_by_one_give_the_same_curve(tiny: Callable[[str], Model]) -> None:
    model, prompts, basis, _ = setting(tiny, "neurons", (5, 4))
    ranking = rank_nodes(random_scores(basis, prompts.n_slots), basis)
    circuits = Circuits(basis.name, {size: ranking.circuit(size) for size in SIZES}, ranking.total)
    one, other = (evaluate(model, prompts, basis, chosen, SIZES) for chosen in (ranking, circuits))
    for name in ("size", "distinct_units", "error_nodes"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
    for name in ("full", "empty", "circuit", "complement"):
        np.testing.assert_array_equal(getattr(one, name).answer, getattr(other, name).answer)


def test_circuits_that_are_none_are_refused() -> None:
    def circuit(*nodes: tuple[int, int, int]) -> Circuit:
        return Circuit(*torch.tensor(nodes).T)

    with pytest.raises(UserError, match="size 1 of basis 'b' has 2 nodes"):
        Circuits("b", {1: circuit((0, 0, 0), (0, 0, 1))}, 10)
    with pytest.raises(UserError, match="has a node twice"):
        Circuits("b", {2: circuit((0, 0, 0), (0, 0, 0))}, 10)
    with pytest.raises(ValueError, match="one shape"):
        Circuit(torch.zeros(2), torch.zeros(2), torch.zeros(1))


@pytest.mark.parametrize("ablation", ["mean", "zero", "counterfactual"])
@pytest.mark.parametrize("name", ["neurons", "truncated"])
def test_gates_equal_brute_force(name: str, ablation: Ablation, tiny: Callable[[str], Model]) -> None:
    """Each node kept to a share of its own, in two circuits side by side and in their complements."""
    model, prompts, basis, brute = setting(tiny, name, (5, 4))
    # every other layer, every third unit
    units = {layer: torch.arange(0, basis.n_units(layer), 3) for layer in (0, 2)}
    generator = torch.Generator().manual_seed(4)
    gates = {
        layer: LayerGates(
            of_layer,
            torch.arange(len(of_layer)),
            torch.rand(2, prompts.n_slots, len(of_layer), generator=generator),
            torch.rand(2, prompts.n_slots, generator=generator) if basis.has_error else None,
        )
        for layer, of_layer in units.items()
    }
    nodes = {layer: LayerNodes(of_layer, basis.has_error) for layer, of_layer in units.items()}
    values = reference(model, prompts, basis, nodes, ablation, None, 0, "score")
    for complement in (False, True):
        splice = Splice(model, basis, gates, prompts.slot, values, 2, complement)
        with torch.no_grad():
            hidden = model.forward(
                prompts.clean.repeat(2, 1), prompts.last.repeat(2), edits=splice.edits(0), mlps=splice.mlps(0)
            )
        found = METRICS.get("logit_difference").compute(outcome_of(model, hidden, prompts, 2))
        for point in range(2):
            shares = {
                (layer, slot, int(unit)): float(of_layer.gate[point, slot, column])
                for layer, of_layer in gates.items()
                for slot in range(prompts.n_slots)
                for column, unit in enumerate(of_layer.units)
            }
            shares |= {
                (layer, slot, basis.n_units(layer)): float(of_layer.error[point, slot])
                for layer, of_layer in gates.items()
                if of_layer.error is not None
                for slot in range(prompts.n_slots)
            }
            expected = brute.m(shares, complement, ablation, "score")
            np.testing.assert_allclose(found[point], expected.numpy(), atol=2e-4)


def test_how_points_are_batched_changes_nothing(tiny: Callable[[str], Model], monkeypatch: pytest.MonkeyPatch) -> None:
    model, prompts, basis, _ = setting(tiny, "truncated", (5, 4))
    ranking = rank_nodes(random_scores(basis, prompts.n_slots), basis)
    together = evaluate(model, prompts, basis, ranking, SIZES)
    monkeypatch.setattr("basisbench.circuits.curves.TOKENS_AT_ONCE", 1)
    apart = evaluate(model, prompts, basis, ranking, SIZES)
    for name in ("circuit", "complement"):
        np.testing.assert_allclose(getattr(together, name).answer, getattr(apart, name).answer, atol=1e-5)


def test_keeping_everything_is_one_and_nothing_is_zero(tiny: Callable[[str], Model]) -> None:
    """With all but the node of least effect kept, f is 1 and c is 0."""
    model, prompts, basis, _ = setting(tiny, "neurons")
    scores = ask_scores(load_method("exact"), Request(model, prompts, [basis]))[basis.name]
    ranking = rank_nodes(scores, basis)
    curve = evaluate(model, prompts, basis, ranking, [ranking.total - 1])
    statistics = summarise(curve, n_resamples=50)
    assert statistics.faithfulness.value[-1] == pytest.approx(1, abs=1e-3)
    assert statistics.completeness.value[-1] == pytest.approx(0, abs=1e-3)
