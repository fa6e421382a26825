"""What W&B is told: read back from the records of offline runs, and from a server that listens on loopback."""

import ast
import base64
import hashlib
import json
import math
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import typer.main
import typer.testing
import wandb
import yaml
from wandb.proto import wandb_internal_pb2
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from basisbench.cli import app
from basisbench.errors import UserError
from basisbench.grid.config import RunConfig, make_config
from basisbench.leaderboard import build_leaderboard
from basisbench.results.find import PACKED, read_arrays, read_results
from basisbench.results.pack import pack
from basisbench.results.schema import Result
from basisbench.tracking import live, runs, tracker
from basisbench.tracking.board import headline_of
from basisbench.tracking.settings import WandbSettings, chosen_mode
from basisbench.tracking.sync import sync
from basisbench.training.settings import TrainConfig
from basisbench.training.trainer import train
from toys.results import write_toys

ROOT = Path(__file__).parents[2]
CELLS: list[dict[str, Any]] = [
    {"task": "ioi", "basis": "sae:toy/é release", "method": "atp"},
    {"task": "ioi", "basis": "neurons", "method": "relp"},
    {"task": "sva/rc", "basis": "neurons", "method": "relp", "seed": 3},
    {"task": "sva/rc", "basis": "sae:toy/é release", "method": "atp", "effect": 0.0},
]
OFFLINE = WandbSettings(mode="offline")


@pytest.fixture(autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home without credentials, no settings in the environment, and no W&B process of an earlier test."""
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.delenv("NETRC", raising=False)
    yield
    wandb.teardown()


@dataclass
class Record:
    """What the file of an offline run holds."""

    folder: Path
    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None

    def table(self, name: str) -> tuple[list[str], list[list[Any]]]:
        content = json.loads((self.folder / "files" / self.summary[name]["path"]).read_text())
        return content["columns"], content["data"]

    def shown(self, name: str) -> Path:
        return self.folder / "files" / str(self.summary[name]["path"])

    def of_type(self, kind: str) -> list[Any]:
        return [artifact for artifact in self.artifacts.values() if artifact.type == kind]


def blocks(data: bytes) -> Iterator[bytes]:
    """The entries of a LevelDB log after W&B's seven bytes of header: blocks of 32 KiB, entries in pieces."""
    place, entry = 7, b""
    while place + 7 <= len(data):
        if (left := 32768 - place % 32768) < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        entry += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield entry
            entry = b""


def put(into: dict[str, Any], item: Any) -> None:
    *path, last = item.nested_key or [item.key]
    for key in path:
        into = into.setdefault(key, {})
    into[last] = json.loads(item.value_json)


def read_record(folder: Path) -> Record:
    (file,) = folder.glob("*.wandb")
    end = time.monotonic() + 10
    while not runs.is_whole(file) and time.monotonic() < end:
        time.sleep(0.01)
    found = Record(folder)
    for entry in blocks(file.read_bytes()):
        record = wandb_internal_pb2.Record()  # type: ignore[attr-defined]  # made on import
        record.ParseFromString(entry)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run = record.run
        if kind in ("run", "config"):
            for item in (record.run.config if kind == "run" else record.config).update:
                put(found.config, item)
        elif kind == "summary":
            for item in record.summary.update:
                put(found.summary, item)
        elif kind == "history":
            row: dict[str, Any] = {}
            for item in record.history.item:
                put(row, item)
            found.history.append(row)
        elif kind == "metric":
            found.metrics[record.metric.name or record.metric.glob_name] = record.metric
        elif kind == "artifact":
            found.artifacts[record.artifact.name] = record.artifact
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found


def records(folder: Path) -> dict[str, Record]:
    found = [read_record(path) for path in runs.records(folder / "wandb")]
    assert len({record.run.run_id for record in found}) == len(found)
    return {record.run.run_id: record for record in found}


def hash_of(result: Result) -> str:
    return result.name[-16:]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Result], dict[str, Record], Path, list[str]]:
    """Results logged offline by a run in an empty folder elsewhere: results, records, their folder, what was said."""
    elsewhere, folder = tmp_path_factory.mktemp("elsewhere"), tmp_path_factory.mktemp("boards") / "my board"
    results = read_results(write_toys(folder, CELLS))
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)
        patch.setenv("HOME", str(elsewhere))
        patch.delenv("WANDB_MODE", raising=False)
        patch.setenv("WANDB_RUN_ID", "of-something-else")
        patch.setenv("WANDB_RESUME", "must")
        begun = tracker.start(OFFLINE, folder, said.append)
        for result in results:
            begun.cell(result, folder / f"{result.name}.json")
        begun.board(results)
        begun.finish()
        assert list(elsewhere.iterdir()) == []
        wandb.teardown()
    return results, records(folder), folder, said


