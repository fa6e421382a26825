"""Data as they stand in the file: values, layouts, parts, broken files, and files that change."""

import csv
import gc
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pyarrow
import pyarrow.parquet
import pytest
import yaml

from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.prompts.selection import load_prompts
from basisbench.tasks.data_files import find_split
from basisbench.tasks.mapped import MappedTask, mapped_task
from basisbench.tasks.pair import Pair
from toys.models import one_line

PLAIN = {"clean": "clean", "corrupt": "corrupt", "answer": "answer", "foil": "foil"}
HEADER = "clean,corrupt,answer,foil"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASISBENCH_CACHE", str(tmp_path / "cache"))


def task(folder: Path, name: str, content: str | bytes, **settings: Any) -> MappedTask:
    """A mapping of all of a file's rows to discovery, and of none that are left to evaluation."""
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(data)
    mapping = {
        "name": "mine/task",
        "description": "pairs of mine",
        "source": f"./{name}",
        "splits": {"discovery": "train", "evaluation": "train"},
        "columns": PLAIN,
    }
    (folder / "task.yaml").write_text(yaml.safe_dump(mapping | settings), "utf-8")
    return mapped_task(folder / "task.yaml")


def pairs(made: MappedTask) -> list[Pair]:
    return sorted(made.pairs("discovery", 10**6, 0), key=str)


def words(made: MappedTask) -> list[str]:
    return [text for pair in pairs(made) for text in (*pair.answers, *pair.foils)]


def refusal(made: MappedTask) -> str:
    with pytest.raises(UserError) as error:
        made.pairs("discovery", 1, 0)
    return one_line(error).removeprefix("task 'mine/task', discovery: ")


def lines(*rows: str) -> str:
    return "".join(f"{row}\n" for row in (HEADER, *rows))


