"""Tasks mapped from datasets: pairs against pairs written by hand, what is left out, and one-line refusals."""

import csv
import json
import logging
import tomllib
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub.constants
import pytest
import yaml

from basisbench.errors import UserError
from basisbench.shipped_tasks import presets
from basisbench.tasks.load import load_task
from basisbench.tasks.mapped import MappedTask, mapped_task
from basisbench.tasks.mapping import Constant, MappingError, build, has_value, is_there, parse, parse_place, value_at
from basisbench.tasks.pair import Pair
from basisbench.tasks.task import Task
from basisbench.values import Split

Record = dict[str, Any]
SETTINGS: Record = {
    "name": "mine/task",
    "description": "pairs of mine",
    "source": "./data",
    "splits": {"discovery": "train", "evaluation": "validation"},
    "columns": {"clean": "prompt", "corrupt": "other.prompt", "answer": "good", "foil": "bad"},
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASISBENCH_CACHE", str(tmp_path / "cache"))


def row(prompt: str, **fields: object) -> Record:
    return {"prompt": prompt, "other": {"prompt": "The key"}, "good": " are", "bad": " is"} | fields


def lines(file: Path, records: list[Record]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{json.dumps(record)}\n" for record in records), "utf-8")


def task_file(folder: Path, **changes: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "task.yaml").write_text(yaml.safe_dump(SETTINGS | changes), "utf-8")
    return folder / "task.yaml"


def make(folder: Path, train: list[Record], **changes: object) -> MappedTask:
    lines(folder / "data" / "train.jsonl", train)
    lines(folder / "data" / "validation.jsonl", [row("The dogs")])
    return mapped_task(task_file(folder, **changes))


def prompts(task: Task, split: Split = "discovery") -> list[str]:
    return [pair.clean for pair in task.pairs(split, 99, 0)]


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        act()
    message = str(caught.value)
    assert "\n" not in message
    return message


# The language


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("prompt", ("prompt",)),
        ("a.b c.d", ("a", "b c", "d")),
        ("a[0].b[12]", ("a", 0, "b", 12)),
        ("a[b]", ("a", parse_place("b"))),
        ("a[b.c[0]].d", ("a", parse_place("b.c[0]"), "d")),
    ],
)
def test_paths_are_parsed_into_steps(path: str, steps: tuple[object, ...]) -> None:
    found = parse_place(path)
    assert (found.text, found.steps) == (path, steps)
    assert found.ends[-1] == len(path)


@pytest.mark.parametrize("path", ["", ".a", "a.", "a..b", "a[", "a[b", "a[]", "a]b", "[0]", "a[0]b", "a[b]]"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(MappingError, match=r"is no path|is not closed"):
        parse_place(path)


@pytest.mark.parametrize("entry", ["{a", "a}", "{a{b}}", "{}", "{a.}", "}{"])
def test_what_is_no_text_is_refused(entry: str) -> None:
    with pytest.raises(MappingError):
        parse(entry)


RECORD: Record = {
    "prompt": "Which?",
    "key": 1,
    "which": {"at": 2, "name": "label"},
    "choices": {"label": ["A", "B", "C"], "text": ["one", "two", "three"]},
    "people": [{"name": "Ann"}, {"name": "Bob"}],
    "odd: name!": "odd",
    "a.b": "column",
    "a": {"b": "hidden", "c": "field", "d.e": "inner", "d": {"f": "deep"}},
    "answer[0]": "flat",
    "a.at": 2,
}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("prompt", "Which?"),
        ("key", "1"),
        ("choices.label[0]", "A"),
        ("choices.label[key]", "B"),
        ("choices.text[which.at]", "three"),
        ("choices[which.name][key]", "B"),
        ("people[1].name", "Bob"),
        ("people[key].name", "Bob"),
        (" {choices.label[key]}", " B"),
        ("{{{key}}} {prompt} {choices.text[key]}!", "{1} Which? two!"),
        ("choices.label", ["A", "B", "C"]),
        (" {choices.label}/{key}", [" A/1", " B/1", " C/1"]),
        ([" {people[0].name}", " {people[1].name}"], [" Ann", " Bob"]),
        (["{choices.label}", "key"], ["A", "B", "C", "1"]),
        (Constant(" {is}"), " {is}"),
        ([Constant(" a"), " {key}"], [" a", " 1"]),
        ("{odd: name!}", "odd"),
        ("odd: name!", "odd"),
        # a column's or a field's name may hold dots and brackets; the longest that is there is meant
        ("a.b", "column"),
        ("a.c", "field"),
        ("<{a.d.e}>", "<inner>"),
        ("a.d.f", "deep"),
        ("answer[0]", "flat"),
        ("choices.label[a.at]", "C"),
    ],
)
def test_entries_against_values_written_by_hand(entry: str | list[str], expected: str | list[str]) -> None:
    assert build(entry, RECORD) == expected