Board = tuple[list[Result], dict[str, Record], Path, list[str]]


# --- what a record holds ---


def test_a_cell_is_a_run_of_its_board(board: Board) -> None:
    results, found, _, said = board
    assert len(found) == len(results) + 1
    for result in results:
        record, cell = found[hash_of(result)], result.cell
        assert record.exit_code == 0
        assert (record.run.run_group, record.run.job_type) == ("my board", "cell")
        assert set(record.run.tags) == {cell.basis, cell.method, cell.task}
        assert (record.run.project, record.run.entity) == ("basisbench", "")
        asked = {name: record.config[name] for name in type(cell).model_fields}
        assert asked == cell.model_dump(mode="json")
        assert record.config["environment"] == result.environment.model_dump(mode="json")
        assert record.config["data"]["evaluation"]["usable"] == 12
    assert found[hash_of(results[2])].run.display_name == "sva/rc neurons relp seed 3"
    assert len(said) == 1
    assert "5 runs recorded" in said[0]


def test_summary_numbers_are_those_of_the_result(board: Board) -> None:
    results, found, _, _ = board
    for result in results:
        summary = found[hash_of(result)].summary
        for name in ("auc_f", "auc_c", "nodes_at_08"):
            interval = getattr(result.summary, name)
            assert [summary.get(name + end) for end in ("", "_low", "_high")] == [
                interval.value,
                interval.low,
                interval.high,
            ]
        assert summary["seconds"] == pytest.approx(sum(result.timing.seconds.values()))
        assert summary["degenerate"] == result.degenerate
        assert not [name for name in summary if name.startswith("curve/")], "points of a curve are no summary"
    assert any(result.degenerate for result in results)


def test_the_curve_is_a_line_over_log_size_and_a_table(board: Board) -> None:
    results, found, _, _ = board
    for result in results:
        record, curve = found[hash_of(result)], result.curve
        points = [row for row in record.history if "log10_nodes" in row]
        assert [row["log10_nodes"] for row in points] == pytest.approx([math.log10(size) for size in curve.size])
        for name in ("faithfulness", "faithfulness_low", "faithfulness_high", "completeness", "completeness_high"):
            assert [row.get(f"curve/{name}") for row in points] == getattr(curve, name)
        assert record.metrics["curve/*"].step_metric == "log10_nodes"
        columns, rows = record.table("curve_table")
        assert columns == list(type(curve).model_fields)
        for name, values in zip(columns, zip(*rows, strict=True), strict=True):
            assert list(values) == getattr(curve, name), name


def test_the_plot_has_a_log_axis_and_its_band(board: Board) -> None:
    results, found, _, _ = board
    result = results[0]
    record = found[hash_of(result)]
    chart = json.loads(record.shown("curve_plot").read_text())
    assert chart["layout"]["xaxis"]["type"] == "log"
    band, line = chart["data"][:2]
    assert line["x"] == result.curve.size
    assert line["y"] == result.curve.faithfulness
    points = list(zip(band["x"], band["y"], strict=True))
    upper = list(zip(result.curve.size, result.curve.faithfulness_high, strict=True))
    lower = list(zip(result.curve.size, result.curve.faithfulness_low, strict=True))
    assert points == upper + lower[::-1]
    with PIL.Image.open(record.shown("figure")) as image:
        assert min(image.size) > 300
        assert np.asarray(image.convert("L")).std() > 10


