"""Speed as ratios to a naive reference in the same run, and as a share of the machine's matrix-product rate.

Run alone on a quiet machine: ``pytest tests/benchmarks -s``. Nothing here asserts a time; results are asserted equal.
"""

import functools
import time
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

import basisbench
from basisbench.attribution import Request, ask_scores, load_method
from basisbench.attribution.fields import STEPS
from basisbench.bases.basis import Basis, LinearBasis
from basisbench.bases.load import load_basis
from basisbench.circuits.curves import evaluate
from basisbench.circuits.ranking import rank_nodes
from basisbench.models.adapter import Edit, Model
from basisbench.models.sites import Site
from basisbench.prompts.prompt_set import PromptSet
from basisbench.prompts.scoring import objective
from basisbench.prompts.selection import load_prompts
from basisbench.tasks.load import load_task
from basisbench.values import size_grid

pytestmark = [pytest.mark.model, pytest.mark.benchmark]
LAYERS = (2, 14, 27)


@pytest.fixture(scope="module")
def model() -> Model:
    return basisbench.load_model()[0]


@pytest.fixture(scope="module")
def prompts(model: Model) -> PromptSet:
    return load_prompts(load_task("sva/nounpp"), "discovery", 32, 0, model)


def constant(value: Tensor) -> Edit:
    return lambda _: value