@pytest.mark.parametrize(
    ("entry", "record", "told"),
    [
        ("a.x", {"a": {"b": "c"}}, "'a.x': unknown field 'x': valid: b"),
        ("a[1]", {"a": ["b"]}, "'a[1]': index 1 is outside of a list of 1"),
        ("a[k]", {"a": ["b"], "k": -1}, "'a[k]': index -1 is outside of a list of 1"),
        ("a[k]", {"a": ["b"], "k": "0"}, "'a[k]': a list has no '0'"),
        ("a[k]", {"a": ["b"], "k": True}, "'a[k]': a list has no True"),
        ("a[k]", {"a": ["b"], "k": None}, "'a[k]' is null"),
        ("a.b", {"a": None}, "'a.b' is null"),
        ("a.b", {"a": "text"}, "'a.b': text has no 'b'"),
        ("a", {"a": None}, "'a' is null"),
        (" {a}", {"a": ""}, "'a' is empty"),
        ("a", {"a": {"b": "c"}}, "'a' is a structure: valid: text or an integer"),
        ("a", {"a": 1.5}, "'a' is a number: valid: text or an integer"),
        ("a", {"a": []}, "'a' is an empty list"),
        ("a", {"a": ["b", None]}, "'a' is null"),
        ("a", {"a": [["b"]]}, "'a' is a list: valid: text or an integer"),
        ("{a}{b}", {"a": ["c"], "b": ["d"]}, "'{a}{b}': two lists in one text: valid: one"),
    ],
)
def test_records_that_do_not_fit_are_told(entry: str, record: Record, told: str) -> None:
    with pytest.raises(MappingError) as caught:
        build(entry, record)
    assert str(caught.value) == told


def test_a_place_names_every_column_that_it_reads() -> None:
    assert list(parse_place("a.b[c.d[e]].f").columns()) == [
        ("a.b[c.d[e]].f", "a.b[c.d[e]]", "a.b", "a"),
        ("c.d[e]", "c.d", "c"),
        ("e",),
    ]
    assert value_at(parse_place("choices.label"), RECORD) == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("value", "wanted", "same"),
    [
        ("+", "+", True),
        ("1", 1, True),
        (1, "1", True),
        (1, 1, True),
        ("1.0", 1, True),
        ("0.50", 0.5, True),
        ("01", "1", False),
        ("01", 1, True),
        ("one", 1, False),
        (True, 1, False),
        ("True", 1, False),
        (True, True, True),
        ("True", True, True),
        ("false", False, True),
        (1, True, False),
        (None, "None", False),
        (None, 0, False),
        ("", 0, False),
        ([1], 1, False),
    ],
)
def test_values_are_compared_as_what_was_asked_for(value: object, wanted: str | float, same: bool) -> None:
    assert has_value(parse_place("a"), {"a": value}, wanted) == same
    assert not has_value(parse_place("a.b"), {"a": {"c": value}}, wanted)


def test_what_is_null_empty_or_missing_is_not_there() -> None:
    row: Record = {"null": None, "empty": "", "zero": 0, "no": False, "list": [], "in": {"null": None}}
    there = [path for path in [*row, "in.null", "in.none", "none", "list[0]"] if is_there(parse_place(path), row)]
    assert there == ["zero", "no", "list", "in"]


# The task


