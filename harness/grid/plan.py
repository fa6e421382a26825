"""From the settings of a run to groups of cells.

1. The product of models, tasks, seeds, methods, bases, ablations and error treatments.
2. `include` adds products of its own, with the run's lists on axes where it names none.
3. `exclude` takes cells out, of the run's and of the included ones.
4. Cells that differ in basis, ablation and error treatment alone share prompts and scores: they are one group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from typing import NamedTuple

from basisbench.errors import UserError
from basisbench.grid.config import RunConfig, Selector
from basisbench.values import ErrorTreatment


class Treatment(NamedTuple):
    """What tells cells of a group apart."""

    basis: str
    ablation: str
    error: ErrorTreatment


class Shared(NamedTuple):
    """What cells of a group have in common."""

    model: str
    task: str
    seed: int
    method: str


@dataclass(frozen=True)
class Group:
    """Cells that share a model, prompts and scores: the unit of work."""

    shared: Shared
    treatments: tuple[Treatment, ...]

    @property
    def label(self) -> str:
        """Task and method, and the seed unless it is 0."""
        return f"{self.shared.task} {self.shared.method}" + (f" seed {self.shared.seed}" if self.shared.seed else "")

    @property
    def bases(self) -> list[str]:
        """The bases of the group, each once."""
        return list(dict.fromkeys(treatment.basis for treatment in self.treatments))


Planned = tuple[Shared, Treatment]


def plan_groups(config: RunConfig) -> list[Group]:
    """Return the groups of a run, those of one model, and of one of its tasks and seeds, together.

    Raises UserError for an `exclude` that matches no cell, and if no cell is left.
    """
    kept: dict[Planned, None] = {}
    for included in (Selector(), *config.include):
        kept |= dict.fromkeys(_product(config, included))
    for number, selector in enumerate(config.exclude, start=1):
        left = {cell: None for cell in kept if not _matches(selector, cell)}
        if len(left) == len(kept):
            raise UserError(f"exclude {number} ({selector}) matches no cell: valid are names of this run, or *")
        kept = left
    if not kept:
        raise UserError("every cell of this run is excluded: valid: an exclude that leaves some")
    groups: dict[Shared, list[Treatment]] = {}
    for shared, treatment in kept:
        groups.setdefault(shared, []).append(treatment)
    # what an include adds to a model or a task comes with it, in the order in which names were first met
    axes = [list(dict.fromkeys(values)) for values in zip(*groups, strict=True)]
    places = [{value: place for place, value in enumerate(axis)} for axis in axes]
    ordered = sorted(groups, key=lambda key: [place[value] for place, value in zip(places, key, strict=True)])
    return [Group(shared, tuple(groups[shared])) for shared in ordered]


def _product(config: RunConfig, chosen: Selector) -> list[Planned]:
    errors: Sequence[ErrorTreatment] = chosen.error or config.error
    shared = product(
        chosen.model or config.model, chosen.task or config.tasks, chosen.seed or config.seed,
        chosen.method or config.methods,
    )  # fmt: skip
    treatments = list(product(chosen.basis or config.bases, chosen.ablation or config.ablation, errors))
    return [(Shared(*some), Treatment(*treatment)) for some in shared for treatment in treatments]


def _matches(selector: Selector, cell: Planned) -> bool:
    names = cell[0]._asdict() | cell[1]._asdict()
    return all(
        any(fnmatchcase(str(names[axis]), str(pattern)) for pattern in patterns)
        for axis, patterns in selector.named().items()
    )
