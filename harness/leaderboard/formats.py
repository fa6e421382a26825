"""The board as a file: Markdown, CSV, LaTeX, JSON. Names come from result files and are escaped for each.

Markdown and LaTeX are for readers and rounded; CSV and JSON hold every number unrounded with its interval.
"""

from collections.abc import Callable, Iterator

from basisbench.leaderboard.board import STATISTICS, Comparison, Leaderboard, Measures, Row, to_json
from basisbench.leaderboard.texts import caption, overall_grid, setting_names, size_grid, task_grid
from basisbench.results.schema import Interval
from basisbench.values import Number
from basisbench.writing import Value, csv_table, markdown_table, markdown_text

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
    grids = [overall_grid(board), *(task_grid(board, by) for by in STATISTICS), size_grid(board)]
    parts = [f"**{markdown_text(headline.sentence)}**" for headline in board.headlines]
    for grid in grids:
        parts += [f"### {markdown_text(grid.title)}", markdown_table(grid.header, grid.rows, grid.numeric).rstrip()]
    return "\n\n".join([*parts, *map(markdown_text, caption(board))]) + "\n"


def latex(board: Leaderboard) -> str:
    """Return the board as two LaTeX tables: over all tasks, and the board's statistic on each task."""
    overall = overall_grid(board).without(("effect size", "nodes / best's", "seconds", "MiB", "note"))
    lines = ["% needs \\usepackage{booktabs} and \\usepackage{graphicx}"]
    for grid, text in ((overall, board.headline), (task_grid(board, board.by), "")):
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
    lines = [line for row in board.rows for line in _csv_lines(row, settings)]
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


def _csv_lines(row: Row, settings: tuple[str, ...]) -> Iterator[dict[str, Value]]:
    about: dict[str, Value] = {name: getattr(row, name) for name in ("key", "model", "basis", "method")}
    about |= {f"setting_{name}": row.settings.get(name) for name in settings}
    about |= {name: getattr(row, name) for name in ("control", "best", "note")}
    yield {
        **about,
        "scope": "overall",
        "task": None,
        "status": "missing" if row.overall is None else "measured",
        "seeds": None,
        "degenerate_seeds": None,
        **_numbers(row.overall),
        **_interval("rank", row.rank),
        **_compared(row.comparison),
    }
    for entry in row.entries:
        yield {
            **about,
            "scope": "task",
            "task": entry.task,
            "status": entry.status,
            "seeds": " ".join(map(str, entry.seeds)),
            "degenerate_seeds": " ".join(map(str, entry.degenerate_seeds)),
            **_numbers(entry.measures),
        }


def _numbers(found: Measures | None) -> dict[str, Value]:
    line: dict[str, Value] = {}
    for by in STATISTICS:
        line |= _interval(by, found.interval(by) if found else None)
        line[f"{by}_seed_sd"] = found.spread(by) if found else None
    others = ("units_at_08", "errors_at_08", "unreached", "cells", "seconds", "peak_memory_bytes")
    return line | {name: getattr(found, name) if found else None for name in others}


def _compared(against: Comparison | None) -> dict[str, Value]:
    others = ("reference", "effect_size", "p", "holm", "smallest_holm", "comparisons")
    return {
        **_interval("difference", against.difference if against else None),
        **_interval("node_ratio", against.node_ratio if against else None),
        **{name: getattr(against, name) if against else None for name in others},
    }


def _interval(name: str, interval: Interval | None) -> dict[str, Value]:
    parts: tuple[Number, ...] = (interval.value, interval.low, interval.high) if interval else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), parts, strict=True))