def test_rows_against_rows_written_by_hand(tmp_path: Path) -> None:
    columns = {
        "clean": "Q: {prompt} A:",
        "corrupt": "Q: {other.prompt} A:",
        "answer": " {choices[key]}",
        "foil": " {choices[other.key]}",
        "candidates": " {choices}",
        "case": "kind",
    }
    records = [
        {"prompt": "one", "other": {"prompt": "two", "key": 1}, "choices": ["x", "y"], "key": 0, "kind": 7},
        {"prompt": "six", "other": {"prompt": "ten", "key": 0}, "choices": ["u", "v", "w"], "key": 2, "kind": 8},
    ]
    task: Task = make(tmp_path, records, columns=columns)
    found = sorted(task.pairs("discovery", 9, 0), key=lambda pair: pair.case)
    assert found == [
        Pair("Q: one A:", "Q: two A:", " x", " y", "7", [" x", " y"]),
        Pair("Q: six A:", "Q: ten A:", " w", " u", "8", [" u", " v", " w"]),
    ]
    assert (task.name, task.description, task.splits) == ("mine/task", "pairs of mine", ("discovery", "evaluation"))


def test_answers_may_be_several(tmp_path: Path) -> None:
    columns = SETTINGS["columns"] | {"answer": ["good", "have"], "foil": "bads"}
    task = make(tmp_path, [row("The keys", have=" have", bads=[" is", " has"])], columns=columns)
    (found,) = task.pairs("discovery", 1, 0)
    assert (found.answers, found.foils) == ((" are", " have"), (" is", " has"))


def test_a_space_that_ends_both_prompts_goes_to_the_answers(tmp_path: Path) -> None:
    columns = SETTINGS["columns"] | {"candidates": ["good", "bad"]}
    both = row("1 + 1 = ", other={"prompt": "1 + 2 = "}, good=2, bad=3)
    one = row("1 + 3 = ", other={"prompt": "1 + 2 ="}, good=4, bad=3)
    task = make(tmp_path, [both, one], columns=columns)
    found = {pair.clean: pair for pair in task.pairs("discovery", 9, 0)}
    assert found["1 + 1 ="] == Pair("1 + 1 =", "1 + 2 =", " 2", " 3", candidates=[" 2", " 3"])
    assert found["1 + 3 = "] == Pair("1 + 3 = ", "1 + 2 =", "4", "3", candidates=["4", "3"])


def test_rows_are_chosen_by_value_and_by_presence(tmp_path: Path) -> None:
    records = [
        row("a", sign="+", digits=1),
        row("b", sign="-", digits=1),
        row("c", sign="+", digits=3),
        row("d", sign="+", digits=2, other=None),
        row("e", sign="+", digits=2, other={"prompt": None}),
        row("f", sign="+", digits=2),
        row("g", sign=None, digits=2),
    ]
    where = {"sign": "+", "digits": [1, 2]}
    task = make(tmp_path, records, where=where, present=["other.prompt"])
    assert sorted(prompts(task)) == ["a", "f"]
    lines(tmp_path / "data" / "validation.jsonl", [row("x", sign="-", digits=1)])
    message = refusal(lambda: task.pairs("evaluation", 1, 0))
    assert message == "task 'mine/task', evaluation: no row is left of 1: 'where' and 'present' keep none"


def test_rows_are_a_prefix_of_the_order_of_the_seed(tmp_path: Path) -> None:
    columns = SETTINGS["columns"] | {"answer": "goods"}
    records = [row(f"The keys {i}", goods=[" are"] if i else [" are", " have"]) for i in range(40)]
    task = make(tmp_path, records, columns=columns)
    everything = task.pairs("discovery", 1000, 5)
    assert sorted(pair.clean for pair in everything) == sorted(record["prompt"] for record in records)
    assert [pair.clean for pair in everything] != [record["prompt"] for record in records]
    for n in (1, 2, 17, 39):
        assert task.pairs("discovery", n, 5) == everything[:n]
    assert task.pairs("discovery", 1000, 6) != everything


def test_repeats_leaks_and_foils_that_answer_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task = make(tmp_path, [row("a"), row("a"), row("b"), row("c", bad=" are")])
    lines(
        tmp_path / "data" / "validation.jsonl",
        [row("a", other={"prompt": "else"}), row("a", good=" do"), row("c"), row("d"), row("d")],
    )
    assert sorted(prompts(task)) == ["a", "b"]
    found = task.pairs("evaluation", 9, 0)
    assert sorted((pair.clean, *pair.answers) for pair in found) == [("a", " do"), ("c", " are"), ("d", " are")]
    assert task.pairs("discovery", 9, 1)
    assert [(logged.name, logged.levelno) for logged in caplog.records] == [("basisbench", logging.WARNING)] * 2
    assert [logged.getMessage() for logged in caplog.records] == [
        "mine/task, discovery: left out 1 rows that make no pair (the first: data/train.jsonl line 4: foil: ' are' is "
        "an answer too: valid: texts that are wrong there), 1 repeated pairs and 0 that stand in an earlier split; "
        "2 pairs remain",
        "mine/task, evaluation: left out 1 repeated pairs and 1 that stand in an earlier split; 3 pairs remain",
    ]


