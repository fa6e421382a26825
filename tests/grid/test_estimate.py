"""What `--dry-run` says: operations against counted ones, time and memory against kept runs, cells against a folder."""

import json
import socket
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

import basisbench
from basisbench import UserError, cli, make_config
from basisbench.attribution import load_method
from basisbench.baselines.dictionaries import byte_cache
from basisbench.bases import outlines
from basisbench.bases.basis import LinearBasis
from basisbench.bases.load import load_basis
from basisbench.bases.outlines import Outline, outline, stated_units
from basisbench.circuits.curves import evaluate
from basisbench.circuits.ranking import rank_nodes
from basisbench.grid import costs
from basisbench.grid import run as runner
from basisbench.grid.costs import Prompts
from basisbench.grid.estimate import Estimate, estimate
from basisbench.grid.failures import record_failure
from basisbench.grid.lengths import counter, prompts_of
from basisbench.grid.outlook import hours, lines, size
from basisbench.grid.rates import Rate, machine_rate
from basisbench.grid.run import RunReport
from basisbench.models.adapter import Model
from basisbench.models.shapes import TABLE, Shape, find_shape, shape_of
from basisbench.models.sites import Site
from basisbench.progress import silent
from basisbench.results.files import pack_arrays
from basisbench.results.find import read_arrays, read_result
from basisbench.results.schema import Result
from basisbench.tasks.load import load_task
from toys.models import ARCHITECTURES, CONFIGS, pair_rows, prompt_set, write_task

RESULTS = Path(__file__).parents[2] / "results"
RATE = Rate(1e9, "a test")
SMOLLM2 = TABLE["smollm2-135m"]


