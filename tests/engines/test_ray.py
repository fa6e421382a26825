"""The Ray engine: the numbers of a run in one process, and what becomes of workers that die."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from ray.cluster_utils import Cluster
from typer.testing import CliRunner

import basisbench
from basisbench import UserError, make_config
from basisbench.cli import app
from basisbench.engines import run_on_ray
from basisbench.engines.schedule import next_group, next_model, prompts_of
from basisbench.engines.store import Store
from basisbench.grid import run as runner
from basisbench.grid.plan import Group, Shared, plan_groups
from basisbench.grid.run import RunReport
from toys.models import one_line, pair_rows, write_task

Names = dict[str, Any]

# -- who computes what ---------------------------------------------------------------------------------


def groups(*shared: tuple[str, str, int, str]) -> list[Group]:
    return [Group(Shared(*some), ()) for some in shared]


PENDING = groups(("m", "s", 0, "atp"), ("m", "t", 0, "atp"), ("m", "t", 0, "ig"), ("n", "s", 0, "atp"))


@pytest.mark.parametrize(
    ("model", "last", "elsewhere", "chosen"),
    [
        ("m", None, [], 0),
        ("m", ("m", "t", 0), [], 1),  # the prompts that it has
        ("m", None, [("m", "s", 0)], 1),  # none that another has
        ("m", ("m", "u", 0), [("m", "s", 0), ("m", "t", 0)], 0),  # before it idles, any
        ("n", ("m", "s", 0), [], 3),
        ("o", None, [], None),
    ],
)
def test_a_worker_gets_groups_of_its_model_and_its_prompts(
    model: str, last: Any, elsewhere: list[Any], chosen: int | None
) -> None:
    group = next_group(PENDING, model, last, elsewhere)
    assert group == (None if chosen is None else PENDING[chosen])


def test_two_workers_share_a_plan_without_tokenising_twice() -> None:
    config = {"model": "m", "tasks": "s,t,u,v", "methods": "atp,ig,relp", "bases": "n"}
    pending = plan_groups(make_config(config))
    last: dict[int, Any] = {0: None, 1: None}
    tokenised = []
    while pending:
        for worker in last:
            group = next_group(pending, "m", last[worker], [last[1 - worker]])
            assert group
            pending.remove(group)
            if prompts_of(group) != last[worker]:
                tokenised.append(prompts_of(group))
            last[worker] = prompts_of(group)
    assert len(tokenised) == len(set(tokenised)) == 4


def test_models_get_workers_by_what_is_left_to_do() -> None:
    assert next_model(PENDING, [], []) == "m"
    assert next_model(PENDING, ["m"], []) == "m"
    assert next_model(PENDING, ["m", "m", "m"], []) == "n"
    assert next_model(PENDING, ["m", "n"], ["n"]) == "m"
    assert next_model(PENDING, ["m", "m", "m", "n"], ["m", "m", "m", "n"]) is None
    assert next_model([], [], []) is None


# -- a store -------------------------------------------------------------------------------------------


def test_a_store_has_what_was_put_and_nothing_half_written(tmp_path: Path) -> None:
    store = Store("memory://results/some")
    assert store.names() == set()
    store.check()
    (tmp_path / "a.json").write_bytes(b"{}")
    (tmp_path / "a.safetensors").write_bytes(b"arrays")
    store.put(tmp_path, ["a.safetensors", "a.json"])
    assert store.names() == {"a"}
    other = tmp_path / "other"
    store.get(other, ["a.safetensors", "a.json", "missing.json"])
    assert {path.name: path.read_bytes() for path in other.iterdir()} == {"a.json": b"{}", "a.safetensors": b"arrays"}
    store.remove("a.json")
    store.remove("a.json")
    assert store.names() == set()
    assert [Path(path).name for path in store.fs.find(store.root)] == ["a.safetensors"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("results", "store 'results' is no URL: valid: an fsspec URL"),
        ("nosuch://bucket", "store 'nosuch://bucket' cannot be used: Protocol not known: nosuch"),
        ("file:///proc/nothing/here", "store 'file:///proc/nothing/here' cannot be used"),
    ],
)
def test_a_store_that_cannot_be_used_is_one_line(url: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        Store(url).check()
    assert one_line(error).startswith(message)


# -- a cluster of two machines -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of two machines with one processor each, both this one."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tempfile.mkdtemp(prefix="ray-")  # pytest's are too long for a socket
        (Path(folder) / "ray").mkdir()
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("TMPDIR", folder)  # a worker that is killed leaves its temporary folder
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        machine: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
        machines = Cluster(initialize_head=True, head_node_args={**machine, "include_dashboard": False})
        try:
            machines.add_node(**machine)
            yield machines.address
        finally:
            ray.shutdown()
            machines.shutdown()
            shutil.rmtree(folder)


KILLING = """
import os, traceback
from contextlib import suppress
from pathlib import Path
from basisbench import LinearBasis, Site

class Once(LinearBasis):
    '''Kills its process, once, when a result is there.'''

    def __init__(self, model):
        super().__init__("once", [Site(layer, "mlp_out") for layer in range(model.n_layers)], model.d_model)

    def encode(self, layer, x, units=None):
        if any(Path({out!r}).glob("*.json")):
            with suppress(FileExistsError):  # two workers come here at once
                Path({flag!r}).touch(exist_ok=False)
                os.kill(os.getpid(), 9)
        return super().encode(layer, x, units)

class Always(LinearBasis):
    def __init__(self, model):
        super().__init__("always", [Site(layer, "mlp_out") for layer in range(model.n_layers)], model.d_model)

    def encode(self, layer, x, units=None):
        if "bind_basis" not in [frame.name for frame in traceback.extract_stack()]:
            os.kill(os.getpid(), 9)
        return super().encode(layer, x, units)