def test_data_files_of_every_format_and_layout(tmp_path: Path) -> None:
    flat = [{"prompt": f"The keys {i}", "with": f"The key {i}", "good": " are", "bad": " is"} for i in range(10)]
    columns = SETTINGS["columns"] | {"corrupt": "with"}
    data = tmp_path / "data"
    lines(data / "some.jsonl", flat[:2])
    (data / "array.json").write_text(json.dumps(flat[2:4]), "utf-8")
    with (data / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(flat[0]))
        writer.writeheader()
        writer.writerows(flat[4:6])
    (data / "named" / "data").mkdir(parents=True)
    for i in range(2):
        shard = datasets.Dataset.from_list(flat[6 + i : 7 + i])
        shard.to_parquet(data / "named" / "data" / f"test-0000{i}-of-00002.parquet")
    lines(data / "named" / "train.jsonl", flat[8:9])
    lines(data / "named" / "train2.jsonl", flat[9:10])

    def held(source: str, discovery: str, config: str | None = None) -> list[str]:
        splits = {"discovery": discovery, "evaluation": "train"}
        task = mapped_task(task_file(tmp_path, source=source, splits=splits, columns=columns, config=config))
        return sorted(name.removeprefix("The keys ") for name in prompts(task))

    assert held("./data", "some.jsonl") == held("data", "some") == held("data/some.jsonl", "train") == ["0", "1"]
    assert held("./data/some.jsonl", "train[50%:]") == held("data", "some[1:]") == ["1"]
    assert held("./data", "array.json") == held("./data/array.json", "train") == ["2", "3"]
    assert held("./data", "table.csv") == held("./data", "table") == ["4", "5"]
    assert held("./data", "test", "named") == held("./data/named", "test") == ["6", "7"]
    assert held("./data", "train", "named") == ["8"]


def test_load_task_takes_a_yaml_file(tmp_path: Path) -> None:
    make(tmp_path, [row("The keys")])
    assert prompts(load_task(str(tmp_path / "task.yaml"))) == ["The keys"]
    assert "cannot read" in refusal(lambda: load_task(str(tmp_path / "none.yml")))
    assert refusal(lambda: load_task("no/such")).endswith("evaluation.jsonl, or a .yaml file")


# Refusals


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"colums": {}}, "unknown setting 'colums': did you mean 'columns'?"),
        ({"name": "../up"}, "setting name: String should match pattern"),
        ({"splits": {"discovery": "train"}}, "setting splits: evaluation is missing"),
        ({"splits": {"discovery": "train", "evaluation": "test", "test": "x"}}, "setting splits: Input should be"),
        ({"columns": {"clean": "prompt"}}, "setting columns: corrupt is missing"),
        ({"columns": SETTINGS["columns"] | {"foul": "bad"}}, "setting columns: unknown column 'foul': did you mean"),
        ({"columns": SETTINGS["columns"] | {"foil": "bad["}}, "setting columns: foil: '' is no path"),
        ({"columns": SETTINGS["columns"] | {"foil": "{bad"}}, "setting columns: foil: '{bad': valid: a path in braces"),
        ({"columns": SETTINGS["columns"] | {"foil": {"txt": "a"}}}, "setting columns: a constant is a quoted text"),
        ({"columns": SETTINGS["columns"] | {"foil": {"text": 1}}}, "setting columns: a constant is a quoted text"),
        ({"columns": SETTINGS["columns"] | {"foil": [{"text": ""}]}}, "setting columns: a constant is a quoted text"),
        ({"rows": "a["}, "setting rows: "),
        ({"columns": SETTINGS["columns"] | {"clean": ["prompt"]}}, "setting columns: clean must be one text"),
        ({"columns": SETTINGS["columns"] | {"foil": 3}}, "setting columns: Input should be a valid string, got 3"),
        ({"where": {"a..b": 1}}, "setting where: 'a..b' is no path"),
        ({"present": ["a["]}, "setting present: "),
        ({"trust_remote_code": True}, "unknown setting 'trust_remote_code'"),
    ],
)
def test_a_bad_file_is_refused_before_anything_is_loaded(tmp_path: Path, changes: Record, told: str) -> None:
    file = task_file(tmp_path, **changes)
    assert refusal(lambda: mapped_task(file)).startswith(f"{file}: {told}")


