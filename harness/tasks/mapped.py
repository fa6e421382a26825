"""A task read from a dataset of the Hugging Face hub, or from local data files, as a YAML file says.

``name``, ``description``; ``source``: a hub name, or a data file or folder beside the YAML file (./ makes it one);
``config``: the hub dataset's configuration, or a folder in the local one; ``splits``: for each of ours (discovery,
evaluation, perhaps heldout, heldout_templates) the dataset's, or a part such as train[:80%], or a file of the folder.
``columns`` says what clean, corrupt, answer, foil and, if wanted, case and candidates are:

1. ``prompt`` is that column as it is; ``a.b`` is the column of that name or field b of column a; ``a[0]`` is the first
   element of a list.
2. ``choices.label[answerKey]`` takes the index, or the field's name, from another column, itself a path.
3. With braces an entry is text with paths in it: ``" {choices.label[answerKey]}"``; ``{{`` is a brace.
4. A path to a list gives as many texts (answers of which any will do, candidates): ``" {choices.label}"``.
5. A YAML list of entries gives all of their texts: ``[" {subject}", " {object}"]``.
6. ``{text: " is"}`` is that text in every row.
7. Values are texts as they stand in the file (`basisbench.tasks.readers`): 02, null and True of a CSV are words. Of
   typed data (parquet) they are texts, integers, true or false.
8. ``where: {operator: "+"}`` keeps the rows with that value at a path; a list keeps those with one of its values.
9. ``present: [counterfactual.prompt]`` keeps the rows with a value, neither null nor empty, at each of these paths.
10. ``rows: data.examples`` says below which key of a JSON file its rows stand, ``rows: {discovery: train, ...}`` it for
    each split. They are a list, or an object of rows by name, which has each name as the column ``key``.
11. A space that ends both prompts is moved to the front of the answers, where tokenizers want it.

Rows that make no pair (a value is null, empty, missing, an index out of range, the answer is the foil, ...), that
repeat, or stand in an earlier split are left out and counted in a warning; where no row makes a pair, the first one's
reason is an error. A YAML file reaches no local file outside of its folder, and no code of a dataset is run.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from basisbench.errors import UserError, unknown_name
from basisbench.settings import make_settings
from basisbench.tasks.data_files import PART, DataSplit, find_split
from basisbench.tasks.given import Lot, Splits, draw
from basisbench.tasks.mapping import (
    Constant,
    Entry,
    MappingError,
    Place,
    Scalar,
    build,
    has_value,
    is_there,
    parse,
    parse_place,
    unknown,
)
from basisbench.tasks.pair import Pair, PairError
from basisbench.tasks.readers import Row
from basisbench.values import SPLITS, Line, Split

ONE_TEXT = ("clean", "corrupt", "case")
FIELDS = {
    "clean": "clean",
    "corrupt": "corrupt",
    "case": "case",
    "answer": "answers",
    "foil": "foils",
    "candidates": "candidates",
}
"""The pair's field for each of ours."""
OPTIONAL = ("case", "candidates")


def _is_complete(columns: dict[str, Any]) -> dict[str, Any]:
    for name in columns:
        if name not in FIELDS:
            raise PydanticCustomError("column", "{told}", {"told": str(unknown_name("column", name, FIELDS))})
    for name in FIELDS:
        if name not in columns and name not in OPTIONAL:
            raise PydanticCustomError("column", "{name} is missing", {"name": name})
    for name, entry in columns.items():
        if name in ONE_TEXT and isinstance(entry, list):
            raise PydanticCustomError("column", "{name} must be one text", {"name": name})
        for part in _listed(entry):
            _parses(name, part)
    return columns


def _parses(name: str, entry: Entry) -> None:
    try:
        _ = parse(entry) if isinstance(entry, str) else ()
    except MappingError as error:
        raise PydanticCustomError("path", "{name}: {told}", {"name": name, "told": str(error)}) from error


def _with_constants(columns: object) -> object:
    """Take ``{text: ...}`` for a constant, wherever an entry is."""
    if not isinstance(columns, dict):
        return columns
    return {
        name: [_constant(part) for part in entry] if isinstance(entry, list) else _constant(entry)
        for name, entry in columns.items()
    }