def seconds(*works: Callable[[], object], repeats: int = 3) -> list[float]:
    """Least time of each work, taking turns, so that a busy moment of the machine falls on all of them."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for work, taken in zip(works, times, strict=True):
            began = time.perf_counter()
            work()
            taken.append(time.perf_counter() - began)
    return [min(taken) for taken in times]


def matmul_rate(dtype: torch.dtype = torch.float32) -> float:
    """Operations a second of a large matrix product."""
    a = torch.randn(1536, 1536).to(dtype)
    return 10 * 2 * 1536**3 / seconds(lambda: [a @ a for _ in range(10)])[0]


def parameters(model: Model, layer: int) -> int:
    """Weights that one token is multiplied with in the layers after `layer`."""
    config = model.config
    head = config.hidden_size // config.num_attention_heads
    attention = 2 * config.hidden_size * head * (config.num_attention_heads + config.num_key_value_heads)
    return int(attention + 3 * config.hidden_size * config.intermediate_size) * (model.n_layers - 1 - layer)


def some_layers(name: str, kind: str, model: Model, width: int) -> Basis:
    return LinearBasis(name, [Site(layer, kind) for layer in LAYERS], width)


def score(method: str, model: Model, prompts: PromptSet, bases: Sequence[Basis]) -> Callable[[], dict[int, Tensor]]:
    run = load_method(method)
    return lambda: dict(ask_scores(run, Request(model, prompts, bases))[bases[0].name].by_layer)


def naive_ig(model: Model, prompts: PromptSet, layers: Sequence[int]) -> dict[int, Tensor]:
    """Neuron scores the plain way: a full forward and backward pass for every layer and step."""
    result = {}
    for layer in layers:
        site = Site(layer, "mlp_post")
        ends: list[Tensor] = []
        with torch.no_grad():
            for tokens in (prompts.clean, prompts.corrupt):
                model.forward(tokens, prompts.last, edits=[(site, ends.append)])
        clean, corrupt = ends
        total = torch.zeros_like(clean)
        for step in range(STEPS):
            leaf = (clean + step / STEPS * (corrupt - clean)).requires_grad_()
            hidden = model.forward(prompts.clean, prompts.last, edits=[(site, constant(leaf))])
            total += torch.autograd.grad(objective(model, hidden, prompts), leaf)[0]
        result[layer] = prompts.slot_sum(total / STEPS * (corrupt - clean)) / prompts.n_pairs
    return result


def show(capsys: pytest.CaptureFixture[str], line: str) -> None:
    with capsys.disabled():
        print(f"\n  {line}", end="", flush=True)


def test_a_second_basis_costs_a_projection(
    model: Model, prompts: PromptSet, capsys: pytest.CaptureFixture[str]
) -> None:
    neurons = some_layers("neurons", "mlp_post", model, model.width("mlp_post"))
    mlp_out = some_layers("mlp_out", "mlp_out", model, model.d_model)
    for method in ("atp", "ig"):
        settings = ([neurons], [mlp_out], [neurons, mlp_out])
        one, other, both = seconds(*(score(method, model, prompts, bases) for bases in settings))
        show(
            capsys,
            f"{method}: a second basis {both / one - 1:+.1%}; one run a basis costs {(one + other) / both:.2f} x",
        )
    alone = score("atp", model, prompts, [neurons])()
    shared = score("atp", model, prompts, [neurons, mlp_out])()
    for layer in LAYERS:
        torch.testing.assert_close(alone[layer], shared[layer])


def test_ig_against_the_naive_way(model: Model, prompts: PromptSet, capsys: pytest.CaptureFixture[str]) -> None:
    basis = some_layers("neurons", "mlp_post", model, model.width("mlp_post"))
    expected, got = naive_ig(model, prompts, LAYERS), score("ig", model, prompts, [basis])()
    naive, ours = seconds(lambda: naive_ig(model, prompts, LAYERS), score("ig", model, prompts, [basis]), repeats=2)
    for layer in LAYERS:
        torch.testing.assert_close(got[layer], expected[layer], atol=1e-4, rtol=1e-2)
    # one step: forward and backward through the layers after the site, and the clean pass that all layers share
    tokens = prompts.n_prompts * (prompts.clean.shape[1] - prompts.unchanged)
    needed = sum(4 * tokens * (STEPS - 1) * parameters(model, layer) for layer in LAYERS)
    needed += (2 * 2 + 4) * tokens * parameters(model, -1)
    share = needed / ours / matmul_rate()
    show(
        capsys,
        f"ig fp32: {naive / ours:.2f} x faster than naive; {share:.0%} of the matmul rate over its own operations",
    )
    bf16 = basisbench.load_model(dtype="bfloat16")[0]
    (fast,) = seconds(score("ig", bf16, prompts, [basis]), repeats=2)
    a = torch.cat([expected[layer].flatten() for layer in LAYERS])
    b = torch.cat([values.flatten() for values in score("ig", bf16, prompts, [basis])().values()])
    top = [set(x.abs().topk(100).indices.tolist()) for x in (a, b)]
    agreement = float(torch.corrcoef(torch.stack([a, b]))[0, 1])
    show(
        capsys,
        f"ig bf16: {naive / fast:.2f} x faster than naive fp32; scores correlate {agreement:.4f} with fp32, "
        f"{len(top[0] & top[1])} of the top 100 shared; {needed / fast / matmul_rate(torch.bfloat16):.0%} of rate",
    )
    assert agreement > 0.9


def test_a_curve_point_against_a_plain_forward(model: Model, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = load_prompts(load_task("sva/nounpp"), "evaluation", 40, 0, model)
    discovery = load_prompts(load_task("sva/nounpp"), "discovery", 32, 0, model)

    def plain() -> None:
        with torch.no_grad():
            model.logits(model.forward(pairs.clean, pairs.last))

    for name in ("neurons", "mlp_out", "rotated_neurons"):
        basis = load_basis(name, model)
        scores = ask_scores(load_method("relp"), Request(model, discovery, [basis]))[basis.name]
        ranking = rank_nodes(scores, basis)
        measured = functools.partial(evaluate, model, pairs, basis, ranking, size_grid())
        curve, forward = seconds(measured, plain, repeats=2)
        point = curve / (2 * len(size_grid()))
        show(capsys, f"curve of {name}: {curve:.1f} s; a point costs {point / forward:.2f} x a plain forward")