@pytest.mark.parametrize(
    ("second", "changes", "told"),
    [
        ({"good": None}, {}, "answer: 'good' is null"),
        ({"good": ""}, {}, "answer: 'good' is empty"),
        ({"bad": " are"}, {}, "foil: ' are' is an answer too"),
        ({"other": {"prompt": "y"}}, {}, "corrupt: must differ from the clean prompt, 'y'"),
        ({"other": None}, {}, "corrupt: 'other.prompt' is null"),
        ({"key": 2}, {"foil": "all[key]"}, "foil: 'all[key]': index 2 is outside of a list of 2"),
        ({}, {"clean": "all"}, "clean: 'all' is a list: valid: text or an integer"),
        ({}, {"clean": "other"}, "clean: 'other' is a structure: valid: text or an integer"),
        ({}, {"foil": "other.promt"}, "foil: 'other.promt': unknown field 'promt': did you mean 'prompt'?"),
        ({"good": " do"}, {"candidates": "all"}, "candidates: the answer ' do' is not among them"),
    ],
)
def test_a_row_that_does_not_fit_is_named(tmp_path: Path, second: Record, changes: Record, told: str) -> None:
    fields: Record = {"all": [" are", " is"], "key": 1, "share": 0.5}
    # the first row is passed over by `where`
    records = [row("x", use=False, **fields), row("y", use=True, **fields | second)]
    task = make(tmp_path, records, columns=SETTINGS["columns"] | changes, where={"use": True})
    message = refusal(lambda: task.pairs("discovery", 1, 0))
    assert message.startswith(f"task 'mine/task', discovery: data/train.jsonl line 2: {told}")


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    task = make(tmp_path, [row("x")], columns=SETTINGS["columns"] | {"foil": "all[bda]"})
    message = refusal(lambda: task.pairs("discovery", 1, 0))
    assert message == (
        "task 'mine/task', discovery: unknown column 'all': valid: bad, good, other, prompt; "
        "a text that is the same in every row is written {text: 'all[bda]'}"
    )
    task = make(tmp_path, [row("x", all=[" a"])], columns=SETTINGS["columns"] | {"foil": "all[bda]"})
    assert "unknown column 'bda': did you mean 'bad'?" in refusal(lambda: task.pairs("discovery", 1, 0))


def test_data_that_are_not_there_are_told(tmp_path: Path) -> None:
    task = make(tmp_path, [row("x")], splits={"discovery": "train", "evaluation": "test"})
    unknown: Any = "heldout"
    assert refusal(lambda: task.pairs(unknown, 1, 0)) == "unknown split 'heldout': valid: discovery, evaluation"
    message = refusal(lambda: task.pairs("evaluation", 1, 0))
    assert message.startswith("task 'mine/task': no data file of the split 'test' in ")
    assert message.endswith("valid: train.jsonl, validation.jsonl")

    def source(name: str, split: str = "train") -> str:
        splits = {"discovery": split, "evaluation": "train"}
        return refusal(lambda: mapped_task(task_file(tmp_path, source=name, splits=splits)).pairs("discovery", 1, 0))

    assert "there is no " in source("./elsewhere")
    assert "there is no " in source("./data", "none.csv")
    assert "unknown split 'test': valid: train, or a part of it" in source("./data/train.jsonl", "test")
    assert "task.yaml is no data file: valid: .jsonl, .ndjson, .json, .csv, .tsv, .parquet" in source("./task.yaml")
    (tmp_path / "data" / "loader.py").write_text("raise SystemExit")
    assert "loader.py is no data file" in source("./data/loader.py")
    (tmp_path / "broken.jsonl").write_text('{"prompt": 1')
    expected = "broken.jsonl line 1, column 13: Expecting ',' delimiter"
    assert source("./broken.jsonl") == f"task 'mine/task', discovery: {expected}"
    assert "cannot load train[x:] of ./data: valid parts: [:800], [-100:], [:80%] " in source("./data", "train[x:]")


