"""The packed file: whatever a result holds comes back bit for bit, and whatever is wrong with the file is one line."""

import dataclasses
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from basisbench.errors import UserError
from basisbench.measures.metrics import Outcome
from basisbench.measures.statistics import Curve
from basisbench.results import footer, packed
from basisbench.results.files import ARRAY_TYPES, RankingArrays, hash_arrays, name_arrays
from basisbench.results.find import PACKED, ResultFolder
from basisbench.results.packed import PackedFile, write_packed
from basisbench.results.schema import Result
from toys.board import write_board, write_cell

QUICK = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
FINITE = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([-0.0, 5e-324, 1.7e308, 0.1])


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("toy")
    write_cell(folder, "sae")
    (stored,) = ResultFolder(folder)
    return stored.result()


@st.composite
def cells(draw: st.DrawFn) -> tuple[Curve, RankingArrays]:
    """A curve and a ranking of any shape and any numbers that they may hold; scores may even be NaN of any kind."""
    points, pairs, nodes = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(0, 6))
    size = np.array(sorted(draw(st.sets(st.integers(1, 2**53), min_size=points, max_size=points))))

    def counts() -> Any:
        return draw(hnp.arrays(np.int64, points))

    def outcome(*shape: int) -> Outcome:
        return Outcome(*(draw(hnp.arrays(np.float64, shape, elements=FINITE)) for _ in range(5)))

    layer, position, unit = (draw(hnp.arrays(np.int32, nodes)) for _ in range(3))
    score = draw(hnp.arrays(np.uint32, nodes)).view(np.float32)
    curve = Curve(
        size, counts(), counts(), int(size[-1]) + 1, outcome(pairs), outcome(pairs), outcome(points, pairs),
        outcome(points, pairs),
    )  # fmt: skip
    return curve, RankingArrays(layer, position, unit, score)


def bits(curve: Curve, ranking: RankingArrays) -> dict[str, tuple[Any, ...]]:
    return {name: (a.dtype, a.shape, a.tobytes()) for name, a in name_arrays(curve, ranking).items()}


def packing(rows: Sequence[packed.Cell]) -> bytes:
    file = io.BytesIO()
    write_packed(file, rows)
    return file.getvalue()


@QUICK
@given(data=st.data())
def test_every_bit_comes_back(data: st.DataObject, toy: Result, tmp_path: Path) -> None:
    made = data.draw(st.lists(cells(), min_size=1, max_size=4))
    texts = data.draw(st.lists(st.text(max_size=40), min_size=len(made), max_size=len(made)))
    names = [f"result-{number}" for number in range(len(made))]
    rows = [(name, text.encode(), *arrays) for name, text, arrays in zip(names, texts, made, strict=True)]
    path = tmp_path / PACKED
    limit = data.draw(st.sampled_from([1, 500, packed.GROUP_BYTES]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "GROUP_BYTES", limit)
        path.write_bytes(packing(rows))
        assert packing(rows) == path.read_bytes()
    file = PackedFile(path)
    assert [name for group in file.names for name in group] == names
    assert len(file.names) == (len(made) if limit == 1 else len(file.names))
    places = [(group, row) for group, inside in enumerate(file.names) for row in range(len(inside))]
    # in any order: what is kept of the last group is no other's
    for index in data.draw(st.permutations(range(len(made)))):
        curve, ranking = made[index]
        digest = hash_arrays(curve, ranking)
        result = toy.model_copy(update={"total_nodes": curve.total_nodes, "arrays_sha256": digest})
        assert file.document(*places[index]) == rows[index][1]
        assert bits(*file.arrays(*places[index], result)) == bits(curve, ranking)


def test_a_result_with_other_arrays_than_its_document_says_is_refused(toy: Result, tmp_path: Path) -> None:
    write_board(tmp_path, {"neurons": 0.1, "sae": 0.2}, ("ioi",))
    (one, other) = ResultFolder(tmp_path)
    result = one.result()
    arrays = one.arrays(result)
    moved = dataclasses.replace(arrays[1], score=arrays[1].score + 1)
    path = tmp_path / "out" / PACKED
    path.parent.mkdir()
    path.write_bytes(
        packing(
            [
                ("a__a__a__1", one.document(), arrays[0], moved),
                ("b__b__b__1", other.document(), *other.arrays(other.result())),
            ]
        )
    )
    bad, good = ResultFolder(path.parent)
    with pytest.raises(UserError, match=r"a__a__a__1 in .*field arrays_sha256 differs"):
        bad.arrays(bad.result())
    assert good.arrays(good.result())[0].size.tolist() == [1, 10, 100, 1000]


def test_documents_are_read_without_arrays_and_one_group_without_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "GROUP_BYTES", 1)
    path = packed_board(tmp_path)
    file = PackedFile(path)
    assert [len(names) for names in file.names] == [1, 1, 1]
    content = bytearray(path.read_bytes())
    for group, columns in enumerate(file._footer.groups):
        for name, chunk in columns.columns.items():
            if name not in packed.TEXTS and group != 1:
                content[chunk.offset : chunk.offset + chunk.packed] = b"\xff" * chunk.packed
    path.write_bytes(content)
    first, second, third = ResultFolder(tmp_path)
    results = [stored.result() for stored in (first, second, third)]
    assert second.arrays(results[1])
    for stored, result in ((first, results[0]), (third, results[2])):
        with pytest.raises(UserError, match=r"results\.parquet: group [13] cannot be read"):
            stored.arrays(result)


