"""Gates between 0 and 1: their gradients by finite differences, and that 0 and 1 are ablated and kept, to the bit."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from basisbench.bases.basis import Basis
from basisbench.bases.load import load_basis
from basisbench.circuits.ablation import ABLATIONS, Ablation, Reference, reference
from basisbench.circuits.circuit import Circuit
from basisbench.circuits.gates import LayerGates, LayerNodes, hard_gates, layer_nodes
from basisbench.circuits.splice import Splice
from basisbench.models.adapter import Model
from basisbench.prompts.prompt_set import PromptSet
from toys.dictionaries import Variant, basis_of
from toys.models import pair_rows, prompt_set, random_hf

STEP = 1e-3
BASES = ("neurons", "mlp_out", "sae", "transcoder")


@pytest.fixture(scope="module")
def precise(tokenizer: PreTrainedTokenizerFast) -> Callable[[str], Model]:
    """Tiny models in float64; their norms are worked out in float32, which bounds how small a step may be."""
    return lambda architecture: Model(architecture, random_hf(architecture).double(), tokenizer)


def named(name: str, model: Model, folder: Path) -> Basis:
    if name == "sae":
        return basis_of(Variant("standard"), model, folder)
    if name == "transcoder":
        return basis_of(Variant("transcoder", "ln2.hook_normalized"), model, folder)
    return load_basis(name, model)


def everything(basis: Basis, n_slots: int) -> Circuit:
    nodes = [
        (layer, slot, unit)
        for layer in basis.layers()
        for slot in range(n_slots)
        for unit in range(-int(basis.has_error), basis.n_units(layer))
    ]
    return Circuit(*torch.tensor(nodes).T)


def soft(gates: Mapping[int, LayerGates], value: float | Tensor) -> dict[int, LayerGates]:
    """The same gates, each at a value."""
    return {
        layer: replace(
            of_layer,
            gate=torch.zeros_like(of_layer.gate, dtype=torch.float64) + value,
            error=None if of_layer.error is None else torch.zeros_like(of_layer.error, dtype=torch.float64) + value,
        )
        for layer, of_layer in gates.items()
    }


def tensors(gates: Mapping[int, LayerGates]) -> list[Tensor]:
    found = [part for of_layer in gates.values() for part in (of_layer.gate, of_layer.error)]
    return [part for part in found if part is not None]


def moved(gates: Mapping[int, LayerGates], by: list[Tensor]) -> dict[int, LayerGates]:
    steps = iter(by)
    return {
        layer: replace(g, gate=g.gate + next(steps), error=None if g.error is None else g.error + next(steps))
        for layer, g in gates.items()
    }


def m_of(
    model: Model,
    prompts: PromptSet,
    basis: Basis,
    gates: Mapping[int, LayerGates],
    values: Reference,
    complement: bool = False,
) -> Tensor:
    splice = Splice(model, basis, gates, prompts.slot, values, complement=complement)
    hidden = model.forward(prompts.clean, prompts.last, edits=splice.edits(0), mlps=splice.mlps(0))
    # one number of the last hidden states, whose precision is the model's
    probe = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    return (hidden * probe.to(hidden.dtype)).sum()


@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma2"])
def test_gradients_of_gates_are_difference_quotients(
    architecture: str, name: str, at: float, precise: Callable[[str], Model], tmp_path: Path
) -> None:
    """Of all gates of units and of errors, along a random direction of each layer alone, and in the complement."""
    model = precise(architecture)
    prompts = prompt_set(model, pair_rows(4, (5, 4)))
    basis = named(name, model, tmp_path)
    circuit = everything(basis, prompts.n_slots)
    nodes = layer_nodes([circuit], model.device)
    values = reference(model, prompts, basis, nodes, "mean", None, 0, "score")
    gates = soft(hard_gates([circuit], nodes, prompts.n_slots, model.device), at)
    leaves = [part.requires_grad_() for part in tensors(gates)]
    assert len(leaves) == len(basis.layers()) * (1 + basis.has_error)
    generator = torch.Generator().manual_seed(1)
    sizes: list[float] = []
    for complement in (False, True):
        m = m_of(model, prompts, basis, gates, values, complement)
        gradients = torch.autograd.grad(m, leaves)
        for number, gradient in enumerate(gradients):
            direction = [torch.zeros_like(leaf) for leaf in leaves]
            direction[number] = torch.randn(gradient.shape, generator=generator, dtype=torch.float64)
            with torch.no_grad():
                ahead, behind = (
                    m_of(model, prompts, basis, moved(gates, [side * STEP * d for d in direction]), values, complement)
                    for side in (1, -1)
                )
            expected = float(ahead - behind) / (2 * STEP)
            found = float((gradient * direction[number]).sum())
            assert found == pytest.approx(expected, rel=1e-2, abs=5e-3)
            sizes.append(abs(expected))
    assert sorted(sizes)[len(sizes) // 2] > 0.1  # most of them do something


@pytest.mark.parametrize("ablation", ABLATIONS)
@pytest.mark.parametrize("name", BASES)
def test_zero_and_one_are_ablated_and_kept(
    name: str, ablation: Ablation, tiny: Callable[[str], Model], tmp_path: Path
) -> None:
    model = tiny("llama")
    prompts = prompt_set(model, pair_rows(4, (5, 4)))
    basis = named(name, model, tmp_path)
    whole = everything(basis, prompts.n_slots)
    chosen = torch.rand(len(whole), generator=torch.Generator().manual_seed(0)) < 0.3
    circuit = Circuit(whole.layer[chosen], whole.slot[chosen], whole.unit[chosen])
    nodes = layer_nodes([whole], model.device)
    values = reference(model, prompts, basis, nodes, ablation, None, 0, "score")
    hard = hard_gates([circuit], nodes, prompts.n_slots, model.device)
    floats = {
        layer: replace(g, gate=g.gate.float(), error=None if g.error is None else g.error.float())
        for layer, g in hard.items()
    }
    for complement in (False, True):
        kept, gated = (m_of(model, prompts, basis, gates, values, complement) for gates in (hard, floats))
        assert torch.equal(kept, gated)
    # gates of 0 on the other nodes change nothing but the order of sums
    every = hard_gates([whole], nodes, prompts.n_slots, model.device)
    wide = {}
    for layer, of_layer in every.items():
        gate = torch.zeros_like(of_layer.gate, dtype=torch.float32)
        error = None if of_layer.error is None else torch.zeros_like(of_layer.error, dtype=torch.float32)
        if layer in hard:
            gate[..., hard[layer].column] = hard[layer].gate.float()
            if error is not None and hard[layer].error is not None:
                error += hard[layer].error.float()  # type: ignore[union-attr]  # looked at above
        wide[layer] = LayerGates(of_layer.units, of_layer.column, gate, error)
    for complement in (False, True):
        kept, gated = (m_of(model, prompts, basis, gates, values, complement) for gates in (hard, wide))
        torch.testing.assert_close(gated, kept, atol=1e-4, rtol=1e-4)


def test_layers_whose_nodes_nothing_keeps_are_ablated(tiny: Callable[[str], Model]) -> None:
    """A layer without gates is that with gates of 0."""
    model = tiny("gpt2")
    prompts = prompt_set(model, pair_rows(4))
    basis = load_basis("neurons", model)
    units = torch.arange(basis.n_units(0))
    nodes = {layer: LayerNodes(units, False) for layer in basis.layers()}
    values = reference(model, prompts, basis, nodes, "mean", None, 0, "score")
    half = LayerGates(units, units, torch.full((1, prompts.n_slots, len(units)), 0.5), None)
    shut = replace(half, gate=torch.zeros_like(half.gate))
    without = m_of(model, prompts, basis, {1: half}, values)
    torch.testing.assert_close(m_of(model, prompts, basis, {0: shut, 1: half, 2: shut}, values), without)
    assert (m_of(model, prompts, basis, {1: replace(half, gate=half.gate + 0.5)}, values) - without).abs() > 1e-2
