"""Grids: which cells there are, who computes them, what a failure leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

import basisbench
from basisbench import UserError, make_config
from basisbench.grid import run as runner
from basisbench.grid.claims import claim
from basisbench.grid.plan import Group, plan_groups
from toys.models import pair_rows, random_hf, write_task

Names = dict[str, Any]


def cells(**settings: Any) -> list[tuple[Any, ...]]:
    """The planned cells in order: model, task, seed, method, basis, ablation, error."""
    groups = plan_groups(make_config(settings))
    return [(*group.shared, *treatment) for group in groups for treatment in group.treatments]


# -- the plan ------------------------------------------------------------------------------------------

AXES: Names = {
    "model": ["a", "b"], "tasks": ["s", "t"], "seed": [0, 1], "methods": ["atp", "ig"], "bases": ["n", "m"],
    "ablation": ["mean", "zero"], "error": ["score", "keep"],
}  # fmt: skip


def test_a_plan_is_the_product_of_its_axes() -> None:
    planned = cells(**AXES)
    assert sorted(planned) == sorted(product(*AXES.values()))
    groups = plan_groups(make_config(AXES))
    assert len(groups) == 16
    assert all(len(group.treatments) == 8 for group in groups)
    # one load of a model, one tokenisation of a task
    assert [group.shared.model for group in groups] == ["a"] * 8 + ["b"] * 8
    assert [(g.shared.task, g.shared.seed) for g in groups[:8]] == [
        (t, s) for t in "st" for s in (0, 1) for _ in range(2)
    ]


@pytest.mark.parametrize(
    ("exclude", "out"),
    [
        ([{"basis": "n", "method": "ig"}], lambda c: c[4] == "n" and c[3] == "ig"),
        ([{"seed": 1, "task": "t"}], lambda c: c[2] == 1 and c[1] == "t"),
        ([{"error": "keep"}, {"model": "b"}], lambda c: c[6] == "keep" or c[0] == "b"),
        ([{"ablation": "z*", "basis": ["n", "m"]}], lambda c: c[5] == "zero"),
    ],
)
def test_excluded_cells_are_those_that_match_on_every_named_axis(exclude: Any, out: Any) -> None:
    assert sorted(cells(**AXES, exclude=exclude)) == sorted(c for c in product(*AXES.values()) if not out(c))


def test_included_cells_come_with_their_model_and_task_and_once() -> None:
    plain = {"model": "a", "tasks": "s,t", "methods": "atp", "bases": "n"}
    extra = cells(**plain, include=[{"task": "s", "basis": "m"}, {"basis": "n"}, {"task": "u", "method": "ig"}])
    assert [c[1:5] for c in extra] == [
        ("s", 0, "atp", "n"), ("s", 0, "atp", "m"), ("t", 0, "atp", "n"), ("u", 0, "ig", "n")
    ]  # fmt: skip


def test_excluding_nothing_or_everything_is_one_line() -> None:
    with pytest.raises(UserError, match=r"exclude 2 \(basis: neuron\) matches no cell: valid are names of this run"):
        cells(exclude=[{"method": "atp"}, {"basis": "neuron"}])
    with pytest.raises(UserError, match="every cell of this run is excluded"):
        cells(exclude=[{}])
    with pytest.raises(UserError, match=r"setting exclude\.0\.bases: Extra inputs"):
        cells(exclude=[{"bases": "neurons"}])


# -- a grid on two models and two seeds ----------------------------------------------------------------


@pytest.fixture
def asked(tiny_folder: Path, task_folder: Path, tmp_path: Path) -> Names:
    return {
        "model": [str(tiny_folder)], "tasks": [str(task_folder)], "bases": "mlp_out", "methods": "atp",
        "n_discovery": 4, "n_evaluation": 4, "sizes": "1,10,100", "out": tmp_path / "out",
    }  # fmt: skip


def test_models_and_seeds_are_axes_of_a_run(
    asked: Names, tokenizer: PreTrainedTokenizerFast, tiny_folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    random_hf("gpt2", seed=3).save_pretrained(other)
    tokenizer.save_pretrained(other)
    missing = tmp_path / "missing"
    both = [str(tiny_folder), str(missing), str(other)]
    report = runner.run(make_config(asked | {"model": both, "seed": "0,1", "methods": "atp,delta"}))
    assert [(r.cell.model, r.cell.seed, r.cell.method) for r in report.results] == [
        (model, seed, method) for model in (both[0], both[2]) for seed in (0, 1) for method in ("atp", "delta")
    ]
    # a model that cannot be had is noted; alone it ends the run
    (failure,) = report.failures
    assert (failure.cell, "no model folder" in failure.reason) == (str(missing), True)
    with pytest.raises(UserError, match="no model folder"):
        runner.run(make_config(asked | {"model": [str(missing)]}))
    assert {tuple(r.data.slot_names) for r in report.results} == {("end-4", "end-3", "end-2", "end-1", "end")}
    # each is the cell that a run of it alone gives
    alone = runner.run(make_config(asked | {"model": [both[2]], "seed": 1, "out": tmp_path / "alone"}))
    (same,) = (r for r in report.results if r.name == alone.results[0].name)
    assert same.curve == alone.results[0].curve


# -- failures ------------------------------------------------------------------------------------------

FLAKY = """
import os, torch
from basisbench import LinearBasis, Site

