"""The rows of data files, one after another; their values are the text that stands in the file.

1. A CSV cell (`.csv`, `.tsv` with tabs) is its text, whatever it looks like: 02, null, NA and True are words.
2. JSON lines (`.jsonl`, `.ndjson`) are rows. A `.json` file is a list of rows, an object of columns, one row, or rows
   by name, each with its name as the column ``key``, at its top or below a key; or it holds JSON lines.
3. A JSON value that is no object is a row with the one column ``value``. Numbers with a point are the text in the
   file, integers stay integers; NaN, which is no JSON, is null.
4. A `.parquet` file's values have the types that it states.

A file that is broken is named with the line and the whole reason: broken JSON, a key or a column that stands twice,
a row of more or fewer cells than the header, an open quote, a byte that is not UTF-8. Any but `.json` are streamed.
"""

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from basisbench.errors import UserError
from basisbench.tasks.mapping import MappingError, parse_place, value_at

KEY, VALUE = "key", "value"


@dataclass(frozen=True)
class Row:
    """One row of a data file: where it stands, such as ``train.csv line 3``, and its values by column."""

    place: str
    values: Mapping[str, object]


@dataclass(frozen=True)
class DataFile:
    """A data file, what messages call it, and which columns are asked for; `below`: the place of a JSON file's rows."""

    file: Path
    label: str
    columns: Collection[str]
    below: str | None = None


def read_rows(data: DataFile) -> Iterator[Row]:
    """Yield the rows of a file; raises UserError for one that cannot be read, from the broken line on."""
    if data.below is not None and data.file.suffix != ".json":
        raise UserError(f"{data.label}: 'rows' says where a .json file has its rows: valid: leave it out")
    try:
        yield from READERS[data.file.suffix](data)
    except OSError as error:
        raise UserError(f"cannot read {data.label}: {error.strerror or error}; give a readable file") from error
    except UnicodeDecodeError as error:
        raise UserError(_not_utf8(data)) from error


def _numbered_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 file that are not blank, with their numbers; raises as `open` and the decoder do."""
    # lines end where JSON lines do: U+2028 and its like may stand inside a string
    with file.open(encoding="utf-8-sig", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, line.rstrip("\r\n")


def _parsed(text: str) -> Any:
    """Return a JSON value; raises ValueError with a line for what is none."""

    def object_of(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} stands twice in one object")
        return found

    try:
        return json.loads(text, parse_float=str, parse_constant=lambda _: None, object_pairs_hook=object_of)
    except RecursionError:
        raise ValueError("lists or objects are nested too deep") from None


def _csv(data: DataFile, delimiter: str = ",") -> Iterator[Row]:
    with data.file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        begin, header = 1, list[str]()
        try:
            for cells in reader:
                place, begin = f"{data.label} line {begin}", reader.line_num + 1
                if not cells:  # a blank line
                    continue
                if not header:
                    header = cells
                    if twice := next((name for name in cells if cells.count(name) > 1), None):
                        raise UserError(f"{place}: the column {twice!r} stands twice")
                elif len(cells) != len(header):
                    raise UserError(f"{place}: {len(cells)} cells where the header has {len(header)}")
                else:
                    yield Row(place, dict(zip(header, cells, strict=True)))
        except csv.Error as error:
            reason = "a quote is opened and not closed" if "unexpected end" in str(error) else str(error)
            raise UserError(f"{data.label} line {begin}: {reason}") from error


def _tsv(data: DataFile) -> Iterator[Row]:
    return _csv(data, "\t")


def _json_lines(data: DataFile) -> Iterator[Row]:
    for number, line in _numbered_lines(data.file):
        place = f"{data.label} line {number}"
        try:
            yield Row(place, _values(_parsed(line)))
        except json.JSONDecodeError as error:
            raise UserError(f"{place}, column {error.colno}: {_reason(error)}") from error
        except ValueError as error:
            raise UserError(f"{place}: {error}") from error


def _json(data: DataFile) -> Iterator[Row]:
    text = data.file.read_text("utf-8-sig")
    try:
        found = _parsed(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text.lstrip()[:1] == "{" and data.below is None:
            yield from _json_lines(data)
            return
        where = f"{data.label} line {error.lineno}, column {error.colno}"
        raise UserError(f"{where}: {_reason(error)}" if text.strip() else f"{data.label} is empty") from error
    except ValueError as error:
        raise UserError(f"{data.label}: {error}") from error
    if data.below is not None:
        found = _below(found, data)
    rows = enumerate(found, start=1) if isinstance(found, list) else _of_object(found, data)
    for name, row in rows:
        yield Row(f"{data.label} row {name!r}", _values(row))


def _reason(error: json.JSONDecodeError) -> str:
    return error.msg.removesuffix(" at").removesuffix(" starting")


def _below(document: object, data: DataFile) -> object:
    """What stands in a document at the place where its rows are said to be; raises UserError."""
    if not isinstance(document, Mapping):
        raise UserError(f"{data.label} is no object, so 'rows' says nothing of it: valid: leave it out")
    try:
        found = value_at(parse_place(str(data.below)), document)
    except MappingError as error:
        raise UserError(f"{data.label}: rows: {error}") from error
    if not isinstance(found, Mapping | list):
        raise UserError(f"{data.label}: rows: '{data.below}' is neither a list nor an object")
    return found


def _of_object(found: object, data: DataFile) -> Iterator[tuple[object, object]]:
    """The rows of an object, by name: those of its columns, itself, or its values."""
    if not isinstance(found, Mapping):
        raise UserError(f"{data.label} is neither a list nor an object")
    columns = {name: found[name] for name in data.columns if name in found}
    if columns and all(isinstance(column, list) for column in columns.values()):
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise UserError(f"{data.label}: columns of different lengths: {lengths}")
        for i in range(min(lengths.values())):
            yield i + 1, {name: column[i] for name, column in columns.items()}
    elif columns and all(isinstance(column, Mapping) for column in columns.values()):
        for name in dict.fromkeys(name for column in columns.values() for name in column):
            yield name, {column: values.get(name) for column, values in columns.items()}
    elif columns:
        yield 1, found
    else:
        for name, row in found.items():
            if isinstance(row, list) and any(isinstance(part, Mapping) for part in row):
                raise UserError(f"{data.label} is an object: say where in it the rows are, such as 'rows: {name}'")
            yield name, {KEY: name} | _values(row)


def _values(row: object) -> dict[str, object]:
    return row if isinstance(row, dict) else {VALUE: row}


def _parquet(data: DataFile) -> Iterator[Row]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    number = 0
    try:
        with ParquetFile(data.file) as file:
            columns = [name for name in file.schema_arrow.names if name in data.columns]
            for batch in file.iter_batches(columns=columns):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(f"{data.label} row {number}", values)
    except ArrowException as error:
        raise UserError(f"{data.label} row {number + 1}: {' '.join(str(error).split())}") from error


def _not_utf8(data: DataFile) -> str:
    with data.file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                wrong = f"byte 0x{line[error.start]:02x} after {line[: error.start][-20:].decode('utf-8', 'ignore')!r}"
                return f"{data.label} line {number}: {wrong} is not UTF-8; save the file as UTF-8"
    return f"{data.label}: not UTF-8; save the file as UTF-8"


READERS: Mapping[str, Callable[[DataFile], Iterator[Row]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _tsv,
    ".parquet": _parquet,
}
