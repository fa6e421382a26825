"""A task read from a dataset of the Hugging Face hub, or from local data files, as a YAML file says.

``name``, ``description``; ``source``: a hub name, or a data file or folder beside the YAML file (./ makes it one);
``config``: the hub dataset's configuration, or a folder in the local one; ``splits``: for each of ours (discovery,
evaluation, perhaps heldout, heldout_templates) the dataset's, or a part such as train[:80%], or a file of the folder.
``columns`` says what clean, corrupt, answer, foil and, if wanted, case and candidates are:

1. ``prompt`` is that column as it is; ``a.b`` is field b of column a; ``a[0]`` is the first element of a list.
2. ``choices.label[answerKey]`` takes the index, or the field's name, from another column, itself a path.
3. With braces an entry is text with paths in it: ``" {choices.label[answerKey]}"``; ``{{`` is a brace.
4. A path to a list gives as many texts (answers of which any will do, candidates): ``" {choices.label}"``.
5. A YAML list of entries gives all of their texts: ``[" {subject}", " {object}"]``.
6. Values are text or integers; null, empty, missing ones and indices out of range are refused with their row.
7. ``where: {operator: "+"}`` keeps the rows with that value at a path; a list keeps those with one of its values.
8. ``present: [counterfactual.prompt]`` keeps the rows with a value at each of these paths.
9. A space that ends both prompts is moved to the front of the answers, where tokenizers want it.
10. Rows that repeat, stand in an earlier split, or whose answer is the foil are left out and counted in a warning.

The loading is that of `datasets`: data files only, no code from a dataset. A YAML file reaches no local file
outside of its folder.
"""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from datasets import Dataset
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from basisbench.errors import UserError, unknown_name
from basisbench.settings import make_settings
from basisbench.tasks.data_files import PART, load_split
from basisbench.tasks.given import draw, separate, warn
from basisbench.tasks.mapping import MappingError, build, parse, parse_place, value_at
from basisbench.tasks.pair import Pair, PairError
from basisbench.values import SPLITS, Line, Split

ONE_TEXT = ("clean", "corrupt", "case")
COLUMNS = (*ONE_TEXT, "answer", "foil", "candidates")
OPTIONAL = ("case", "candidates")
FIELD_OF = {"answer": "answers", "foil": "foils"}
COLUMN_OF = {field: column for column, field in FIELD_OF.items()}

log = logging.getLogger("basisbench")


def _is_complete(columns: dict[str, str | list[str]]) -> dict[str, str | list[str]]:
    for name in columns:
        if name not in COLUMNS:
            raise PydanticCustomError("column", "{told}", {"told": str(unknown_name("column", name, COLUMNS))})
    for name in COLUMNS:
        if name not in columns and name not in OPTIONAL:
            raise PydanticCustomError("column", "{name} is missing", {"name": name})
    for name, entry in columns.items():
        if name in ONE_TEXT and not isinstance(entry, str):
            raise PydanticCustomError("column", "{name} must be one text", {"name": name})
        for part in [entry] if isinstance(entry, str) else entry:
            _parses(name, part)
    return columns


def _parses(name: str, entry: str) -> None:
    try:
        parse(entry)
    except MappingError as error:
        raise PydanticCustomError("path", "{name}: {told}", {"name": name, "told": str(error)}) from error


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


_Scalar = str | int | float | bool
_Path = Annotated[Line, AfterValidator(_is_place)]
_Entry = Annotated[str, StringConstraints(min_length=1)]
_Several = Annotated[list[_Entry], Field(min_length=1)]