def test_nothing_outside_of_the_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines(tmp_path / "secret" / "train.jsonl", [row("x")])
    inside = tmp_path / "inside"
    lines(inside / "data" / "other.jsonl", [row("y")])
    (inside / "linked").symlink_to(tmp_path / "secret")
    (inside / "data" / "train.jsonl").symlink_to(tmp_path / "secret" / "train.jsonl")

    def told(**changes: object) -> str:
        return refusal(lambda: mapped_task(task_file(inside, **changes)).pairs("discovery", 1, 0))

    file = {"discovery": "../../secret/train.jsonl", "evaluation": "other"}
    for changes in (
        {"source": "../secret"},
        {"source": str(tmp_path / "secret")},
        {"source": "linked"},
        {"source": "./data"},
        {"config": "../../secret"},
        {"splits": file},
    ):
        message = told(**changes)
        assert "is outside of" in message, changes
        assert message.endswith("valid: data in that folder, and no links out of it")
    monkeypatch.chdir(tmp_path)
    assert "secret is outside of" in told(source="secret")


def test_a_hub_that_cannot_be_reached_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hub"))
    task = mapped_task(task_file(tmp_path, source="nobody/nothing-of-this-name"))
    message = refusal(lambda: task.pairs("discovery", 1, 0))
    assert message.startswith("task 'mine/task': cannot load train of nobody/nothing-of-this-name: ")
    assert message.endswith(f"; valid: a dataset of the hub that can be reached, or data of that name in {tmp_path}")


# The presets, on rows made here with the published columns


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, record: Callable[[int], Record]) -> None:
    """Put a few rows of each split where the preset's source is looked for."""
    monkeypatch.setenv("BASISBENCH_DATA", str(folder))
    for first, split in enumerate(("train", "validation", "test")):
        lines(folder / "mib-bench" / name / f"{split}.jsonl", [record(2 * first), record(2 * first + 1)])


def by_prompt(task: MappedTask, split: Split) -> dict[str, Pair]:
    return {pair.clean: pair for pair in task.pairs(split, 99, 0)}


