"""What a Parquet file says of itself, read without pyarrow, which trusts it: some footers end the whole process.

1. The footer is a structure of Thrift's compact protocol (`FileMetaData` of the Parquet format): take it apart.
2. It must have the columns that are asked for, without nulls, in one page each, zstd, of sizes within limits, and no
   field that pyarrow does not write for such a file.
3. A column's page has a header of its own (`PageHeader`), by which pyarrow makes room: it must say the same
   (`check_page`).

Fields go by their numbers in the format: parquet.thrift of apache/parquet-format, version 2.10.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

MAGIC = b"PAR1"
MAX_FOOTER_BYTES = 2**22
"""It describes every column of every group: that of about 1,000 groups."""
INT32, INT64, FLOAT, DOUBLE, BYTE_ARRAY = 1, 2, 4, 5, 6
WIDTHS = {INT32: 4, INT64: 8, FLOAT: 4, DOUBLE: 8}
REQUIRED, REPEATED = 0, 2
UTF8: tuple[Any, ...] = (0, {1: {}})
LIST: tuple[Any, ...] = (3, {3: {}})
"""What a column stands for, in the older way and in the newer one."""
PLAIN, RLE, BYTE_STREAM_SPLIT = 0, 3, 9
ZSTD = 6
DATA_PAGE = 0
DEEPEST = 12
LONGEST_HEADER = 256


@dataclass(frozen=True)
class Chunk:
    """A column of a group: where its page is, its bytes with the header, packed and unpacked, and its values."""

    kind: int
    offset: int
    packed: int
    unpacked: int
    values: int


@dataclass(frozen=True)
class Group:
    """Some rows: their number, and each column."""

    rows: int
    columns: Mapping[str, Chunk]


@dataclass(frozen=True)
class Footer:
    """The bytes of a footer, from its beginning to the end of the file, and the groups that it tells of."""

    content: bytes
    groups: tuple[Group, ...]


def read_footer(path: Path, version: Mapping[str, str], kinds: Mapping[str, int], rows: int, unpacked: int) -> Footer:
    """Return the footer of a file with the metadata `version` and the columns `kinds`, name to physical type.

    A BYTE_ARRAY is a text, any other type a list of it. Groups have at most `rows` rows and `unpacked` bytes. Raises
    ValueError, in a line, for any other file, OSError for one that cannot be read.
    """
    if path.is_symlink():
        raise ValueError("it is a link, valid is the file itself")
    if not path.is_file():
        raise ValueError("it is no file")
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 8))
        length, magic = struct.unpack("<I4s", file.read(8).rjust(8))
        if magic != MAGIC or length > size - 12:
            raise ValueError("it does not end as a Parquet file does")
        if length > MAX_FOOTER_BYTES:
            raise ValueError(f"its footer has {length:,} bytes, valid is at most {MAX_FOOTER_BYTES:,}")
        file.seek(size - 8 - length)
        content = file.read()
    footer = Compact(content[:-8]).structure()
    _only(footer, {1, 2, 3, 4, 5, 6, 7}, "the footer")
    said = {pair.get(1): pair.get(2) for pair in _structures(footer.get(5))}
    if said != {name.encode(): value.encode() for name, value in version.items()}:
        raise ValueError(f"it is not of version {', '.join(version.values())}")
    if [_shape(element) for element in _structures(footer.get(2))] != _schema(kinds):
        raise ValueError("it has other columns")
    every = enumerate(_structures(footer.get(4)), start=1)
    groups = tuple(_group(group, kinds, rows, unpacked, size, f"group {number}") for number, group in every)
    return Footer(content, groups)


def check_page(file: BinaryIO, chunk: Chunk) -> None:
    """Raise ValueError unless a chunk is one page whose header says what the footer says of it."""
    file.seek(chunk.offset)
    place = Compact(file.read(min(chunk.packed, LONGEST_HEADER)))
    header = place.structure()
    data = header.get(5)
    encoding = PLAIN if chunk.kind == BYTE_ARRAY else BYTE_STREAM_SPLIT
    wanted = {1: chunk.values, 2: encoding, 3: RLE, 4: RLE}
    if (
        header.get(1) != DATA_PAGE
        or (header.get(2), header.get(3)) != (chunk.unpacked - place.at, chunk.packed - place.at)
        or not isinstance(data, dict)
        or {field: data.get(field) for field in wanted} != wanted
        or not header.keys() <= {1, 2, 3, 4, 5}
    ):
        raise ValueError("a page is not as the footer says")


def _schema(kinds: Mapping[str, int]) -> list[tuple[Any, ...]]:
    """The schema's elements, in order: type, repetition, name, children, what they stand for."""
    elements: list[tuple[Any, ...]] = [(None, REQUIRED, b"schema", len(kinds), None, None)]
    for name, kind in kinds.items():
        if kind == BYTE_ARRAY:
            elements.append((kind, REQUIRED, name.encode(), None, *UTF8))
        else:
            elements.append((None, REQUIRED, name.encode(), 1, *LIST))
            elements.append((None, REPEATED, b"list", 1, None, None))
            elements.append((kind, REQUIRED, b"element", None, None, None))
    return elements


