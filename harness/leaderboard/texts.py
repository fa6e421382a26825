"""The board in words and rounded numbers: the cells of every table that people read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from basisbench.leaderboard.board import STATISTICS, By, Leaderboard, Measures, Row, TaskEntry
from basisbench.leaderboard.headline import node_text, p_text, ratio_text
from basisbench.results.schema import Interval
from basisbench.results.tables import interval_text
from basisbench.values import Number
from basisbench.writing import compact

ABSENT = "-"


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

    def empty_columns(self) -> list[str]:
        """Return the names of the columns in which no row says anything."""
        return [name for i, name in enumerate(self.header) if all(row[i] in ("", ABSENT) for row in self.rows)]


def overall_grid(board: Leaderboard) -> Grid:
    """Return the table of the numbers over all tasks."""
    settings = setting_names(board)
    numeric = (
        *("rank", *STATISTICS, "units", "errors", f"{board.by} - best's", "Holm p", "effect size", "nodes / best's"),
        *("seed sd", "seconds", "MiB"),
    )
    header = ("rank", "basis", "method", *settings, *numeric[1:], "note")
    rows = tuple((*_start(row, settings), *_overall(row, board.by), note(row)) for row in board.rows)
    grid = Grid("Over all tasks", header, rows, frozenset(numeric))
    # a difference of log10 is what the ratio says better
    return grid.without([*grid.empty_columns(), *(["nodes@0.8 - best's"] if board.by == "nodes@0.8" else [])])


def task_grid(board: Leaderboard, by: By, with_intervals: bool = True) -> Grid:
    """Return the table of one statistic on each task."""

    def text(entry: TaskEntry) -> str:
        if entry.measures is None:
            return entry.status
        interval = entry.measures.interval(by)
        if by == "nodes@0.8":
            return _nodes(entry.measures, with_intervals)
        return interval_text(interval) if with_intervals else _value(interval.value)

    return _by_task(board, f"{by} on each task", text)


def size_grid(board: Leaderboard) -> Grid:
    """Return the table of sizes at nodes@0.8 on each task: nodes, units without positions, error nodes."""

    def text(entry: TaskEntry) -> str:
        found = entry.measures
        if found is None:
            return entry.status
        return f"{_nodes(found, False)} / {_size(found.units_at_08)} / {_size(found.errors_at_08)}"

    return _by_task(board, "Nodes / distinct units without positions / error nodes, at nodes@0.8", text)


def setting_names(board: Leaderboard) -> tuple[str, ...]:
    """Return the names of the settings that tell rows apart, in the order in which they are met."""
    return tuple(dict.fromkeys(name for row in board.rows for name in row.settings))


def note(row: Row) -> str:
    """Return what a reader must know of a row, empty if nothing."""
    degenerate = [
        f"{entry.task} seed {', '.join(map(str, entry.degenerate_seeds))} degenerate"
        for entry in row.entries
        if entry.status == "measured" and entry.degenerate_seeds
    ]
    measured = [entry.measures for entry in row.entries if entry.measures]
    unreached, cells = sum(found.unreached for found in measured), sum(found.cells for found in measured)
    parts = [
        "control" if row.control else "",
        row.note,
        f"0.8 unreached in {unreached} of {cells}" if 0 < unreached < cells else "",
        *degenerate,
    ]
    return "; ".join(part for part in parts if part)


def caption(board: Leaderboard) -> list[str]:
    """Return what all rows share, how the numbers were made, and the board's notes: a line each."""
    lines = [
        board.settings,
        f"{board.n_results} results on {len(board.tasks)} tasks. Intervals: 95 %, from {board.n_resamples} resamples "
        "of the evaluation pairs. Means over tasks (of nodes: geometric). Differences are paired; p from sign flips "
        "across tasks, after Holm.",
        *board.notes,
    ]
    if board.problems:
        lines.append(f"{len(board.problems)} bad files were skipped")
    return [line for line in lines if line]


def _start(row: Row, settings: Sequence[str]) -> tuple[str, ...]:
    return (_rank(row.rank), row.basis, row.method, *(row.settings.get(name, "") for name in settings))


def _overall(row: Row, by: By) -> tuple[str, ...]:
    found, against = row.overall, row.comparison
    measured: tuple[str, ...] = (ABSENT,) * 5
    after: tuple[str, ...] = (ABSENT,) * 3
    compared: tuple[str, ...] = (ABSENT,) * 4
    if found:
        measured = (
            *(interval_text(found.auc_f), interval_text(found.auc_c), _nodes(found, True)),
            *(_size(found.units_at_08), _size(found.errors_at_08)),
        )
        memory = found.peak_memory_bytes
        after = (
            *(_value(found.spread(by)), _value(found.seconds)),
            ABSENT if memory is None else f"{memory / 2**20:,.0f}",
        )
    if against:
        compared = (
            *(interval_text(against.difference), p_text(against.holm)),
            *(_value(against.effect_size), ratio_text(against.node_ratio)),
        )
    elif row.best:
        compared = ("best", ABSENT, ABSENT, "best")
    return (*measured, *compared, *after)


def _by_task(board: Leaderboard, title: str, text: Callable[[TaskEntry], str]) -> Grid:
    settings = setting_names(board)
    rows = tuple((*_start(row, settings)[1:], *map(text, row.entries)) for row in board.rows)
    return Grid(title, ("basis", "method", *settings, *board.tasks), rows, frozenset(board.tasks))


def _nodes(found: Measures, with_interval: bool) -> str:
    if found.unreached == found.cells:
        return "all"
    interval = found.nodes_at_08
    return node_text(interval) if with_interval else _size(interval.value)


def _size(number: Number) -> str:
    return ABSENT if number is None else compact(number)


def _value(number: Number) -> str:
    return ABSENT if number is None else f"{number:z.2f}"


def _rank(rank: Interval | None) -> str:
    if rank is None or rank.value is None or rank.low is None or rank.high is None:
        return ABSENT
    return f"{rank.value:.0f} [{rank.low:.0f}, {rank.high:.0f}]"
