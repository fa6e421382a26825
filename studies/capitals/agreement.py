"""What the neurons of the agreement circuits are: how many, shared by how many tasks, always on or not, and labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from basisbench.bases.basis import Basis
from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.progress import Progress
from basisbench.reading import default_texts, read_units
from basisbench.reading.evidence import Evidence, unit_key
from basisbench.results.find import read_arrays, read_results
from basisbench.results.schema import Interval

TASKS = ("sva/simple", "sva/nounpp", "sva/rc", "sva/within_rc")
OTHERS = ("ioi", "greater_than", "capitals/country")
"""Tasks of other families: a neuron that serves these as well serves everything."""
CIRCUIT = 100
SHOWN = 12


@dataclass(frozen=True)
class Agreement:
    """`nodes` and `distinct` by task: nodes@0.8, and the distinct neurons among them. `shared` [i]: neurons that stand
    among the first CIRCUIT nodes of i + 1 tasks. `always_on`: how many of all `neurons` there are. `strongest`: neurons
    in the circuits of most tasks, and highest in them, with their evidence.
    """

    nodes: Mapping[str, Interval]
    distinct: Mapping[str, int]
    shared: tuple[int, ...]
    neurons: int
    always_on: int
    strongest: tuple[tuple[tuple[int, int], Evidence], ...]


def agreement(model: Model, basis: Basis, folder: Path, progress: Progress) -> Agreement:
    """Read the committed circuits of `folder`: neurons, relp, seed 0.

    Raises UserError where a task's result is missing.
    """
    nodes: dict[str, Interval] = {}
    distinct: dict[str, int] = {}
    place: dict[tuple[int, int], list[int]] = {}
    for result in read_results(folder):
        cell = result.cell
        if (cell.basis, cell.method, cell.seed) != ("neurons", "relp", 0) or cell.task not in TASKS:
            continue
        _, ranking = read_arrays(folder / f"{result.name}.json", result)
        units = list(zip(ranking.layer.tolist(), ranking.unit.tolist(), strict=True))
        nodes[cell.task] = result.summary.nodes_at_08
        distinct[cell.task] = len(set(units[: int(result.summary.nodes_at_08.value or 0)]))
        for rank, unit in enumerate(dict.fromkeys(units[:CIRCUIT])):
            place.setdefault(unit, []).append(rank)
    if missing := set(TASKS) - nodes.keys():
        raise UserError(f"no result of {', '.join(sorted(missing))} with neurons and relp in {folder}")
    evidence = read_units(model, basis, sorted(place), default_texts(), (TASKS[1], *OTHERS), progress=progress)

    def most(unit: tuple[int, int]) -> tuple[int, float]:
        """In most circuits first, then the highest in them."""
        return -len(place[unit]), sum(place[unit]) / len(place[unit])

    strongest = sorted(place, key=most)[:SHOWN]
    counts = Counter(len(places) for places in place.values())
    return Agreement(
        nodes,
        distinct,
        tuple(counts[i] for i in range(1, len(TASKS) + 1)),
        len(place),
        sum(found.always_on for found in evidence.values()),
        tuple((unit, evidence[unit_key(*unit)]) for unit in strongest),
    )