def test_artifacts_lead_from_model_and_dictionary_to_circuit_and_result(board: Board) -> None:
    results, found, folder, _ = board
    versions = set()
    for result in results:
        record = found[hash_of(result)]
        used = {artifact.type: artifact for artifact in record.artifacts.values() if artifact.use_after_commit}
        assert set(used) == ({"model", "dictionary"} if ":" in result.cell.basis else {"model"})
        assert json.loads(used["model"].metadata)["hash"] == result.environment.model_hash
        versions.add(used["model"].digest)
        made = {kind: record.of_type(kind)[0] for kind in ("result", "circuit")}
        files = {entry.path: entry for entry in made["result"].manifest.contents}
        assert set(files) == {f"{result.name}.json", f"{result.name}.safetensors"}
        for name, entry in files.items():
            assert Path(entry.local_path) == folder / name  # as it lies, not a copy
            assert base64.b64decode(entry.digest) == hashlib.md5((folder / name).read_bytes()).digest()
        nodes = {entry.path: entry for entry in made["circuit"].manifest.contents}
        assert f"{result.name}.safetensors" in nodes
        table = json.loads(Path(nodes["nodes.table.json"].local_path).read_text())
        _, ranking = read_arrays(folder / f"{result.name}.json", result)
        assert [row[1] for row in table["data"]] == ranking.layer.tolist()
        assert [row[4] for row in table["data"]] == pytest.approx(ranking.score.tolist())
    assert len(versions) == 1, "one model is one version, whoever uses it"


def test_the_board_holds_leaderboard_results_plots_and_all_files(board: Board) -> None:
    results, found, folder, _ = board
    ids = {hash_of(result) for result in results}
    ((own_id, record),) = ((key, value) for key, value in found.items() if key not in ids)
    assert json.loads((folder / "wandb" / "basisbench.json").read_text())["id"] == own_id
    assert (record.run.job_type, record.run.run_group, record.run.display_name) == ("board", "my board", "my board")
    columns, rows = record.table("leaderboard")
    ranked = build_leaderboard([folder])
    assert [row[columns.index("basis")] for row in rows] == [row.basis for row in ranked.rows]
    overall = [row.overall.auc_f.value if row.overall else None for row in ranked.rows]
    assert [row[columns.index("auc_f")] for row in rows] == overall
    assert record.config["headline"] == ranked.headline
    columns, rows = record.table("results")
    assert {row[columns.index("run")]: row[columns.index("auc_f")] for row in rows} == {
        hash_of(result): result.summary.auc_f.value for result in results
    }
    (artifact,) = record.of_type("board")
    files = {entry.path for entry in artifact.manifest.contents}
    assert {f"{result.name}{end}" for result in results for end in (".json", ".safetensors")} <= files
    chart = json.loads(record.shown("comparison/auc_f").read_text())
    drawn = {y for trace in chart["data"] for y in trace["y"]}
    assert drawn == {result.summary.auc_f.value for result in results if not result.degenerate}
    with PIL.Image.open(record.shown("comparison/curves")) as image:
        assert min(image.size) > 300
    kept = [result.summary for result in results if not result.degenerate]
    assert record.summary["auc_f"] == pytest.approx(np.mean([summary.auc_f.value for summary in kept]))
    assert record.summary["nodes_at_08"] == pytest.approx(
        np.prod([summary.nodes_at_08.value or math.nan for summary in kept]) ** (1 / len(kept)), abs=1e-5
    )


# --- sync ---


def silent(line: str) -> None:
    """Say nothing."""


def test_results_made_without_wandb_are_recorded_once(tmp_path: Path) -> None:
    results = read_results(write_toys(tmp_path / "a" / "inner", CELLS[:2]))
    report = sync([tmp_path], OFFLINE, silent)
    assert (report.recorded, report.uploaded, report.waiting, report.problems) == (3, 0, 3, [])
    before = records(tmp_path / "a" / "inner")
    again = sync([tmp_path], OFFLINE, silent)
    assert (again.recorded, again.waiting) == (0, 3)
    later = time.time() + 5
    os.utime(tmp_path / "a" / "inner" / f"{results[0].name}.json", (later, later))
    third = sync([tmp_path], OFFLINE, silent)
    assert (third.recorded, third.waiting) == (2, 3)  # the cell and the board
    after = records(tmp_path / "a" / "inner")
    assert set(after) == set(before)
    same = hash_of(results[1])
    assert after[same].folder == before[same].folder
    staged = list((tmp_path / "a" / "inner" / "wandb" / "data").iterdir())
    assert len(staged) == 3, "what an older record had staged is gone with it"