# -- what may be wrong with the file ---------------------------------------------------------------------


def packed_board(folder: Path) -> Path:
    """Three results, in a packed file alone."""
    loose = folder / "loose"
    write_board(loose, {"neurons": 0.1, "sae": 0.2, "mlp_out": 0.3}, ("ioi",))
    rows = [(s.path.stem, s.document(), *s.arrays(s.result())) for s in ResultFolder(loose)]
    for file in loose.iterdir():
        file.unlink()
    loose.rmdir()
    path = folder / PACKED
    path.write_bytes(packing(rows))
    return path


def read_all(folder: Path) -> tuple[dict[str, tuple[Any, ...]], list[str]]:
    """What can be read of a folder, and the lines that say what cannot."""
    found, lines = {}, []
    for stored in ResultFolder(folder):
        try:
            result = stored.result()
            found[stored.path.name] = (stored.document(), bits(*stored.arrays(result)))
        except UserError as error:
            lines.append(str(error))
    return found, lines


def refusal(folder: Path) -> str:
    found, (line,) = read_all(folder)
    assert found == {}
    assert line.isprintable()
    return line


@QUICK
@given(data=st.data())
def test_a_damaged_file_gives_what_it_was_or_a_line(data: st.DataObject, whole: bytes, tmp_path: Path) -> None:
    (tmp_path / PACKED).write_bytes(whole)
    before, _ = read_all(tmp_path)
    content = bytearray(whole)
    places = st.integers(0, len(content) - 1)
    footers = st.integers(len(content) - 8 - int.from_bytes(whole[-8:-4], "little"), len(content) - 1)
    match data.draw(st.sampled_from(["cut", "bits", "bytes", "pieces", "grown"])):
        case "cut":
            content = content[: data.draw(places)]
        case "bits":
            for at in data.draw(st.lists(places | footers, min_size=1, max_size=6)):
                content[at] ^= 1 << data.draw(st.integers(0, 7))
        case "bytes":
            at = data.draw(footers)
            content[at : at + 5] = data.draw(st.binary(min_size=5, max_size=5))[: len(content) - at]
        case "pieces":
            a, b, c = sorted(data.draw(st.tuples(places, places, places)))
            content = content[:a] + content[b:c] + content[a:b] + content[c:]
        case "grown":
            at = data.draw(places)
            content = content[:at] + data.draw(st.binary(min_size=1, max_size=20)) + content[at:]
    (tmp_path / PACKED).write_bytes(content)
    after, lines = read_all(tmp_path)
    assert after.items() <= before.items()
    assert len(after) == len(before) or lines
    assert all(line.isprintable() for line in lines)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "GROUP_BYTES", 12_000)  # two groups
        path = packed_board(tmp_path_factory.mktemp("whole"))
    assert len(PackedFile(path).names) == 2
    return path.read_bytes()


