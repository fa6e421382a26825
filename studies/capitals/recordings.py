"""Neurons at two places of every two-hop prompt, and which state each prompt is about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from basisbench.bases.basis import Basis
from basisbench.models.adapter import Model
from basisbench.models.recording import record
from basisbench.prompts.prompt_set import PLAIN, PromptSet, encode, usable_pairs
from basisbench.prompts.selection import Filter, correct, load_prompts
from basisbench.prompts.tokens import TokenisedPair
from basisbench.shipped_tasks.places import STATES, State
from basisbench.steering.outcomes import span_words
from basisbench.tasks.load import load_task

TASK = "capitals/two_hop"
ONE_HOP = "capitals/state_capital"
CITY = "city"
ALL = 4096
PROMPTS_AT_ONCE = 32


@dataclass(frozen=True)
class Recordings:
    """P distinct clean prompts of the task: `states` their states, `at_city` and `at_end` float32 [P, layers, units].

    `last_slot` is the name of the slot in which prompts end.
    """

    states: tuple[State, ...]
    at_city: Tensor
    at_end: Tensor
    last_slot: str

    @property
    def state_numbers(self) -> NDArray[np.int64]:
        """Each prompt's state as a number."""
        names = [state.name for state in self.states]
        return np.unique(names, return_inverse=True)[1].astype(np.int64)


def discovery(model: Model, pairs: int, seed: int) -> PromptSet:
    """The pairs that circuits are found on: those that the model gets right."""
    return load_prompts(load_task(TASK), "discovery", pairs, seed, model, Filter(require_correct=True))


def evaluation(model: Model, pairs: int, seed: int, like: PromptSet) -> PromptSet:
    """The pairs that are steered: others, that the model gets right as well, in the slots of `like`."""
    wanted = Filter(require_correct=True)
    return load_prompts(load_task(TASK), "evaluation", pairs, seed, model, wanted, like.slot_names)


def known_states(model: Model) -> tuple[PromptSet, PromptSet]:
    """The state -> capital pairs of discovery that the model gets right, and those of both splits, each prompt once.

    All ordered pairs of the latter's prompts are the swaps between states that the model knows.
    """
    task = load_task(ONE_HOP)
    found = load_prompts(task, "discovery", 32, 0, model, Filter(require_correct=True))
    first: dict[tuple[int, ...], TokenisedPair] = {}
    for split in ("discovery", "evaluation"):
        for pair in usable_pairs(task.pairs(split, ALL, 0), model, PLAIN)[0]:
            first.setdefault(pair.prompt.clean, pair)
    every = list(first.values())
    right = correct(encode(every, {}, model, PLAIN), model)
    kept = [pair for pair, is_right in zip(every, right, strict=True) if is_right]
    return found, encode(kept, {}, model, PLAIN, found.slot_names)


def record_prompts(model: Model, basis: Basis) -> Recordings:
    """Record every neuron on every prompt that discovery or evaluation can ask, right or wrong."""
    of_city = {city: state for state in STATES for lot in state.lots for city in lot}
    states: list[State] = []
    parts: list[tuple[Tensor, Tensor]] = []
    names: set[str] = set()
    for split in ("discovery", "evaluation"):
        prompts = load_prompts(load_task(TASK), split, ALL, 0, model)
        first: dict[str, int] = {}
        for pair, word in enumerate(span_words(model, prompts, CITY)):
            prompt = int(prompts.pair_prompt[pair])
            # a pair scored at a later token reads a prompt that goes on with the beginning of its answer
            if prompts.slot_names[int(prompts.slot[prompt, prompts.last[prompt]])] != "answer" and word in of_city:
                first.setdefault(word, prompt)
        states += [of_city[word] for word in first]
        rows = torch.tensor(list(first.values()))
        names |= {prompts.slot_names[int(prompts.slot[row, prompts.last[row]])] for row in rows}
        parts += [_recorded(model, basis, prompts, some) for some in rows.split(PROMPTS_AT_ONCE)]
    (last_slot,) = names
    at_city, at_end = (torch.cat(column) for column in zip(*parts, strict=True))
    return Recordings(tuple(states), at_city, at_end, last_slot)


def _recorded(model: Model, basis: Basis, prompts: PromptSet, rows: Tensor) -> tuple[Tensor, Tensor]:
    """All units at the city's last token and at the last token, [rows, layers, units] each."""
    length = prompts.shared
    prefix = model.prefix(prompts.clean[:1, :length]) if length else None
    rest = prompts.after(length)
    sites = [basis.read(layer) for layer in basis.layers()]
    stored, _ = record(model, rest.clean[rows], rest.last[rows], sites, prefix)
    city = (rest.slot[rows] == prompts.slot_names.index(CITY)).int().argmax(1)
    index = torch.arange(len(rows))
    with torch.no_grad():
        found = [
            torch.stack([basis.encode(site.layer, stored[site][index, at]) for site in sites], 1).float()
            for at in (city, rest.last[rows])
        ]
    return found[0], found[1]
