"""The rows of a task against what `basisbench.tasks.task.Task` promises of one split, without a model.

1. Draw each split under several seeds, 2n rows each time, and under the first seed n rows too.
2. Validate every row: columns and types, then spans.
3. Compare the draws: a prefix, the same for the same seed, another order for another seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, get_args

from datasets import Dataset
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from basisbench.checks.findings import Finding, Problem, broken, shown, warning
from basisbench.errors import UserError, first_fault, unknown_name
from basisbench.tasks.task import Task
from basisbench.values import Split

SPLITS: tuple[Split, ...] = get_args(Split)
LEAST_TO_ORDER = 8
"""Fewer rows may come in the same order by chance."""


@dataclass(frozen=True)
class Pair:
    """A row whose columns are of the promised types; a span is its name, start and end, in characters."""

    clean: str
    corrupt: str
    answers: tuple[str, ...]
    foils: tuple[str, ...]
    case: str
    candidates: tuple[str, ...]
    clean_spans: tuple[tuple[str, int, int], ...]
    corrupt_spans: tuple[tuple[str, int, int], ...]
    record: Mapping[str, Any] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Drawn:
    """Up to 2n rows of each split under each seed: `rows[split][seed]`."""

    n: int
    rows: Mapping[Split, Sequence[Sequence[Pair]]]

    def first(self, split: Split) -> Sequence[Pair]:
        """The first n rows of the first seed."""
        return self.rows[split][0][: self.n]

    def all(self, *splits: Split) -> Iterator[Pair]:
        """Every row of some splits under every seed."""
        for split in splits:
            for rows in self.rows.get(split, ()):
                yield from rows


def draw_rows(task: Task, n: int, n_seeds: int) -> tuple[Drawn | None, list[Finding]]:
    """Draw n rows a split under the seeds 0 to `n_seeds` - 1; returns them and the findings rows, spans and order.

    What the task itself does wrong, an exception in its code included, is in the findings; without rows of the
    promised types in every split there is only the first of them, and no Drawn.
    """
    problems = list(_attributes(task))
    rows: dict[Split, list[tuple[Pair, ...]]] = {}
    order: list[Problem] = []
    for split in () if problems else task.splits:
        try:
            rows[split] = [_draw(task, split, 2 * n, seed) for seed in range(n_seeds)]
            order += _order(task, split, n, rows[split])
        except Exception as error:  # a task may be anyone's code: whatever it raises is what they came to see
            problems.append(broken(f"{split}: {_told(error)}"))
    problems += [] if problems else _absent(task)
    if problems:
        return None, [Finding("rows", "", tuple(problems))]
    drawn = Drawn(n, rows)
    counts = ", ".join(f"{len(drawn.first(split))} of {split}" for split in rows)
    repeats = [warning(f"{split}: row {i} repeats another") for split in rows for i in _repeated(drawn.rows[split][0])]
    compared = n_seeds > 1 and any(len(some[0]) >= LEAST_TO_ORDER for some in rows.values())
    other = ", another has another order" if compared else "; too few rows or seeds to compare the order of seeds"
    return drawn, [
        Finding("rows", f"columns and types as promised: {counts}", tuple(repeats)),
        Finding("spans", _span_summary(drawn), tuple(_span_problems(drawn))),
        Finding("order", f"n rows begin 2n rows, a seed repeats its rows{other}", tuple(order)),
    ]


def _listed(value: object) -> object:
    """Take one text as a list of it."""
    return [value] if isinstance(value, str) else value


class _Span(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    name: Annotated[str, Field(min_length=1)]
    start: int
    end: int


_Text = Annotated[str, Field(min_length=1)]
_Texts = Annotated[list[_Text], Field(min_length=1), BeforeValidator(_listed)]


class _Record(BaseModel):
    model_config = ConfigDict(strict=True)

    clean: _Text
    corrupt: _Text
    answer: _Texts
    foil: _Texts
    case: str
    clean_spans: list[_Span]
    corrupt_spans: list[_Span]
    candidates: list[_Text] | None = None


def _attributes(task: Task) -> Iterator[Problem]:
    """What is wrong with a task before it is asked for rows."""
    if isinstance(task, type):
        yield broken(f"the task is the class {task.__name__}: valid: register an instance of it")
        return
    for name in ("name", "description"):
        value = getattr(task, name, None)
        if not isinstance(value, str) or not value.strip() or "\n" in value:
            yield broken(f"{name} must be one line of text")
    splits = getattr(task, "splits", None)
    if not isinstance(splits, Sequence) or isinstance(splits, str):
        yield broken(f"splits must be a sequence of names: valid: {', '.join(SPLITS)}")
        return
    for split in splits:
        if split not in SPLITS:
            yield broken(str(unknown_name("split", str(split), SPLITS)))
    for split in ("discovery", "evaluation"):
        if split not in splits:
            yield broken(f"splits lack {split}")


def _absent(task: Task) -> Iterator[Problem]:
    """Splits that a task does not have and gives all the same."""
    for split in SPLITS:
        if split not in task.splits:
            try:
                task.pairs(split, 1, 0)
            except UserError:
                continue
            except Exception as error:
                yield broken(f"{split}, a split that it lacks, raises {type(error).__name__}: valid: UserError")
            else:
                yield broken(f"pairs gives rows of {split}, which is not in its splits: valid: UserError")


def _draw(task: Task, split: Split, n: int, seed: int) -> tuple[Pair, ...]:
    """Rows of the promised types; raises ValueError with words for others, and whatever the task raises."""
    data = task.pairs(split, n, seed)
    if not isinstance(data, Dataset):
        raise ValueError(f"pairs gives a {type(data).__name__}: valid: a datasets.Dataset")
    if not 0 < len(data) <= n:
        raise ValueError(f"pairs gives {len(data)} rows where {n} are asked for")
    return tuple(_pair(record, number) for number, record in enumerate(data, start=1))


def _pair(record: Mapping[str, Any], number: int) -> Pair:
    try:
        row = _Record.model_validate(record)
    except ValidationError as error:
        fault = first_fault(error)
        raise ValueError(f"row {number}: {fault.place}: {fault.words}") from error
    if both := set(row.answer) & set(row.foil):
        raise ValueError(f"row {number}: {shown(min(both))} is answer and foil")
    if row.clean == row.corrupt:
        raise ValueError(f"row {number}: clean and corrupt are the same prompt, {shown(row.clean)}")
    clean_spans, corrupt_spans = (
        tuple((span.name, span.start, span.end) for span in spans) for spans in (row.clean_spans, row.corrupt_spans)
    )
    texts = tuple(row.answer), tuple(row.foil), row.case, tuple(row.candidates or ())
    return Pair(row.clean, row.corrupt, *texts, clean_spans, corrupt_spans, record)


def _told(error: Exception) -> str:
    """An exception in a line; one with words of ours without its name."""
    words = " ".join(str(error).split())
    return words if type(error) in (UserError, ValueError) else f"{type(error).__name__}: {words}"


def _order(task: Task, split: Split, n: int, rows: Sequence[Sequence[Pair]]) -> Iterator[Problem]:
    """What is wrong with the order of a split's rows, of which `rows` are 2n by seed; raises as `_draw`."""
    if _draw(task, split, n, 0) != rows[0][:n]:
        if _draw(task, split, 2 * n, 0) == rows[0]:
            yield broken(f"{split}: {n} rows of a seed are not the beginning of its {2 * n} rows")
        else:
            yield broken(f"{split}: the same seed gives other rows the second time")
    orders = [tuple(some) for some in rows if len(some) >= LEAST_TO_ORDER]
    if len(set(orders)) < len(orders):
        yield broken(f"{split}: another seed gives the same rows in the same order")