def test_what_is_no_packed_file(tmp_path: Path) -> None:
    path = tmp_path / PACKED
    for content, words in {
        b"": "does not end as a Parquet file",
        b"PAR1": "does not end as a Parquet file",
        b"{}" * 50: "does not end as a Parquet file",
        b"PAR1\x15" + b"\xff" * 19 + b"\x14\0\0\0PAR1": "a number that is too large",
        b"PAR1" + b"\x1c" * 20 + b"\x14\0\0\0PAR1": "nested too deeply",
        b"PAR1" + b"\x19\xfc\xff\xff\xff\xff\x0f\0" + b"\x08\0\0\0PAR1": "a list that cannot be",
        b"PAR1\0\0\0\0\x01\0\0\0PAR1": "not that of a Parquet file",
    }.items():
        path.write_bytes(content)
        assert words in refusal(tmp_path), content


def test_a_link_and_what_is_no_file_are_refused(tmp_path: Path) -> None:
    elsewhere = packed_board(tmp_path)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / PACKED).symlink_to(elsewhere)
    assert "is a link" in refusal(folder)
    (folder / PACKED).unlink()
    os.mkfifo(folder / PACKED)  # reading it would wait for ever
    assert "is no file" in refusal(folder)
    (folder / PACKED).unlink()
    (folder / PACKED).mkdir()
    assert "is no file" in refusal(folder)


def rewritten(
    path: Path, version: dict[str, str] = packed.VERSION, schema: Any = None, table: Any = None, **options: Any
) -> None:
    """Write the packed file again as others may: another schema, codec or encoding."""
    table = pq.read_table(path) if table is None else table
    names = [f"{name}.list.element" for name in ARRAY_TYPES]
    usual: dict[str, Any] = {
        "compression": "zstd", "use_dictionary": False, "write_statistics": False, "store_schema": False,
        "column_encoding": dict.fromkeys(packed.TEXTS, "PLAIN") | dict.fromkeys(names, "BYTE_STREAM_SPLIT"),
        "data_page_size": 2**28,
    }  # fmt: skip
    schema = packed.SCHEMA if schema is None else schema
    with pq.ParquetWriter(path, schema, **(usual | options)) as writer:
        writer.write_table(table.select(schema.names).cast(schema))
        writer.add_key_value_metadata(version)


