"""Tasks read from folders: fields, order, what is left out, and one-line refusals."""

import json
import logging
import os
import random
from pathlib import Path
from typing import Any

import pytest

from basisbench.errors import UserError
from basisbench.tasks.folder import FolderTask, folder_task
from basisbench.tasks.given import Report
from basisbench.tasks.pair import Pair
from basisbench.tasks.task import Task
from basisbench.values import Split

GOOD: dict[str, Any] = {
    "clean_prefix": "The keys",
    "patch_prefix": "The key",
    "clean_answer": " are",
    "patch_answer": " is",
}


def line(clean: str, corrupt: str = "The key", answer: str = " are", foil: str = " is") -> dict[str, Any]:
    return {"clean_prefix": clean, "patch_prefix": corrupt, "clean_answer": answer, "patch_answer": foil}


def write(folder: Path, **splits: list[dict[str, Any]]) -> Path:
    folder.mkdir(exist_ok=True)
    for split, records in splits.items():
        (folder / f"{split}.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records), "utf-8")
    return folder


def refusal(folder: Path, discovery: str | bytes) -> str:
    """Return the refusal of a folder with these bytes as discovery.jsonl."""
    write(folder, evaluation=[line("The dogs", "The dog")])
    data = discovery.encode() if isinstance(discovery, str) else discovery
    (folder / "discovery.jsonl").write_bytes(data)
    with pytest.raises(UserError) as caught:
        folder_task(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_lines_become_pairs(tmp_path: Path) -> None:
    spans = {
        "clean_spans": {"noun": [4, 8], "article": [0, 3]},
        "patch_spans": [{"name": "article", "start": 0, "end": 3}, {"name": "noun", "start": 4, "end": 7}],
    }
    folder = write(tmp_path / "mine", discovery=[GOOD | spans | {"case": "plural"}], evaluation=[line("The dogs")])
    task: Task = folder_task(folder)
    assert task.name == "mine"
    assert task.description == "prompt pairs from the folder mine"
    expected = Pair(
        *("The keys", "The key", " are", " is", "plural"),
        clean_spans=[("article", 0, 3), ("noun", 4, 8)],
        corrupt_spans=[("article", 0, 3), ("noun", 4, 7)],
    )
    assert task.pairs("discovery", 10, 0) == [expected]
    assert task.pairs("evaluation", 10, 0) == [Pair("The dogs", "The key", " are", " is")]


def test_rows_are_a_prefix_of_the_order_of_the_seed(tmp_path: Path) -> None:
    records = [line(f"The keys {i}") for i in range(50)]
    task = folder_task(write(tmp_path / "mine", discovery=records, evaluation=[line("The dogs")]))
    everything = task.pairs("discovery", 1000, 5)
    assert sorted(pair.clean for pair in everything) == sorted(record["clean_prefix"] for record in records)
    assert [pair.clean for pair in everything] != [record["clean_prefix"] for record in records]
    assert task.pairs("discovery", 17, 5) == everything[:17]
    assert task.pairs("discovery", 1000, 6) != everything


@pytest.mark.parametrize("seed", range(5))
def test_repeats_and_leaks_against_a_count_of_pairs_of_rows(
    tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    choose = random.Random(seed)
    files: dict[str, list[dict[str, Any]]] = {
        split: [
            line(f"The {choose.randrange(40)}", f"The {choose.choice('ab')}", choose.choice([" are", " have"]))
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

        found, report = task.read(split)
        assert report == Report(len(kept), duplicates, leaked)
        expected = [Pair(*record.values()) for record in kept]
        assert found == expected
        caplog.clear()
        drawn = task.pairs(split, 1000, seed)
        assert sorted(drawn, key=str) == sorted(expected, key=str)
        assert [(logged.name, logged.levelno) for logged in caplog.records] == [("basisbench", logging.WARNING)] * (
            duplicates + leaked > 0
        )
        for logged in caplog.records:
            assert logged.getMessage() == (
                f"mine, {split}: left out {duplicates} repeated pairs and {leaked} that stand in an earlier "
                f"split; {len(kept)} pairs remain"
            )


def test_answers_may_be_one_or_several(tmp_path: Path) -> None:
    several = line("The dogs") | {"clean_answer": [" are", " have"], "patch_answer": [" is", " has"]}
    one = [line(f"The keys {i}") | {"candidates": [" is", " are"]} for i in range(9)]
    task = folder_task(write(tmp_path / "mine", discovery=[*one, several], evaluation=[line("The cats")]))
    pairs = task.pairs("discovery", 10, 1)
    assert {pair.answers for pair in pairs} == {(" are",), (" are", " have")}
    assert {pair.foils for pair in pairs} == {(" is",), (" is", " has")}
    for n in range(1, 10):
        assert task.pairs("discovery", n, 1) == pairs[:n]
    found = {pair.clean: pair.candidates for pair in pairs}
    assert found["The dogs"] == ()
    assert found["The keys 3"] == (" is", " are")


def test_a_prompt_with_any_of_an_earlier_splits_answers_is_left_out(tmp_path: Path) -> None:
    both = GOOD | {"clean_answer": [" are", " have"]}
    again = [GOOD | {"clean_answer": [" have", " do"]}, GOOD | {"clean_answer": " do"}]
    task = folder_task(write(tmp_path / "mine", discovery=[both], evaluation=again))
    assert task.read("evaluation")[1] == Report(1, 0, 1)
    assert [pair.answers for pair in task.pairs("evaluation", 9, 0)] == [(" do",)]


def test_splits_are_those_whose_files_exist(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", discovery=[GOOD], evaluation=[line("The dogs")])
    assert folder_task(folder).splits == ("discovery", "evaluation")
    write(folder, heldout_templates=[line("Near them the keys"), GOOD, line("The dogs")])
    assert folder_task(folder).splits == ("discovery", "evaluation", "heldout_templates")
    assert [pair.clean for pair in folder_task(folder).pairs("heldout_templates", 9, 0)] == ["Near them the keys"]
    write(folder, heldout=[line("Near them the keys")])
    assert FolderTask(folder).splits == ("discovery", "evaluation", "heldout", "heldout_templates")
    with pytest.raises(UserError, match=r"heldout_templates\.jsonl: every pair stands in an earlier split"):
        folder_task(folder)


def test_clean_files_are_read_without_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = folder_task(write(tmp_path / "mine", discovery=[GOOD], evaluation=[line("The dogs")]))
    task.pairs("evaluation", 5, 0)
    assert caplog.records == []


def test_a_split_that_is_all_in_discovery_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", discovery=[GOOD], evaluation=[GOOD])
    with pytest.raises(UserError, match=r"evaluation\.jsonl: every pair stands in an earlier split"):
        folder_task(folder)


def test_blank_lines_line_ends_and_marks_are_harmless(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", evaluation=[line("The dogs")])
    separated = json.dumps(line("The\u2028keys"), ensure_ascii=False)
    (folder / "discovery.jsonl").write_bytes(f"\ufeff\r\n{json.dumps(GOOD)}\r\n  \n{separated}".encode())
    assert sorted(p.clean for p in folder_task(folder).pairs("discovery", 9, 0)) == ["The keys", "The\u2028keys"]


def test_missing_files_name_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no file .*discovery\.jsonl: .* holds no \.jsonl file$"):
        folder_task(tmp_path)
    write(tmp_path, discovery=[GOOD])
    with pytest.raises(UserError, match=r"no file .*evaluation\.jsonl: .* holds discovery\.jsonl$"):
        folder_task(tmp_path)
    write(tmp_path, evaluation=[line("The dogs")])
    with pytest.raises(UserError, match=r"no file .*heldout\.jsonl: .* holds discovery\.jsonl, evaluation\.jsonl$"):
        folder_task(tmp_path).pairs("heldout", 1, 0)
    with pytest.raises(UserError, match=r"unknown split 'test': valid: discovery, evaluation, heldout"):
        folder_task(tmp_path).pairs("test", 1, 0)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"cannot read .*: Not a directory"):
        folder_task(tmp_path / "discovery.jsonl")


def test_a_malformed_heldout_is_found_when_the_folder_is_opened(tmp_path: Path) -> None:
    folder = write(tmp_path, discovery=[GOOD], evaluation=[line("The dogs")], heldout=[{"clean_prefix": "x"}])
    with pytest.raises(UserError, match=r"heldout\.jsonl line 1: patch_prefix: is missing"):
        folder_task(folder)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"patch_answer": {"a": 1}}, "patch_answer: valid is a text or several, got {'a': 1}"),
        ({"clean_prefix": ""}, "clean_prefix: valid is a text that is not empty, got ''"),
        ({"clean_prefix": None}, "clean_prefix: is missing"),
        ({"case": [1]}, "case: valid is a text, got ['1']"),
        ({"patch_prefix": "The keys"}, "patch_prefix: must differ from the clean prompt, 'The keys'"),
        ({"patch_answer": " are"}, "patch_answer: ' are' is an answer too"),
        ({"patch_answer": [" is", " are"]}, "patch_answer: ' are' is an answer too"),
        ({"patch_answer": [" is", None]}, "patch_answer: valid is a text that is not empty, got None"),
        ({"patch_answer": []}, "patch_answer: valid is a text or several, got []"),
        ({"patch_answer": [" is", ""]}, "patch_answer: valid is a text that is not empty, got ''"),
        ({"candidates": {}}, "candidates: valid is a text or several, got {}"),
        ({"candidates": [" is", " was"]}, "candidates: the answer ' are' is not among them"),
        ({"clean_spans": 1}, "clean_spans: valid are several (name, start, end), got 1"),
        ({"clean_spans": {"noun": [4]}}, "clean_spans: valid is (name, start, end), a text and two integers, got ("),
        ({"clean_spans": {"noun": [4, "8"]}}, "clean_spans: valid is (name, start, end), a text and two integers"),
        ({"clean_spans": {"noun": 4}}, "clean_spans: valid is (name, start, end), a text and two integers, got 4"),
        ({"clean_spans": [{"name": "noun", "start": 4}]}, "clean_spans: valid is (name, start, end), a text and"),
        ({"clean_spans": {"noun": [4, 9]}}, "clean_spans: 'noun' [4, 9] is no piece of a prompt of 8 characters"),
        ({"clean_spans": {"noun": [-1, 2]}}, "clean_spans: 'noun' [-1, 2] is no piece"),
        ({"clean_spans": {"noun": [4, 4]}}, "clean_spans: 'noun' [4, 4] is no piece"),
        ({"clean_spans": {"a": [0, 5], "b": [4, 8]}}, "clean_spans: 'b' begins before 'a' ends: valid: reading order"),
        (
            {"clean_spans": [{"name": "a", "start": 0, "end": 3}, {"name": "a", "start": 4, "end": 8}]},
            "clean_spans: the name 'a' stands twice",
        ),
        ({"clean_spans": {"noun": [4, 8]}}, "patch_spans: valid are the names of clean_spans, ['noun'], got []"),
        (
            {"clean_spans": {"a": [0, 3], "b": [4, 8]}, "patch_spans": {"b": [0, 3], "a": [4, 7]}},
            "patch_spans: valid are the names of clean_spans, ['a', 'b'], got ['b', 'a']",
        ),
    ],
)
def test_a_bad_field_is_named_with_its_line(tmp_path: Path, bad: dict[str, Any], told: str) -> None:
    message = refusal(tmp_path, f"\n\n{json.dumps(GOOD | bad)}\n")
    assert message.startswith(f"{tmp_path / 'discovery.jsonl'} line 3: {told}")


def test_a_line_that_makes_no_pair_ends_nothing_and_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [GOOD | {"patch_answer": " are"}, GOOD, {"clean_prefix": "x"}, line("The cats")]
    task = folder_task(write(tmp_path / "mine", discovery=bad, evaluation=[line("The dogs")]))
    for _ in range(3):
        assert sorted(pair.clean for pair in task.pairs("discovery", 9, 0)) == ["The cats", "The keys"]
    file = task.path / "discovery.jsonl"
    assert [logged.getMessage() for logged in caplog.records] == [
        f"mine, discovery: left out 2 rows that make no pair (the first: {file} line 1: patch_answer: ' are' is an "
        "answer too: valid: texts that are wrong there); 2 pairs remain"
    ]


def test_numbers_and_null_are_what_stands_in_the_file(tmp_path: Path) -> None:
    text = (
        '{"clean_prefix": "1.50 - 1 =", "patch_prefix": "2 - 1 =", "clean_answer": 0.50, "patch_answer": [1, true],'
        ' "case": null, "clean_spans": null}'
    )
    folder = write(tmp_path, evaluation=[line("The dogs")])
    (folder / "discovery.jsonl").write_text(text)
    assert folder_task(folder).pairs("discovery", 1, 0) == [Pair("1.50 - 1 =", "2 - 1 =", "0.50", ("1", "true"))]


def test_a_file_that_has_changed_is_read_again_whatever_its_time(tmp_path: Path) -> None:
    folder = write(tmp_path, discovery=[GOOD], evaluation=[line("The dogs")])
    task, file = folder_task(folder), folder / "discovery.jsonl"
    before = file.stat()
    assert [pair.clean for pair in task.pairs("discovery", 9, 0)] == ["The keys"]
    (folder / "other").write_text(file.read_text().replace("The keys", "The cats"))
    (folder / "other").replace(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert [pair.clean for pair in task.pairs("discovery", 9, 0)] == ["The cats"]


@pytest.mark.parametrize("field", GOOD)
def test_a_missing_field_is_named_with_its_line(tmp_path: Path, field: str) -> None:
    record = {name: value for name, value in GOOD.items() if name != field}
    assert refusal(tmp_path, json.dumps(record)).endswith(f"discovery.jsonl line 1: {field}: is missing")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "discovery.jsonl is empty"),
        (b"\n \n", "discovery.jsonl is empty"),
        (b"\n{'a': 1}", "discovery.jsonl line 2, column 2: Expecting property name enclosed in double quotes"),
        (b"[1]", "discovery.jsonl line 1: clean_prefix: is missing"),
        (b"{}\n{\xff}", "discovery.jsonl line 2: byte 0xff after '{' is not UTF-8; save the file as UTF-8"),
        (b'{"a": 1, "a": 2}', "discovery.jsonl line 1: the key 'a' stands twice in one object"),
        (b'{"a": ' + b"[" * 10**5, "discovery.jsonl line 1: lists or objects are nested too deep"),
    ],
)
def test_a_file_that_is_not_json_lines_is_named(tmp_path: Path, content: bytes, told: str) -> None:
    assert told in refusal(tmp_path, content)


def test_the_name_is_the_folder_whatever_way_it_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert FolderTask(Path()).name == tmp_path.name
