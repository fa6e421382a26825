"""From results to one table: rows by basis and method, ranks, paired differences and a sentence that answers.

from basisbench.leaderboard import build_leaderboard
board = build_leaderboard([Path("runs")])
print(board.headline)
"""

from basisbench.leaderboard.board import Comparison, Headline, Leaderboard, Measures, Row, TaskEntry
from basisbench.leaderboard.build import build_leaderboard
from basisbench.leaderboard.column import Column, Measured
from basisbench.leaderboard.columns import COLUMNS
from basisbench.leaderboard.document import from_json, to_json

__all__ = [
    "COLUMNS",
    "Column",
    "Comparison",
    "Headline",
    "Leaderboard",
    "Measured",
    "Measures",
    "Row",
    "TaskEntry",
    "build_leaderboard",
    "from_json",
    "to_json",
]
