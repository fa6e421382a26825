"""Which of a task's pairs are used: as many usable ones as asked for and, on request, those the model gets right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from basisbench.errors import UserError
from basisbench.measures.metrics import Outcome
from basisbench.models.adapter import Model
from basisbench.prompts.prompt_set import PLAIN, PromptSet, Scoring, encode, usable_pairs
from basisbench.prompts.scoring import outcome
from basisbench.prompts.tokens import TokenisedPair
from basisbench.tasks.task import Task
from basisbench.values import Split

WRONG = "answered wrongly by the model"
MOST_DRAWN = 32
"""Times the number of pairs asked for; where the model is right more seldom than that, fewer are used."""
PROMPTS_AT_ONCE = 64


@dataclass(frozen=True)
class Filter:
    """What is asked of pairs: how they are scored, and whether the model must get them right.

    It gets a pair right if the answer is above the foil, and above every other candidate where the task names them.
    """

    scoring: Scoring = PLAIN
    require_correct: bool = False


ANY = Filter()
"""All pairs that can be used, scored by logit difference."""


def load_prompts(
    task: Task,
    split: Split,
    n: int,
    seed: int,
    model: Model,
    wanted: Filter = ANY,
    slot_names: Sequence[str] = (),
) -> PromptSet:
    """Return `n` pairs of a split that can be used, or as many as there are; raises UserError if there are none.

    With `require_correct` at most MOST_DRAWN * n pairs are looked at. Slots in `slot_names` get its numbers.
    """
    drawn = n
    limit = n * MOST_DRAWN if wanted.require_correct else None
    while True:
        pairs = task.pairs(split, drawn, seed)
        usable, unusable = usable_pairs(pairs, model, wanted.scoring, None if wanted.require_correct else n)
        if wanted.require_correct:
            usable = _correct(usable, unusable, n, model, wanted.scoring)
        if len(usable) >= n or len(pairs) < drawn or (limit and drawn >= limit):
            break
        drawn *= 2
    if usable:
        return encode(usable, unusable, model, wanted.scoring, slot_names)
    reasons = ", ".join(f"{count} {reason}" for reason, count in unusable.items()) or "it is empty"
    raise UserError(f"task '{task.name}' has no usable pair in '{split}' for model '{model.name}': {reasons}")


def _correct(
    pairs: list[TokenisedPair], unusable: Counter[str], n: int, model: Model, scoring: Scoring
) -> list[TokenisedPair]:
    """The first `n` pairs that the model gets right; the wrong ones before the last of them are counted."""
    kept: list[TokenisedPair] = []
    for begin in range(0, len(pairs), PROMPTS_AT_ONCE):
        some = pairs[begin : begin + PROMPTS_AT_ONCE]
        for pair, right in zip(some, correct(encode(some, {}, model, scoring), model), strict=True):
            if len(kept) == n:
                return kept
            if right:
                kept.append(pair)
            else:
                unusable[WRONG] += 1
    return kept


def correct(prompts: PromptSet, model: Model) -> Sequence[bool]:
    """Whether the model gets each pair right, [N] (see `Filter`)."""
    length = prompts.shared
    rest = prompts.after(length)
    with torch.no_grad():
        prefix = model.prefix(prompts.clean[:1, :length]) if length else None
        found = outcome(model, model.forward(rest.clean, rest.last, prefix=prefix), rest)
    return is_right(found, rest)


def is_right(found: Outcome, prompts: PromptSet) -> Sequence[bool]:
    """Whether each pair's outcome is right, [N] (see `Filter`)."""
    right = found.answer > found.foil
    if prompts.candidates.shape[1]:
        right = np.logical_and(right, found.lead > 0)
    result: list[bool] = right.tolist()
    return result