def test_packed_results_are_recorded_as_they_would_be_in_files(tmp_path: Path) -> None:
    for name in ("loose", "packed"):
        write_toys(tmp_path / name / "board", CELLS[:2])
    list(pack(tmp_path / "packed"))
    for name in ("loose", "packed"):
        report = sync([tmp_path / name], OFFLINE, silent)
        assert (report.recorded, report.waiting, report.problems) == (3, 3, [])
    loose, packed = (records(tmp_path / name / "board") for name in ("loose", "packed"))
    cells = {hash_of(result) for result in read_results(tmp_path / "packed")}
    assert cells == set(loose) & set(packed)
    for own in cells:
        assert loose[own].config == packed[own].config
        points = [[row.get("curve/faithfulness") for row in record.history] for record in (loose[own], packed[own])]
        assert points[0] == points[1]
        for kind in ("result", "circuit"):
            (one,), (other,) = loose[own].of_type(kind), packed[own].of_type(kind)
            assert (one.digest, one.name, one.metadata) == (other.digest, other.name, other.metadata)
    ((artifact,),) = ([record.of_type("board")[0]] for own, record in packed.items() if own not in cells)
    assert PACKED in {entry.path for entry in artifact.manifest.contents}
    # and packing what was recorded asks for no record more
    list(pack(tmp_path / "loose"))
    assert sync([tmp_path / "loose"], OFFLINE, silent).recorded == 0


def test_another_project_gets_all_runs(tmp_path: Path) -> None:
    write_toys(tmp_path, CELLS[:1])
    sync([tmp_path], OFFLINE, silent)
    report = sync([tmp_path], WandbSettings(mode="offline", project="other", entity="team"), silent)
    assert report.recorded == 2
    assert {(record.run.project, record.run.entity) for record in records(tmp_path).values()} == {("other", "team")}
    assert sync([tmp_path], OFFLINE, silent).recorded == 0, "the folder remembers where it was logged to"


def test_bad_files_are_named_and_the_rest_is_recorded(tmp_path: Path) -> None:
    good, torn, renamed = read_results(write_toys(tmp_path, CELLS[:3]))
    arrays = tmp_path / f"{torn.name}.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-1])
    (tmp_path / f"{renamed.name}.json").rename(tmp_path / "a__b__c__0123456789abcdef.json")
    (tmp_path / "x__y__z__\x1b[2J.json").write_text('{"\\u001b[2J": 1}')
    report = sync([tmp_path], OFFLINE, silent)
    assert hash_of(good) in records(tmp_path)
    assert hash_of(torn) not in records(tmp_path)
    assert len(report.problems) == 3
    assert all("\x1b" not in problem and "\n" not in problem for problem in report.problems)


def test_the_command_says_what_it_did_and_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_toys(tmp_path / "runs", CELLS[:1])
    monkeypatch.chdir(tmp_path)
    done = typer.testing.CliRunner().invoke(app, ["sync", "--wandb", "offline", "--project", "p"])
    assert done.exit_code == 0, done.output
    assert "runs: 2 recorded, 0 uploaded, 2 to be uploaded" in done.output
    assert "basisbench sync runs --wandb online" in done.output
    for asked, reason in (
        (["sync", "absent"], "no folder absent"),
        (["sync", "--wandb", "always"], "'auto', 'online', 'offline' or 'disabled'"),
        (["sync", "--project", "a/b"], "project"),
        (["sync", "--wandb", "disabled"], "disabled"),
        (["sync", "."], "nothing to sync"),
    ):
        (tmp_path / "empty").mkdir(exist_ok=True)
        where = ["sync", "empty"] if asked == ["sync", "."] else asked
        error = typer.testing.CliRunner().invoke(app, where).exception
        assert isinstance(error, UserError)
        assert reason in str(error)
        assert "\n" not in str(error)


# --- modes ---