"""


@pytest.fixture
def asked(tiny_folder: Path, tmp_path: Path) -> Names:
    tasks = [
        write_task(tmp_path / f"t{i}", discovery=pair_rows(4, seed=i), evaluation=pair_rows(4, seed=9 + i))
        for i in range(2)
    ]
    flag, out = tmp_path / "flag", tmp_path / "ray"
    (tmp_path / "own.py").write_text(KILLING.format(flag=str(flag), out=str(out)))
    return {
        "model": str(tiny_folder), "tasks": list(map(str, tasks)), "bases": ["mlp_out", f"{tmp_path / 'own.py'}:Once"],
        "methods": "atp", "n_discovery": 4, "n_evaluation": 4, "sizes": "1,10,50", "out": out,
    }  # fmt: skip


def plainly(asked: Names, out: Path) -> RunReport:
    """The same cells in this process, with as many threads as a worker has, and nothing killed."""
    (out.parent / "flag").touch()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return runner.run(make_config(asked | {"out": out}))
    finally:
        torch.set_num_threads(threads)
        (out.parent / "flag").unlink()


def numbers(report: RunReport) -> list[tuple[object, ...]]:
    return [(r.name, r.curve, r.summary, r.arrays_sha256) for r in report.results]


def test_a_cluster_gives_the_numbers_of_one_process_though_a_worker_is_killed(
    asked: Names, cluster: str, tmp_path: Path
) -> None:
    plain = plainly(asked, tmp_path / "plain")
    lines: list[str] = []
    fractions: list[float] = []
    new: list[str] = []
    report = run_on_ray(
        make_config(asked),
        address=cluster,
        say=lines.append,
        report=lambda what, fraction: fractions.append(fraction),
        each=lambda result, path: new.append(basisbench.read_result(path).name),
    )
    assert (tmp_path / "flag").exists()
    assert len([line for line in lines if line.startswith("lost the worker that computed")]) == 1, lines
    assert (report.failures, report.reused) == ((), 0)
    assert len(report.results) == 4
    assert numbers(report) == numbers(plain)
    assert sorted(new) == sorted(result.name for result in plain.results)
    for result in report.results:
        basisbench.read_arrays(report.folder / f"{result.name}.json", result)
    assert fractions[-1] == max(fractions) == 1
    assert len(lines) == len(set(lines))


def test_a_group_that_kills_its_workers_fails_while_others_reach_the_store(
    asked: Names, cluster: str, tmp_path: Path
) -> None:
    asked |= {"bases": "mlp_out"}
    plain = plainly(asked, tmp_path / "plain")
    there, absent = plain.results
    store = Store(f"file://{tmp_path / 'store'}")
    store.put(plain.folder, [f"{there.name}.safetensors", f"{there.name}.json"])
    deadly = {"task": asked["tasks"][1], "basis": f"{tmp_path / 'own.py'}:Always", "method": "delta"}
    lines: list[str] = []
    new: list[str] = []
    report = run_on_ray(
        make_config(asked | {"include": [deadly], "out": tmp_path / "mine"}),
        address=cluster,
        store=store.url,
        say=lines.append,
        each=lambda result, path: new.append(result.name),
        retries=0,
    )
    # what the store had was not computed again, and the driver's folder has everything
    assert numbers(report) == numbers(plain)
    assert report.results[0] == there
    assert (report.reused, new) == (1, [absent.name])
    assert store.names() == {there.name, absent.name} == {path.stem for path in (tmp_path / "mine").glob("*.json")}
    for result in basisbench.read_results(tmp_path / "mine"):
        basisbench.read_arrays(tmp_path / "mine" / f"{result.name}.json", result)
    # the failed cell says why, and is recorded where the results are
    (failure,) = report.failures
    assert failure.cell.split() == ["t1", "delta", "Always", "mean"]
    assert failure.reason.startswith("its worker died, 1 of 1 times: The actor died")
    (record,) = (tmp_path / "store" / "failures").iterdir()
    assert failure.reason in record.read_text()
    assert len(lines) == len(set(lines))
    # the one that was killed could not remove its folder
    assert len(list(Path(os.environ["TMPDIR"]).glob("basisbench-*"))) == 1


# -- what users see ------------------------------------------------------------------------------------


def said(*options: str) -> str:
    result = CliRunner().invoke(app, ["run", *options])
    assert isinstance(result.exception, UserError), result.output
    return str(result.exception)


def test_options_that_cannot_work_are_one_line(asked: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    line = [f"--{name}={asked[name]}" for name in ("model", "out")] + [
        f"--tasks={asked['tasks'][0]}",
        "--bases=mlp_out",
    ]
    assert said(*line, "--engine=ray", f"--address=127.0.0.1:{port}") == (
        f"no Ray cluster at '127.0.0.1:{port}': [Errno 111] Connection refused; valid: HOST:PORT of its head"
    )
    assert "valid: HOST:PORT, auto, local" in said(*line, "--engine=ray", "--address=ray://somewhere:1")
    assert said("--engine=rya") == "unknown engine 'rya': did you mean 'ray'? valid: local, ray"
    assert said("--address=auto") == "--address and --store are for --engine ray"
    monkeypatch.setitem(sys.modules, "ray", None)
    assert said("--engine=ray") == "--engine ray needs the package ray: pip install 'basisbench[ray]'"


def test_a_run_in_this_process_does_not_import_ray() -> None:
    program = "import sys, basisbench.cli, basisbench.grid.run; print('ray' in sys.modules)"
    assert os.popen(f'{sys.executable} -c "{program}"').read() == "False\n"
