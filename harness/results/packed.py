"""Many results as one columnar file, ``results.parquet``: a row a result, by name.

Columns are the name, the document (the text of NAME.json as it was) and every array as a list of numbers in full;
those of shape [P, N] pair by pair, [N, P], since a pair's numbers at neighbouring sizes begin alike. Numbers are split
by bytes and compressed with zstd. Rows are kept in groups of about GROUP_BYTES: documents are read without arrays, and
the arrays of one result with those of its group alone. Equal results give equal bytes.

Reading trusts nothing: the footer and the pages' headers are as written here, and within limits, before pyarrow sees
them (`results.footer`); checksums of pages are compared as they are unpacked; arrays must have the hash in their
document. What is wrong with one group, or with one result, spoils no other.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from basisbench.errors import UserError, printable
from basisbench.measures.statistics import Curve
from basisbench.results.files import (
    ARRAY_TYPES,
    COUNTS,
    MAX_JSON_BYTES,
    RankingArrays,
    hash_arrays,
    join_arrays,
    name_arrays,
)
from basisbench.results.footer import (
    BYTE_ARRAY,
    DOUBLE,
    FLOAT,
    INT32,
    INT64,
    MAGIC,
    check_page,
    read_footer,
)
from basisbench.results.schema import Result

VERSION = {"basisbench": "results 1"}
GROUP_BYTES = 2**24
"""A group ends with the row that brings it to so many bytes of documents and arrays."""
MAX_GROUP_BYTES = 2**28
MAX_ROW_BYTES = 2**27
MAX_GROUP_ROWS = 10_000
LEVEL = 19
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,249}")
TEXTS = ("name", "document")
BY_PAIR = ("circuit.", "complement.")
WRONG = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError)
"""What pyarrow raises for a file that is no Parquet."""

Cell = tuple[str, bytes, Curve, RankingArrays]
"""A row: name, document, arrays."""


def _field(name: str) -> pa.Field:
    if name in TEXTS:
        return pa.field(name, pa.string(), nullable=False)
    element = pa.field("element", pa.from_numpy_dtype(ARRAY_TYPES[name]), nullable=False)
    return pa.field(name, pa.list_(element), nullable=False)


COLUMNS = (*TEXTS, *ARRAY_TYPES)
SCHEMA = pa.schema([_field(name) for name in COLUMNS])
NUMBERS: dict[type[np.generic], int] = {np.int64: INT64, np.int32: INT32, np.float64: DOUBLE, np.float32: FLOAT}
KINDS = {name: BYTE_ARRAY if name in TEXTS else NUMBERS[ARRAY_TYPES[name]] for name in COLUMNS}


# -- writing -------------------------------------------------------------------------------------------


def write_packed(file: BinaryIO, cells: Iterable[Cell]) -> None:
    """Write rows, which come in order of their names and have at most MAX_ROW_BYTES each."""
    encodings = dict.fromkeys(TEXTS, "PLAIN")
    encodings |= {f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in ARRAY_TYPES}
    options: dict[str, Any] = {
        "compression": "zstd", "compression_level": LEVEL, "column_encoding": encodings, "use_dictionary": False,
        "write_statistics": False, "write_page_checksum": True, "store_schema": False,
        "data_page_size": MAX_GROUP_BYTES, "data_page_version": "1.0", "version": "2.6",
    }  # fmt: skip
    with pq.ParquetWriter(file, SCHEMA, **options) as writer:
        for rows in _groups(cells):
            table = pa.Table.from_arrays([_column(name, rows) for name in COLUMNS], schema=SCHEMA)
            writer.write_table(table, row_group_size=len(table))
        writer.add_key_value_metadata(VERSION)


def _groups(cells: Iterable[Cell]) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    taken = 0
    for name, document, curve, ranking in cells:
        arrays = name_arrays(curve, ranking)
        size = len(document) + sum(array.nbytes for array in arrays.values())
        rows.append({"name": name.encode(), "document": document, **arrays})
        taken += size
        if taken >= GROUP_BYTES or len(rows) == MAX_GROUP_ROWS:
            yield rows
            rows, taken = [], 0
    if rows:
        yield rows


def _column(name: str, rows: Sequence[dict[str, Any]]) -> pa.Array:
    values = [row[name] for row in rows]
    if name in TEXTS:
        return pa.array(values, pa.binary()).cast(pa.string())
    if name.startswith(BY_PAIR):
        values = [value.T for value in values]
    ends = np.cumsum([0, *(value.size for value in values)], dtype=np.int32)
    flat = np.concatenate([value.ravel() for value in values])
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(flat), type=SCHEMA.field(name).type)


# -- reading -------------------------------------------------------------------------------------------


class PackedFile:
    """A packed file whose footer is in order; UserError if it is not. What else is wrong is found where it is read.

    `names` holds the names of each group's rows; `broken`, a line for each group whose names cannot be told.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._footer = read_footer(path, VERSION, KINDS, MAX_GROUP_ROWS, MAX_GROUP_BYTES)
            self._metadata = pq.read_metadata(pa.BufferReader(MAGIC + self._footer.content))
        except WRONG as error:
            raise UserError(f"{path} is not what `basisbench pack` writes: {_first(error)}") from error
        self.names: list[list[str]] = []
        self.broken: list[str] = []
        last = ""
        for group in range(len(self._footer.groups)):
            try:
                names = self._names(group, last)
            except UserError as error:
                self.broken.append(str(error))
                names = []
            self.names.append(names)
            last = names[-1] if names else last
        self._documents: tuple[int, list[bytes]] = -1, []
        self._arrays: tuple[int, dict[str, Any]] = -1, {}

    def document(self, group: int, row: int) -> bytes:
        """Return the document of a row; raises UserError. The group's documents are kept until those of another."""
        if self._documents[0] != group:
            self._documents = group, self._read(group, ["document"])["document"]
        document = self._documents[1][row]
        if len(document) > MAX_JSON_BYTES:
            raise UserError(f"{self._of(group, row)} has {len(document):,} bytes: valid is at most {MAX_JSON_BYTES:,}")
        return document

    def arrays(self, group: int, row: int, result: Result) -> tuple[Curve, RankingArrays]:
        """Return the arrays of a row, which are those of `result`, or raises UserError. Kept as documents are."""
        if self._arrays[0] != group:
            self._arrays = group, self._read(group, list(ARRAY_TYPES))
        columns = self._arrays[1]
        try:
            found: dict[str, NDArray[Any]] = {}
            for name in ARRAY_TYPES:
                ends, values = columns[name]
                found[name] = values[ends[row] : ends[row + 1]]
            shape = found["full.answer"].size, found[COUNTS[0]].size
            for name in found:
                if name.startswith(BY_PAIR):
                    found[name] = found[name].reshape(shape).T
            curve, ranking = join_arrays(found, result.total_nodes)
        except (ValueError, UserError) as error:
            raise UserError(f"{self._of(group, row)} does not hold the arrays of a result: {error}") from error
        if hash_arrays(curve, ranking) != result.arrays_sha256:
            words = "has other arrays than its document was written with: field arrays_sha256 differs"
            raise UserError(f"{self._of(group, row)} {words}")
        return curve, ranking

    def _names(self, group: int, last: str) -> list[str]:
        """The names of a group's rows, in order and after `last`; raises UserError for any other."""
        names = [text.decode("ascii", "replace") for text in self._read(group, ["name"])["name"]]
        for before, name in zip([last, *names], names, strict=False):
            if not NAME.fullmatch(name):
                raise UserError(f"{self.path}: group {group + 1} has a name that no result has: {name[:60]!a}")
            if name <= before:
                raise UserError(f"{self.path}: group {group + 1} is not in order of names: {name} after {before}")
        return names

    def _of(self, group: int, row: int) -> str:
        return f"{self.names[group][row]} in {self.path}"

    def _read(self, group: int, columns: Sequence[str]) -> dict[str, Any]:
        """Some columns of a group: texts as lists of bytes, numbers as (ends [rows + 1], values)."""
        rows, chunks = self._footer.groups[group].rows, self._footer.groups[group].columns
        try:
            with self.path.open("rb") as file:
                for name in columns:
                    check_page(file, chunks[name])
                file.seek(0)
                reader = pq.ParquetFile(file, metadata=self._metadata, page_checksum_verification=True)
                table = reader.read_row_group(group, columns=list(columns)).combine_chunks()
            if table.num_rows != rows or not table.schema.equals(pa.schema([SCHEMA.field(name) for name in columns])):
                raise ValueError(f"it has {table.num_rows} rows of {rows}, or other columns")
            table.validate()
            return {name: _values(table.column(name).chunk(0)) for name in columns}
        except WRONG as error:
            raise UserError(f"{self.path}: group {group + 1} cannot be read: {_first(error)}") from error


def _values(column: pa.Array) -> Any:
    if pa.types.is_string(column.type):
        return column.cast(pa.binary()).to_pylist()
    return column.offsets.to_numpy(), column.values.to_numpy()


def _first(error: BaseException) -> str:
    """The first line of what a library says."""
    return printable(str(error).partition("\n")[0][:300]) or type(error).__name__
