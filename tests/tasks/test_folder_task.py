"""Tasks read from folders: columns, order, what is left out, and one-line refusals."""

import json
import logging
import random
from pathlib import Path
from typing import Any

import pytest

from basisbench.errors import UserError
from basisbench.shipped_tasks.sva import NOUNPP
from basisbench.tasks.folder import FolderTask, folder_task, read_split
from basisbench.tasks.foreign_rows import Report
from basisbench.tasks.task import Task
from basisbench.values import Split

GOOD: dict[str, Any] = {
    "clean_prefix": "The keys",
    "patch_prefix": "The key",
    "clean_answer": " are",
    "patch_answer": " is",
}


def pair(clean: str, corrupt: str = "The key", answer: str = " are", foil: str = " is") -> dict[str, Any]:
    return {"clean_prefix": clean, "patch_prefix": corrupt, "clean_answer": answer, "patch_answer": foil}


def write(folder: Path, **splits: list[dict[str, Any]]) -> Path:
    folder.mkdir(exist_ok=True)
    for split, records in splits.items():
        (folder / f"{split}.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records), "utf-8")
    return folder


def refusal(folder: Path, discovery: str | bytes) -> str:
    """Return the refusal of a folder with these bytes as discovery.jsonl."""
    write(folder, evaluation=[pair("The dogs", "The dog")])
    data = discovery.encode() if isinstance(discovery, str) else discovery
    (folder / "discovery.jsonl").write_bytes(data)
    with pytest.raises(UserError) as caught:
        folder_task(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_fields_become_columns(tmp_path: Path) -> None:
    spans = {
        "clean_spans": {"noun": [4, 8], "article": [0, 3]},
        "patch_spans": [{"name": "article", "start": 0, "end": 3}, {"name": "noun", "start": 4, "end": 7}],
    }
    folder = write(tmp_path / "mine", discovery=[GOOD | spans | {"case": "plural"}], evaluation=[pair("The dogs")])
    task: Task = folder_task(folder)
    assert task.name == "mine"
    assert task.description == "prompt pairs from the folder mine"
    (row,) = task.pairs("discovery", 10, 0)
    assert row == {
        "clean": "The keys",
        "corrupt": "The key",
        "answer": " are",
        "foil": " is",
        "case": "plural",
        "clean_spans": [{"name": "article", "start": 0, "end": 3}, {"name": "noun", "start": 4, "end": 8}],
        "corrupt_spans": [{"name": "article", "start": 0, "end": 3}, {"name": "noun", "start": 4, "end": 7}],
        "candidates": [],
    }
    (plain,) = task.pairs("evaluation", 10, 0)
    assert (plain["case"], plain["clean_spans"], plain["corrupt_spans"]) == ("", [], [])


def test_columns_are_those_of_a_built_in_task(tmp_path: Path) -> None:
    task = folder_task(write(tmp_path / "mine", discovery=[GOOD], evaluation=[pair("The dogs")]))
    assert task.pairs("discovery", 1, 0).features == NOUNPP.pairs("discovery", 1, 0).features


def test_rows_are_a_prefix_of_the_order_of_the_seed(tmp_path: Path) -> None:
    records = [pair(f"The keys {i}") for i in range(50)]
    task = folder_task(write(tmp_path / "mine", discovery=records, evaluation=[pair("The dogs")]))
    everything = task.pairs("discovery", 1000, 5)["clean"]
    assert sorted(everything) == sorted(record["clean_prefix"] for record in records)
    assert everything[:] != [record["clean_prefix"] for record in records]
    assert task.pairs("discovery", 17, 5)["clean"][:] == everything[:17]
    assert task.pairs("discovery", 1000, 6)["clean"][:] != everything[:]


@pytest.mark.parametrize("seed", range(5))
def test_repeats_and_leaks_against_a_count_of_pairs_of_rows(
    tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    choose = random.Random(seed)
    files: dict[str, list[dict[str, Any]]] = {
        split: [
            pair(f"The {choose.randrange(40)}", f"The {choose.choice('ab')}", choose.choice([" are", " have"]))
            for _ in range(size)
        ]
        for split, size in {"discovery": 9, "evaluation": 60, "heldout": 80}.items()
    }
    task = folder_task(write(tmp_path / "mine", **files))
    before: list[dict[str, Any]] = []
    splits: tuple[Split, ...] = ("discovery", "evaluation", "heldout")
    for split in splits:
        kept: list[dict[str, Any]] = []
        duplicates = leaked = 0
        for i, record in enumerate(files[split]):
            if any(record == other for other in files[split][:i]):
                duplicates += 1
            elif any(
                record["clean_prefix"] == other["clean_prefix"] and record["clean_answer"] == other["clean_answer"]
                for other in before
            ):
                leaked += 1
            else:
                kept.append(record)
        before += files[split]

        found, report = read_split(task.path, split)
        assert report == Report(len(kept), duplicates, leaked)
        expected = [(r["clean_prefix"], r["patch_prefix"], r["clean_answer"]) for r in kept]
        assert [(row["clean"], row["corrupt"], row["answer"]) for row in found] == expected
        caplog.clear()
        drawn = task.pairs(split, 1000, seed)
        assert sorted(zip(drawn["clean"], drawn["corrupt"], drawn["answer"], strict=True)) == sorted(expected)
        assert [(logged.name, logged.levelno) for logged in caplog.records] == [("basisbench", logging.WARNING)] * (
            duplicates + leaked > 0
        )
        for logged in caplog.records:
            assert logged.getMessage() == (
                f"mine, {split}: left out {duplicates} repeated rows and {leaked} that stand in an earlier "
                f"split; {len(kept)} rows remain"
            )


def test_several_answers_make_a_list_of_every_row_however_few_are_drawn(tmp_path: Path) -> None:
    several = pair("The dogs") | {"clean_answer": [" are", " have"], "patch_answer": [" is", " has"]}
    one = [pair(f"The keys {i}") | {"candidates": [" is", " are"]} for i in range(9)]
    task = folder_task(write(tmp_path / "mine", discovery=[*one, several], evaluation=[pair("The cats")]))
    rows = task.pairs("discovery", 10, 1)
    assert {tuple(answers) for answers in rows["answer"]} == {(" are",), (" are", " have")}
    assert {tuple(answers) for answers in rows["foil"]} == {(" is",), (" is", " has")}
    for n in range(1, 10):
        assert list(task.pairs("discovery", n, 1)) == list(rows)[:n]
    found = {row["clean"]: row["candidates"] for row in rows}
    assert found["The dogs"] == []
    assert found["The keys 3"] == [" is", " are"]


def test_a_prompt_with_any_of_an_earlier_splits_answers_is_left_out(tmp_path: Path) -> None:
    both = GOOD | {"clean_answer": [" are", " have"]}
    again = [GOOD | {"clean_answer": [" have", " do"]}, GOOD | {"clean_answer": " do"}]
    task = folder_task(write(tmp_path / "mine", discovery=[both], evaluation=again))
    assert read_split(task.path, "evaluation")[1] == Report(1, 0, 1)
    assert task.pairs("evaluation", 9, 0)["answer"][:] == [" do"]


def test_splits_are_those_whose_files_exist(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", discovery=[GOOD], evaluation=[pair("The dogs")])
    assert folder_task(folder).splits == ("discovery", "evaluation")
    write(folder, heldout_templates=[pair("Near them the keys"), GOOD, pair("The dogs")])
    assert folder_task(folder).splits == ("discovery", "evaluation", "heldout_templates")
    assert folder_task(folder).pairs("heldout_templates", 9, 0)["clean"][:] == ["Near them the keys"]
    write(folder, heldout=[pair("Near them the keys")])
    assert FolderTask(folder).splits == ("discovery", "evaluation", "heldout", "heldout_templates")
    with pytest.raises(UserError, match=r"heldout_templates\.jsonl: every row stands in an earlier split"):
        folder_task(folder)


def test_clean_files_are_read_without_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = folder_task(write(tmp_path / "mine", discovery=[GOOD], evaluation=[pair("The dogs")]))
    task.pairs("evaluation", 5, 0)
    assert caplog.records == []


def test_a_split_that_is_all_in_discovery_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", discovery=[GOOD], evaluation=[GOOD])
    with pytest.raises(UserError, match=r"evaluation\.jsonl: every row stands in an earlier split"):
        folder_task(folder)


def test_blank_lines_line_ends_and_marks_are_harmless(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", evaluation=[pair("The dogs")])
    separated = json.dumps(pair("The\u2028keys"), ensure_ascii=False)
    (folder / "discovery.jsonl").write_bytes(f"\ufeff\r\n{json.dumps(GOOD)}\r\n  \n{separated}".encode())
    assert sorted(folder_task(folder).pairs("discovery", 9, 0)["clean"]) == ["The keys", "The\u2028keys"]


def test_missing_files_name_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no file .*discovery\.jsonl: .* holds no \.jsonl file$"):
        folder_task(tmp_path)
    write(tmp_path, discovery=[GOOD])
    with pytest.raises(UserError, match=r"no file .*evaluation\.jsonl: .* holds discovery\.jsonl$"):
        folder_task(tmp_path)
    write(tmp_path, evaluation=[pair("The dogs")])
    with pytest.raises(UserError, match=r"no file .*heldout\.jsonl: .* holds discovery\.jsonl, evaluation\.jsonl$"):
        folder_task(tmp_path).pairs("heldout", 1, 0)
    with pytest.raises(UserError, match=r"unknown split 'test': valid: discovery, evaluation, heldout"):
        folder_task(tmp_path).pairs("test", 1, 0)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"cannot read .*: Not a directory"):
        folder_task(tmp_path / "discovery.jsonl")


def test_a_malformed_heldout_is_found_when_the_folder_is_opened(tmp_path: Path) -> None:
    folder = write(tmp_path, discovery=[GOOD], evaluation=[pair("The dogs")], heldout=[{"clean_prefix": "x"}])
    with pytest.raises(UserError, match=r"heldout\.jsonl line 1: patch_prefix: Field required"):
        folder_task(folder)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"patch_answer": 3}, "patch_answer: Input should be a valid string"),
        ({"clean_prefix": ""}, "clean_prefix: String should have at least 1 character"),
        ({"clean_prefix": None}, "clean_prefix: Input should be a valid string"),
        ({"case": 1}, "case: Input should be a valid string"),
        ({"patch_answer": " are"}, "patch_answer: must differ from clean_answer"),
        ({"patch_answer": [" is", " are"]}, "patch_answer: must differ from clean_answer"),
        ({"patch_answer": [" is", 3]}, "patch_answer: Input should be a valid string or a list of strings"),
        ({"patch_answer": []}, "patch_answer: Input should be a valid string or a list of strings"),
        ({"patch_answer": [" is", ""]}, "patch_answer: String should have at least 1 character"),
        ({"candidates": " is"}, "candidates: Input should be a valid array"),
        ({"candidates": [" is", " was"]}, "candidates: must hold clean_answer"),
        ({"clean_spans": 1}, "clean_spans: Input should be a valid"),
        ({"clean_spans": {"noun": [4]}}, "clean_spans: a span must be [start, end]"),
        ({"clean_spans": {"noun": [4, "8"]}}, "clean_spans.0.end: Input should be a valid integer"),
        ({"clean_spans": [{"name": "noun", "start": 4}]}, "clean_spans.0.end: Field required"),
        ({"clean_spans": {"noun": [4, 9]}}, "clean_spans: must be non-empty [start, end] within the prefix"),
        ({"clean_spans": {"noun": [-1, 2]}}, "clean_spans: must be non-empty [start, end] within the prefix"),
        ({"clean_spans": {"noun": [4, 4]}}, "clean_spans: must be non-empty [start, end] within the prefix"),
        ({"clean_spans": {"a": [0, 5], "b": [4, 8]}}, "clean_spans: must be non-empty [start, end] within"),
        (
            {"clean_spans": [{"name": "a", "start": 0, "end": 3}, {"name": "a", "start": 4, "end": 8}]},
            "clean_spans: a name stands twice",
        ),
        ({"clean_spans": {"noun": [4, 8]}}, "patch_spans: must have the names of clean_spans"),
        (
            {"clean_spans": {"a": [0, 3], "b": [4, 8]}, "patch_spans": {"b": [0, 3], "a": [4, 7]}},
            "patch_spans: must have the names of clean_spans, in the same reading order",
        ),
    ],
)
def test_a_bad_field_is_named_with_its_line(tmp_path: Path, bad: dict[str, Any], told: str) -> None:
    message = refusal(tmp_path, f"{json.dumps(GOOD)}\n\n{json.dumps(GOOD | bad)}\n")
    assert message.startswith(f"{tmp_path / 'discovery.jsonl'} line 3: {told}")


@pytest.mark.parametrize("field", GOOD)
def test_a_missing_field_is_named_with_its_line(tmp_path: Path, field: str) -> None:
    record = {name: value for name, value in GOOD.items() if name != field}
    assert refusal(tmp_path, json.dumps(record)).endswith(f"discovery.jsonl line 1: {field}: Field required")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "discovery.jsonl is empty"),
        (b"\n \n", "discovery.jsonl is empty"),
        (b"\n{'a': 1}", "discovery.jsonl line 2: the object: Invalid JSON"),
        (b"[1]", "discovery.jsonl line 1: the object: Input should be an object"),
        (b"{}\n{\xff}", "discovery.jsonl line 2: not UTF-8"),
    ],
)
def test_a_file_that_is_not_json_lines_is_named(tmp_path: Path, content: bytes, told: str) -> None:
    assert told in refusal(tmp_path, content)


def test_the_name_is_the_folder_whatever_way_it_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert FolderTask(Path()).name == tmp_path.name
