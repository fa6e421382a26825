"""Which cells a folder of results holds already, and which failed there, by their settings alone.

A run tells cells apart by the hashes of the model and of the data too; those are not known before the model is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from basisbench.grid.failures import FOLDER
from basisbench.results.files import MAX_JSON_BYTES
from basisbench.results.schema import Cell, Environment, Result, Timing


class _Document(BaseModel):
    """Of a result or of a failure, the cell; of a result, how long it took and where."""

    cell: Cell
    timing: Timing | None = None
    environment: Environment | None = None


@dataclass(frozen=True)
class Timed:
    """A cell that was computed: seconds of all its phases, and the device that took them."""

    cell: Cell
    seconds: float
    device: str

    @staticmethod
    def of(result: Result) -> Timed:
        """What a result says of itself."""
        return _timed(result.cell, result.timing, result.environment)


@dataclass(frozen=True)
class Records:
    """Cells that are done, by their settings as `settings_of` gives them, and the settings of cells that failed."""

    done: Mapping[str, Timed]
    failed: frozenset[str]


def settings_of(cell: Cell) -> str:
    """All that a cell's settings say, but for what is known only of a loaded basis."""
    document = cell.model_dump(mode="json")
    document["options"] = {name: value for name, value in cell.options.items() if name != "content"}
    return json.dumps(document, sort_keys=True)


def read_records(folder: Path) -> Records:
    """The records in a folder; a file that holds none is passed over."""
    done = {
        settings_of(read.cell): _timed(read.cell, read.timing, read.environment)
        for read in _read(folder.glob("*.json"))
        if read.timing and read.environment
    }
    failed = frozenset(settings_of(read.cell) for read in _read((folder / FOLDER).glob("*.json")))
    return Records(done, failed - done.keys())


def _read(files: Iterable[Path]) -> Iterable[_Document]:
    for file in files:
        try:
            if file.stat().st_size <= MAX_JSON_BYTES:
                yield _Document.model_validate_json(file.read_bytes())
        except (OSError, ValidationError):
            continue


def _timed(cell: Cell, timing: Timing, environment: Environment) -> Timed:
    return Timed(cell, sum(timing.seconds.values()), f"{environment.device}, {environment.threads} threads")