@pytest.mark.parametrize(
    ("mode", "environment", "credentials", "expected"),
    [
        ("auto", None, True, "online"),
        ("auto", None, False, "offline"),
        ("auto", "offline", True, "offline"),
        ("auto", "disabled", True, "disabled"),
        ("offline", "online", True, "offline"),
        ("online", None, True, "online"),
        ("online", None, False, "offline"),
        ("disabled", "online", True, "disabled"),
    ],
)
def test_modes(
    mode: str, environment: str | None, credentials: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if environment:
        monkeypatch.setenv("WANDB_MODE", environment)
    said: list[str] = []
    settings = WandbSettings.model_validate({"mode": mode})
    assert chosen_mode(settings, lambda: credentials, said.append) == expected
    assert len(said) == (mode == "online" and not credentials)


def test_credentials_are_found_where_wandb_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not runs.has_credentials()
    netrc = Path.home() / ".netrc"
    netrc.write_text("machine elsewhere.example login user password secret\n")
    netrc.chmod(0o600)
    assert not runs.has_credentials()
    netrc.write_text(f"machine api.wandb.ai login user password {'a' * 40}\n")
    assert runs.has_credentials()
    netrc.write_text("machine\n")
    assert not runs.has_credentials()
    wandb.teardown()
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    assert runs.has_credentials()


def test_disabled_leaves_no_trace(tmp_path: Path) -> None:
    results = read_results(write_toys(tmp_path, CELLS[:1]))
    before = sorted(tmp_path.rglob("*"))
    log_all(WandbSettings(mode="disabled"), tmp_path, results)
    assert sorted(tmp_path.rglob("*")) == before


# --- failures ---


def log_all(settings: WandbSettings, folder: Path, results: Sequence[Result]) -> list[str]:
    said: list[str] = []
    begun = tracker.start(settings, folder, said.append)
    for result in results:
        begun.cell(result, folder / f"{result.name}.json")
    begun.board(results)
    begun.finish()
    assert all("\n" not in line for line in said)
    return said


def broken(*args: object, **kwargs: object) -> None:
    raise wandb.Error("no\nspace")


@pytest.mark.parametrize("where", ["import", "init", "log", "finish", "write"])
def test_a_failure_is_one_line_and_the_run_goes_on(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = read_results(write_toys(tmp_path, CELLS[:2]))
    if where == "import":
        for name in ("basisbench.tracking.runs", "basisbench.tracking.uploads"):
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "wandb", None)
        monkeypatch.delattr("basisbench.tracking.runs")
    elif where == "init":
        monkeypatch.setattr(wandb, "init", broken)
    elif where == "log":
        monkeypatch.setattr(wandb.Run, "log", broken)
    elif where == "finish":
        monkeypatch.setattr(wandb.Run, "finish", broken)
    else:
        (tmp_path / "wandb").write_text("in the way")
    said = log_all(OFFLINE, tmp_path, results)
    assert len(said) == 1
    assert "W&B is left out from" in said[0]
    if where == "log":
        assert not runs.records(tmp_path / "wandb"), "half a record would be taken for a whole one"
    assert read_results(tmp_path) == results


def test_a_damaged_result_is_left_out_and_no_other(tmp_path: Path) -> None:
    results = read_results(write_toys(tmp_path, CELLS[:2]))
    (tmp_path / f"{results[0].name}.safetensors").unlink()
    said = log_all(OFFLINE, tmp_path, results)
    assert hash_of(results[1]) in records(tmp_path)
    assert any(results[0].name in line for line in said)


def test_an_unreachable_host_costs_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setattr(runs, "PATIENCE", runs.PATIENCE | {"WANDB__GRAPHQL_RETRY_MAX": "1"})
    monkeypatch.setattr(runs, "INIT_SECONDS", 2.0)
    results = read_results(write_toys(tmp_path, CELLS[:1]))
    began = time.monotonic()
    (line,) = log_all(WandbSettings(mode="auto"), tmp_path, results)
    assert time.monotonic() - began < 30
    assert "2 runs not uploaded" in line
    assert "basisbench sync" in line
    assert len(records(tmp_path)) == 2
    said: list[str] = []
    training = live.start_live(WandbSettings(mode="online"), tmp_path / "training", {"lr": 0.1}, said.append)
    training.log({"loss": 1.0}, 1)
    training.finish()
    assert len(said) == 1
    (record,) = records(tmp_path / "training").values()
    assert [row["loss"] for row in record.history] == [1.0]


# --- a server ---


class Server(BaseHTTPRequestHandler):
    """As much of W&B as an upload asks of it."""

    asked: list[tuple[str, dict[str, Any]]]
    rows: list[tuple[str, dict[str, Any]]]

    def log_message(self, format: str, *args: object) -> None: ...

    def _answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_PUT(self) -> None:
        self._body()
        self._answer({})

    def do_POST(self) -> None:
        body = self._body()
        if self.path.endswith("/file_stream"):
            chunks = json.loads(body).get("files", {})
            lines = chunks.get("wandb-history.jsonl", {}).get("content", [])
            type(self).rows.extend((self.path.split("/")[-2], json.loads(line)) for line in lines)
        if self.path != "/graphql":
            self._answer({})
            return
        query = json.loads(body)
        name, values = query["operationName"], query.get("variables") or {}
        type(self).asked.append((name, values))
        place = {"id": "p", "name": values.get("project"), "entity": {"id": "e", "name": "me"}}
        bucket = {"id": "b", "name": values.get("name"), "displayName": "x", "historyLineCount": 0, "project": place}
        artifact = {"id": "a", "state": "COMMITTED", "artifactSequence": {"latestArtifact": {"id": "a"}}}
        url = f"http://{self.headers['Host']}/put/"
        files = [{"name": file, "uploadUrl": url + file} for file in values.get("files", [])]
        answers: dict[str, Any] = {
            "UpsertBucket": {"upsertBucket": {"bucket": bucket, "inserted": True}},
            "ServerFeaturesQuery": {"serverInfo": {"features": []}},
            "CreateArtifact": {"createArtifact": {"artifact": artifact}},
            "UseArtifact": {"useArtifact": {"artifact": {"id": "a"}}},
            "CreateRunFiles": {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}},
        }
        self._answer({"data": answers.get(name, {})})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    kind = type("Listening", (Server,), {"asked": [], "rows": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{listening.server_port}")
        monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
        yield kind
        wandb.teardown()
        listening.shutdown()


def test_runs_are_uploaded_once_and_again_under_the_same_id(
    tmp_path: Path, server: type[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_RESUME", "must")  # of the process, and no business of the runs that are uploaded
    monkeypatch.setenv("WANDB_RUN_ID", "another")
    (result,) = read_results(write_toys(tmp_path, CELLS[:1]))
    assert log_all(WandbSettings(), tmp_path, [result]) == ["W&B: 2 runs uploaded to basisbench"]
    cell = hash_of(result)
    opened = {values["name"]: values for name, values in server.asked if name == "UpsertBucket" and values["jobType"]}
    assert opened[cell]["groupName"] == tmp_path.name
    assert {values["jobType"] for values in opened.values()} == {"cell", "board"}
    used = [values["input"]["runName"] for name, values in server.asked if name == "UseArtifact"]
    assert used.count(cell) == 2, "model and dictionary"
    steps = [row["_step"] for run, row in server.rows if run == cell]
    assert steps == list(range(len(result.curve.size) + 1))
    asked = len(server.asked)
    report = sync([tmp_path], WandbSettings(), silent)
    assert (report.recorded, report.uploaded, report.waiting) == (0, 0, 0)
    assert len(server.asked) == asked
    later = time.time() + 5
    os.utime(tmp_path / f"{result.name}.json", (later, later))
    assert sync([tmp_path], WandbSettings(), silent).uploaded == 2
    assert {run for run, _ in server.rows} == set(opened), "no new run"
    assert [row["_step"] for run, row in server.rows if run == cell] == 2 * steps, "written over, not behind"


# --- training ---


def test_a_training_is_one_run_however_often_it_is_begun(tmp_path: Path) -> None:
    for steps in ((1, 2), (3, 4)):
        said: list[str] = []
        run = live.start_live(OFFLINE, tmp_path, {"lr": 0.5, "kinds": ["sae"]}, said.append)
        for step in steps:
            run.log({"sae": 1 / step}, step)
        run.finish()
        assert said == []
    first, second = (read_record(path) for path in runs.records(tmp_path / "wandb"))
    assert first.run.run_id == second.run.run_id
    assert (first.config["lr"], first.config["kinds"]) == (0.5, ["sae"])
    assert [(row["_step"], row["sae"]) for row in first.history] == [(1, 1.0), (2, 0.5)]
    assert [row["_step"] for row in second.history] == [3, 4]
    assert sync([tmp_path], OFFLINE, silent).waiting == 2
    file = next(runs.records(tmp_path / "wandb")[1].glob("*.wandb"))
    file.write_bytes(file.read_bytes()[:-20])
    assert not runs.is_whole(file)
    assert sync([tmp_path], OFFLINE, silent).waiting == 1, "a run that goes on is not uploaded as a crashed one"
    os.utime(file, (time.time() - 1000,) * 2)
    assert sync([tmp_path], OFFLINE, silent).waiting == 2, "one that was killed is"


def test_training_logs_its_loss(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    for i in range(40):
        (tmp_path / "text" / f"{i:02}.txt").write_text(" ".join(f"w{3 + (i * j) % 40}" for j in range(100)))
    config = TrainConfig.model_validate(
        {"model": str(tiny_folder), "kinds": "sae", "width": 8, "k": 2, "tokens": 300, "batch": 64, "context": 16}
        | {"text": str(tmp_path / "text"), "out": tmp_path / "out", "precision": "float32"}
        | {"wandb": "offline", "wandb_project": "dictionaries"}
    )
    train(config, silent)
    (record,) = records(tmp_path / "out").values()
    assert (record.run.project, record.run.job_type, record.exit_code) == ("dictionaries", "training", 0)
    assert record.config["width"] == 8
    assert record.history[-1]["_step"] == config.steps
    assert 0 < record.history[-1]["sae"] < 2


@pytest.mark.parametrize("where", ["init", "log"])
def test_training_outlives_wandb(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if where == "init":
        monkeypatch.setattr(wandb, "init", broken)
    else:
        monkeypatch.setattr(wandb.Run, "log", broken)
    said: list[str] = []
    run = live.start_live(OFFLINE, tmp_path, {}, said.append)
    run.log({"sae": 0.5}, 1)
    run.log({"sae": 0.4}, 2)
    run.finish()
    assert len(said) == 1
    assert said[0].endswith("no space")


# --- sweeps ---


def trial_of(sweep: dict[str, Any], draw: Callable[[list[Any]], Any]) -> tuple[list[str], dict[str, Any]]:
    """The command that wandb's agent makes of a trial, and the trial's parameters."""
    parameters = {
        name: draw(given["values"]) if "values" in given else given["value"]
        for name, given in sweep["parameters"].items()
    }
    args = create_sweep_command_args({"args": {name: {"value": value} for name, value in parameters.items()}})
    args["program"] = [sweep["program"]]
    command: list[str] = []
    for part in create_sweep_command(sweep["command"]):
        command += args[part[2:-1]] if part.startswith("${") else [part]
    return command, parameters


@pytest.mark.parametrize("file", sorted((ROOT / "sweeps").glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("draw", [lambda values: values[0], lambda values: values[-1]], ids=["first", "last"])
def test_what_a_sweep_runs_is_understood(file: Path, draw: Callable[[list[Any]], Any]) -> None:
    sweep = yaml.safe_load(file.read_text())
    (program, name, *args), parameters = trial_of(sweep, draw)
    assert (program, name) == ("basisbench", "run")
    command = typer.main.get_command(app)
    given = command.commands["run"].make_context("run", args).params  # type: ignore[attr-defined]
    settings = make_config({n: v for n, v in given.items() if v is not None and n in RunConfig.model_fields})
    assert settings.tasks == parameters["tasks"].split(",")
    assert settings.methods == [parameters["methods"]]
    for name, value in parameters.items():
        if isinstance(value, bool | int):
            assert getattr(settings, name.replace("-", "_")) in (value, [value])
    assert sweep["metric"]["name"] in headline_of(read_results(ROOT / "results" / "sva"))


def test_a_trial_of_a_sweep_gets_the_headline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = tmp_path / "config.yaml"
    sweep.write_text("wandb_version: 1\nseed:\n  value: 3\nbases:\n  value: neurons\n")
    results = read_results(write_toys(tmp_path / "out", CELLS[:3]))
    environment = {
        "WANDB_SWEEP_ID": "sweep123",
        "WANDB_RUN_ID": "trial001",
        "WANDB_SWEEP_PARAM_PATH": str(sweep),
        "WANDB_PROJECT": "swept",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    said = log_all(OFFLINE, tmp_path / "out", results[:2])
    assert said == []
    (record,) = (read_record(path) for path in runs.records(tmp_path / "out" / "wandb"))
    assert (record.run.run_id, record.run.sweep_id, record.run.project) == ("trial001", "sweep123", "swept")
    mean = np.mean([result.summary.auc_f.value or math.nan for result in results[:2]])
    assert record.summary["auc_f"] == pytest.approx(mean), "of this trial's cells, not of all in the folder"
    assert [row["auc_f"] for row in record.history if "auc_f" in row] == pytest.approx([mean])
    assert len(record.table("results")[1]) == 2


# --- the rule ---


def test_one_module_imports_wandb() -> None:
    importers = set()
    for file in (path for folder in ("harness", "tasks", "baselines") for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "wandb" for name in names):
                importers.add(file.relative_to(ROOT).as_posix())
    assert importers == {"harness/tracking/runs.py"}
