"""The columns of the board, in the order in which they stand: names, settings, statistics, and everything beside them.

A new one is a record: another entry of `_COLUMNS`, a ``basisbench.columns`` entry point, or ``COLUMNS.add(column)``.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from basisbench.leaderboard.board import Leaderboard, Measures, Row
from basisbench.leaderboard.column import EVERYWHERE, Column, Measured, Where, written
from basisbench.measures.forms import ABSENT, CHANCE, COUNT, MEBIBYTES, RANK, RATIO, SECONDS, WHOLE
from basisbench.measures.statistic import HEADLINE, SIZE, STATISTICS, Statistic, board_statistics, power_of_ten
from basisbench.registry import Records
from basisbench.values import Number

NAMES = ("basis", "method")
ALWAYS = float("inf")
OF_ROWS: frozenset[Where] = EVERYWHERE - {"json"}
"""Where a part of a row is shown: JSON has it as it is."""
IN_FILES: frozenset[Where] = frozenset(("csv", "wandb"))


# -- how numbers of cells become one ------------------------------------------------------------------


def mean(numbers: Sequence[Number]) -> Number:
    """Return the mean of `numbers`, None if one is not defined."""
    present = [number for number in numbers if number is not None]
    return float(np.mean(present)) if len(present) == len(numbers) else None


def geometric_mean(numbers: Sequence[Number]) -> Number:
    """Return the geometric mean of `numbers`, 0 if one is, None if one is not defined."""
    present = [number for number in numbers if number is not None]
    if len(present) < len(numbers):
        return None
    return power_of_ten(float(np.mean(np.log10(present)))) if all(present) else 0.0


def smallest(numbers: Sequence[Number]) -> Number:
    """Return the smallest of the `numbers` that are defined, None if none is."""
    return min((number for number in numbers if number is not None), default=None)


def largest(numbers: Sequence[Number]) -> Number:
    """Return the largest of the `numbers` that are defined, None if none is."""
    return max((number for number in numbers if number is not None), default=None)


def total(numbers: Sequence[Number]) -> float:
    """Return the sum of the `numbers` that are defined."""
    return sum(number for number in numbers if number is not None)


# -- the records --------------------------------------------------------------------------------------


def _field(name: str) -> Callable[[Row, str], Any]:
    """Return what gives a field of a row."""
    return lambda row, by: getattr(row, name)


def _compared(name: str) -> Callable[[Row, str], Any]:
    """Return what gives a part of the comparison with the best row."""
    return lambda row, by: getattr(row.comparison, name, None)


def _best_or(column: Column) -> Column:
    """Return `column` with a word for the best row, which is compared with none."""

    def told(row: Row, by: str) -> str:
        return "best" if row.best and not row.comparison else written(column.value(row, by), column.form)

    return replace(column, told=told)


_COLUMNS = (
    Column(
        "units_at_08",
        "units",
        measured=Measured(
            lambda result, curve, at: None if at is None else int(curve.distinct_units[at]), geometric_mean
        ),
        form=COUNT,
        title="units@0.8",
        about=f"Distinct (layer, unit) among {SIZE}: sizes without positions",
        kept=6,
    ),
    Column(
        "errors_at_08",
        "errors",
        measured=Measured(lambda result, curve, at: None if at is None else int(curve.error_nodes[at]), mean),
        form=COUNT,
        title="errors@0.8",
        about=f"Error nodes among {SIZE}",
        kept=5,
    ),
    Column("unreached", measured=Measured(lambda result, curve, at: int(at is None), total), formats=IN_FILES),
    Column("cells", measured=Measured(lambda result, curve, at: 1, total), formats=IN_FILES),
    Column("pairs", measured=Measured(lambda result, curve, at: curve.n, smallest), formats=IN_FILES),
    Column(
        "prompts",
        measured=Measured(lambda result, curve, at: len(np.unique(curve.cluster)), smallest),
        formats=IN_FILES,
    ),
    _best_or(
        Column(
            "difference",
            "{by} - best's",
            of_row=_compared("difference"),
            interval=True,
            title="to best",
            about="Difference to the best row in {by} (of log10, where differences are ratios) on these tasks, paired "
            "on the same resamples of the same prompts",
            formats=OF_ROWS,
            kept=11,
            leads=True,
            descends=None,
        )
    ),
    _best_or(
        Column(
            "like_these",
            "on tasks like these",
            of_row=_compared("like_these"),
            interval=True,
            about="The same as a mean over families of tasks, with what their sign flips do not reject at 5 %",
            formats=OF_ROWS - {"latex"},
            kept=4.5,
            descends=None,
        )
    ),
    Column("reference", of_row=_compared("reference"), formats=IN_FILES),
    Column("p", of_row=_compared("p"), form=CHANCE, formats=IN_FILES),
    Column(
        "holm",
        "Holm p",
        of_row=_compared("holm"),
        form=CHANCE,
        title="p (Holm)",
        about="Two-sided sign-flip test across families of tasks, after Holm's correction; beneath, the least it can "
        "be with so many families and comparisons",
        formats=OF_ROWS,
        kept=ALWAYS,
        leads=True,
        beneath=("least", "smallest_holm"),
    ),
    Column("smallest_holm", of_row=_compared("smallest_holm"), form=CHANCE, formats=IN_FILES),
    Column("comparisons", of_row=_compared("comparisons"), formats=IN_FILES),
    Column(
        "effect_size",
        "effect size",
        of_row=_compared("effect_size"),
        about="Mean difference to the best over its standard deviation across families of tasks",
        formats=OF_ROWS - {"latex"},
        kept=3,
    ),
    _best_or(
        Column(
            "node_ratio",
            "nodes / best's",
            of_row=_compared("node_ratio"),
            form=RATIO,
            interval=True,
            title="nodes, \u00d7 best",
            about=f"{SIZE} over the best row's, a median over tasks",
            formats=OF_ROWS - {"latex"},
            kept=7,
        )
    ),
    Column(
        "seed_sd",
        "seed sd",
        of_row=lambda row, by: row.overall.spreads.get(by) if row.overall else None,
        formats=frozenset(("terminal", "md", "latex")),
        kept=4,
    ),
    Column(
        "seconds",
        "seconds",
        measured=Measured(lambda result, curve, at: sum(result.timing.seconds.values()), mean, of_one_machine=True),
        form=SECONDS,
        title="time",
        about="Mean over cells",
        formats=EVERYWHERE - {"latex"},
        kept=2,
    ),
    Column(
        "peak_memory_bytes",
        "MiB",
        measured=Measured(lambda result, curve, at: result.timing.peak_memory_bytes, largest, of_one_machine=True),
        form=MEBIBYTES,
        title="peak memory",
        about="The largest of its cells",
        formats=EVERYWHERE - {"latex"},
        kept=1,
    ),
)
COLUMNS: Records[Column] = Records("column", "basisbench.columns", lambda: _COLUMNS)


# -- all columns of a board ---------------------------------------------------------------------------


def columns_of(board: Leaderboard, where: Where) -> tuple[Column, ...]:
    """Return the columns of `board` that are shown there, whatever they hold."""
    before = [
        Column(
            "rank",
            "rank",
            of_row=_field("rank"),
            form=RANK,
            about="By {by} over the cells that rows share; rows that lack some stand last",
            formats=OF_ROWS,
            kept=ALWAYS,
            leads=True,
        ),
        *(
            Column(name, name, of_row=_field(name), formats=OF_ROWS, kept=ALWAYS, leads=True, words=True)
            for name in NAMES
        ),
        *map(_setting, setting_names(board)),
    ]
    statistics = [column for one in board_statistics() for column in _of_statistic(one, board.by)]
    after = Column(
        "note", "note", of_row=lambda row, by: note(row), formats=OF_ROWS - {"latex", "html"}, kept=ALWAYS, words=True
    )
    others = [_uncorrected(column) if column.name == "holm" and one_p(board) else column for column in COLUMNS]
    return tuple(column for column in (*before, *statistics, *others, after) if where in column.formats)


def one_p(board: Leaderboard) -> bool:
    """Whether no row's p is corrected: each is the only one in its question."""
    return all(row.comparison.comparisons == 1 for row in board.rows if row.comparison)