def _repeated(rows: Sequence[Pair]) -> Iterable[int]:
    """Numbers of the first row that repeats an earlier one, if any."""
    seen: set[Pair] = set()
    for number, pair in enumerate(rows, start=1):
        if pair in seen:
            return [number]
        seen.add(pair)
    return []


def _span_summary(drawn: Drawn) -> str:
    names = dict.fromkeys(
        name for split in drawn.rows for pair in drawn.first(split) for name, _, _ in pair.clean_spans
    )
    return f"within the prompts, the same on both sides: {', '.join(names)}" if names else "the task names none"


def _span_problems(drawn: Drawn) -> Iterator[Problem]:
    """The first row of each split whose spans are not as promised."""
    for split in drawn.rows:
        for number, pair in enumerate(drawn.all(split), start=1):
            if words := _misplaced("clean", pair.clean, pair.clean_spans) or _misplaced(
                "corrupt", pair.corrupt, pair.corrupt_spans
            ):
                yield broken(f"{split} row {number}: {words}")
                break
            names = [[name for name, _, _ in spans] for spans in (pair.clean_spans, pair.corrupt_spans)]
            if names[0] != names[1]:
                yield broken(f"{split} row {number}: clean_spans are {names[0]}, corrupt_spans {names[1]}")
                break
            if len(set(names[0])) < len(names[0]):
                yield warning(f"{split} row {number}: two spans have one name: {names[0]}")
                break


def _misplaced(side: str, text: str, spans: Sequence[tuple[str, int, int]]) -> str:
    """What is wrong with the places of a prompt's spans, in words; empty if nothing."""
    end = 0
    for name, start, stop in spans:
        if not 0 <= start < stop <= len(text):
            return f"{side} span '{name}' [{start}, {stop}] is no piece of a prompt of {len(text)} characters"
        if start < end:
            return f"{side} span '{name}' [{start}, {stop}] begins before the one before it ends: valid: reading order"
        end = stop
    return ""
