"""Result files: they come back as written, and whatever is wrong with one is a line that names it."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from basisbench.errors import UserError
from basisbench.measures.clusters import apart
from basisbench.measures.curve import Curve
from basisbench.measures.metrics import Outcome
from basisbench.measures.summary import summarise
from basisbench.results import files as results
from basisbench.results.files import (
    RankingArrays,
    describe_environment,
    make_result,
    pack_arrays,
    read_arrays,
    read_result,
    read_results,
    write_result,
)
from basisbench.results.schema import Cell, Data, PairCounts, Result, Timing, config_hash

CELL = Cell(
    model="toy",
    task="sva/nounpp",
    basis="neurons",
    method="ig",
    ablation="mean",
    positions="kept",
    rank="abs",
    error="score",
    n_discovery=10,
    n_evaluation=4,
    split="evaluation",
    seed=0,
    dtype="float32",
    grid=[1, 10],
)


def toy_curve(effect: float = 2.0) -> Curve:
    def outcome(*shape: int, shift: float = 0.0) -> Outcome:
        noise = np.linspace(0, 0.5, int(np.prod(shape))).reshape(shape)
        return Outcome(noise + shift, np.zeros(shape), noise + shift + 1, noise - 0.2, noise)

    size = np.array([1, 10])
    return Curve(
        size,
        size,
        np.array([0, 2]),
        100,
        apart(4),
        outcome(4, shift=effect),
        outcome(4),
        outcome(2, 4, shift=1),
        outcome(2, 4),
    )


def toy(cell: Cell = CELL, effect: float = 2.0) -> tuple[Result, bytes]:
    curve = toy_curve(effect)
    nodes = np.arange(3, dtype=np.int32)
    arrays = pack_arrays(curve, RankingArrays(nodes, nodes, nodes - 1, np.array([3, 2, 1], dtype=np.float32)))
    counts = PairCounts(usable=4, unusable={"wrong answer": 1})
    data = Data(discovery=counts, evaluation=counts, hash="d" * 8)
    environment = describe_environment("cpu", "float32", 1, "m" * 8, "d" * 8)
    timing = Timing(seconds={"curve": 0.5}, peak_memory_bytes=None)
    return make_result(cell, curve, summarise(curve), arrays, data, environment, timing), arrays


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return write_result(tmp_path, *toy())


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_a_result_comes_back_as_written(written: Path) -> None:
    result, _ = toy()
    assert read_result(written) == result
    curve, ranking = read_arrays(written, result)
    for group in ("full", "empty", "circuit", "complement"):
        for name, array in vars(getattr(toy_curve(), group)).items():
            assert np.array_equal(getattr(getattr(curve, group), name), array)
    assert curve.size.tolist() == [1, 10]
    assert curve.total_nodes == 100
    assert ranking.unit.tolist() == [-1, 0, 1]
    assert ranking.score.tolist() == [3, 2, 1]
    assert summarise(curve).summary == summarise(toy_curve()).summary


@pytest.mark.parametrize(
    ("unit", "answer", "types"),
    [
        (7, 1.5, (np.int8, np.int16)),  # 1,536 / 1,024
        (7, -32.0, (np.int8, np.int16)),
        (7, 32.0, (np.int8, np.float32)),
        (-129, -(2.0**-100), (np.int16, np.float32)),
        (131_071, 0.1, (np.int32, np.float64)),  # 0.1 is no float32
    ],
)
def test_arrays_are_kept_narrow_and_nothing_is_lost(
    unit: int, answer: float, types: tuple[type, type], tmp_path: Path
) -> None:
    curve = toy_curve(2.0)
    for part in vars(curve.circuit).values():
        part[:] = answer
    unit_ = np.array([0, unit, 1], dtype=np.int32)
    ranking = RankingArrays(*(np.arange(3, dtype=np.int32),) * 2, unit_, np.array([3, 0.2, 0.1], np.float32))
    packed = pack_arrays(curve, ranking)
    stored = safetensors.numpy.load(packed)
    assert tuple(stored[name].dtype.type for name in ("ranking.unit", "circuit.answer")) == types
    result = toy()[0].model_copy(update={"arrays_sha256": hashlib.sha256(packed).hexdigest()})
    curve_again, ranking_again = read_arrays(write_result(tmp_path, result, packed), result)
    assert ranking_again.unit.dtype.type is np.int32
    assert curve_again.circuit.answer.dtype.type is np.float64
    np.testing.assert_array_equal(ranking_again.unit, unit_)
    np.testing.assert_array_equal(curve_again.circuit.answer, curve.circuit.answer)


def test_the_document_has_the_promised_fields(written: Path) -> None:
    document = json.loads(written.read_text())
    summary = {"auc_f", "auc_c", "nodes@0.5", "nodes@0.8", "nodes@0.9", "cpr", "cmd"}
    assert set(document["summary"]) == summary
    assert set(document["summary"]["auc_f"]) == {"value", "low", "high"}
    assert document["schema_version"] == 3
    # The mean of linspace(0, 0.5, 4), and 2 more; the circuit adds 1 to the halves of linspace(0, 0.5, 8).
    assert document["F_empty"] == pytest.approx(0.25)
    assert document["F_full"] == pytest.approx(2.25)
    means = np.linspace(0, 0.5, 8).reshape(2, 4).mean(1)
    assert document["curve"]["faithfulness"] == pytest.approx(((1 + means - 0.25) / 2).tolist())
    assert document["curve"]["completeness"] == pytest.approx(((means - 0.25) / 2).tolist())
    assert document["curve"]["error_nodes"] == [0, 2]
    assert document["curve"]["reported"]["kl"]["circuit"] == pytest.approx(means.tolist())
    assert document["curve"]["reported"]["candidate_accuracy"]["circuit"] == pytest.approx([0.25, 1])
    assert document["arrays_sha256"] == hashlib.sha256(written.with_suffix(".safetensors").read_bytes()).hexdigest()


def test_what_is_not_defined_is_null(tmp_path: Path) -> None:
    path = write_result(tmp_path, *toy(effect=0.0))
    document = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert document["degenerate"] is True
    assert document["curve"]["faithfulness"] == [None, None]
    assert document["summary"]["nodes@0.8"] == {"value": None, "low": None, "high": None}
    assert read_result(path).summary["auc_f"].value is None


def test_arrays_are_in_place_before_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk_at_the_document(path: Path, data: bytes) -> None:
        if path.suffix == ".json":
            raise UserError("full")
        path.write_bytes(data)

    monkeypatch.setattr(results, "write_atomically", full_disk_at_the_document)
    with pytest.raises(UserError, match="full"):
        write_result(tmp_path, *toy())
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]


def test_foreign_arrays_are_not_written(tmp_path: Path) -> None:
    result, arrays = toy()
    with pytest.raises(ValueError, match="not those of the result"):
        write_result(tmp_path, result, arrays + b" ")
    assert not list(tmp_path.iterdir())


def test_every_setting_changes_the_hash() -> None:
    other: dict[str, Any] = {
        "positions": "pooled",
        "rank": "signed",
        "error": "keep",
        "split": "heldout",
        "grid": [1, 20],
        "answers": "whole",
        "chat": True,
        "require_correct": True,
        "options": {"steps": 10},
    }
    hashes = {config_hash(CELL, "m", "d"), config_hash(CELL, "n", "d"), config_hash(CELL, "m", "e")}
    for name in Cell.model_fields:
        value = getattr(CELL, name)
        changed = other.get(name) or (value + 1 if isinstance(value, int) else value + "x")
        hashes.add(config_hash(Cell(**(CELL.model_dump() | {name: changed})), "m", "d"))
    assert len(hashes) == 3 + len(Cell.model_fields)
    assert all(len(value) == 16 and int(value, 16) >= 0 for value in hashes)


def test_the_hash_stands_for_good() -> None:
    # Were it to change, every result on disk would be lost to a resumed run.
    asked = {"schema": 2, "cell": json.loads(CELL.model_dump_json()), "model": "m", "data": "d"}
    text = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    assert config_hash(CELL, "m", "d") == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_names_become_plain_file_names(tmp_path: Path) -> None:
    assert toy()[0].name.startswith("sva-nounpp__neurons__ig__")
    wild = CELL.model_copy(update={"task": "../../a b\\c", "basis": "é" * 300, "method": "x" * 300})
    path = write_result(tmp_path / "results", *toy(wild))
    assert path.parent == tmp_path / "results"
    assert path.name.isascii()
    assert len(path.name) < 200
    assert read_arrays(path, read_result(path))


def test_a_document_cut_short_is_one_line(written: Path) -> None:
    text = written.read_bytes()
    for end in (0, 1, len(text) // 2, len(text) - 3):
        written.write_bytes(text[:end])
        with pytest.raises(UserError) as error:
            read_result(written)
        assert str(written) in str(error.value)
        assert "JSON" in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda d: d.update(schema_version=1), "schema_version"),
        (lambda d: d.pop("schema_version") and d.pop("cell"), "cell"),
        (lambda d: d.update(total_nodes="100"), "total_nodes"),
        (lambda d: d.update(F_full=float("inf")), "F_full"),
        (lambda d: d.update(extra=1), "extra"),
        (lambda d: d.update(arrays_sha256="../x"), "arrays_sha256"),
        (lambda d: d.update({"bad\nname\x1b[2J": 1}), "bad?name?[2J"),
        (lambda d: d["cell"].update(rank="absolute"), "cell.rank"),
        (lambda d: d["cell"].update(task="\x1b[31mred"), "cell.task"),
        (lambda d: d["cell"].update(task="two\nlines"), "cell.task"),
        (lambda d: d["curve"]["size"].__setitem__(0, 10), "strictly increasing"),
        (lambda d: d["curve"]["size"].__setitem__(0, 10**400), "curve.size.0"),
        (lambda d: d["curve"]["faithfulness"].pop(), "faithfulness needs as many values as size, 2"),
        (lambda d: d["curve"]["completeness"].__setitem__(1, "0.5"), "curve.completeness.1"),
        (lambda d: d["summary"].update({"nodes@0.8": 3}), "summary.nodes@0.8"),
        (lambda d: d["summary"].update({"nodes@0.7": d["summary"]["nodes@0.8"]}), "unknown statistic 'nodes@0.7'"),
        (lambda d: d["curve"]["reported"].update(acuracy=d["curve"]["reported"]["kl"]), "did you mean 'accuracy'"),
        (lambda d: d["curve"]["reported"]["kl"]["complement"].pop(), "kl_complement needs as many values as size, 2"),
        (lambda d: d["curve"]["reported"]["kl"].update(other=[]), "curve.reported.kl.other"),
        (lambda d: d["curve"].update(accuracy=[0.5, 0.5]), "curve.accuracy"),
        (lambda d: d["timing"]["seconds"].update(curve=-1), "timing.seconds.curve"),
    ],
)
def test_a_wrong_field_is_named(written: Path, change: Callable[[dict[str, Any]], object], field: str) -> None:
    edit(written, change)
    with pytest.raises(UserError) as error:
        read_result(written)
    assert field in str(error.value)
    assert str(written) in str(error.value)
    assert str(error.value).isprintable()


def test_a_document_too_large_is_not_read(written: Path) -> None:
    with written.open("ab") as file:
        file.write(b" " * results.MAX_JSON_BYTES)
    with pytest.raises(UserError, match="at most"):
        read_result(written)


def test_a_missing_document_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file"):
        read_result(tmp_path / "none.json")
    with pytest.raises(UserError, match="no file"):
        read_result(tmp_path)


def test_arrays_missing_changed_or_elsewhere(written: Path, tmp_path: Path) -> None:
    result = read_result(written)
    arrays = written.with_suffix(".safetensors")
    data = arrays.read_bytes()

    arrays.write_bytes(data[:-1] + b"\x01")
    with pytest.raises(UserError, match="arrays_sha256"):
        read_arrays(written, result)

    arrays.unlink()
    with pytest.raises(UserError, match=r"no file .*safetensors"):
        read_arrays(written, result)

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret").write_bytes(data)
    arrays.symlink_to(elsewhere / "secret")
    with pytest.raises(UserError, match="is a link: valid is a file beside"):
        read_arrays(written, result)


def alter(**changes: Any) -> bytes:
    arrays = safetensors.numpy.load(toy()[1])
    for name, value in changes.items():
        if value is None:
            del arrays[name]
        else:
            arrays[name] = value
    return safetensors.numpy.save(arrays)


HEADER = b'{"size":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "arrays of a result"),
        (b"\xff" * 64, "arrays of a result"),
        (len(HEADER).to_bytes(8, "little") + HEADER + b"\0\0", "arrays of a result"),
        (alter(**{"full.answer": None}), "full.answer of type float64"),
        (alter(size=np.array([1.0, 10.0])), "size of type int64"),
        (alter(size=np.array([10, 1])), "strictly increasing"),
        (alter(**{"circuit.foil": np.zeros((3, 4))}), "one shape"),
        (alter(**{"full.foil": np.full(4, np.inf)}), "finite"),
        (alter(**{"ranking.unit": np.zeros(2, np.int32)}), r"\[M\]"),
    ],
)
def test_arrays_that_match_the_hash_are_still_checked(written: Path, data: bytes, message: str) -> None:
    written.with_suffix(".safetensors").write_bytes(data)
    edit(written, lambda d: d.update(arrays_sha256=hashlib.sha256(data).hexdigest()))
    with pytest.raises(UserError, match=message) as error:
        read_arrays(written, read_result(written))
    assert "\n" not in str(error.value)


def test_a_folder_of_results(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder"):
        read_results(tmp_path / "none")
    with pytest.raises(UserError, match="no results"):
        read_results(tmp_path)
    for basis in ("transcoder", "sae", "neurons"):
        write_result(tmp_path, *toy(CELL.model_copy(update={"basis": basis})))
    (tmp_path / "notes.txt").write_text("not a result")
    assert [result.cell.basis for result in read_results(tmp_path)] == ["neurons", "sae", "transcoder"]
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(UserError, match=r"bad\.json"):
        read_results(tmp_path)


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_the_commit_is_that_of_a_tracking_checkout(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    file = tmp_path / "module.py"
    file.write_text("one")
    assert results._git_commit(file) is None
    git("init")
    assert results._git_commit(file) is None  # a checkout around it, which does not track it
    git("add", "module.py")
    git("commit", "-m", "one")
    assert results._git_commit(file) == git("rev-parse", "HEAD")
    file.write_text("two")
    assert results._git_commit(file) == git("rev-parse", "HEAD") + "-dirty"