NULLABLE = pa.schema([field.with_nullable(True) for field in packed.SCHEMA])
LARGE = packed.SCHEMA.set(1, pa.field("document", pa.large_binary(), nullable=False))
NARROW = packed.SCHEMA.set(
    2, pa.field("size", pa.list_(pa.field("element", pa.int32(), nullable=False)), nullable=False)
)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"version": {"basisbench": "results 2"}}, "not of version results 1"),
        ({"version": {**packed.VERSION, "more": "of it"}}, "not of version"),
        ({"store_schema": True}, "not of version"),
        ({"schema": pa.schema(list(packed.SCHEMA)[:-1])}, "other columns"),
        ({"schema": pa.schema([*packed.SCHEMA][::-1])}, "other columns"),
        ({"schema": NULLABLE}, "other columns"),
        ({"schema": LARGE}, "other columns"),
        ({"schema": NARROW}, "other columns"),
        ({"compression": "snappy"}, "not kept as"),
        ({"compression": "none"}, "not kept as"),
        ({"use_dictionary": True, "column_encoding": None}, "not kept as|does not write"),
        ({"column_encoding": None}, "not kept as"),
        ({"write_statistics": True}, "does not write"),
        ({"data_page_size": 1, "write_batch_size": 1}, "a page is not as the footer says"),
        ({"data_page_version": "2.0"}, "a page is not as the footer says"),
        ({"write_page_index": True}, "does not write"),
    ],
)
def test_a_file_that_another_program_wrote_is_refused(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = packed_board(tmp_path)
    rewritten(path)
    assert len(read_all(tmp_path)[0]) == 3
    rewritten(path, **options)
    found, lines = read_all(tmp_path)
    assert found == {}
    assert len(lines) in (1, 3)
    for line in lines:
        assert any(each in line for each in words.split("|")), line
        assert line.isprintable()


def test_names_that_no_result_has_are_refused(toy: Result, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    write_cell(folder, "sae")
    (stored,) = ResultFolder(folder)
    row = (stored.document(), *stored.arrays(stored.result()))
    path = tmp_path / PACKED
    for names, words in {
        ("../../up",): "a name that no result has",
        ("a/b",): "a name that no result has",
        (".hidden",): "a name that no result has",
        ("a\x1b[2J",): "a name that no result has",
        ("",): "a name that no result has",
        ("b", "a"): "not in order of names",
        ("a", "a"): "not in order of names",
    }.items():
        path.write_bytes(packing([(name, *row) for name in names]))
        assert words in refusal(tmp_path)


# -- sizes -----------------------------------------------------------------------------------------------


def varint(number: int) -> bytes:
    """A Thrift integer."""
    number = number << 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def room() -> int:
    """Bytes that pyarrow has ever held at once."""
    return int(pa.default_memory_pool().max_memory())


def test_a_page_that_says_it_is_larger_is_not_unpacked(tmp_path: Path) -> None:
    path = packed_board(tmp_path)
    chunk = PackedFile(path)._footer.groups[0].columns["circuit.answer"]
    content = path.read_bytes()
    place = footer.Compact(content[chunk.offset : chunk.offset + 100])
    header = place.structure()
    said = varint(header[2])
    at = content.index(said, chunk.offset)
    for lie in (0x7FFFFFFF, chunk.unpacked):
        changed = varint(lie)
        # the page's data is cut short by what its header has grown
        end = chunk.offset + chunk.packed
        new = content[:at] + changed + content[at + len(said) : end + len(said) - len(changed)] + content[end:]
        path.write_bytes(new)
        before = room()
        found, lines = read_all(tmp_path)
        assert found == {}
        assert all("a page is not as the footer says" in line for line in lines)
        assert room() - before < 2**24


def test_groups_larger_than_any_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed_board(tmp_path)
    monkeypatch.setattr(packed, "MAX_GROUP_BYTES", 10_000)
    assert "group 1 has" in refusal(tmp_path)
    assert "bytes, valid is at most 10,000" in refusal(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(packed, "MAX_GROUP_ROWS", 2)
    assert "group 1 has 3 rows, valid is 1 to 2" in refusal(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(footer, "MAX_FOOTER_BYTES", 1000)
    assert "footer has" in refusal(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(packed, "MAX_JSON_BYTES", 1000)
    found, lines = read_all(tmp_path)
    assert not found
    assert all("valid is at most 1,000" in line for line in lines)
    assert len(lines) == 3
    assert path.exists()


def test_a_quarter_of_a_gigabyte_of_zeros_in_a_small_file_is_not_unpacked(tmp_path: Path) -> None:
    path = packed_board(tmp_path)
    field = packed.SCHEMA.field("circuit.kl")
    zeros = pa.ListArray.from_arrays(pa.array([0, 2**25], pa.int32()), pa.array(np.zeros(2**25)), type=field.type)
    table = pq.read_table(path).slice(0, 1).cast(packed.SCHEMA)
    rewritten(path, table=table.set_column(packed.SCHEMA.names.index("circuit.kl"), field, zeros))
    assert path.stat().st_size < 2**16
    del table, zeros
    pa.default_memory_pool().release_unused()
    held = pa.default_memory_pool().bytes_allocated()
    assert "bytes, valid is at most" in refusal(tmp_path)
    assert pa.default_memory_pool().bytes_allocated() - held < 2**20


def test_equal_results_give_equal_bytes_whatever_the_order_they_were_made_in(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.mkdir()
    b.mkdir()
    assert packed_board(a).read_bytes() == packed_board(b).read_bytes()
