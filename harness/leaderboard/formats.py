"""The board as a file: Markdown, CSV, LaTeX, JSON. Names come from result files and are escaped for each.

Markdown and LaTeX are for readers and rounded; CSV and JSON hold every number unrounded with its interval.
"""

from collections.abc import Callable, Iterator, Sequence

from basisbench.leaderboard.board import Leaderboard, Row
from basisbench.leaderboard.column import Column, Plain, Value
from basisbench.leaderboard.columns import columns_of, setting_names
from basisbench.leaderboard.document import to_json
from basisbench.leaderboard.texts import caption, overall_grid, size_grid, task_grid
from basisbench.measures.statistic import board_statistics
from basisbench.writing import csv_table, markdown_table, markdown_text

LATEX_ESCAPES = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


def markdown(board: Leaderboard) -> str:
    """Return the board for GitHub: the answer, the table over all tasks and one of each statistic by task."""
    on_tasks = [task_grid(board, statistic.name) for statistic in board_statistics()]
    grids = [overall_grid(board, "md"), *on_tasks, size_grid(board)]
    parts = [f"**{markdown_text(headline.sentence)}**" for headline in board.headlines]
    for grid in grids:
        parts += [f"### {markdown_text(grid.title)}", markdown_table(grid.header, grid.rows, grid.numeric).rstrip()]
    return "\n\n".join([*parts, *map(markdown_text, caption(board))]) + "\n"


def latex(board: Leaderboard) -> str:
    """Return the board as two LaTeX tables: over all tasks, and the board's statistic on each task."""
    lines = ["% needs \\usepackage{booktabs} and \\usepackage{graphicx}"]
    for grid, text in ((overall_grid(board, "latex"), board.headline), (task_grid(board, board.by), "")):
        about = _latex_text(" ".join([f"{grid.title}.", text.replace("\n", " ")]).strip())
        columns = "".join("r" if name in grid.numeric else "l" for name in grid.header)
        lines += [
            *("\\begin{table}", "\\centering", f"\\caption{{{about}}}", "\\resizebox{\\ifdim\\width>\\linewidth"),
            f"\\linewidth\\else\\width\\fi}}{{!}}{{\\begin{{tabular}}{{{columns}}}",
            *("\\toprule", _latex_row(grid.header), "\\midrule", *map(_latex_row, grid.rows), "\\bottomrule"),
            *("\\end{tabular}}", "\\end{table}", ""),
        ]
    return "\n".join(lines)


def comma_separated(board: Leaderboard) -> str:
    """Return the board as CSV: a line for each row over all tasks (scope "overall") and on each task."""
    settings = setting_names(board)
    # the words of a row stand before its numbers
    numbers = [column for column in columns_of(board, "csv") if not column.words]
    lines = [line for row in board.rows for line in _csv_lines(row, board.by, settings, numbers)]
    names = list(lines[0]) if lines else []
    return csv_table(names, [[line.get(name) for name in names] for line in lines])


FORMATS: dict[str, Callable[[Leaderboard], str]] = {
    "md": markdown,
    "csv": comma_separated,
    "latex": latex,
    "json": to_json,
}
SUFFIXES = {".md": "md", ".csv": "csv", ".tex": "latex", ".json": "json"}


def _latex_text(text: str) -> str:
    return "".join(LATEX_ESCAPES.get(character, character) for character in text)


def _latex_row(cells: tuple[str, ...]) -> str:
    # a bracket or star that begins a row would belong to the command before it
    return ("{}" if cells[0].startswith(("[", "*")) else "") + " & ".join(map(_latex_text, cells)) + r" \\"


def _csv_lines(row: Row, by: str, settings: Sequence[str], numbers: Sequence[Column]) -> Iterator[dict[str, Plain]]:
    about: dict[str, Plain] = {name: getattr(row, name) for name in ("key", "model", "basis", "method")}
    about |= {f"setting_{name}": row.settings.get(name) for name in settings}
    about |= {"control": row.control, "best": row.best, "note": row.note}
    yield {
        **about,
        "scope": "overall",
        "task": None,
        "status": "missing" if row.overall is None else "measured",
        "seeds": None,
        "degenerate_seeds": None,
        **_plain(numbers, [column.value(row, by) for column in numbers]),
    }
    for entry in row.entries:
        yield {
            **about,
            "scope": "task",
            "task": entry.task,
            "status": entry.status,
            "seeds": " ".join(map(str, entry.seeds)),
            "degenerate_seeds": " ".join(map(str, entry.degenerate_seeds)),
            **_plain(numbers, [column.of(entry.measures) for column in numbers]),
        }


def _plain(columns: Sequence[Column], values: Sequence[Value]) -> dict[str, Plain]:
    parts = (column.plain(value) for column, value in zip(columns, values, strict=True))
    return {name: number for part in parts for name, number in part.items()}
