"""From results to one table: rows by basis and method, ranks, paired differences and a sentence that answers.

from basisbench.leaderboard import build_leaderboard
board = build_leaderboard([Path("runs")])
print(board.headline)
"""

from basisbench.leaderboard.board import (
    STATISTICS,
    By,
    Comparison,
    Headline,
    Leaderboard,
    Measures,
    Row,
    TaskEntry,
    from_json,
    to_json,
)
from basisbench.leaderboard.build import build_leaderboard

__all__ = [
    "STATISTICS",
    "By",
    "Comparison",
    "Headline",
    "Leaderboard",
    "Measures",
    "Row",
    "TaskEntry",
    "build_leaderboard",
    "from_json",
    "to_json",
]
