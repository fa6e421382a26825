"""Which cells a folder of results holds already, and which failed there, by their settings alone.

A run tells cells apart by the hashes of the model and of the data too; those are not known before the model is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from basisbench.grid.failures import FOLDER
from basisbench.results.files import MAX_JSON_BYTES
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
    """The records in a folder; a file that holds none is passed over."""
    done = frozenset(_settings(folder.glob("*.json")))
    return Records(done, frozenset(_settings((folder / FOLDER).glob("*.json"))) - done)


def _settings(files: Iterable[Path]) -> Iterable[str]:
    for file in files:
        try:
            if file.stat().st_size <= MAX_JSON_BYTES:
                yield settings_of(_Document.model_validate_json(file.read_bytes()).cell)
        except (OSError, ValidationError):
            continue
