"""The board in words and rounded numbers: the cells of every table that people read."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from basisbench.leaderboard.board import Leaderboard, TaskEntry
from basisbench.leaderboard.column import Column, Where, written
from basisbench.leaderboard.columns import COLUMNS, NAMES, columns_of, one_p, setting_names, statistic_text
from basisbench.measures.forms import ABSENT
from basisbench.measures.statistic import SIZE, STATISTICS, board_statistics
from basisbench.values import Number


@dataclass(frozen=True)
class Grid:
    """A table of plain strings; `numeric` names the columns that are aligned to the right."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[str]

    def without(self, names: Sequence[str]) -> "Grid":
        """Return it without the columns `names`."""
        kept = [i for i, name in enumerate(self.header) if name not in names]
        rows = tuple(tuple(row[i] for i in kept) for row in self.rows)
        return Grid(self.title, tuple(self.header[i] for i in kept), rows, self.numeric)


def overall_columns(board: Leaderboard, where: Where) -> list[Column]:
    """Return the columns of the table over all tasks that say anything of a row."""

    def said(column: Column) -> bool:
        return any(column.text(row, board.by) not in ("", ABSENT) for row in board.rows)

    # a difference of log10 is what the ratio says better
    return [
        column
        for column in columns_of(board, where)
        if said(column) and not (column.name == "difference" and board.by == SIZE)
    ]


def overall_grid(board: Leaderboard, where: Where) -> Grid:
    """Return the table of the numbers over all tasks."""
    columns = overall_columns(board, where)
    header = tuple(column.heading(board.by) for column in columns)
    rows = tuple(tuple(column.text(row, board.by) for column in columns) for row in board.rows)
    numeric = frozenset(column.heading(board.by) for column in columns if not column.words)
    return Grid("Over all tasks", header, rows, numeric)


def task_grid(board: Leaderboard, by: str, with_intervals: bool = True) -> Grid:
    """Return the table of one statistic on each task."""
    statistic = STATISTICS.get(by)

    def text(entry: TaskEntry) -> str:
        return statistic_text(statistic, entry.measures, with_intervals) if entry.measures else entry.status

    return _by_task(board, f"{by} on each task", text)


def size_grid(board: Leaderboard) -> Grid:
    """Return the table of sizes at nodes@0.8 on each task: nodes, units without positions, error nodes."""
    size, counts = STATISTICS.get(SIZE), [COLUMNS.get(name) for name in ("units_at_08", "errors_at_08")]

    def text(entry: TaskEntry) -> str:
        found = entry.measures
        if found is None:
            return entry.status
        counted = (written(column.of(found), column.form) for column in counts)
        return " / ".join((statistic_text(size, found, False), *counted))

    return _by_task(board, f"Nodes / distinct units without positions / error nodes, at {SIZE}", text)


def caption(board: Leaderboard) -> list[str]:
    """Return what all rows share, how the numbers were made, and the board's notes: a line each."""
    lines = [
        board.settings,
        f"{board.n_results} results on {len(board.tasks)} tasks of {len(set(board.families))} families "
        f"({_families(board)}). Intervals speak of these tasks: 95 %, from {board.n_resamples} resamples of the clean "
        f"prompts, each with all its pairs. Over tasks: {_averages()}, families weighing alike. Differences are "
        f"paired; p from sign flips across families{'' if one_p(board) else ', after Holm'}.",
        *_few_prompts(board),
        *board.notes,
    ]
    if board.problems:
        lines.append(f"{len(board.problems)} bad files were skipped")
    return [line for line in lines if line]


def _averages() -> str:
    """Return what averages over tasks are."""
    geometric = [one.name for one in board_statistics() if one.average == "mean" and one.logarithmic]
    medians = [one.name for one in board_statistics() if one.average == "median"]
    words = (("geometric means", geometric), ("medians", medians))
    return "; ".join(["means", *(f"{kind} of {', '.join(names)}" for kind, names in words if names)])


def _families(board: Leaderboard) -> str:
    counts = Counter(board.families)
    return ", ".join(f"{name} {count}" if count > 1 else name for name, count in counts.items())


def _few_prompts(board: Leaderboard) -> list[str]:
    """Return a line on the tasks whose pairs share clean prompts; no line without one."""
    fewest: dict[str, tuple[Number, Number]] = {}
    for task, numbers in ((e.task, e.measures.numbers) for row in board.rows for e in row.entries if e.measures):
        found = numbers.get("prompts"), numbers.get("pairs")
        fewest[task] = min(fewest.get(task, found), found, key=lambda both: both[0] or 0)
    few = [f"{task} {prompts} of {pairs}" for task, (prompts, pairs) in sorted(fewest.items()) if prompts != pairs]
    return [f"Distinct clean prompts of pairs: {', '.join(few)}; else each pair has its own."] if few else []


def _by_task(board: Leaderboard, title: str, text: Callable[[TaskEntry], str]) -> Grid:
    names = {*NAMES, *(f"setting_{name}" for name in setting_names(board))}
    before = [column for column in columns_of(board, "md") if column.name in names]
    header = (*(column.heading(board.by) for column in before), *board.tasks)
    rows = tuple((*(column.text(row, board.by) for column in before), *map(text, row.entries)) for row in board.rows)
    return Grid(title, header, rows, frozenset(board.tasks))