# -- values --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        *("02", "007", "1.50", "1e5", "-0", "1_000", "0x1F", "12345678901234567890123", "2020-01-01", "inf"),
        *("null", "None", "NA", "N/A", "nan", "NaN", "#N/A", "-", "True", "False", "yes", "no", " is", "is ", "é"),
        *('say "so"', "a,b", "a\nb", "{x}", "01:30"),
    ],
)
def test_a_cell_is_the_text_that_stands_in_it(cell: str, tmp_path: Path) -> None:
    """Whatever stands in the other rows, and as JSON lines have it."""
    rows = [("a 1", "b 1", cell, "x"), ("a 2", "b 2", "word", cell), ("a 3", "b 3", cell, "3")]
    with (tmp_path / "quoted.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([HEADER.split(","), *rows])
    with (tmp_path / "plain.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER.split(","), *rows])
    expected = [Pair(*row) for row in rows]
    for name in ("quoted.csv", "plain.csv"):
        assert pairs(task(tmp_path, name, (tmp_path / name).read_bytes())) == expected
    json_lines = "".join(json.dumps(dict(zip(PLAIN, row, strict=True))) + "\n" for row in rows)
    assert pairs(task(tmp_path, "same.jsonl", json_lines)) == expected


def test_csv_and_json_lines_with_the_same_pairs_give_the_same_prompts(
    tmp_path: Path, tiny: Callable[[str], Model]
) -> None:
    rows = [(f"w3 w{i} w5", f"w3 w{i + 1} w5", f" w{i}", f" w0{i}") for i in range(10, 30)]
    one = task(tmp_path, "y.csv", lines(*(",".join(row) for row in rows)))
    prompts = [load_prompts(one, "discovery", 20, 0, tiny("llama"))]
    json_lines = "".join(json.dumps(dict(zip(PLAIN, row, strict=True))) + "\n" for row in rows)
    other = task(tmp_path, "y.jsonl", json_lines)
    prompts.append(load_prompts(other, "discovery", 20, 0, tiny("llama")))
    assert prompts[0].digest == prompts[1].digest
    assert prompts[0].n_pairs == 20
    assert one.pairs("discovery", 20, 3) == other.pairs("discovery", 20, 3)


def test_a_column_of_integers_with_a_gap_keeps_its_integers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = lines("a 1,b 1,5,7", "a 2,b 2,4,", "a 3,b 3,6,8")
    made = task(tmp_path, "gap.csv", content)
    assert words(made) == ["5", "7", "6", "8"]
    assert pairs(made) == pairs(made)
    assert [logged.getMessage() for logged in caplog.records] == [
        "mine/task, discovery: left out 1 rows that make no pair (the first: gap.csv line 3: foil: 'foil' is empty); "
        "2 pairs remain"
    ]
    caplog.clear()
    assert words(task(tmp_path, "gap.csv", content, present=["foil"])) == ["5", "7", "6", "8"]
    assert caplog.records == []


def test_json_numbers_are_the_text_in_the_file(tmp_path: Path) -> None:
    rows = (
        '{"clean": "a 1", "corrupt": "b", "answer": 1.50, "foil": 1.5}\n'
        '{"clean": "a 2", "corrupt": "b", "answer": 7, "foil": 1e5}\n'
        '{"clean": "a 3", "corrupt": "b", "answer": true, "foil": false}\n'
    )
    assert words(task(tmp_path, "n.jsonl", rows)) == ["1.50", "1.5", "7", "1e5", "true", "false"]
    bad = task(tmp_path, "n.jsonl", '{"clean": "a", "corrupt": "b", "answer": NaN, "foil": 1}\n')
    assert refusal(bad) == "n.jsonl line 1: answer: 'answer' is null"


def test_a_field_that_is_null_for_ten_megabytes_loads(tmp_path: Path) -> None:
    row = {"clean": "The dog", "corrupt": "The cat", "answer": " good", "foil": " bad"}
    texts = [json.dumps(row | {"clean": f"The dog {i}", "cf": {"prompt": None}}) for i in range(100_000)]
    texts += [json.dumps(row | {"clean": "The last", "cf": {"prompt": "y"}})]
    content = "\n".join(texts)
    assert len(content) > 10 << 20
    settings = {"splits": {"discovery": "train[:8]", "evaluation": "train[8:16]"}}
    made = task(tmp_path, "big.jsonl", content, **settings)
    assert [pair.clean for pair in pairs(made)] == [f"The dog {i}" for i in range(8)]
    there = task(tmp_path, "big.jsonl", content, present=["cf.prompt"])
    assert [pair.clean for pair in pairs(there)] == ["The last"]


def test_a_part_of_a_large_file_is_read_in_little_memory(tmp_path: Path) -> None:
    row = {"clean": "x" * 2000, "corrupt": "b", "answer": " good", "foil": " bad"}
    content = "".join(json.dumps(row | {"clean": f"{i} {'x' * 2000}"}) + "\n" for i in range(8000))
    (tmp_path / "big.jsonl").write_text(content)
    del content
    gc.collect()
    tracemalloc.start()
    found = find_split("./big.jsonl", None, "train[-2:]", tmp_path).rows(["clean"])
    assert [str(row.values["clean"]).split()[0] for row in found] == ["7998", "7999"]
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


# -- layouts -------------------------------------------------------------------------------------------

ROWS = [{"clean": f"a {i}", "corrupt": f"b {i}", "answer": f"x{i}", "foil": f"y{i}"} for i in range(3)]
EXPECTED = [Pair(row["clean"], row["corrupt"], row["answer"], row["foil"]) for row in ROWS]


@pytest.mark.parametrize("where", ["metadata.prompt", " {metadata.prompt}"])
def test_a_dotted_name_is_a_column_or_a_path(where: str, tmp_path: Path) -> None:
    columns = PLAIN | {"answer": where}
    expected = ["good", "bad"] if where[0] == "m" else [" good", "bad"]
    flat = "clean,corrupt,metadata.prompt,foil\na,b,good,bad\n"
    nested = json.dumps({"clean": "a", "corrupt": "b", "metadata": {"prompt": "good"}, "foil": "bad"})
    for name, content in (("flat.csv", flat), ("nested.jsonl", nested)):
        assert words(task(tmp_path, name, content, columns=columns)) == expected
    table = pyarrow.table({"clean": ["a"], "corrupt": ["b"], "metadata.prompt": ["good"], "foil": ["bad"]})
    pyarrow.parquet.write_table(table, tmp_path / "flat.parquet")
    made = task(tmp_path, "flat.parquet", (tmp_path / "flat.parquet").read_bytes(), columns=columns)
    assert words(made) == expected


def test_a_constant_is_written_as_one_and_the_error_says_how(tmp_path: Path) -> None:
    content = lines("a 0,b 0,x0,y0")
    message = refusal(task(tmp_path, "c.csv", content, columns=PLAIN | {"foil": " is"}))
    assert message == (
        "unknown column ' is': valid: answer, clean, corrupt, foil; "
        "a text that is the same in every row is written {text: ' is'}"
    )
    advised = yaml.safe_load(message.partition("written ")[2])
    columns = PLAIN | {"foil": advised, "answer": {"text": "01"}, "candidates": [advised, {"text": "01"}]}
    assert pairs(task(tmp_path, "c.csv", content, columns=columns)) == [
        Pair("a 0", "b 0", "01", " is", candidates=[" is", "01"])
    ]


def by_name(rows: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    return {row["clean"]: {name: text for name, text in row.items() if name != "clean"} for row in rows}


@pytest.mark.parametrize(
    ("document", "settings"),
    [
        (ROWS, {}),
        ({"version": 1, "data": ROWS}, {"rows": "data"}),
        ({"version": 1, "data": {"few": [], "more": ROWS}}, {"rows": "data.more"}),
        ({"lots": [[], ROWS]}, {"rows": "lots[1]"}),
        ({"train": ROWS, "test": ROWS[:1]}, {"rows": {"discovery": "train", "evaluation": "test"}}),
        ({f"row {i}": row for i, row in enumerate(ROWS)}, {}),
        ({"data": {f"row {i}": row for i, row in enumerate(ROWS)}}, {"rows": "data"}),
        (by_name(ROWS), {"columns": PLAIN | {"clean": "key"}}),
        ({name: [row[name] for row in ROWS] for name in PLAIN}, {}),
        ({name: {str(i): row[name] for i, row in enumerate(ROWS)} for name in PLAIN}, {}),
        ([list(row.values()) for row in ROWS], {"columns": {n: f"value[{i}]" for i, n in enumerate(PLAIN)}}),
    ],
    ids=str,
)
def test_rows_of_json_files_wherever_they_stand(document: object, settings: dict[str, Any], tmp_path: Path) -> None:
    assert pairs(task(tmp_path, "d.json", json.dumps(document), **settings)) == EXPECTED
    assert pairs(task(tmp_path, "d.json", json.dumps(document, indent=2), **settings)) == EXPECTED


def test_a_dictionary_of_texts_is_rows_of_a_key_and_a_value(tmp_path: Path) -> None:
    columns = {"clean": "{key} is", "corrupt": {"text": "Rome is"}, "answer": " {value}", "foil": {"text": " old"}}
    made = task(tmp_path, "d.json", '{"Paris": "big", "Nice": "small"}', columns=columns)
    assert pairs(made) == [Pair("Nice is", "Rome is", " small", " old"), Pair("Paris is", "Rome is", " big", " old")]


def test_a_json_file_may_hold_one_row_or_json_lines(tmp_path: Path) -> None:
    text = "\n".join(json.dumps(row) for row in ROWS)
    for name in ("d.json", "d.jsonl", "d.ndjson"):
        assert pairs(task(tmp_path, name, f"\ufeff{text}\n\n")) == EXPECTED
        assert pairs(task(tmp_path, name, json.dumps(ROWS[0]))) == EXPECTED[:1]


def test_cells_may_be_parted_by_tabs(tmp_path: Path) -> None:
    text = "\n".join("\t".join(row) for row in [list(PLAIN), *(list(row.values()) for row in ROWS)])
    assert pairs(task(tmp_path, "d.tsv", text)) == EXPECTED
    assert pairs(task(tmp_path, "d.csv", text.replace("\t", ",").replace("\n", "\r\n") + "\r\n\r\n")) == EXPECTED


def test_typed_data_keep_their_types(tmp_path: Path) -> None:
    table = pyarrow.table(
        {
            "clean": ["a 1", "a 2"],
            "corrupt": ["b 1", "b 2"],
            "answer": pyarrow.array([7, 8], pyarrow.int16()),
            "foil": [True, False],
            "share": [0.5, 7.0],
            "options": [[{"label": "A"}], [{"label": "B"}]],
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet", row_group_size=1)
    content = (tmp_path / "t.parquet").read_bytes()
    assert words(task(tmp_path, "t.parquet", content)) == ["7", "true", "8", "false"]
    nested = task(tmp_path, "t.parquet", content, columns=PLAIN | {"foil": "options[0].label"}, where={"share": 7})
    assert words(nested) == ["8", "B"]
    message = refusal(task(tmp_path, "t.parquet", content, columns=PLAIN | {"foil": "share"}))
    assert message == "t.parquet row 1: foil: 'share' is a number: valid: text or an integer (and so on: 2 rows)"


def test_a_file_whose_rows_stand_elsewhere_says_so(tmp_path: Path) -> None:
    document = json.dumps({"version": 1, "data": ROWS})
    assert refusal(task(tmp_path, "d.json", document)) == (
        "d.json is an object: say where in it the rows are, such as 'rows: data'"
    )
    assert refusal(task(tmp_path, "d.json", document, rows="dta")).startswith(
        "d.json: rows: unknown column 'dta': did you mean 'data'?"
    )
    assert refusal(task(tmp_path, "d.json", document, rows="version")) == (
        "d.json: rows: 'version' is neither a list nor an object"
    )
    assert refusal(task(tmp_path, "d.json", json.dumps(ROWS), rows="data")).startswith("d.json is no object, so 'rows'")
    assert "'rows' says where a .json file has its rows" in refusal(task(tmp_path, "d.csv", HEADER, rows="data"))
    uneven = json.dumps({"clean": ["a"], "corrupt": ["b", "c"], "answer": ["x"], "foil": ["y"]})
    assert "columns of different lengths: {" in refusal(task(tmp_path, "d.json", uneven))
    assert refusal(task(tmp_path, "d.json", "3")) == "d.json is neither a list nor an object"


# -- parts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 7, 25, 40])
@pytest.mark.parametrize(
    "part",
    [
        *("", "[:]", "[:8]", "[8:16]", "[30:]", "[:0]", "[9:3]", "[-3:]", "[:-3]", "[-5:-2]", "[2:-2]"),
        *("[:50%]", "[50%:]", "[:80%]", "[10%:20%]", "[10:20%]", "[-10%:]", "[:-30%]", "[33%:67%]", "[:100%]"),
    ],
)
def test_parts_are_those_of_the_datasets_library(part: str, n: int, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("".join(["a\n", *(f"{i}\n" for i in range(n))]))
    (expected,) = datasets.ReadInstruction.from_spec(f"train{part}").to_absolute({"train": n})
    found = [row.values["a"] for row in find_split("./d.csv", None, f"train{part}", tmp_path).rows(["a"])]
    assert found == [str(i) for i in range(n)][expected.from_ : expected.to]


@pytest.mark.parametrize("part", ["[x:]", "[1]", "[:1.5]", "[:50%%]", "[%:]", "[1:2:3]"])
def test_what_is_no_part_is_named(part: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="valid parts: "):
        find_split("./d.csv", None, f"train{part}", tmp_path)


# -- broken files --------------------------------------------------------------------------------------

GOOD = [f"a {i},b {i},x{i},y{i}" for i in range(6)]
JSON = [json.dumps(row) for row in ROWS]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("d.csv", lines(*GOOD, "a,b,x,y,extra", *GOOD), "d.csv line 8: 5 cells where the header has 4"),
        ("d.csv", lines(*GOOD, "a,b,x"), "d.csv line 8: 3 cells where the header has 4"),
        ("d.csv", lines(*GOOD, '"a,b,x,y', *GOOD), "d.csv line 8: a quote is opened and not closed"),
        ("d.csv", lines('"a\n1",b,x,y', '"a" 2,b,x,y'), "d.csv line 4: ',' expected after '\"'"),
        ("d.csv", lines("a,b,x,y").encode("utf-16"), "d.csv line 1: byte 0xff after '' is not UTF-8"),
        ("d.csv", lines("a,b,x,y", "caf\xe9,b,x,y").encode("latin-1"), "d.csv line 3: byte 0xe9 after 'caf' is not"),
        ("d.csv", "clean,corrupt,answer,clean\na,b,x,y\n", "d.csv line 1: the column 'clean' stands twice"),
        ("d.csv", "a;b\n1;2\n", "unknown column 'answer': valid: a;b; a text"),
        ("d.csv", HEADER, "there is no row"),
        ("d.csv", "", "there is no row"),
        ("d.jsonl", "\n".join([*JSON, '{"clean": "a, }', *JSON]), "d.jsonl line 4, column 11: Unterminated string"),
        ("d.jsonl", "\n".join([*JSON, JSON[0][:-9]]), "d.jsonl line 4, column 52: Unterminated string"),
        ("d.jsonl", "\n".join([*JSON, '{"a": 1, "a": 2}']), "d.jsonl line 4: the key 'a' stands twice in one object"),
        ("d.jsonl", b"\n".join([JSON[0].encode(), b"\xff"]), "d.jsonl line 2: byte 0xff after '' is not UTF-8"),
        ("d.jsonl", "", "there is no row"),
        ("d.json", json.dumps(ROWS)[:-40], "d.json line 1, column 151: Unterminated string"),
        ("d.json", json.dumps(ROWS, indent=1).replace('"b 1"', "b 1"), "d.json line 10, column 14: Expecting value"),
        ("d.json", "\n".join([*JSON, "{"]), "d.json line 4, column 2: Expecting property name"),
        ("d.json", "[1]]", "d.json line 1, column 4: Extra data"),
        ("d.json", '{"x": {"a": 1, "a": 2}}', "d.json: the key 'a' stands twice in one object"),
        ("d.json", "[" * 10**5, "d.json: lists or objects are nested too deep"),
        ("d.json", " \n", "d.json is empty"),
        ("d.json", "[]", "there is no row"),
        ("d.json", '{"n": ' + "9" * 5000 + "}", "d.json: Exceeds the limit"),
        ("d.parquet", b"PAR1 and nothing more", "d.parquet row 1: "),
    ],
)  # fmt: skip
def test_a_broken_file_is_named_with_its_line_and_the_reason(
    name: str, content: str | bytes, told: str, tmp_path: Path
) -> None:
    assert refusal(task(tmp_path, name, content)).startswith(told)


def test_what_comes_from_a_file_is_one_printable_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Names of columns, fields and keys, in errors and in warnings; `refusal` holds that they are one line."""
    made = task(tmp_path, "d.csv", '"clean\n\x1b[31m",b\nx,y\n')
    assert refusal(made).startswith("unknown column 'answer': valid: b, clean??[31m; ")
    rows = [json.dumps(ROWS[0] | {"cf": {"a\x1b\nb": 1}}), json.dumps(ROWS[1] | {"cf": {"a": "c"}})]
    assert len(pairs(task(tmp_path, "d.jsonl", "\n".join(rows), columns=PLAIN | {"case": "cf.a"}))) == 1
    (logged,) = caplog.records
    assert logged.getMessage().isprintable()
    assert "case: 'cf.a': unknown field 'a': valid: a??b" in logged.getMessage()


def test_a_row_that_no_tokenizer_can_read_is_set_aside(tmp_path: Path) -> None:
    rows = [json.dumps(ROWS[0] | {"clean": "half \ud83d"}), JSON[1]]
    assert pairs(task(tmp_path, "d.jsonl", "\n".join(rows))) == EXPECTED[1:2]


def test_a_row_without_a_column_that_others_have_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [json.dumps({"clean": "a", "corrupt": "b", "answer": "x"}), *JSON]
    assert pairs(task(tmp_path, "d.jsonl", "\n".join(rows))) == EXPECTED
    (logged,) = caplog.records
    assert "(the first: d.jsonl line 1: foil: unknown column 'foil': " in logged.getMessage()
    # a column that no row has is an error, wherever it is asked for
    for settings in ({"present": ["cf.prompt"]}, {"where": {"cf": 1}}, {"columns": PLAIN | {"case": "cf"}}):
        assert refusal(task(tmp_path, "d.jsonl", "\n".join(rows), **settings)).startswith("unknown column 'cf': ")


# -- files that change ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["d.csv", "d.jsonl", "d.json", "d.parquet"])
def test_what_is_there_now_is_read_whatever_its_time(name: str, tmp_path: Path) -> None:
    def content(word: str) -> bytes:
        row = {"clean": f"a {word}", "corrupt": "b", "answer": "x", "foil": "y"}
        if name.endswith("csv"):
            return lines(",".join(row.values())).encode()
        if name.endswith("parquet"):
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "made")
            return (tmp_path / "made").read_bytes()
        return json.dumps(row).encode()

    made = task(tmp_path, name, content("one"))
    before = (tmp_path / name).stat()
    assert [pair.clean for pair in pairs(made)] == ["a one"]
    (tmp_path / name).write_bytes(content("two"))
    os.utime(tmp_path / name, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = (tmp_path / name).stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert [pair.clean for pair in pairs(made)] == ["a two"]
    # another process, or a task that is loaded anew
    assert [pair.clean for pair in pairs(mapped_task(tmp_path / "task.yaml"))] == ["a two"]


def test_another_file_of_the_split_is_seen(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    made = task(tmp_path, "data/train-0.csv", lines(GOOD[0]), source="./data")
    assert [pair.clean for pair in pairs(made)] == ["a 0"]
    (tmp_path / "data" / "train-1.csv").write_text(lines(GOOD[1]))
    assert [pair.clean for pair in pairs(made)] == ["a 0", "a 1"]


# -- the hub, whose client's answers are stood in for --------------------------------------------------


class Hub:
    """What the hub says of a dataset, and where its client puts files."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.asked, self.there, self.sep = folder, 0, True, ","
        self.files = {"train": ["hf://datasets/me/words@abc/a/train.csv"], "validation": ["zip://x::hf://y"]}
        monkeypatch.setattr(datasets, "load_dataset_builder", self.builder)
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", self.download)

    def builder(self, source: str, config: str | None) -> Any:
        self.asked += 1
        if not self.there:
            raise ConnectionError("Couldn't reach the hub.")
        settings = type("Config", (), {"data_files": self.files, "sep": self.sep})
        return type("Builder", (), {"config": settings})

    def download(self, repo: str, path: str, repo_type: str, revision: str) -> str:
        assert (repo, repo_type, revision) == ("me/words", "dataset", "abc")
        return str(self.folder / Path(path).name)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "train.csv").write_text(lines("a 1,b 1,02,01", "a 2,b 2,null,True"))
    return Hub(tmp_path / "hub", monkeypatch)


def test_files_of_the_hub_are_read_as_any_and_asked_for_once(hub: Hub, tmp_path: Path) -> None:
    made = task(tmp_path, "unused", "", source="me/words", splits={"discovery": "train[:1]", "evaluation": "train"})
    for seed in range(3):
        assert made.pairs("discovery", 9, seed) == [Pair("a 1", "b 1", "02", "01")]
    assert hub.asked == 1
    assert made.pairs("evaluation", 9, 0) == [Pair("a 2", "b 2", "null", "True")]
    # without the hub, what it said the last time
    hub.there = False
    again = mapped_task(tmp_path / "task.yaml")
    assert again.pairs("discovery", 9, 0) == [Pair("a 1", "b 1", "02", "01")]
    # what it said is damaged: the hub is asked
    for note in (tmp_path / "cache" / "datasets").iterdir():
        note.write_bytes(note.read_bytes()[:-3])
    with pytest.raises(UserError, match="Couldn't reach the hub; valid: "):
        mapped_task(tmp_path / "task.yaml").pairs("discovery", 9, 0)
    hub.there = True
    assert mapped_task(tmp_path / "task.yaml").pairs("discovery", 9, 0) == [Pair("a 1", "b 1", "02", "01")]
    hub.there = False
    assert mapped_task(tmp_path / "task.yaml").pairs("discovery", 9, 0) == [Pair("a 1", "b 1", "02", "01")]


def test_what_the_hub_cannot_give_is_one_line(hub: Hub, tmp_path: Path) -> None:
    def told(split: str) -> str:
        splits = {"discovery": split, "evaluation": "train"}
        return refusal(task(tmp_path, "unused", "", source="me/words", splits=splits))

    assert told("trian").startswith("task 'mine/task': cannot load trian of me/words: unknown split 'trian': did you")
    assert "zip://x::hf://y is no plain data file: valid: .jsonl, " in told("validation")
    hub.sep = ";"
    assert "its .csv files are cut by ';': valid: by ','" in told("train")
    hub.there = False
    assert "Couldn't reach the hub; valid: a dataset of the hub that can be reached, or data" in told("train")