def _shape(element: dict[int, Any]) -> tuple[Any, ...]:
    _only(element, {1, 3, 4, 5, 6, 9, 10}, "a column")
    return tuple(element.get(field) for field in (1, 3, 4, 5, 6, 10))


def _group(group: dict[int, Any], kinds: Mapping[str, int], rows: int, unpacked: int, size: int, what: str) -> Group:
    _only(group, {1, 2, 3, 5, 6, 7}, what)
    count = group.get(3)
    if not isinstance(count, int) or not 1 <= count <= rows:
        raise ValueError(f"{what} has {count} rows, valid is 1 to {rows:,}")
    chunks = _structures(group.get(1))
    if len(chunks) != len(kinds):
        raise ValueError(f"{what} has other columns")
    columns = {
        name: _chunk(chunk, name, kind, count, size, what)
        for chunk, (name, kind) in zip(chunks, kinds.items(), strict=True)
    }
    if (total := sum(chunk.unpacked for chunk in columns.values())) > unpacked:
        raise ValueError(f"{what} has {total:,} bytes, valid is at most {unpacked:,}")
    return Group(count, columns)


def _chunk(chunk: dict[int, Any], name: str, kind: int, rows: int, size: int, what: str) -> Chunk:
    _only(chunk, {2, 3}, what)
    about = chunk.get(3)
    if not isinstance(about, dict):
        raise ValueError(f"{what} has a column without sizes")
    _only(about, {1, 2, 3, 4, 5, 6, 7, 9, 13, 16}, what)
    found: list[Any] = [about.get(field) for field in (9, 7, 6, 5)]
    text = kind == BYTE_ARRAY
    path = [name.encode()] if text else [name.encode(), b"list", b"element"]
    encodings = {RLE, PLAIN if text else BYTE_STREAM_SPLIT}
    if (
        (about.get(1), about.get(3), about.get(4)) != (kind, path, ZSTD)
        or not isinstance(about.get(2), list)
        or not encodings.issuperset(about[2])
        or not all(isinstance(number, int) and number >= 0 for number in found)
    ):
        raise ValueError(f"column {name} of {what} is not kept as `basisbench pack` keeps it")
    made = Chunk(kind, *found)
    # each value takes its bytes, but for an empty list, which counts as one
    most = rows if text else rows + made.unpacked // WIDTHS[kind]
    if not rows <= made.values <= most or made.offset + made.packed > size:
        raise ValueError(f"column {name} of {what} cannot have {made.values:,} values")
    return made


def _structures(value: Any) -> list[dict[int, Any]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError("its footer is not that of a Parquet file")
    return value


def _only(found: Mapping[int, Any], fields: set[int], what: str) -> None:
    if strange := found.keys() - fields:
        raise ValueError(f"{what} has a field, {min(strange)}, that `basisbench pack` does not write")


class Compact:
    """Bytes in Thrift's compact protocol, and a place in them; every method raises ValueError for anything else."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def structure(self, depth: int = 0) -> dict[int, Any]:
        """The fields of the structure that begins here, by number."""
        found: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._number()
            found[field] = self._value(head & 15, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply")
        if kind in (1, 2):  # a field's own type says whether it is true
            return kind == 1
        if kind in (4, 5, 6):
            return self._number()
        if kind == 8:
            return self._bytes(self._varint())
        if kind == 9:
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._varint()
            # each takes a byte at least
            if count > len(self.data) - self.at or head & 15 not in (4, 5, 6, 8, 12):
                raise ValueError("it has a list that cannot be")
            return [self._value(head & 15, depth + 1) for _ in range(count)]
        if kind == 12:
            return self.structure(depth + 1)
        raise ValueError("it has a type that `basisbench pack` does not write")

    def _number(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) > 127:
            value |= (byte & 127) << shift
            shift += 7
            if shift > 63:
                raise ValueError("it has a number that is too large")
        return value | byte << shift

    def _bytes(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise ValueError("it ends too soon")
        self.at += count
        return self.data[self.at - count : self.at]

    def _byte(self) -> int:
        return self._bytes(1)[0]
