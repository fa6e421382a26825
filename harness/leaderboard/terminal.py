"""The board on a terminal: the answer, the table over all tasks, and one by task as far as it fits."""

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from basisbench.leaderboard.board import Leaderboard
from basisbench.leaderboard.columns import ALWAYS
from basisbench.leaderboard.texts import Grid, caption, overall_columns, overall_grid, task_grid


def terminal(board: Leaderboard, width: int) -> RenderableType:
    """Return the board for a terminal of `width` characters; what is too wide is left out, and that is said."""
    overall = overall_grid(board, "terminal")
    columns = [column for column in overall_columns(board, "terminal") if column.kept != ALWAYS]
    droppable = [column.heading(board.by) for column in sorted(columns, key=lambda column: column.kept)]
    lines = [Text(headline.sentence, style="bold") for headline in board.headlines]
    parts: list[RenderableType] = [*lines, Text("")]
    # notes fold, so the columns beside them decide what fits
    notes = ("note",) if "note" in overall.header else ()
    for count in range(len(droppable) + 1):
        shown = overall.without(droppable[:count])
        if _width(shown.without(notes)) + 24 * len(notes) <= width:
            break
    parts.append(_table(shown))
    if droppable[:count]:
        parts.append(Text(f"too narrow for {', '.join(droppable[:count])}"))
    parts.append(_by_task(board, width))
    return Group(*parts, *(Text(line, style="dim") for line in caption(board)))


def _by_task(board: Leaderboard, width: int) -> RenderableType:
    for with_intervals in (True, False):
        grid = task_grid(board, board.by, with_intervals)
        if _width(grid) <= width:
            return _table(grid)
    return Text(f"\ntoo narrow for {board.by} on each of {len(board.tasks)} tasks: see --format md\n")


def _width(grid: Grid) -> int:
    boundless = Console(width=10_000)
    return Measurement.get(boundless, boundless.options, _table(grid)).maximum


def _table(grid: Grid) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), title=Text(grid.title), title_justify="left")
    for name in grid.header:
        numeric = name in grid.numeric
        table.add_column(Text(name), justify="right" if numeric else "left", no_wrap=name != "note", overflow="fold")
    for row in grid.rows:
        table.add_row(*_texts(row))
    return table


def _texts(cells: Iterable[str]) -> Iterable[Text]:
    """Return cells as rich text: names that come from a file are not markup."""
    return map(Text, cells)
