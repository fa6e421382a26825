"""Documents of schema version 2, which lie in the repository, are read as what they say."""

import json
from pathlib import Path
from typing import Any

import pytest

from basisbench.errors import UserError
from basisbench.results.files import read_result
from basisbench.results.schema import Result
from basisbench.results.versions import upgraded
from toys.made import made

ROOT = Path(__file__).parents[2]
METRICS = ("accuracy", "candidate_accuracy", "probability_difference", "kl")
SIZES = {"nodes_at_0.5": "nodes@0.5", "nodes_at_0.8": "nodes@0.8", "nodes_at_0.9": "nodes@0.9"}


def of_version_2() -> dict[str, Any]:
    """The document of `made` as version 2 wrote it."""
    document: dict[str, Any] = json.loads(made().model_dump_json(by_alias=True))
    curve, summary = document["curve"], document["summary"]
    reported = curve.pop("reported")
    for name in METRICS:
        curve[name] = reported[name]["circuit"]
        curve[f"{name}_complement"] = reported[name]["complement"]
    for old, new in SIZES.items():
        summary[old] = summary.pop(new)
    document["schema_version"] = 2
    return document


def test_a_document_of_version_2_is_the_same_result() -> None:
    assert Result.model_validate_json(json.dumps(of_version_2())) == made()


def test_every_document_that_is_committed_is_read_as_it_is_written() -> None:
    for path in sorted((ROOT / "results").rglob("*__*__*__*.json")):
        document, result = json.loads(path.read_bytes()), read_result(path)
        assert result.name == path.stem
        assert result.schema_version == 3
        if document["schema_version"] != 2:
            continue
        curve = document["curve"]
        assert result.curve.columns == curve
        assert set(result.curve.reported) == set(METRICS)
        written = {SIZES.get(name, name): interval for name, interval in document["summary"].items()}
        assert {name: interval.model_dump() for name, interval in result.summary.items()} == written
        again = json.loads(result.model_dump_json(by_alias=True))
        for name in ("F_full", "F_empty", "total_nodes", "degenerate", "environment", "timing", "arrays_sha256"):
            assert again[name] == document[name]
        assert Result.model_validate_json(result.model_dump_json(by_alias=True)) == result


def test_what_was_wrong_in_version_2_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    wrong: dict[str, Any] = {
        "curve.accuracy": lambda d: d["curve"].pop("accuracy_complement"),
        "curve.reported.kl.circuit.0": lambda d: d["curve"].update(kl=["1", 1.0, 1.0, 1.0]),
        "kl needs as many values as size, 4": lambda d: d["curve"].update(kl=[1.0]),
        "curve.accuracy: Extra": lambda d: d["curve"].update(reported={}),
        "unknown statistic 'nodes_at_0.5'": lambda d: d["summary"].update({"nodes@0.8": d["summary"]["cpr"]}),
        "field curve: ": lambda d: d.update(curve=[]),
        "field summary: ": lambda d: d.update(summary=3),
    }
    for words, change in wrong.items():
        document = of_version_2()
        change(document)
        path.write_text(json.dumps(document))
        with pytest.raises(UserError) as error:
            read_result(path)
        assert words in str(error.value)


@pytest.mark.parametrize(
    "document", [None, [], "2", 2, {}, {"schema_version": "2"}, {"schema_version": 3, "curve": {}}]
)
def test_what_is_no_document_of_version_2_stays_as_it_is(document: object) -> None:
    assert upgraded(document) is document
