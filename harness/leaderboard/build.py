"""Results to leaderboard.

1. Read the samples of all results (`cells`) and put them into rows (`rows`).
2. Within each question, rank the rows that can be compared and compare them with the best one (`ranking`).
3. Word the answer to each question (`headline`).
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from basisbench.errors import printable, unknown_name
from basisbench.leaderboard.board import Comparison, Leaderboard, Row, TaskEntry
from basisbench.leaderboard.cells import read_samples
from basisbench.leaderboard.columns import COLUMNS
from basisbench.leaderboard.headline import headline
from basisbench.leaderboard.ranking import Ranked, compare, rank_rows
from basisbench.leaderboard.rows import RowCells, make_rows
from basisbench.leaderboard.samples import Sample
from basisbench.measures.statistic import HEADLINE, board_statistic


def build_leaderboard(
    folders: Sequence[Path],
    *,
    by: str = HEADLINE,
    tasks: Collection[str] | None = None,
    method: str | None = None,
    n_resamples: int = 2000,
) -> Leaderboard:
    """Return the board of all results in `folders` and the folders in them.

    Rows are ordered by the statistic `by`; `tasks` keeps the results of these alone; the headlines compare bases under
    `method`, by default the one with the most complete bases. Every number is computed anew from the per-pair outcomes
    of each result, all with the same `n_resamples` resamples of a prompt.

    Raises UserError for an unknown statistic, task or method, a folder that is not there and folders without a good
    result. A bad file is skipped and listed in `problems`.
    """
    statistic = board_statistic(by)
    reading = read_samples(folders, tasks, n_resamples)
    samples, unlike = _on_one_machine(reading.samples)
    families = {sample.cell.task: sample.family for sample in samples}
    cells, settings, notes = make_rows([replace(sample, family=families[sample.cell.task]) for sample in samples])
    methods = {row.method for row in cells if not row.control}
    if method is not None and method not in methods:
        raise unknown_name("method", method, methods)
    columns = tuple(sorted(families))
    questions: dict[tuple[str, ...], list[RowCells]] = {}
    for row in cells:
        questions.setdefault(tuple(row.question.values()), []).append(row)
    answers = [(_question(rows), rank_rows(rows, statistic), rows) for rows in questions.values()]
    answers.sort(key=lambda answer: (-len(answer[1].complete), -len(answer[1].rows), answer[0]))
    notes += [note for question, ranked, rows in answers for note in _not_counted(question, ranked, rows)]
    return Leaderboard(
        by=by,
        tasks=tuple(map(printable, columns)),
        families=tuple(printable(families[task]) for task in columns),
        headlines=tuple(headline(ranked, question, method) for question, ranked, _ in answers),
        rows=tuple(row for question, ranked, rows in answers for row in _rows(rows, ranked, question, columns)),
        settings=settings,
        notes=(*reading.notes, *unlike, *notes),
        problems=reading.problems,
        n_results=len(reading.samples),
        n_resamples=n_resamples,
    )


def _on_one_machine(samples: Sequence[Sample]) -> tuple[Sequence[Sample], list[str]]:
    """Return the samples without the numbers of one machine (seconds, memory), and a note, if they are of several."""
    machines = {sample.machine for sample in samples}
    if len(machines) < 2:
        return samples, []
    devices = printable(", ".join(sorted({device for device, *_ in machines})))
    note = f"seconds and memory are left out: cells were computed on {len(machines)} machines ({devices})"
    of_one = {column.name: None for column in COLUMNS if column.measured and column.measured.of_one_machine}
    return [replace(sample, numbers={**sample.numbers, **of_one}) for sample in samples], [note]


def _question(rows: Sequence[RowCells]) -> str:
    return ", ".join(f"{name} {value}" for name, value in rows[0].shown.items() if name in rows[0].question)


def _rows(rows: Sequence[RowCells], ranked: Ranked, question: str, columns: Sequence[str]) -> list[Row]:
    """Return the rows of one question: ranked ones best first, then the others by label."""
    best = ranked.best
    comparisons = compare(ranked.rows, best, ranked) if best else {}
    others = [row for row in rows if row.key not in ranked.ranks]
    return [_row(row, ranked, question, columns, best, comparisons.get(row.key)) for row in (*ranked.rows, *others)]


def _not_counted(question: str, ranked: Ranked, rows: Sequence[RowCells]) -> Iterator[str]:
    """Say which tasks that some rows have are not among the cells that rows are ranked on."""
    measured = {task for row in rows if not row.control for task, cells in row.cells.items() if cells.samples}
    for task in sorted(measured - {*ranked.tasks}):
        having = [row.label for row in rows if task in row.cells and row.cells[task].samples]
        who = f"only {having[0]} has it" if len(having) == 1 else f"only {len(having)} of {len(rows)} rows have it"
        yield printable(": ".join(filter(None, (question, f"{task} is not counted: {who}"))))


def _row(
    row: RowCells,
    ranked: Ranked,
    question: str,
    columns: Sequence[str],
    best: RowCells | None,
    comparison: Comparison | None,
) -> Row:
    return Row(
        key=row.key,
        label=row.label,
        model=printable(row.question["model"]),
        basis=printable(row.basis),
        method=printable(row.method),
        settings=dict(row.shown),
        question=question,
        control=row.control,
        best=best is row,
        entries=tuple(_entry(row, task) for task in columns),
        overall=row.overall(ranked.block) if row.measured(ranked.block) else None,
        rank=ranked.ranks.get(row.key),
        comparison=comparison,
        note=printable(ranked.notes.get(row.key, "")),
    )


def _entry(row: RowCells, task: str) -> TaskEntry:
    if task in row.cells:
        return row.cells[task].entry()
    return TaskEntry(printable(task), "missing", None, (), (), ())
