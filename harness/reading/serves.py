"""Which tasks units serve, and where in the prompts: RelP's scores of all units on a few discovery pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from basisbench.attribution import Request, Scores, ask_scores, load_method
from basisbench.bases.basis import Basis
from basisbench.errors import UserError, printable
from basisbench.models.adapter import Model
from basisbench.progress import Progress, Say, say_nothing
from basisbench.prompts.selection import load_prompts
from basisbench.reading.evidence import TaskUse
from basisbench.tasks.load import load_task

METHOD = "relp"
PAIRS = 16


@dataclass(frozen=True)
class TaskScores:
    """How all units of a basis serve a task: by layer, float32 [n_slots, units], |score| with errors left out."""

    task: str
    magnitude: Mapping[int, Tensor]
    slot_names: Sequence[str]

    @staticmethod
    def of(task: str, scores: Scores, basis: Basis, slot_names: Sequence[str]) -> TaskScores:
        """From a method's scores."""
        magnitude = {i: values[:, : basis.n_units(i)].abs().cpu() for i, values in scores.by_layer.items()}
        return TaskScores(task, magnitude, tuple(slot_names))

    @cached_property
    def _pooled(self) -> dict[int, Tensor]:
        return {layer: values.sum(0) for layer, values in self.magnitude.items()}

    @cached_property
    def _ascending(self) -> Tensor:
        return torch.cat(list(self._pooled.values())).sort().values

    @property
    def n_units(self) -> int:
        """Units of the basis."""
        return len(self._ascending)

    def use(self, layer: int, unit: int) -> TaskUse:
        """The unit's share of all units' |score|, and the slot at which its own is largest."""
        total = float(self._ascending.double().sum())
        share = float(self._pooled[layer][unit]) / total if total else 0.0
        slot = self.slot_names[int(self.magnitude[layer][:, unit].argmax())]
        return TaskUse(task=printable(self.task)[:500], share=min(1.0, share), slot=printable(slot)[:500])

    def rank(self, layer: int, unit: int) -> int:
        """1 and the number of units with a larger |score|, summed over slots; without any score, the last."""
        score = self._pooled[layer][unit]
        return 1 + self.n_units - int(torch.searchsorted(self._ascending, score, right=True)) if score else self.n_units

    def first(self, count: int) -> Iterator[tuple[int, int]]:
        """Units (layer, unit) whose rank is `count` or less, but for those without any score."""
        least = self._ascending[-count]
        for layer, values in self._pooled.items():
            chosen = (values >= least) & (values > 0)
            yield from ((layer, unit) for unit in chosen.nonzero()[:, 0].tolist())


def score_tasks(
    model: Model,
    basis: Basis,
    tasks: Sequence[str],
    n: int = PAIRS,
    seed: int = 0,
    say: Say = say_nothing,
    *,
    progress: Progress,
) -> list[TaskScores]:
    """Score all units on `n` discovery pairs of each task.

    A task of which no pair can be used is skipped, and `say` told so. Raises UserError for an unknown task.
    """
    method = load_method(METHOD)
    found = []
    for name, task in [(name, load_task(name)) for name in tasks]:
        try:
            prompts = load_prompts(task, "discovery", n, seed, model)
        except UserError as error:
            say(f"skipped: {error}")
            continue
        request = Request(model, prompts, [basis], seed, progress=progress)
        scores = ask_scores(method, request)[basis.name]
        found.append(TaskScores.of(name, scores, basis, prompts.slot_names))
    return found
