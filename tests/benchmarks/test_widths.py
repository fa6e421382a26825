"""What a dictionary's width costs: random weights of 1,536, 24,576 and 131,072 latents at SmolLM2's MLP output.

Run alone on a quiet machine: ``pytest tests/benchmarks/test_widths.py -s``. A point is a circuit and its complement,
with its errors kept at every position or nowhere. Ratios to the narrowest are printed; what is asserted is that kept
columns give what whole encodings and decodings give.
"""

import ctypes
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

import basisbench
from basisbench.attribution import Scores
from basisbench.baselines.dictionaries.basis import DictionaryBasis, Layer
from basisbench.baselines.dictionaries.hooks import Reading
from basisbench.baselines.dictionaries.weights import Dictionary, Encoder, relu
from basisbench.circuits.curves import evaluate
from basisbench.circuits.ranking import Ranking, rank_nodes
from basisbench.models.adapter import Model
from basisbench.models.recording import record
from basisbench.models.sites import Site
from basisbench.prompts.prompt_set import PromptSet
from basisbench.prompts.selection import load_prompts
from basisbench.tasks.load import load_task

pytestmark = [pytest.mark.model, pytest.mark.benchmark]
WIDTHS = (1536, 24576, 131072)
LAYERS = (14, 27)
KEPT = 1000
POINTS = list(range(KEPT - 12, KEPT + 1, 3))


@pytest.fixture(scope="module")
def model() -> Model:
    return basisbench.load_model(device="cpu")[0]


@pytest.fixture(scope="module")
def prompts(model: Model) -> PromptSet:
    return load_prompts(load_task("sva/nounpp"), "evaluation", 40, 0, model)


def dictionary(width: int, d_model: int, layer: int) -> Dictionary:
    generator = torch.Generator().manual_seed(layer)
    encoder = torch.randn(d_model, width, generator=generator).mul_(d_model**-0.5)
    decoder = torch.randn(width, d_model, generator=generator).mul_(width**-0.5)
    return Dictionary(Encoder(encoder, {"b_enc": torch.zeros(width)}, relu), decoder)


def random_basis(width: int, model: Model) -> DictionaryBasis:
    def bound(layer: int) -> Layer:
        site = Site(layer, "mlp_out")
        return Layer(Reading(site, lambda x: x), site, width, True, lambda: dictionary(width, model.d_model, layer))

    return DictionaryBasis(f"random-{width}", {layer: bound(layer) for layer in LAYERS})


def ranked(basis: DictionaryBasis, n_slots: int, errors_first: bool) -> Ranking:
    """1,000 nodes by random score, every error before all units or behind them."""
    generator = torch.Generator().manual_seed(3)
    by_layer = {}
    for layer in LAYERS:
        by_layer[layer] = torch.rand(n_slots, basis.n_units(layer) + 1, generator=generator)
        by_layer[layer][:, -1] = 2.0 if errors_first else 0.0
    return rank_nodes(Scores(basis.name, by_layer), basis, limit=KEPT)


def whole_decompositions(model: Model, prompts: PromptSet, basis: DictionaryBasis, ranking: Ranking) -> Tensor:
    """Answers' logits with all units of a layer encoded, those not kept set to their means, and decoded."""
    sites = [Site(layer, "mlp_out") for layer in LAYERS]
    corrupt, _ = record(model, prompts.corrupt, prompts.last, sites)

    def mean(x: Tensor) -> Tensor:
        return prompts.at_slots(prompts.slot_mean(x))

    def edit(layer: int, x: Tensor) -> Tensor:
        site, n_units = Site(layer, "mlp_out"), basis.n_units(layer)
        kept = torch.zeros(prompts.n_slots, n_units + 1, dtype=torch.bool)
        here = ranking.layer == layer
        kept[ranking.slot[here], ranking.unit[here]] = True
        at = kept[prompts.slot.clamp(min=0)]
        f, other = basis.encode(layer, x), basis.encode(layer, corrupt[site])
        error, other_error = x - basis.lift(layer, site, f), corrupt[site] - basis.lift(layer, site, other)
        units = torch.where(at[..., :-1], f, mean(other))
        return basis.lift(layer, site, units) + torch.where(at[..., -1:], error, mean(other_error))

    edits = [(Site(layer, "mlp_out"), partial(edit, layer)) for layer in LAYERS]
    with torch.no_grad():
        hidden = model.forward(prompts.clean, prompts.last, edits=edits)
        return model.logits_of(hidden[prompts.pair_prompt], prompts.answer.tokens)[:, 0]


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of a call, and by how many MiB memory rises above its start."""
    ctypes.CDLL(None).malloc_trim(0)  # what is freed but held would hide a rise
    base = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is from here on
    began = time.perf_counter()
    work()
    return time.perf_counter() - began, resident("VmHWM") - base


def resident(what: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux' /proc")
def test_a_curve_point_costs_the_same_for_any_width(
    model: Model, prompts: PromptSet, capsys: pytest.CaptureFixture[str]
) -> None:
    first: dict[bool, tuple[float, ...]] = {}
    for width in WIDTHS:
        basis = random_basis(width, model)
        for errors_first in (False, True):
            ranking = ranked(basis, prompts.n_slots, errors_first)
            curve = evaluate(model, prompts, basis, ranking, [KEPT])
            expected = whole_decompositions(model, prompts, basis, ranking)
            torch.testing.assert_close(
                torch.from_numpy(curve.circuit.answer[0]).float(), expected, atol=1e-3, rtol=1e-4
            )
            assert int(curve.error_nodes[0]) == errors_first * len(LAYERS) * prompts.n_slots
            one, one_memory = measured(lambda b=basis, r=ranking: evaluate(model, prompts, b, r, [KEPT]))  # type: ignore[misc]
            many, memory = measured(lambda b=basis, r=ranking: evaluate(model, prompts, b, r, POINTS))  # type: ignore[misc]
            point = (many - one) / (len(POINTS) - 1)
            found = (point, many, one_memory, memory)
            ratios = [a / b for a, b in zip(found, first.setdefault(errors_first, found), strict=True)]
            with capsys.disabled():
                print(
                    f"\n  {width:7,} latents, errors {'kept' if errors_first else 'cut'}: a point {ratios[0]:5.2f} x "
                    f"({1000 * point:.0f} ms), a curve of {len(POINTS)} {ratios[1]:5.2f} x, "
                    f"peak of one point {ratios[2]:5.2f} x (+{one_memory:.0f} MiB), of the curve {ratios[3]:5.2f} x "
                    f"(+{memory:.0f} MiB)",
                    end="",
                    flush=True,
                )