class TaskMapping(BaseModel):
    """The settings of a task file, as the module describes them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(pattern=r"^\w[\w.-]*(/\w[\w.-]*)*$", max_length=100)]
    description: Annotated[Line, Field(min_length=1)]
    source: Annotated[Line, Field(min_length=1)]
    config: Line | None = None
    splits: Annotated[
        dict[Split, Annotated[Line, StringConstraints(pattern=rf"^{PART.pattern}$")]], AfterValidator(_has_both)
    ]
    columns: Annotated[dict[str, _Entry | _Several], AfterValidator(_is_complete)]
    where: dict[_Path, _Scalar | list[_Scalar]] = {}
    present: list[_Path] = []


@dataclass(frozen=True, eq=False)
class MappedTask:
    """Prompt pairs mapped from a dataset, which is loaded when pairs are first asked for.

    `folder` is where local data are looked for; None means the folder that ``BASISBENCH_DATA`` names, else the
    current one.
    """

    mapping: TaskMapping
    folder: Path | None
    _read: dict[Split, list[Pair]] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """Name in results, as the file says."""
        return self.mapping.name

    @property
    def description(self) -> str:
        """One line, as the file says."""
        return self.mapping.description

    @property
    def splits(self) -> tuple[Split, ...]:
        """Those that the file gives."""
        return tuple(split for split in SPLITS if split in self.mapping.splits)

    def pairs(self, split: Split, n: int, seed: int) -> list[Pair]:
        """Return up to `n` pairs of `split` in the order of `seed`; logs a warning if rows were left out.

        Raises UserError for an unknown split, data that cannot be loaded, and rows that the mapping does not fit.
        """
        if split not in self.splits:
            raise unknown_name("split", split, self.splits)
        earlier = self.splits[: self.splits.index(split)]
        pairs, report = separate(self._all(split), [pair for other in earlier for pair in self._all(other)])
        if not pairs:
            raise UserError(f"task '{self.name}', {split}: no row is left; give it rows that no earlier split has")
        warn(self.name, split, report)
        return draw(pairs, n, seed)

    def _all(self, split: Split) -> list[Pair]:
        """The pairs of a split as the mapping makes them, read once."""
        if split not in self._read:
            base = self.folder or Path(os.environ.get("BASISBENCH_DATA", "."))
            found = list(map_rows(self.mapping, split, self._load(self.mapping.splits[split], base)))
            self._read[split] = [pair for pair in found if pair is not None]
            if alike := found.count(None):
                log.warning("%s, %s: left out %d rows whose answer is the foil", self.name, split, alike)
        return self._read[split]

    def _load(self, split: str, base: Path) -> Dataset:
        try:
            return load_split(self.mapping.source, self.mapping.config, split, base)
        except UserError as error:
            elsewhere = "" if self.folder else " (BASISBENCH_DATA may name another folder)"
            raise UserError(f"task '{self.name}': {error}{elsewhere}") from error


def mapped_task(file: Path) -> MappedTask:
    """Return the task that a YAML file describes; no data are read. Raises UserError for an invalid file."""
    try:
        return MappedTask(make_settings(TaskMapping, {}, file), file.resolve().parent)
    except UserError as error:
        raise (error if str(file) in str(error) else UserError(f"{file}: {error}")) from error


def map_rows(mapping: TaskMapping, split: Split, data: Dataset) -> Iterator[Pair | None]:
    """Yield the pair of each row of a split, None if its answer is the foil; raises UserError naming row and column."""
    where = f"task '{mapping.name}', {mapping.splits[split]} row"
    entries = [part for entry in mapping.columns.values() for part in _several(entry)]
    places = [piece for entry in entries for piece in parse(entry) if not isinstance(piece, str)]
    places += [parse_place(path) for path in (*mapping.where, *mapping.present)]
    needed = sorted({name for place in places for name in place.columns()})
    for name in needed:
        if name not in data.column_names:
            raise UserError(f"{where} 1: {unknown_name('column', name, data.column_names)}")
    for number, row in enumerate(data.select_columns(needed).to_list(), start=1):
        column = "where"
        try:
            if not _wanted(mapping, row):
                continue
            values: dict[str, str | list[str]] = {}
            for column, entry in mapping.columns.items():
                values[column] = build(entry, row)
                if column in ONE_TEXT and not isinstance(values[column], str):
                    raise MappingError(f"'{entry}' is a list: valid: text or an integer")
            if set(_several(values["answer"])) & set(_several(values["foil"])):
                yield None
                continue
            yield _pair(_space_moved(values))
        except PairError as error:
            raise UserError(f"{where} {number}: {COLUMN_OF.get(error.field, error.field)}: {error.reason}") from error
        except MappingError as error:
            raise UserError(f"{where} {number}: {column}: {error}") from error


def _several(texts: str | list[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else texts


def _wanted(mapping: TaskMapping, row: dict[str, Any]) -> bool:
    """Whether a row has the values of `where` and those of `present`."""
    for path, values in mapping.where.items():
        if value_at(parse_place(path), row) not in (values if isinstance(values, list) else [values]):
            return False
    return all(value_at(parse_place(path), row) is not None for path in mapping.present)


def _space_moved(values: dict[str, Any]) -> dict[str, Any]:
    """The values with a space that ends both prompts at the front of every continuation instead."""
    if not (values["clean"].endswith(" ") and values["corrupt"].endswith(" ")):
        return values
    moved: dict[str, Any] = {side: values[side][:-1] for side in ("clean", "corrupt")}
    for side in ("answer", "foil", "candidates"):
        moved[side] = [f" {text}" for text in _several(values.get(side, []))]
    return values | moved


def _pair(values: dict[str, Any]) -> Pair:
    return Pair(**{FIELD_OF.get(column, column): value for column, value in values.items()})