def _uncorrected(column: Column) -> Column:
    about = column.about.replace(", after Holm's correction", "").replace(" and comparisons", "")
    return replace(column, header="p", title="p", about=about)


def setting_names(board: Leaderboard) -> tuple[str, ...]:
    """Return the names of the settings that tell rows apart, in the order in which they are met."""
    return tuple(dict.fromkeys(name for row in board.rows for name in row.settings))


def _setting(name: str) -> Column:
    return Column(
        f"setting_{name}",
        name,
        of_row=lambda row, by: row.settings.get(name, ""),
        formats=OF_ROWS,
        kept=ALWAYS,
        leads=True,
        words=True,
    )


def _of_statistic(statistic: Statistic, by: str) -> tuple[Column, Column]:
    """Return the column of a statistic and, for files, that of its spread over seeds."""
    name = statistic.name
    return (
        Column(
            name,
            name,
            of_numbers=lambda found: found.statistics.get(name),
            form=statistic.form,
            interval=True,
            told=lambda row, by: statistic_text(statistic, row.overall) if row.overall else ABSENT,
            title=f"overall {name}",
            about=statistic.about,
            formats=OF_ROWS,
            kept=ALWAYS if name == by else {HEADLINE: 10, SIZE: 9}.get(name, 8),
            leads=True,
            descends=statistic.better == "higher",
        ),
        Column(f"{name}_seed_sd", of_numbers=lambda found: found.spreads.get(name), formats=IN_FILES),
    )


def statistic_text(statistic: Statistic, found: Measures, with_interval: bool = True) -> str:
    """Return what `found` says of a statistic in words: "all" for a size that only everything reaches, in each cell."""
    interval = found.statistics.get(statistic.name)
    if statistic.name == SIZE and found.numbers["unreached"] == found.numbers["cells"]:
        return WHOLE
    if interval is None:
        return ABSENT
    return statistic.form.interval(interval) if with_interval else statistic.form.number(interval.value)


def note(row: Row) -> str:
    """Return what a reader must know of a row, empty if nothing."""
    degenerate = [
        f"{entry.task} seed {', '.join(map(str, entry.degenerate_seeds))} degenerate"
        for entry in row.entries
        if entry.status == "measured" and entry.degenerate_seeds
    ]
    measured = [entry.measures.numbers for entry in row.entries if entry.measures]
    unreached, cells = (total([numbers[name] for numbers in measured]) for name in ("unreached", "cells"))
    parts = [
        "control" if row.control else "",
        row.note,
        f"{STATISTICS.get(SIZE).threshold:g} unreached in {unreached} of {cells}" if 0 < unreached < cells else "",
        *degenerate,
    ]
    return "; ".join(part for part in parts if part)
