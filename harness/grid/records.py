"""Which cells a folder of results holds already, and which failed there, by their settings alone.

A run tells cells apart by the hashes of the model and of the data too; those are not known before the model is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ValidationError

from basisbench.errors import UserError
from basisbench.grid.failures import FOLDER
from basisbench.results.files import MAX_JSON_BYTES, read_file
from basisbench.results.find import ResultFolder
from basisbench.results.schema import Cell


class _Document(BaseModel):
    """Of a result or of a failure, the cell."""

    cell: Cell


@dataclass(frozen=True)
class Records:
    """The settings of cells that are done and of cells that failed, as `settings_of` gives them."""

    done: frozenset[str]
    failed: frozenset[str]


def settings_of(cell: Cell) -> str:
    """All that a cell's settings say, but for what is known only of a loaded basis."""
    document = cell.model_dump(mode="json")
    document["options"] = {name: value for name, value in cell.options.items() if name != "content"}
    return json.dumps(document, sort_keys=True)


def read_records(folder: Path) -> Records:
    """The records in a folder; what holds none is passed over."""
    if not folder.is_dir():
        return Records(frozenset(), frozenset())
    done = frozenset(_settings(stored.document for stored in ResultFolder(folder)))
    failures = sorted((folder / FOLDER).glob("*.json"))
    failed = frozenset(_settings(partial(read_file, file, MAX_JSON_BYTES) for file in failures))
    return Records(done, failed - done)


def _settings(documents: Iterable[Callable[[], bytes]]) -> Iterable[str]:
    for document in documents:
        try:
            yield settings_of(_Document.model_validate_json(document()).cell)
        except (UserError, ValidationError):
            continue
