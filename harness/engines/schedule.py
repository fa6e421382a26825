"""Which worker computes which group next, so that models are loaded and prompts tokenised as rarely as can be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from basisbench.grid.plan import Group

Prompts = tuple[str, str, int]
"""Groups of one model, task and seed share prompts."""


def prompts_of(group: Group) -> Prompts:
    """The model, task and seed of a group."""
    return group.shared[:3]


def next_group(
    pending: Sequence[Group], model: str, last: Prompts | None, elsewhere: Collection[Prompts]
) -> Group | None:
    """Return the next group for a worker that holds `model` and had the prompts `last`; None if there is none.

    First one with the same prompts, then one whose prompts no other worker has (`elsewhere`), then any.
    """
    mine = [group for group in pending if group.shared.model == model]
    same = (group for group in mine if prompts_of(group) == last)
    free = (group for group in mine if prompts_of(group) not in elsewhere)
    return next(same, None) or next(free, None) or next(iter(mine), None)


def next_model(pending: Sequence[Group], held: Sequence[str], loading: Sequence[str]) -> str | None:
    """Return the model that one more worker should load; None if no further worker is needed.

    The one with most groups a worker, counting the new worker, that holds it (`held`). No more workers load a model
    (`loading`) than it has groups.
    """
    groups = Counter(group.shared.model for group in pending)
    workers, coming = Counter(held), Counter(loading)
    wanted = [model for model in groups if groups[model] > coming[model]]
    return max(wanted, key=lambda model: groups[model] / (workers[model] + 1), default=None)