def _constant(value: object) -> object:
    if not isinstance(value, dict):
        return value
    if list(value) != ["text"] or not isinstance(value["text"], str) or not value["text"]:
        raise PydanticCustomError("constant", "a constant is a quoted text: valid: {valid}", {"valid": "{text: ' is'}"})
    return Constant(value["text"])


def _is_place(path: str) -> str:
    try:
        parse_place(path)
    except MappingError as error:
        raise PydanticCustomError("path", "{told}", {"told": str(error)}) from error
    return path


def _has_both(splits: dict[Split, str]) -> dict[Split, str]:
    for split in ("discovery", "evaluation"):
        if split not in splits:
            raise PydanticCustomError("splits", "{split} is missing", {"split": split})
    return splits


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


_Path = Annotated[Line, AfterValidator(_is_place)]
_Entry = Annotated[str, StringConstraints(min_length=1)] | Constant
_Several = Annotated[list[_Entry], Field(min_length=1)]


class TaskMapping(BaseModel):
    """The settings of a task file, as the module describes them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(pattern=r"^\w[\w.-]*(/\w[\w.-]*)*$", max_length=100)]
    family: Annotated[str, StringConstraints(pattern=r"^\w[\w.-]*$", max_length=100)] | None = None
    description: Annotated[Line, Field(min_length=1)]
    source: Annotated[Line, Field(min_length=1)]
    config: Line | None = None
    splits: Annotated[
        dict[Split, Annotated[Line, StringConstraints(pattern=rf"^{PART.pattern}$")]], AfterValidator(_has_both)
    ]
    rows: _Path | dict[Split, _Path] | None = None
    columns: Annotated[dict[str, _Entry | _Several], BeforeValidator(_with_constants), AfterValidator(_is_complete)]
    where: dict[_Path, Scalar | list[Scalar]] = {}
    present: list[_Path] = []

    def places(self) -> list[Place]:
        """Return every path that a row is asked for."""
        entries = [part for entry in self.columns.values() for part in _listed(entry) if isinstance(part, str)]
        written = [piece for entry in entries for piece in parse(entry) if isinstance(piece, Place)]
        return [*written, *map(parse_place, (*self.where, *self.present))]


@dataclass(frozen=True, eq=False)
class MappedTask:
    """Prompt pairs mapped from a dataset, which is loaded when pairs are first asked for.

    `folder` is where local data are looked for; None means the folder that ``BASISBENCH_DATA`` names, else the
    current one.
    """

    mapping: TaskMapping
    folder: Path | None

    @property
    def name(self) -> str:
        """Name in results, as the file says."""
        return self.mapping.name

    @property
    def family(self) -> str:
        """As the file says, or what its name begins with."""
        return self.mapping.family or self.name.partition("/")[0]

    @property
    def description(self) -> str:
        """One line, as the file says."""
        return self.mapping.description

    @property
    def splits(self) -> tuple[Split, ...]:
        """Those that the file gives."""
        return tuple(split for split in SPLITS if split in self.mapping.splits)

    def pairs(self, split: Split, n: int, seed: int) -> list[Pair]:
        """Return up to `n` pairs of `split` in the order of `seed`; what is left out is said once, in a warning.

        Raises UserError for an unknown split, data that cannot be loaded, and a mapping that no row fits.
        """
        if split not in self.splits:
            raise unknown_name("split", split, self.splits)
        pairs, report = self._given.read(split, self.splits[: self.splits.index(split)])
        if not pairs:
            raise UserError(f"task '{self.name}', {split}: no pair is left; give it rows that no earlier split has")
        self._given.say(split, report)
        return draw(pairs, n, seed)

    @cached_property
    def _given(self) -> Splits:
        return Splits(self.name, lambda split: self._data(split).files, self._lot)

    @cached_property
    def _of_the_hub(self) -> dict[Split, DataSplit]:
        """What the hub has said: it is asked once."""
        return {}

    def _data(self, split: Split) -> DataSplit:
        if split in self._of_the_hub:
            return self._of_the_hub[split]
        base = self.folder or Path(os.environ.get("BASISBENCH_DATA", "."))
        try:
            found = find_split(self.mapping.source, self.mapping.config, self.mapping.splits[split], base)
        except UserError as error:
            elsewhere = "" if self.folder else " (BASISBENCH_DATA may name another folder)"
            raise UserError(f"task '{self.name}': {error}{elsewhere}") from error
        if found.of_the_hub:
            self._of_the_hub[split] = found
        return found

    def _lot(self, split: Split) -> Lot:
        mapping, data = self.mapping, self._data(split)
        columns = {name for place in mapping.places() for names in place.columns() for name in names}
        below = mapping.rows.get(split) if isinstance(mapping.rows, dict) else mapping.rows
        try:
            return map_rows(mapping, data.rows(columns, below))
        except UserError as error:
            raise UserError(f"task '{self.name}', {split}: {error}") from error


def mapped_task(file: Path) -> MappedTask:
    """Return the task that a YAML file describes; no data are read. Raises UserError for an invalid file."""
    try:
        return MappedTask(make_settings(TaskMapping, {}, file), file.resolve().parent)
    except UserError as error:
        raise (error if str(file) in str(error) else UserError(f"{file}: {error}")) from error


def map_rows(mapping: TaskMapping, rows: Iterator[Row]) -> Lot:
    """Return what the rows of a split make.

    Raises UserError where no row makes a pair: the first reason with its row, or the column that no row has.
    """
    pairs: list[Pair] = []
    refused: list[str] = []
    count = 0
    seen: dict[str, None] = {}
    for row in rows:
        count += 1
        seen |= dict.fromkeys(row.values)
        try:
            if _wanted(mapping, row.values):
                pairs.append(_pair(mapping, row.values))
        except MappingError as error:
            refused.append(f"{row.place}: {error}")
    for place in mapping.places():
        for names in place.columns():
            if count and seen.keys().isdisjoint(names):
                raise UserError(str(unknown(names, seen)))
    if not pairs:
        if refused:
            raise UserError(refused[0] + (f" (and so on: {len(refused)} rows)" if len(refused) > 1 else ""))
        raise UserError(f"no row is left of {count}: 'where' and 'present' keep none" if count else "there is no row")
    return Lot(tuple(pairs), len(refused), *refused[:1])


def _wanted(mapping: TaskMapping, row: Mapping[str, object]) -> bool:
    """Whether a row has the values of `where` and those of `present`; raises MappingError."""
    for path, wanted in mapping.where.items():
        if not any(has_value(parse_place(path), row, value) for value in _listed(wanted)):
            return False
    return all(is_there(parse_place(path), row) for path in mapping.present)


def _pair(mapping: TaskMapping, row: Mapping[str, object]) -> Pair:
    """The pair that a row makes; raises MappingError, which names the column, if it makes none."""
    texts: dict[str, str | list[str]] = {}
    for column, entry in mapping.columns.items():
        try:
            texts[column] = build(entry, row)
        except MappingError as error:
            raise MappingError(f"{column}: {error}") from error
        if column in ONE_TEXT and not isinstance(texts[column], str):
            raise MappingError(f"{column}: '{entry}' is a list: valid: text or an integer")
    try:
        return Pair(**{FIELDS[column]: text for column, text in _space_moved(texts).items()})  # type: ignore[arg-type]
    except PairError as error:
        column = next(column for column, name in FIELDS.items() if name == error.field)
        raise MappingError(f"{column}: {error.reason}") from error


def _space_moved(texts: Mapping[str, str | list[str]]) -> Mapping[str, str | list[str]]:
    """The texts with a space that ends both prompts at the front of every continuation instead."""
    if not all(str(texts[side]).endswith(" ") for side in ("clean", "corrupt")):
        return texts
    after = [side for side in ("answer", "foil", "candidates") if side in texts]
    return {
        **texts,
        **{side: str(texts[side])[:-1] for side in ("clean", "corrupt")},
        **{side: [f" {text}" for text in _listed(texts[side])] for side in after},
    }
