"""Cells that could not be computed, kept beside the results: ``failures/NAME.json`` says which, why and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from basisbench.cache import write_atomically
from basisbench.errors import printable
from basisbench.results.find import FAILURES
from basisbench.results.schema import Cell
from basisbench.values import Line

FOLDER = FAILURES
LONGEST = 400


@dataclass(frozen=True)
class Failure:
    """A cell that has no result, and why."""

    cell: str
    reason: str


class FailureRecord(BaseModel):
    """The document of a failure."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    cell: Cell
    reason: Line
    at: Line


def reason_of(error: BaseException) -> str:
    """The first line of an error, printable and not too long."""
    line = str(error).strip().partition("\n")[0][:LONGEST]
    return printable(line) or type(error).__name__


def record_failure(folder: Path, name: str, cell: Cell, reason: str) -> None:
    """Write the record of a cell called `name` that failed; raises UserError if it cannot be written."""
    record = FailureRecord(cell=cell, reason=reason, at=datetime.now(UTC).isoformat(timespec="seconds"))
    write_atomically(_path(folder, name), record.model_dump_json(indent=1).encode() + b"\n")


def recorded_failure(folder: Path, name: str) -> str | None:
    """Why the cell called `name` failed before; None if it did not, or if its record cannot be read."""
    try:
        return FailureRecord.model_validate_json(_path(folder, name).read_bytes()).reason
    except (OSError, ValidationError):
        return None


def forget_failure(folder: Path, name: str) -> None:
    """Take away the record of a cell that has a result now."""
    _path(folder, name).unlink(missing_ok=True)


def _path(folder: Path, name: str) -> Path:
    return folder / FOLDER / f"{name}.json"