def test_mib_ioi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people = ["Ann", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gus"]

    def record(i: int) -> Record:
        io, s = people[i], people[i + 1]
        text = "Then, {} and {} had lunch. {} gave a ring to".format
        return {
            "template": "Then, {name_A} and {name_B} had lunch. {name_C} gave a {object} to",
            "metadata": {"subject": s, "indirect_object": io, "object": "ring", "place": None, "random_c": "Hal"},
            "prompt": text(s, io, s),
            "choices": [io, s],
            "answerKey": 0,
            "s2_io_flip_counterfactual": {"prompt": text(s, io, io), "choices": [io, s], "answerKey": 1},
        }

    stand_in(tmp_path, monkeypatch, "ioi", record)
    assert presets.MIB_IOI.splits == ("discovery", "evaluation", "heldout")
    assert by_prompt(presets.preset("mib_ioi"), "evaluation") == {
        "Then, Dan and Cleo had lunch. Dan gave a ring to": Pair(
            "Then, Dan and Cleo had lunch. Dan gave a ring to",
            "Then, Dan and Cleo had lunch. Cleo gave a ring to",
            " Cleo",
            " Dan",
            "Then, {name_A} and {name_B} had lunch. {name_C} gave a {object} to",
            [" Cleo", " Dan"],
        ),
        "Then, Eve and Dan had lunch. Eve gave a ring to": Pair(
            "Then, Eve and Dan had lunch. Eve gave a ring to",
            "Then, Eve and Dan had lunch. Dan gave a ring to",
            " Dan",
            " Eve",
            "Then, {name_A} and {name_B} had lunch. {name_C} gave a {object} to",
            [" Dan", " Eve"],
        ),
    }


@pytest.mark.parametrize("name", ["copycolors_mcqa", "arc_easy", "arc_challenge"])
def test_mib_multiple_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def record(i: int) -> Record:
        options = {"text": ["red", "blue", "grey", "pink"]}
        return {
            "prompt": f"Which {i}?\nA. red\nB. blue\nC. grey\nD. pink\nAnswer:",
            "choices": options | {"label": ["A", "B", "C", "D"]},
            "answerKey": i % 4,
            "symbol_counterfactual": {
                "prompt": f"Which {i}?\n1. red\n2. blue\n3. grey\n4. pink\nAnswer:",
                "choices": options | {"label": ["1", "2", "3", "4"]},
                "answerKey": i % 4,
            },
        }

    folder = f"{name}/4_answer_choices" if name == "copycolors_mcqa" else name
    stand_in(tmp_path, monkeypatch, folder, record)
    found = by_prompt(presets.preset(f"mib_{name}"), "evaluation")
    assert sorted(found) == [f"Which {i}?\nA. red\nB. blue\nC. grey\nD. pink\nAnswer:" for i in (2, 3)]
    third = found["Which 2?\nA. red\nB. blue\nC. grey\nD. pink\nAnswer:"]
    assert third.corrupt == "Which 2?\n1. red\n2. blue\n3. grey\n4. pink\nAnswer:"
    assert (third.answers, third.foils) == ((" C",), (" 3",))
    assert third.candidates == (" A", " B", " C", " D")


@pytest.mark.parametrize(("name", "sign"), [("addition", "+"), ("subtraction", "-")])
def test_mib_arithmetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, sign: str) -> None:
    def record(i: int) -> Record:
        return {
            "template": "Q: How much is {} and {}? A: ",
            "prompt": f"Q: How much is {i} and 20? A: ",
            "label": str(20 + i),
            "operator": sign,
            "num_digit": 2,
            "random_counterfactual": {"prompt": f"Q: How much is {i} and 31? A: ", "label": 31 + i},
        }

    def some(i: int) -> Record:
        without: dict[int, Record] = {2: {"random_counterfactual": None}, 4: {"operator": "*"}}
        return record(i) | without.get(i, {})

    stand_in(tmp_path, monkeypatch, f"arithmetic_{name}", some)
    task = presets.preset(f"mib_arithmetic_{name}")
    assert len(task.pairs("discovery", 9, 0)) == 2
    for split, i in (("evaluation", 3), ("heldout", 5)):
        clean, corrupt = (f"Q: How much is {i} and {other}? A:" for other in (20, 31))
        expected = Pair(clean, corrupt, f" {20 + i}", f" {31 + i}", "Q: How much is {} and {}? A: ")
        assert task.pairs(split, 9, 0) == [expected]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["simple", "nounpp", "rc", "within_rc"])
def test_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def record(noun: str) -> Record:
        return {
            "clean_prefix": f"The {noun}s",
            "patch_prefix": f"The {noun}",
            "clean_answer": " are",
            "patch_answer": " is",
            "case": "plural",
        }

    data = tmp_path / "feature-circuits" / "data"
    for other in ("simple", "nounpp", "rc", "within_rc"):
        lines(data / f"{other}_train.json", [record(f"{other} cat")])
        lines(data / f"{other}_test.json", [record(f"{other} dog"), record(f"{other} cat")])
    monkeypatch.delenv("BASISBENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    task = presets.preset(f"marks_{name}")
    assert prompts(task) == [f"The {name} cats"]
    assert task.pairs("evaluation", 9, 0) == [Pair(f"The {name} dogs", f"The {name} dog", " are", " is", "plural")]


def test_a_preset_whose_data_are_not_there_says_where_they_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASISBENCH_DATA", str(tmp_path))
    message = refusal(lambda: presets.preset("marks_rc").pairs("discovery", 1, 0))
    assert message.startswith(f"task 'marks/rc': there is no {tmp_path / 'feature-circuits' / 'data'}: valid: ")
    assert message.endswith("(BASISBENCH_DATA may name another folder)")


def test_every_preset_is_registered_and_packaged() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    registered = project["project"]["entry-points"]["basisbench.tasks"]
    files = sorted(file.stem for file in presets.FOLDER.glob("*.yaml"))
    assert len(files) == 10
    for file in files:
        name = file.replace("_", "/", 1)
        task = EntryPoint(name, registered[name], "basisbench.tasks").load()
        assert (task.name, task.mapping) == (name, presets.preset(file).mapping)
    assert project["tool"]["setuptools"]["package-data"]["basisbench.shipped_tasks"] == ["presets/*.yaml"]
