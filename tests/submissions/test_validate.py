"""Results made elsewhere: a good one passes, every number is checked, and a hostile file is only another finding."""

import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from basisbench import cli, make_config
from basisbench.grid import run as runner
from basisbench.results.files import MAX_JSON_BYTES
from basisbench.results.find import read_arrays, read_result
from basisbench.results.schema import Result
from basisbench.submissions import recompute
from basisbench.submissions.compare import compare
from basisbench.submissions.validate import FileReport, validate, validate_file, validation_table
from toys.models import pair_rows, write_task

SPLITS = ("discovery", "evaluation", "heldout")
BASIS = """
import torch
from basisbench import LinearBasis, Site

def half(model):
    sites = [Site(layer, "mlp_out") for layer in range(model.n_layers)]
    n = model.d_model // 2
    return LinearBasis("half", sites, model.d_model, lambda layer: torch.eye(model.d_model)[:n], n)
"""
Document = dict[str, Any]
Arrays = dict[str, Any]


@pytest.fixture(scope="session")
def made(tiny_folder: Path, task_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three cells, the first of a basis with error nodes."""
    folder = tmp_path_factory.mktemp("handed-in")
    (folder / "own.py").write_text(BASIS)
    settings = {
        "model": str(tiny_folder), "tasks": str(task_folder), "bases": f"{folder}/own.py:half,mlp_out,neurons",
        "methods": "relp", "n_discovery": 6, "n_evaluation": 6, "ablation": "zero", "device": "cpu",
        "out": folder / "results",
    }  # fmt: skip
    assert not runner.run(make_config(settings)).failures
    return folder / "results"


@pytest.fixture
def one(made: Path, tmp_path: Path) -> Path:
    """A copy of the first result."""
    path = min(made.glob("*half*.json"))
    for file in (path, path.with_suffix(".safetensors")):
        shutil.copy(file, tmp_path)
    return tmp_path / path.name


def hand_in(path: Path, change: Callable[[Document, Arrays], object]) -> Path:
    """Change a result and put right what a careful forger would: the arrays' hash and the file's name."""
    document = json.loads(path.read_text())
    arrays = safetensors.numpy.load_file(path.with_suffix(".safetensors"))
    path.unlink()
    path.with_suffix(".safetensors").unlink()
    change(document, arrays)
    packed = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    document["arrays_sha256"] = hashlib.sha256(packed).hexdigest()
    text = json.dumps(document)
    path = path.with_name(f"{Result.model_validate_json(text).name}.json")
    path.write_text(text)
    path.with_suffix(".safetensors").write_bytes(packed)
    return path


def problems(report: FileReport) -> dict[str, str]:
    """What is broken, by check."""
    return {finding.check: finding.words for finding in report.findings if finding.verdict == "broken"}


def shown(reports: list[FileReport]) -> str:
    written = io.StringIO()
    Console(width=200, file=written).print(validation_table(reports))
    return written.getvalue()


# -- what passes ---------------------------------------------------------------------------------------


def test_results_of_a_run_pass(made: Path) -> None:
    reports = validate([made])
    assert len(reports) == 3
    for report in reports:
        assert problems(report) == {}
        assert {finding.check for finding in report.findings} == {
            *("document", "name", "record", "arrays", "ranking", "outcomes", "numbers"),
        }
    assert "3 results: " in shown(reports)
    assert "broken" not in shown(reports)


def test_a_result_may_keep_the_first_thousand_of_its_ranking(tiny_folder: Path, tmp_path: Path) -> None:
    long = write_task(tmp_path / "long", **{split: pair_rows(6, (12,), n) for n, split in enumerate(SPLITS)})
    settings = {
        "model": str(tiny_folder), "tasks": str(long), "bases": "neurons", "methods": "relp", "n_discovery": 6,
        "n_evaluation": 6, "ablation": "zero", "device": "cpu", "sizes": "10,1000,1200",
    }  # fmt: skip
    both = {}
    for keep in (1000, 10_000):
        made = runner.run(make_config(settings | {"keep_ranked": keep, "out": tmp_path / str(keep)}))
        both[keep] = tmp_path / str(keep) / f"{made.results[0].name}.json"
    assert both[1000].name == both[10_000].name
    short, whole = (read_result(path) for path in both.values())
    assert (short.curve, short.summary) == (whole.curve, whole.summary)
    kept, ranked = (read_arrays(path, read_result(path))[1] for path in both.values())
    assert (len(kept.layer), len(ranked.layer)) == (1000, 1200)
    assert all(np.array_equal(part, getattr(ranked, name)[:1000]) for name, part in vars(kept).items())
    (report,) = validate([both[1000]])
    assert [finding.verdict for finding in report.findings if finding.check == "ranking"] == ["ok"]
    assert "1,000 nodes in order, of 1,200: what larger circuits count was not checked" in shown([report])
    shares = compare(short, whole, kept, ranked).overlap
    assert shares[:2] == (1.0, 1.0)
    assert np.isnan(shares[2])
    # counts of circuits that the ranking does hold are checked as ever
    forged = hand_in(both[1000], lambda d, _: d["curve"]["distinct_units"].__setitem__(0, 3))
    assert "distinct_units" in problems(validate_file(forged))["ranking"]


def test_a_file_its_arrays_and_its_folder_name_the_same(one: Path) -> None:
    every = validate([one, one.with_suffix(".safetensors"), one.parent])
    assert [report.path for report in every] == [one]


def test_a_result_that_is_nothing_but_rewritten_passes(one: Path) -> None:
    assert problems(validate_file(hand_in(one, lambda document, arrays: None))) == {}


# -- every number --------------------------------------------------------------------------------------


def leaves(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every number in a JSON document."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        if isinstance(value, dict | list):
            yield from leaves(value, (*path, key))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield (*path, key)


def test_every_reported_number_is_checked(one: Path) -> None:
    original = json.loads(one.read_text())
    reported = {name: original[name] for name in ("curve", "summary", "F_full", "F_empty", "total_nodes")}
    ways = list(leaves(reported))
    assert len(ways) > 14 * len(original["curve"]["size"]) + 21
    for way in ways:
        document = json.loads(json.dumps(original))
        place = document
        for key in way[:-1]:
            place = place[key]
        value = place[way[-1]]
        place[way[-1]] = value + (1 if isinstance(value, int) else 1e-4 * max(1, abs(value)))
        one.write_text(json.dumps(document))
        assert problems(validate_file(one)), way


def test_numbers_are_compared_as_closely_as_they_say(one: Path) -> None:
    value = read_result(one).summary.cpr.value
    assert value is not None
    for share, found in ((0.5, set()), (10.0, {"numbers"})):
        moved = value + share * recompute.TOLERANCE * max(1.0, abs(value))
        edited = json.loads(one.read_text())
        edited["summary"]["cpr"]["value"] = moved
        one.write_text(json.dumps(edited))
        assert set(problems(validate_file(one))) == found


def test_counts_are_those_of_a_count_by_hand(one: Path) -> None:
    result = read_result(one)
    arrays = safetensors.numpy.load_file(one.with_suffix(".safetensors"))
    columns = [arrays[f"ranking.{name}"].tolist() for name in ("layer", "position", "unit")]
    nodes = list(zip(*columns, strict=True))
    for size, units, errors in zip(
        result.curve.size, result.curve.distinct_units, result.curve.error_nodes, strict=True
    ):
        kept = nodes[:size]
        assert errors == sum(unit == -1 for _, _, unit in kept)
        assert units == len({(layer, unit) for layer, _, unit in kept if unit >= 0})
    assert max(result.curve.error_nodes) > 0
    assert problems(validate_file(one)) == {}


# -- what a forger may try -----------------------------------------------------------------------------


def swap(arrays: Arrays, first: int, second: int) -> None:
    for name in ("layer", "position", "unit", "score"):
        array = arrays[f"ranking.{name}"]
        array[[first, second]] = array[[second, first]]


FORGERIES: dict[str, tuple[Callable[[Document, Arrays], object], str, str]] = {
    "a better curve": (
        lambda d, a: d["curve"]["faithfulness"].__setitem__(3, 0.99),
        "numbers",
        "faithfulness at 5 is 0.99",
    ),
    "a better area": (lambda d, a: d["summary"]["auc_f"].update(value=0.9, high=0.9), "numbers", "auc_f"),
    "a narrower interval": (
        lambda d, a: d["summary"]["auc_f"].update(low=d["summary"]["auc_f"]["value"]),
        "numbers",
        "auc_f (low)",
    ),
    "a flag taken off": (lambda d, a: d.update(degenerate=not d["degenerate"]), "numbers", "degenerate is"),
    "a null": (
        lambda d, a: d["summary"]["cmd"].update(value=None, low=None, high=None),
        "numbers",
        "cmd (value) is null",
    ),
    "half a null": (lambda d, a: d["summary"]["cmd"].update(low=None), "record", "null together"),
    "low above high": (lambda d, a: d["summary"]["cmd"].update(low=9.0, high=8.0), "record", "low 9 is above high 8"),
    "accuracy above 1": (lambda d, a: d["curve"]["accuracy"].__setitem__(0, 1.5), "record", "accuracy at 1 is 1.5"),
    "negative divergence": (lambda d, a: d["curve"]["kl"].__setitem__(0, -0.5), "record", "kl at 1 is -0.5"),
    "fewer units": (
        lambda d, a: d["curve"]["distinct_units"].__setitem__(-1, d["curve"]["distinct_units"][-2]),
        "ranking",
        "distinct_units at 100 is",
    ),
    "no error nodes": (
        lambda d, a: d["curve"].update(error_nodes=[0] * len(d["curve"]["size"])),
        "ranking",
        "error_nodes at",
    ),
    "more units than kept": (
        lambda d, a: d["curve"]["distinct_units"].__setitem__(0, 2),
        "record",
        "more than the 1 kept",
    ),
    "another grid": (lambda d, a: d["cell"].update(grid=[1, 2]), "record", "sizes are not those of cell.grid"),
    "no grid": (lambda d, a: d["cell"].update(grid=[]), "record", "sizes are not those of cell.grid"),
    "a grid twice": (lambda d, a: d["cell"]["grid"].append(1), "record", "not ascending"),
    "a larger basis": (lambda d, a: d.update(total_nodes=10**6), "ranking", "valid are 1,000 to 10,000"),
    "a smaller basis": (lambda d, a: d.update(total_nodes=151), "ranking", "total_nodes is 151"),
    "more pairs than asked for": (
        lambda d, a: d["data"]["evaluation"].update(usable=7),
        "record",
        "7 evaluation pairs used of 6",
    ),
    "other pairs than measured": (
        lambda d, a: d["data"]["evaluation"].update(usable=5),
        "outcomes",
        "outcomes of 6 pairs",
    ),
    "another hash of the pairs": (lambda d, a: d["environment"].update(data_hash="0"), "record", "data_hash"),
    "another dtype": (lambda d, a: d["environment"].update(dtype="float64"), "record", "dtype"),
    "a metric of one's own": (lambda d, a: d["cell"].update(metric="mine"), "record", "metric 'mine'"),
    "a seed for the interval": (lambda d, a: d["cell"].update(seed=7), "numbers", "faithfulness_low at 1"),
    "resamples without end": (lambda d, a: d["cell"].update(n_resamples=2**53), "numbers", "too many to check"),
    "nodes out of order": (lambda d, a: swap(a, 0, 4), "ranking", "not sorted by abs: node 2"),
    "signed said, abs done": (lambda d, a: d["cell"].update(rank="signed"), "ranking", "not sorted by signed"),
    "a node twice": (
        lambda d, a: [a[f"ranking.{n}"].__setitem__(1, a[f"ranking.{n}"][0]) for n in ("layer", "position", "unit")],
        "ranking",
        "twice",
    ),
    "a unit below -1": (lambda d, a: a["ranking.unit"].__setitem__(0, -2), "ranking", "below -1"),
    "a unit that is not there": (lambda d, a: a["ranking.unit"].__setitem__(0, 2**31 - 1), "ranking", "total_nodes is"),
    "a score of NaN": (lambda d, a: a["ranking.score"].__setitem__(5, np.nan), "ranking", "NaN"),
    "an infinite score": (lambda d, a: a["ranking.score"].__setitem__(0, np.inf), "ranking", "infinite"),
    "errors kept, errors ranked": (lambda d, a: d["cell"].update(error="keep"), "ranking", "error node is ranked"),
    "pooled said, kept done": (lambda d, a: d["cell"].update(positions="pooled"), "ranking", "each position is -1"),
    "kept said, pooled done": (lambda d, a: a["ranking.position"].fill(-1), "ranking", "none is below 0"),
    "a shorter ranking": (
        lambda d, a: a.update({n: v[:50] for n, v in a.items() if n.startswith("ranking.")}),
        "ranking",
        "50 nodes are ranked",
    ),
    "no ranking": (
        lambda d, a: a.update({n: v[:0] for n, v in a.items() if n.startswith("ranking.")}),
        "ranking",
        "0 nodes are ranked",
    ),
    "outcomes of NaN": (lambda d, a: a["circuit.answer"].__setitem__((0, 0), np.nan), "arrays", "not finite"),
    "infinite outcomes": (lambda d, a: a["circuit.foil"].__setitem__((0, 0), -np.inf), "arrays", "not finite"),
    "logits of 1e300": (lambda d, a: a["empty.foil"].__setitem__(0, -1e300), "outcomes", "beyond"),
    "a probability above 1": (lambda d, a: a["circuit.answer"].__iadd__(100.0), "outcomes", "probability above 1"),
    "a divergence below 0": (lambda d, a: a["complement.kl"].__isub__(100.0), "outcomes", "divergence below 0"),
    "a plain model far from itself": (lambda d, a: a["full.kl"].__iadd__(1.0), "outcomes", "from itself"),
    "sizes of others": (
        lambda d, a: a["size"].__setitem__(-1, a["size"][-1] - 1),
        "outcomes",
        "not those of the document",
    ),
    "an array too many": (lambda d, a: a.update(extra=np.zeros(3)), "arrays", "that no result has: 'extra'"),
    "an array too few": (lambda d, a: a.pop("full.kl"), "arrays", "full.kl of type float64 is missing"),
    "an array of another type": (
        lambda d, a: a.update({"full.kl": a["full.kl"].astype(np.float16)}),
        "arrays",
        "full.kl",
    ),
    "an array of another shape": (lambda d, a: a.update({"full.kl": a["full.kl"][:-1]}), "arrays", "one shape"),
    "far too large arrays": (lambda d, a: a.update(extra=np.zeros(10**5)), "arrays", "have at most"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forgery_is_found(forgery: str, one: Path) -> None:
    change, check, words = FORGERIES[forgery]
    report = validate_file(hand_in(one, change))
    assert words in problems(report).get(check, "nothing"), problems(report)
    assert "name" not in problems(report)


# -- the file itself -----------------------------------------------------------------------------------


def broken_by(one: Path, content: bytes) -> str:
    one.write_bytes(content)
    return problems(validate_file(one))["document"]


def test_documents_that_are_no_documents(one: Path) -> None:
    good = one.read_bytes()
    assert problems(validate_file(one)) == {}
    refused = {
        b"": "not JSON",
        good[:-30]: "not JSON",
        b"\xef\xbb\xbf" + good: "not JSON",
        b"\xff" + good: "not UTF-8 at byte 0",
        good.decode().encode("utf-16"): "not UTF-8 at byte 0",
        b"[" * 200_000: "nested too deeply",
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000: "nested too deeply",
        good.replace(b'"F_full":', b'"F_full": 1.0, "F_full":'): "key 'F_full' stands twice",
        good.replace(b'"seed": 0', b'"seed": 0, "\\u0073eed": 0'): "key 'seed' stands twice",
        re.sub(rb'"F_full": [-.e\d]+', b'"F_full": NaN', good): "NaN is no number",
        re.sub(rb'"F_full": [-.e\d]+', b'"F_full": -Infinity', good): "-Infinity is no number",
        re.sub(rb'"F_full": [-.e\d]+', b'"F_full": 1e999', good): "F_full",
        re.sub(rb'"F_full": [-.e\d]+', b'"F_full": ' + b"9" * 5000, good): "not JSON",
        good.replace(b'"task": "', b'"task": "\x1b[2J'): "not JSON",
        good.replace(b'"task": "', b'"task": "\\u001b[2J'): "not printable: '\\x1b[2J",
        good.replace(b'"task": "', b'"task": "\\u202e'): "not printable: '\\u202e",
        good.replace(b'"task": "', b'"task": "\\ud800'): "not printable",
        good.replace(b'"options": {', b'"options": {"\\u001b]0;": 1, '): "not printable",
        good.replace(b'"schema_version": 2', b'"schema_version": 3'): "schema_version",
        good.replace(b'"degenerate":', b'"more": 1, "degenerate":'): "more",
        good.replace(b'"chat": false', b'"chat": 0'): "chat",
        b"[]": "not a valid result",
        b"null": "not a valid result",
    }  # fmt: skip
    for content, words in refused.items():
        assert content != good
        found = broken_by(one, content)
        assert words in found, (content[:80], found)
        assert found.isprintable()


def test_too_large_a_document_is_not_read(one: Path) -> None:
    with one.open("ab") as file:
        file.truncate(MAX_JSON_BYTES + 1)
    assert "valid is at most" in problems(validate_file(one))["document"]


def test_a_file_under_another_name(one: Path) -> None:
    name = one.name
    for file in (one, one.with_suffix(".safetensors")):
        file.rename(file.with_stem("another__name"))
    (report,) = validate([one.parent])
    assert problems(report) == {"name": f"this content has the name {name}"}


def test_arrays_of_another_result(one: Path, made: Path) -> None:
    shutil.copy(min(made.glob("*neurons*.safetensors")), one.with_suffix(".safetensors"))
    (words,) = problems(validate_file(one)).values()
    assert "at most" in words or "arrays_sha256 differs" in words
    one.with_suffix(".safetensors").unlink()
    assert "no file" in problems(validate_file(one))["arrays"]


def test_arrays_without_a_document(one: Path) -> None:
    one.unlink()
    (report,) = validate([one.parent])
    assert "no file" in problems(report)["document"]


def test_links_out_of_the_folder_are_not_followed(one: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    inside = tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    arrays = one.with_suffix(".safetensors")
    for linked, kept in ((one, arrays), (arrays, one)):
        shutil.copy(linked, outside)
        shutil.copy(kept, inside)
        (inside / linked.name).symlink_to(outside / linked.name)
        (report,) = validate([inside])
        (words,) = problems(report).values()
        assert "is a link" in words
        for file in inside.iterdir():
            file.unlink()


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    (tmp_path / "b.json").symlink_to(tmp_path / "nowhere.json")
    (tmp_path / "c.json").symlink_to(tmp_path / "c.json")
    os.mkfifo(tmp_path / "d.json")  # reading it would wait for ever
    reports = validate([tmp_path])
    assert [set(problems(report)) for report in reports] == [{"document"}] * 4


def test_arrays_that_are_a_link_to_themselves(one: Path) -> None:
    arrays = one.with_suffix(".safetensors")
    arrays.unlink()
    arrays.symlink_to(arrays)
    assert "is a link" in problems(validate_file(one))["arrays"]


# -- results beside each other -------------------------------------------------------------------------


def test_the_same_model_on_the_same_pairs_has_one_f_full(made: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(made, tmp_path / "all")
    path = max(folder.glob("*neurons*.json"))

    def better(document: Document, arrays: Arrays) -> None:
        arrays["full.answer"] += 0.5
        arrays["full.logsumexp"] += 0.5

    forged = hand_in(path, better)
    found = {report.path.name: problems(report).get("agreement", "") for report in validate([folder])}
    assert [name for name, words in found.items() if words] == []  # F_full as reported is still the old one
    result = read_result(forged)
    assert "F_full" in problems(validate_file(forged))["numbers"]
    document = json.loads(forged.read_text())
    document["F_full"] = (result.f_full or 0) + 0.5
    forged.write_text(json.dumps(document))
    found = {report.path.name: problems(report).get("agreement", "") for report in validate([folder])}
    assert [name for name, words in found.items() if words] == [forged.name]
    assert "the same model on the same pairs" in found[forged.name]


# -- the command ---------------------------------------------------------------------------------------


def test_the_command(one: Path, made: Path, tmp_path: Path) -> None:
    passed = CliRunner().invoke(cli.app, ["validate", str(made)])
    assert passed.exit_code == 0
    assert "3 results" in passed.output
    forged = hand_in(one, lambda document, arrays: document["summary"]["auc_f"].update(value=0.99, high=0.99))
    failed = CliRunner().invoke(cli.app, ["validate", str(made), str(forged)])
    assert failed.exit_code == 1
    assert "auc_f (value) is 0.99" in failed.output
    assert "1 broken" in failed.output
    for nothing in (tmp_path / "nowhere", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        refused = CliRunner().invoke(cli.app, ["validate", str(nothing)])
        assert type(refused.exception).__name__ == "UserError"


# -- fuzz ----------------------------------------------------------------------------------------------

QUICK = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file after an accident or an attack: cut, bits turned over, pieces changed about, or other bytes altogether."""
    kind = draw(st.sampled_from(["cut", "bits", "pieces", "bytes", "grown"]))
    if kind == "bytes":
        return draw(st.binary(max_size=300))
    content = bytearray(whole)
    places = st.integers(0, len(content) - 1)
    if kind == "cut":
        return whole[: draw(places)]
    if kind == "grown":
        at = draw(places)
        return whole[:at] + draw(st.binary(min_size=1, max_size=20)) + whole[at:]
    if kind == "pieces":
        first, second, third = sorted(draw(st.tuples(places, places, places)))
        return whole[:first] + whole[second:third] + whole[first:second] + whole[third:]
    # mostly at the beginning: there the structure is
    near = st.integers(0, min(len(content), 3000) - 1)
    for at in draw(st.lists(near | places, min_size=1, max_size=8)):
        content[at] ^= 1 << draw(st.integers(0, 7))
    return bytes(content)


def whole_report(path: Path) -> FileReport:
    """The report on a file, which there must be, and which must be fit for a terminal."""
    report = validate_file(path)
    assert report.verdict in ("ok", "warning", "broken")
    text = shown([report])
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    return report


@QUICK
@given(data=st.data())
def test_a_damaged_document_is_a_finding(data: st.DataObject, made: Path, tmp_path: Path) -> None:
    source = min(made.glob("*half*.json"))
    path = tmp_path / source.name
    shutil.copy(source.with_suffix(".safetensors"), tmp_path)
    content = data.draw(damaged(source.read_bytes()))
    path.write_bytes(content)
    report = whole_report(path)
    if report.verdict != "broken":  # a version or a time may be another, a number may not
        before, after = (list(recompute.numbers_of(read_result(each))) for each in (source, path))
        assert dict(after) == pytest.approx(dict(before), rel=1e-5, abs=1e-5)


@QUICK
@given(data=st.data())
def test_damaged_arrays_are_a_finding(data: st.DataObject, made: Path, tmp_path: Path) -> None:
    source = min(made.glob("*half*.json"))
    path = tmp_path / source.name
    whole = source.with_suffix(".safetensors").read_bytes()
    content = data.draw(damaged(whole))
    path.with_suffix(".safetensors").write_bytes(content)
    shutil.copy(source, path)
    if content != whole:
        assert "arrays" in problems(whole_report(path))
    # and with the hash put right, so that the bytes are looked at
    document = json.loads(source.read_text())
    document["arrays_sha256"] = hashlib.sha256(content).hexdigest()
    path.write_text(json.dumps(document))
    whole_report(path)


@QUICK
@given(data=st.data())
def test_a_document_of_other_values_is_a_finding(data: st.DataObject, made: Path, tmp_path: Path) -> None:
    source = min(made.glob("*half*.json"))
    document = json.loads(source.read_text())
    place: Any = document
    while isinstance(place, dict | list) and place:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or data.draw(st.integers(0, 4)) == 0:
            place[key] = data.draw(JSON)
            break
        place = place[key]
    path = tmp_path / source.name
    shutil.copy(source.with_suffix(".safetensors"), tmp_path)
    path.write_text(json.dumps(document))
    whole_report(path)


def test_the_fuzz_would_notice(made: Path, tmp_path: Path) -> None:
    """The untouched file, by the same way, is no finding."""
    source = min(made.glob("*half*.json"))
    for file in (source, source.with_suffix(".safetensors")):
        shutil.copy(file, tmp_path)
    assert problems(whole_report(tmp_path / source.name)) == {}
