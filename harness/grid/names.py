"""Everything that a run names, resolved before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from basisbench.attribution import Method, load_method
from basisbench.bases.basis import BasisFactory
from basisbench.bases.load import find_basis
from basisbench.circuits.ablation import check_ablation
from basisbench.errors import UserError
from basisbench.grid.cells import content_hash
from basisbench.grid.plan import Group
from basisbench.tasks.load import load_task
from basisbench.tasks.task import Task

NO_METHODS: Mapping[str, Method] = MappingProxyType({})


@dataclass(frozen=True)
class Names:
    """Everything that the cells of a run name, resolved."""

    tasks: Mapping[str, Task]
    methods: Mapping[str, Method]
    factories: Mapping[str, BasisFactory]
    hashes: Mapping[str, dict[str, str]]


def resolve_names(groups: Sequence[Group], methods: Mapping[str, Method] = NO_METHODS) -> Names:
    """Resolve everything that groups name, but the `methods` that are given; raises UserError for an unknown name."""

    def named(values: Iterator[str]) -> list[str]:
        return list(dict.fromkeys(values))

    tasks = {name: load_task(name) for name in named(group.shared.task for group in groups)}
    methods = {name: methods.get(name) or load_method(name) for name in named(group.shared.method for group in groups)}
    for name in named(treatment.ablation for group in groups for treatment in group.treatments):
        check_ablation(name)
    bases = named(name for group in groups for name in group.bases)
    # what a file says may change while the run goes on: it counts as it was when it was loaded
    hashes = {name: content_hash(name) for name in bases}
    factories = {name: find_basis(name) for name in bases}
    check_distinct("tasks", [task.name for task in tasks.values()])
    check_distinct("methods", [method.name for method in methods.values()])
    return Names(tasks, methods, factories, hashes)


def check_distinct(kind: str, names: Sequence[str]) -> None:
    """Raise UserError if two of `names` are the same."""
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two {kind} are called '{name}', so results could not be told apart: rename one")
