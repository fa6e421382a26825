"""Units that serve everything, by a stated rule: then their part in a circuit says little of the task.

A unit is always on if

1. it is active (|activation| at least a tenth of its largest) at half of a text's tokens or more; or
2. it is among the first 1 % of all units by |score| on every one of the tasks asked, of three families or more. A
   family is what stands before a task's slash: the agreement tasks are one, serving all of them is serving agreement.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from basisbench.bases.basis import Basis
from basisbench.circuits.ablation import UNITS_AT_ONCE
from basisbench.models.adapter import Model
from basisbench.progress import Progress, Say, say_nothing, silent
from basisbench.reading.contexts import ACTIVE
from basisbench.reading.rows import Rows, no_hooks, passes, rows_of
from basisbench.reading.serves import TaskScores, score_tasks
from basisbench.tasks.task import TASKS
from basisbench.text.named import Source

OF_THE_TOKENS = 0.5
FIRST = 0.01
LEAST_FAMILIES = 3


def first_count(n_units: int) -> int:
    """How many units the first FIRST of them are, at least one."""
    return max(1, math.floor(FIRST * n_units))


def why_always_on(active_share: float, scores: Sequence[TaskScores], layer: int, unit: int) -> str:
    """Why the rule calls a unit always on, in words; empty if it does not."""
    if active_share >= OF_THE_TOKENS:
        return f"at least {ACTIVE:g} of its largest |activation| at {active_share:.0%} of the text's tokens"
    if _are_varied(scores) and all(s.rank(layer, unit) <= first_count(s.n_units) for s in scores):
        return f"among the first {FIRST:.0%} of units on each of {len(scores)} tasks"
    return ""


def always_on_units(
    model: Model,
    basis: Basis,
    texts: Iterable[Source],
    tasks: Sequence[str] = (),
    limit: int | None = None,
    say: Say = say_nothing,
    progress: Progress = silent,
) -> frozenset[tuple[int, int]]:
    """All units (layer, unit) of a basis that are always on, on `texts` (or `limit` tokens of them) and `tasks`.

    Two passes over the text: for each unit's largest |activation|, and for how often it is reached. Memory law:
    ``12`` bytes a unit, UNITS_AT_ONCE activations, and a pass that holds every site the basis reads.
    """
    rows = rows_of(model, texts, limit)
    sizes = {layer: basis.n_units(layer) for layer in basis.layers()}
    largest = {layer: torch.zeros(n, device=model.device) for layer, n in sizes.items()}
    times = {layer: torch.zeros(n, dtype=torch.long, device=model.device) for layer, n in sizes.items()}

    def grow(layer: int, magnitude: Tensor) -> None:
        largest[layer] = torch.maximum(largest[layer], magnitude.amax(0))

    def count(layer: int, magnitude: Tensor) -> None:
        times[layer] += (magnitude >= ACTIVE * largest[layer]).sum(0)

    _over_magnitudes(model, basis, rows, grow, "largest activations", progress)
    _over_magnitudes(model, basis, rows, count, "how often active", progress)
    found = set()
    for layer in sizes:
        often = (times[layer] >= OF_THE_TOKENS * rows.n_counted) & (largest[layer] > 0)
        found |= {(layer, unit) for unit in often.nonzero()[:, 0].tolist()}
    scores = score_tasks(model, basis, tasks, say=say, progress=progress)
    if _are_varied(scores):
        found |= set.intersection(*(set(s.first(first_count(s.n_units))) for s in scores))
    return frozenset(found)


def _are_varied(scores: Sequence[TaskScores]) -> bool:
    """Whether tasks are of so many families that what serves all of them serves everything."""
    # of a user's task the name is a path, which says nothing of a family
    families = {s.task.partition("/")[0] if s.task in TASKS else s.task for s in scores}
    return len(families) >= LEAST_FAMILIES


def _over_magnitudes(
    model: Model, basis: Basis, rows: Rows, look: Callable[[int, Tensor], None], what: str, progress: Progress
) -> None:
    """Show `look` each layer's |activations| float32 [n, units], a piece of the counted tokens at a time."""
    for part in passes(model, rows, {basis.read(layer) for layer in basis.layers()}, no_hooks, what, progress):
        for layer in basis.layers():
            x = part.stored[basis.read(layer)][part.counted]
            for piece in x.split(max(1, UNITS_AT_ONCE // basis.n_units(layer))):
                look(layer, basis.encode(layer, piece).abs().float())
