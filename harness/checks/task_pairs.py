"""The pairs of a task against what `basisbench.tasks.task.Task` promises of one split, without a model.

1. Draw each split under several seeds, 2n pairs each time, and under the first seed n pairs too. What a pair itself
   must be, `basisbench.tasks.pair.Pair` holds.
2. Compare the draws: a prefix, the same for the same seed, another order for another seed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from basisbench.checks.findings import Finding, Problem, broken, warning
from basisbench.errors import UserError, unknown_name
from basisbench.tasks.pair import Pair
from basisbench.tasks.task import Task
from basisbench.values import SPLITS, Split

LEAST_TO_ORDER = 8
"""Fewer pairs may come in the same order by chance."""


@dataclass(frozen=True)
class Drawn:
    """Up to 2n pairs of each split under each seed: `pairs[split][seed]`."""

    n: int
    pairs: Mapping[Split, Sequence[Sequence[Pair]]]

    def first(self, split: Split) -> Sequence[Pair]:
        """The first n pairs of the first seed."""
        return self.pairs[split][0][: self.n]

    def all(self, *splits: Split) -> Iterator[Pair]:
        """Every pair of some splits under every seed."""
        for split in splits:
            for pairs in self.pairs.get(split, ()):
                yield from pairs


def draw_pairs(task: Task, n: int, n_seeds: int) -> tuple[Drawn | None, list[Finding]]:
    """Draw n pairs a split under the seeds 0 to `n_seeds` - 1; returns them and the findings pairs, spans and order.

    What the task itself does wrong, an exception in its code included, is in the findings; without pairs in every
    split there is only the first of them, and no Drawn.
    """
    problems = list(_attributes(task))
    pairs: dict[Split, list[tuple[Pair, ...]]] = {}
    order: list[Problem] = []
    for split in () if problems else task.splits:
        try:
            pairs[split] = [_draw(task, split, 2 * n, seed) for seed in range(n_seeds)]
            order += _order(task, split, n, pairs[split])
        except Exception as error:  # a task may be anyone's code: whatever it raises is what they came to see
            problems.append(broken(f"{split}: {_told(error)}"))
    problems += [] if problems else _absent(task)
    if problems:
        return None, [Finding("pairs", "", tuple(problems))]
    drawn = Drawn(n, pairs)
    counts = ", ".join(f"{len(drawn.first(split))} of {split}" for split in pairs)
    repeats = [
        warning(f"{split}: pair {i} repeats another") for split in pairs for i in _repeated(drawn.pairs[split][0])
    ]
    compared = n_seeds > 1 and any(len(some[0]) >= LEAST_TO_ORDER for some in pairs.values())
    other = ", another has another order" if compared else "; too few pairs or seeds to compare the order of seeds"
    return drawn, [
        Finding("pairs", f"as promised: {counts}", tuple(repeats)),
        check_spans(drawn),
        Finding("order", f"n pairs begin 2n pairs, a seed repeats its pairs{other}", tuple(order)),
    ]


def check_spans(drawn: Drawn) -> Finding:
    """Which spans the pairs have; without the same ones in all pairs of a case, their positions do not align."""
    problems = []
    names: dict[str, None] = {}
    for split in drawn.pairs:
        by_case: dict[str, tuple[str, ...]] = {}
        for number, pair in enumerate(drawn.first(split), start=1):
            own = tuple(span.name for span in pair.clean_spans)
            names |= dict.fromkeys(own)
            if by_case.setdefault(pair.case, own) != own:
                other = ", ".join(by_case[pair.case]) or "none"
                words = f"pair {number} has the spans {', '.join(own) or 'none'}, another of its case {other}"
                problems.append(warning(f"{split}: {words}"))
                break
    words = f"the same in all pairs of a case: {', '.join(names)}" if names else "the task names none"
    return Finding("spans", words, tuple(problems))


def _attributes(task: Task) -> Iterator[Problem]:
    """What is wrong with a task before it is asked for pairs."""
    if isinstance(task, type):
        yield broken(f"the task is the class {task.__name__}: valid: register an instance of it")
        return
    for name in ("name", "description"):
        value = getattr(task, name, None)
        if not isinstance(value, str) or not value.strip() or "\n" in value:
            yield broken(f"{name} must be one line of text")
    if not re.fullmatch(r"\w[\w.-]*", str(getattr(task, "family", ""))):
        yield broken("family must be one word: tasks of one kind share it, as sva/rc and sva/simple share sva")
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
                yield broken(f"it gives pairs of {split}, which is not in its splits: valid: UserError")


def _draw(task: Task, split: Split, n: int, seed: int) -> tuple[Pair, ...]:
    """The pairs of a split; raises ValueError with words for what are none, and whatever the task raises."""
    pairs: object = task.pairs(split, n, seed)
    if not isinstance(pairs, Sequence):
        raise ValueError(f"pairs gives a {type(pairs).__name__}: valid: a list of basisbench.Pair")
    if not 0 < len(pairs) <= n:
        raise ValueError(f"pairs gives {len(pairs)} pairs where {n} are asked for")
    for number, pair in enumerate(pairs, start=1):
        if not isinstance(pair, Pair):
            raise ValueError(f"pair {number} is a {type(pair).__name__}: valid: a basisbench.Pair")
    return tuple(pairs)


def _told(error: Exception) -> str:
    """An exception in a line; one with words of ours without its name."""
    words = " ".join(str(error).split())
    return words if isinstance(error, UserError) or type(error) is ValueError else f"{type(error).__name__}: {words}"


def _order(task: Task, split: Split, n: int, pairs: Sequence[Sequence[Pair]]) -> Iterator[Problem]:
    """What is wrong with the order of a split's pairs, of which `pairs` are 2n by seed; raises as `_draw`."""
    if _draw(task, split, n, 0) != pairs[0][:n]:
        if _draw(task, split, 2 * n, 0) == pairs[0]:
            yield broken(f"{split}: {n} pairs of a seed are not the beginning of its {2 * n} pairs")
        else:
            yield broken(f"{split}: the same seed gives other pairs the second time")
    orders = [tuple(some) for some in pairs if len(some) >= LEAST_TO_ORDER]
    if len(set(orders)) < len(orders):
        yield broken(f"{split}: another seed gives the same pairs in the same order")


def _repeated(pairs: Sequence[Pair]) -> Iterable[int]:
    """Numbers of the first pair that repeats an earlier one, if any."""
    seen: set[Pair] = set()
    for number, pair in enumerate(pairs, start=1):
        if pair in seen:
            return [number]
        seen.add(pair)
    return []
