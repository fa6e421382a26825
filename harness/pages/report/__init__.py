"""The report: one HTML file with the leaderboard, the curves and every cell.

from basisbench.leaderboard import build_leaderboard
from basisbench.pages.report import read_board_results, report_page
board = build_leaderboard([Path("runs")])
html = report_page(read_board_results(board, [Path("runs")]), board, "My report")
"""

from basisbench.pages.report.page import read_board_results, report_page

__all__ = ["read_board_results", "report_page"]