class Flops(TorchDispatchMode):
    """PyTorch's own count; its FlopCounterMode does not stand `autograd.grad` of a leaf."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func._overloadpacket):
            self.total += count(*args, **(kwargs or {}), out_val=result)
        return result


def counted(work: Callable[[], object]) -> float:
    """Multiply-adds that PyTorch counts while `work` runs."""
    flops = Flops()
    with flops:
        work()
    return flops.total / 2


# -- operations ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_operations_of_a_pass_are_those_that_pytorch_counts(
    architecture: str, tiny: Callable[[str], Model]
) -> None:
    model = tiny(architecture)
    shape = shape_of(CONFIGS[architecture]().to_dict())
    assert (shape.n_layers, shape.d_model) == (model.n_layers, model.d_model)
    prompts = prompt_set(model, pair_rows(6))

    def one_pass() -> None:
        with torch.no_grad():
            model.logits(model.forward(prompts.clean, prompts.last))

    # rotary angles are a small product too
    assert counted(one_pass) == pytest.approx(shape.pass_operations(*prompts.clean.shape), rel=0.02)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("smollm2-135m", 134.5), ("meta-llama/Llama-3.1-8B", 8030), ("google/gemma-2-2b", 2614),
        ("google/gemma-3-270m", 268), ("google/gemma-3-1b-pt", 1000), ("google/gemma-3-4b-pt", 3880),
        ("openai-community/gpt2", 124), ("EleutherAI/pythia-70m-deduped", 70.4), ("Qwen/Qwen3-0.6B", 596),
        ("Qwen/Qwen3-1.7B", 1720), ("Qwen/Qwen3-4B", 4022), ("Qwen/Qwen3-8B", 8190),
    ],
)  # fmt: skip
def test_the_table_has_as_many_weights_as_published(name: str, millions: float) -> None:
    assert TABLE[name].n_weights == pytest.approx(millions * 1e6, rel=0.01)


def test_the_shape_of_a_folder_is_that_of_its_config(tiny_folder: Path, tmp_path: Path) -> None:
    assert find_shape(str(tiny_folder)) == Shape(3, 24, 40, 4, 2, 6, 50, itemsize=4)
    (tmp_path / "config.json").write_text('{"text_config": {"hidden_size": 8}}')
    assert find_shape(str(tmp_path)) is None
    assert find_shape("nobody/nothing") is None
    assert find_shape("meta-llama/Meta-Llama-3.1-8B@main") == TABLE["meta-llama/Llama-3.1-8B"]


@pytest.mark.parametrize("name", ["neurons", "mlp_out", "rotated_neurons"])
@pytest.mark.parametrize("method", ["atp", "relp", "ig", "ig_inputs"])
def test_the_operations_of_a_cell_are_near_those_counted(name: str, method: str, tiny: Callable[[str], Model]) -> None:
    model = tiny("llama")
    shape = shape_of(CONFIGS["llama"]().to_dict())
    prompts = prompt_set(model, pair_rows(20, lengths=(30,)))
    basis = load_basis(name, model)
    outlined = outline(name, "llama", shape)
    for layer in basis.layers():
        assert (outlined.n_units, outlined.site) == (basis.n_units(layer), basis.writes(layer)[0].kind)
    assert outlined.has_error == basis.has_error
    scores: list[Any] = []

    def score() -> None:
        scores.append(load_method(method)(model, prompts, [basis], seed=0, progress=silent)[name])

    needed = costs.scores(shape, method, [outlined], Prompts(20, 30, prompts.unchanged))
    assert 1 / 1.25 < counted(score) / needed < 1.25
    ranking = rank_nodes(scores[0], basis, limit=1000)
    sizes = [1, 3, 10, 30, 100, 300, 1000]
    needed = costs.curve(shape, outlined, Prompts(20, 30, prompts.shared), len(sizes))
    assert 1 / 2 < counted(lambda: evaluate(model, prompts, basis, ranking, sizes)) / needed < 2


def test_a_curve_with_an_error_costs_its_reading(tiny: Callable[[str], Model]) -> None:
    model = tiny("llama")
    shape = shape_of(CONFIGS["llama"]().to_dict())
    prompts = prompt_set(model, pair_rows(20, lengths=(30,)))
    draw = torch.Generator().manual_seed(0)
    rows = torch.linalg.qr(torch.randn(24, 24, generator=draw))[0][:20]
    basis = LinearBasis("most", [Site(layer, "mlp_out") for layer in range(3)], 24, lambda _: rows, n_units=20)
    ranking = rank_nodes(load_method("random")(model, prompts, [basis], seed=0, progress=silent)["most"], basis)
    outlined = Outline((0, 1, 2), 20, "mlp_out", 24, has_error=True, dense=True)
    sizes, slots = [1, 3, 10, 30, 100, 300, 1000], Prompts(20, 30, prompts.shared)
    work = counted(lambda: evaluate(model, prompts, basis, ranking, sizes))
    assert 1 / 2 < work / costs.curve(shape, outlined, slots, len(sizes)) < 2


def test_costs_grow_with_what_is_asked() -> None:
    prompts = Prompts(40, 10)
    neurons, sae = (outline(name, "smollm2-135m", SMOLLM2) for name in ("neurons", "sae"))
    resid = outline("resid_post", "smollm2-135m", SMOLLM2)
    cost = {m: costs.scores(SMOLLM2, m, [neurons], prompts) for m in ("random", "delta", "atp", "ig_inputs", "ig")}
    assert cost["random"] == 0
    assert list(cost.values()) == sorted(cost.values())
    # one field serves all bases of the MLP's output; the residual stream has another
    assert costs.scores(SMOLLM2, "ig", [neurons, sae], prompts) < 1.05 * cost["ig"]
    assert costs.scores(SMOLLM2, "ig", [neurons, resid], prompts) > 1.9 * cost["ig"]
    assert costs.scores(SMOLLM2, "exact:20", [neurons], prompts) == cost["atp"] + 10 * costs.forward(SMOLLM2, prompts)
    assert costs.curve(SMOLLM2, sae, prompts, 21) > 1.4 * costs.curve(SMOLLM2, neurons, prompts, 21)


# -- against kept runs ---------------------------------------------------------------------------------


def kept(*folders: str) -> Iterator[tuple[list[Result], list[Outline], Prompts, Prompts]]:
    """Committed results by group, with what is known of them beforehand."""
    for folder in folders:
        results = [read_result(path) for path in sorted((RESULTS / folder).glob("*.json"))]
        results.sort(key=lambda result: (result.cell.task, result.cell.method))
        for (task, _), members in groupby(results, key=lambda result: (result.cell.task, result.cell.method)):
            group = list(members)
            bases = [outline(result.cell.basis, result.cell.model, SMOLLM2) for result in group]
            cell, data = group[0].cell, load_task(task)
            discovery = prompts_of(data, "discovery", cell.n_discovery, 0, None)
            evaluation = prompts_of(data, "evaluation", cell.n_evaluation, 0, None)
            yield group, bases, discovery, evaluation


def test_times_are_within_a_factor_of_three_of_kept_runs() -> None:
    rates = []
    for group, bases, discovery, evaluation in kept("sva", "two-hop"):
        shared = costs.scores(SMOLLM2, group[0].cell.method, bases, discovery) / len(group)
        for result, basis in zip(group, bases, strict=True):
            operations = shared + costs.curve(SMOLLM2, basis, evaluation, len(result.cell.grid))
            rates.append(operations / sum(result.timing.seconds.values()))
    assert len(rates) == 48
    near = [rate for rate in rates if 1 / 3 < rate / median(rates) < 3]
    # some cells were timed while other work ran on the machine
    assert len(near) >= 0.9 * len(rates)


def test_memory_is_within_a_factor_of_two_of_kept_runs() -> None:
    seen = set()
    for group, bases, discovery, evaluation in kept("sva", "two-hop", "sva-ig"):
        needed = costs.peak_memory(SMOLLM2, [group[0].cell.method], bases, discovery, evaluation, 4, 10_000)
        peak = max(result.timing.peak_memory_bytes or 0 for result in group)
        assert 1 / 2 < needed / peak < 2, (group[0].cell.task, group[0].cell.method, needed, peak)
        seen.add(group[0].cell.method)
    assert seen == {"relp", "atp", "ig"}


def test_results_are_as_large_as_estimated() -> None:
    for path in (RESULTS / "sva").glob("sva*.json"):
        result = read_result(path)
        cell = result.cell
        taken = path.stat().st_size + len(pack_arrays(*read_arrays(path, result)))
        assert costs.result_bytes(len(cell.grid), max(cell.grid), 40) == pytest.approx(taken, rel=0.1)


def test_prompts_are_counted_as_the_model_reads_them(
    tiny: Callable[[str], Model], tiny_folder: Path, tmp_path: Path
) -> None:
    model = tiny("llama")
    rows = pair_rows(6, lengths=(5, 7))
    rows.append(rows[0] | {"answer": " w3"})  # the same prompts once more
    others = pair_rows(6, lengths=(5, 9), seed=1)
    task = load_task(str(write_task(tmp_path / "words", discovery=others, evaluation=rows)))
    discovery, evaluation = prompt_set(model, others), prompt_set(model, rows)
    count = counter(str(tiny_folder))
    assert count is not None
    assert evaluation.n_prompts == 6
    assert prompts_of(task, "discovery", 6, 0, count) == Prompts(6, 9, discovery.unchanged)
    assert prompts_of(task, "evaluation", 7, 0, count) == Prompts(6, 7, evaluation.shared)
    without = prompts_of(task, "evaluation", 7, 0, None)
    assert without.rows == 6
    assert without.positions >= 7


# -- bases ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "units"),
    [
        ("layer_0/width_16k/average_l0_119 gemma-2-2b/0-gemmascope-mlp-16k", 2**14),
        ("layer_3/width_1m/average_l0_9", 2**20),
        ("llama_scope_lxm_8x l0m_8x Llama3_1-8B-Base-L0M-8x llama3.1-8b/0-llamascope-mlp-32k", 2**15),
        ("llama_scope_lxm_8x l0m_8x", 8 * 4096),
        ("v5_128k_layer_0", 2**17),
        ("OpenAI: 131k", 2**17),
        ("Bloom: residual stream, 25k", 24576),
        ("gemma-scope-2-270m-pt-mlp-all layer_0_width_65k_l0_small", 2**16),
        ("pythia-70m-deduped-mlp-sm 0-mlp-sm", None),
    ],
)
def test_widths_are_read_off_names(names: str, units: int | None) -> None:
    assert stated_units(names, 4096) == units


def test_published_sets_are_outlined_from_the_registry() -> None:
    llama = TABLE["meta-llama/Llama-3.1-8B"]
    sae = outline("sae:llama_scope_lxr_8x", "meta-llama/Llama-3.1-8B", llama)
    assert (len(sae.layers), sae.n_units, sae.site, sae.has_error, sae.guess) == (32, 32768, "resid_post", True, "")
    assert sae.download == 32 * 2 * 4096 * 32768 * 4
    gpt2 = TABLE["openai-community/gpt2"]
    jb = outline("sae:gpt2-small-res-jb", "openai-community/gpt2", gpt2)
    assert (jb.n_units, jb.site, jb.guess) == (24576, "resid_post", "")
    qwen = outline("transcoder:mwhanna-qwen3-0.6b-transcoders-lowl0", "Qwen/Qwen3-0.6B", TABLE["Qwen/Qwen3-0.6B"])
    assert "its width is not stated" in qwen.guess
    assert outlines.KEPT == byte_cache.BUDGET


def test_local_dictionaries_state_their_width(tmp_path: Path) -> None:
    for layer in range(2):
        (tmp_path / f"layer_{layer}").mkdir()
        (tmp_path / f"layer_{layer}" / "cfg.json").write_text(json.dumps({"d_sae": 77}))
    found = outline(f"sae:{tmp_path}", "m", SMOLLM2)
    assert (found.layers, found.n_units, found.download) == ((0, 1), 77, 0)
    (tmp_path / "layer_0" / "cfg.json").write_text("[]")
    with pytest.raises(UserError, match="states no d_sae"):
        outline(f"sae:{tmp_path}/layer_{{layer}}", "m", SMOLLM2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bases": "sae:llama_scope_lxm_8"}, r"no dictionaries .* did you mean 'llama_scope_lxm_8x'\?"),
        ({"bases": "sae:llama_scope_lxm_8x"}, r"has layers 12 to 31: valid for openai-community/gpt2: 0 to 11"),
        ({"bases": "sae"}, "sae alone means the dictionaries of smollm2-135m"),
        ({"bases": "neuron"}, r"unknown basis 'neuron': did you mean 'neurons'\?"),
        ({"bases": "neurons", "tasks": "sva/simpel"}, r"did you mean 'sva/simple'\?"),
        ({"bases": "neurons", "methods": "rel"}, "unknown method 'rel'"),
        ({"bases": "neurons", "ablation": "man"}, "did you mean 'mean'"),
        ({"bases": "neurons", "model": "nowhere"}, "unknown model 'nowhere'"),
        ({"bases": "sae:llama_scope_lxm_8", "model": "nobody/nothing"}, r"did you mean 'llama_scope_lxm_8x'\?"),
    ],
)
def test_names_that_a_run_would_refuse_are_refused_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        estimate(make_config({"model": "openai-community/gpt2"} | options), RATE)
    assert "\n" not in str(caught.value)


# -- cells that are there already ----------------------------------------------------------------------


@pytest.fixture
def asked(tiny_folder: Path, task_folder: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "model": str(tiny_folder), "tasks": str(task_folder), "bases": "mlp_out,neurons", "methods": "atp,random",
        "n_discovery": 4, "n_evaluation": 4, "sizes": "1,10,100", "seed": [0, 1], "out": tmp_path / "out",
    }  # fmt: skip


def counts(found: Estimate) -> tuple[int, int, int, int]:
    (model,) = found.models
    return model.cells, model.done, model.failed, model.left


def test_cells_that_are_done_or_failed_are_counted_by_their_settings(asked: dict[str, Any], tmp_path: Path) -> None:
    first: RunReport = runner.run(make_config(asked))
    assert len(first.results) == 8
    assert counts(estimate(make_config(asked), RATE)) == (8, 8, 0, 0)
    more = asked | {"bases": "mlp_out,neurons,attn_out"}
    before = estimate(make_config(more), RATE)
    assert counts(before) == (12, 8, 0, 4)
    # a cell that has a result now is done, whatever came before; one that failed is left to a retry
    record_failure(tmp_path / "out", "zero", first.results[0].cell, "it broke")
    assert counts(estimate(make_config(asked), RATE)) == (8, 8, 0, 0)
    other = first.results[0].cell.model_copy(update={"basis": "attn_out"})
    record_failure(tmp_path / "out", "one", other, "it broke")
    assert counts(estimate(make_config(more), RATE)) == (12, 8, 1, 3)
    assert counts(estimate(make_config(more | {"retry": True}), RATE)) == (12, 8, 1, 4)
    # what is left takes less than all of it
    whole = estimate(make_config(more | {"out": tmp_path / "empty"}), RATE)
    assert 0 < (before.seconds(before.models[0]) or 0) < (whole.seconds(whole.models[0]) or 0)
    for changed in ({"n_evaluation": 5}, {"sizes": "1,10"}, {"ablation": "zero"}, {"require_correct": True}):
        assert counts(estimate(make_config(asked | changed), RATE))[1] == 0
    # files that are no results do not count, whatever they hold
    (tmp_path / "out" / "bad.json").write_bytes(b'{"cell": {"model": "\x00')
    (tmp_path / "out" / "worse.json").write_text("[" * 10_000)
    assert counts(estimate(make_config(asked), RATE)) == (8, 8, 0, 0)
    # a basis without an error has one treatment of it, as in a run
    assert counts(estimate(make_config(asked | {"error": "score,keep,remove"}), RATE)) == (8, 8, 0, 0)


def test_kept_runs_are_done() -> None:
    quickstart = make_config({"out": RESULTS / "sva"}, RESULTS.parent / "boards" / "quickstart.yaml")
    found = estimate(quickstart, RATE)
    assert counts(found) == (40, 40, 0, 0)
    assert found.seconds(found.models[0]) == 0


def test_a_basis_from_a_file_counts_by_its_name_and_content(asked: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text("from basisbench import LinearBasis, Site\n\ndef own(model):\n"
                    "    sites = [Site(i, 'mlp_out') for i in range(model.n_layers)]\n"
                    "    return LinearBasis('own', sites, model.d_model)\n")  # fmt: skip
    config = asked | {"bases": f"{file}:own", "methods": "atp", "seed": 0}
    assert len(runner.run(make_config(config)).results) == 1
    found = estimate(make_config(config), RATE)
    assert counts(found) == (1, 1, 0, 0)
    assert any("its units are not known" in note for note in found.notes)
    file.write_text(file.read_text() + "\n# changed\n")
    assert counts(estimate(make_config(config), RATE)) == (1, 0, 0, 1)


# -- what users see ------------------------------------------------------------------------------------


def test_a_dry_run_loads_nothing_fetches_nothing_and_writes_nothing(
    asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a dry run must not do this")

    monkeypatch.setattr(runner, "load_model", refuse)
    monkeypatch.setattr(Model, "__init__", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    board = tmp_path / "board.yaml"
    board.write_text(
        f"model: [{asked['model']}, nobody/nothing]\ntasks: [{asked['tasks']}, mib/ioi]\nbases: [neurons]\n"
        f"out: {tmp_path / 'out'}\nexclude: [{{method: atp, task: mib/ioi}}]\n"
    )
    monkeypatch.setattr(sys, "argv", ["basisbench", "run", "--config", str(board), "--dry-run", "--seed", "0,1"])
    assert cli.command() == 0
    printed, errors = capsys.readouterr()
    assert errors == ""
    assert not (tmp_path / "out").exists()
    head, first, second, total = (line.split() for line in printed.splitlines()[:4])
    assert head == ["model", "cells", "done", "failed", "left", "hours", "memory", "results", "downloads"]
    assert first[1:6] == ["6", "0", "0", "6", "0.00"]
    assert second[1:7] == ["6", "0", "0", "6", "?", "?"]
    assert total[:2] == ["in", "all"]
    assert total[2] == "12"
    assert "2 tasks x 1 basis x 2 methods x 1 ablation x 1 error x 2 seeds" in printed
    assert "nobody/nothing: its shape is not known here" in printed
    assert "prompts of 64 tokens are assumed" in printed


def test_times_are_operations_over_a_rate(asked: dict[str, Any]) -> None:
    slow, fast = (estimate(make_config(asked), Rate(rate, "said")) for rate in (1e6, 4e6))
    (model,) = slow.models
    assert model.taken is not None
    assert slow.seconds(model) == pytest.approx(model.taken.operations / 1e6)
    assert slow.seconds(model) == pytest.approx(4 * (fast.seconds(fast.models[0]) or 0))
    assert "- speed: said" in list(lines(slow))
    # seeds are work of their own, methods share nothing but prompts
    one = estimate(make_config(asked | {"seed": 0}), RATE).models[0].taken
    assert one is not None
    assert model.taken.operations == 2 * one.operations


def test_a_gpu_that_is_not_here_is_assumed_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    rate = machine_rate("cuda", "bfloat16")
    assert "no GPU here: an H100 is assumed, 400 TFLOP/s in bfloat16" in rate.basis
    assert rate.operations > machine_rate("cuda", "float32").operations
    assert 1e8 < machine_rate("auto", "float32").operations < 1e14


def test_amounts_are_short() -> None:
    assert [hours(s) for s in (40, 7200, 36_000_000)] == ["0.01", "2.0", "10,000"]
    assert [size(n) for n in (0, 5_000, 3_400_000, 2_500_000_000)] == ["0 MB", "0.01 MB", "3 MB", "2.5 GB"]
    assert basisbench.make_config({}).out == Path("runs")
