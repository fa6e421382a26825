"""The board as JSON, numbers unrounded: all that it says, and what its columns make of that."""

from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_json as dump

from basisbench.leaderboard.board import Leaderboard
from basisbench.leaderboard.columns import columns_of

_ADAPTER = TypeAdapter(Leaderboard)


def to_json(board: Leaderboard) -> str:
    """Return the board as JSON; a column whose numbers are no part of its rows is added to them by name."""
    document: dict[str, Any] = _ADAPTER.dump_python(board, mode="json")
    columns = [column for column in columns_of(board, "json") if not column.measured]
    for row, record in zip(board.rows, document["rows"], strict=True):
        record |= {column.name: column.value(row, board.by) for column in columns}
    return dump(document, indent=1).decode() + "\n"


def from_json(text: str | bytes) -> Leaderboard:
    """Return the board that `to_json` wrote; raises pydantic.ValidationError for anything else."""
    return _ADAPTER.validate_json(text)