def flaky(model):
    bad = os.environ.get("FLAKY")
    eye = torch.full((model.d_model, model.d_model), torch.nan) if bad else torch.eye(model.d_model)
    sites = [Site(layer, "mlp_out") for layer in range(model.n_layers)]
    return LinearBasis("flaky", sites, model.d_model, lambda _: eye)
"""


@pytest.mark.parametrize("method", ["atp", "random"])  # fails when scored, fails in its curve
def test_a_failed_cell_is_kept_with_its_reason_and_computed_again_on_request(
    method: str, asked: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text(FLAKY)
    config = asked | {"bases": f"{tmp_path / 'own.py'}:flaky,mlp_out", "methods": method}
    monkeypatch.setenv("FLAKY", "1")
    first = runner.run(make_config(config))
    (failure,) = first.failures
    (record,) = (tmp_path / "out" / "failures").iterdir()
    document = json.loads(record.read_text())
    assert (document["cell"]["basis"], document["reason"]) == ("flaky", failure.reason)
    monkeypatch.delenv("FLAKY")
    again = runner.run(make_config(config))
    (failure_again,) = again.failures
    assert failure_again.reason == f"{failure.reason} (failed before; --retry computes it again)"
    assert again.reused == 1
    retried = runner.run(make_config(config | {"retry": True}))
    assert (retried.failures, retried.reused, len(retried.results)) == ((), 1, 2)
    assert not list((tmp_path / "out" / "failures").iterdir())
    assert record.stem in {result.name for result in retried.results}


def test_a_damaged_record_of_a_failure_counts_as_none(
    asked: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text(FLAKY)
    config = make_config(asked | {"bases": f"{tmp_path / 'own.py'}:flaky"})
    monkeypatch.setenv("FLAKY", "1")
    runner.run(config)
    (record,) = (tmp_path / "out" / "failures").iterdir()
    record.write_text('{"reason": "\\u001b[31m')
    monkeypatch.delenv("FLAKY")
    assert runner.run(config).failures == ()


# -- several processes on one folder -------------------------------------------------------------------

COUNTING = """
import os, time
from pathlib import Path
from basisbench import LinearBasis, Site

class Slow(LinearBasis):
    def __init__(self, model):
        super().__init__("slow", [Site(layer, "mlp_out") for layer in range(model.n_layers)], model.d_model)

    def encode(self, layer, x, units=None):
        time.sleep(0.002)
        return super().encode(layer, x, units)
"""


def run_cli(asked: Names, **more: object) -> list[str]:
    options = {name: ",".join(v) if isinstance(v, list) else v for name, v in (asked | more).items()}
    return [sys.executable, "-m", "basisbench", "run", *(f"--{k.replace('_', '-')}={v}" for k, v in options.items())]


def test_two_processes_on_a_folder_compute_each_cell_once(asked: Names, task_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(COUNTING)
    tasks = [str(write_task(tmp_path / f"t{i}", discovery=pair_rows(4, seed=i), evaluation=pair_rows(4, seed=9 + i)))
             for i in range(4)]  # fmt: skip
    line = run_cli(asked, tasks=tasks, bases=f"{tmp_path / 'own.py'}:Slow", methods="atp,delta")
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    outputs = [process.communicate(timeout=180) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    # every cell is there once and whole, and what one did not compute it found there
    results = basisbench.read_results(tmp_path / "out")
    assert len(results) == 8
    for path, result in zip(sorted((tmp_path / "out").glob("*.json")), results, strict=True):
        basisbench.read_arrays(path, result)
    reused = [int(out.split("results: 8 in")[1].split("(")[1].split()[0]) for out, _ in outputs]
    assert sum(reused) == 8, reused


def test_a_claim_is_free_again_when_its_process_is_killed(asked: Names, tmp_path: Path) -> None:
    (group,) = plan_groups(make_config(asked))
    program = (
        "import sys, time; from pathlib import Path; from basisbench.grid.claims import claim\n"
        "from basisbench.grid.plan import Group, Shared\n"
        f"group = Group(Shared(*{tuple(group.shared)!r}), ())\n"
        "with claim(Path(sys.argv[1]), group, wait=False) as ours:\n"
        "    print(ours, flush=True); time.sleep(600)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        assert not held(tmp_path, group)
        other = Group(group.shared._replace(seed=1), ())
        assert held(tmp_path, other)
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=30)
        deadline = time.monotonic() + 30
        while not (ours := held(tmp_path, group)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert ours
    finally:
        holder.kill()


def held(folder: Path, group: Group) -> bool:
    with claim(folder, group, wait=False) as ours:
        return ours
