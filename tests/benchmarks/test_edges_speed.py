"""All edges of one prompt: batched backward passes against one target at a time, in the same run.

Run alone on a quiet machine: ``pytest tests/benchmarks/test_edges_speed.py -s``. Asserts agreement, never a time.
"""

import time

import pytest
import torch

import basisbench
from basisbench.attribution import Request, ask_scores, load_method
from basisbench.bases.load import load_basis
from basisbench.circuits.ranking import rank_nodes
from basisbench.models.adapter import Model
from basisbench.prompts.prompt_set import PromptSet
from basisbench.prompts.selection import load_prompts
from basisbench.tasks.load import load_task
from basisbench.tracing import prune, ranked_nodes, task_metric, trace_graph
from basisbench.tracing.edges import trace_flows
from basisbench.tracing.nodes import as_units

pytestmark = [pytest.mark.model, pytest.mark.benchmark]
NODES = 200


@pytest.fixture(scope="module")
def model() -> Model:
    return basisbench.load_model()[0]


@pytest.fixture(scope="module")
def prompts(model: Model) -> PromptSet:
    return load_prompts(load_task("capitals/two_hop"), "discovery", 1, 0, model)


@pytest.mark.parametrize("name", ["neurons", "transcoder"])
def test_batched_targets_beat_one_at_a_time(
    name: str, model: Model, prompts: PromptSet, capsys: pytest.CaptureFixture[str]
) -> None:
    basis = load_basis(name, model)
    scores = ask_scores(load_method("relp"), Request(model, prompts, [basis]))[name]
    ranking = rank_nodes(scores, basis, error="remove")
    tokens = prompts.clean[0, : int(prompts.last[0]) + 1]
    nodes = [node for node in ranked_nodes(ranking, NODES) if node.position < len(tokens)]
    question = task_metric(model, prompts, 0)
    units = as_units(nodes, model.device)
    trace_flows(model, tokens, basis, units, question.outputs)  # dictionaries are read from disk once
    times = {}
    flows = {}
    for at_once in (None, 1):
        began = time.perf_counter()
        flows[at_once], _ = trace_flows(model, tokens, basis, units, question.outputs, at_once=at_once)
        times[at_once] = time.perf_counter() - began
    began = time.perf_counter()
    graph = prune(trace_graph(model, tokens, basis, nodes, question), 0.8)
    whole = time.perf_counter() - began
    with capsys.disabled():
        print(
            f"\n  {name}: {len(nodes)} nodes, {len(tokens)} tokens: all edges batched {times[None]:.2f} s, one target "
            f"at a time {times[1]:.2f} s ({times[1] / times[None]:.1f} x); traced and pruned {whole:.2f} s, "
            f"{len(graph.nodes)} nodes and {len(graph.edges)} edges keep {graph.kept:.0%}",
            end="",
        )
    scale = float(flows[None].value.abs().max())
    for batched, single in zip(vars(flows[None]).values(), vars(flows[1]).values(), strict=True):
        torch.testing.assert_close(batched, single, atol=1e-5 * scale, rtol=1e-3)
