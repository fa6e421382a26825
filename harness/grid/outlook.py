"""What a run would do, before it starts: no model is loaded, no network asked, no code run that its settings name.

1. Plan the groups of cells, and resolve every name: tasks, methods, ablations, bases (published ones against sae-lens'
   own registry), models. What stands in a Python file (``path/to/file.py:name``) is not looked into.
2. See which cells the folder of results holds already, and which failed there.
3. Bytes: what models and bases would fetch, and what results take. Hours: from cells that are done in the folder, or
   from one that is computed for it (`time_one`); else none are given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from basisbench.attribution import recorded_as
from basisbench.bases.load import find_basis
from basisbench.bases.outlines import Outline, outline
from basisbench.circuits.ablation import check_ablation
from basisbench.errors import UserError
from basisbench.grid.cells import content_hash
from basisbench.grid.config import RunConfig
from basisbench.grid.hours import Hours, hours_of
from basisbench.grid.plan import Group, Shared, Treatment, plan_groups
from basisbench.grid.records import Records, Timed, read_records, settings_of
from basisbench.grid.run import run
from basisbench.models.names import MODELS, bytes_to_fetch, resolve_model
from basisbench.models.shapes import Shape, find_shape
from basisbench.progress import Report, Say, quiet, say_nothing
from basisbench.results.schema import Cell, Result
from basisbench.tasks.load import load_task

RESULT_BYTES = 10_000
"""A result's JSON and the head of its arrays, more or less."""
OUTCOME_PARTS = 5
"""Numbers kept for each pair and point: those of `basisbench.measures.metrics.Outcome`."""


@dataclass(frozen=True)
class Bytes:
    """A number of bytes; `all` is False where there are more, nobody knows how many."""

    known: int
    all: bool = True


@dataclass(frozen=True)
class ModelOutlook:
    """The cells of one model: names on each axis, and how many cells there are, are done, failed and are left.

    `outlines` are of its bases, by name. `download` is of the model and of the bases that cells which are left name.
    `hours` is None where no cell that was computed says how long one takes.
    """

    model: str
    axes: Mapping[str, tuple[str, ...]]
    outlines: Mapping[str, Outline]
    cells: int
    done: int
    failed: int
    left: tuple[tuple[Shared, Treatment], ...]
    download: Bytes
    hours: Hours | None


@dataclass(frozen=True)
class Outlook:
    """The models of a run, the bytes of results a cell, and what was not looked into, by name."""

    models: tuple[ModelOutlook, ...]
    result_bytes: int
    unread: tuple[str, ...]


def look_ahead(config: RunConfig, timed: Sequence[Timed] = ()) -> Outlook:
    """Plan a run; hours are those by the cells `timed`, where these say something, else by those in the run's folder.

    Raises UserError as a run would: for names that are not known, and bases that the model cannot have.
    """
    groups = plan_groups(config)
    tasks = _resolve(groups)
    records = read_records(config.out)
    by_model = groupby(groups, lambda group: group.shared.model)
    models = [_of_model(config, name, list(members), tasks, records, timed) for name, members in by_model]
    names = dict.fromkeys(name for group in groups for name in (group.shared.task, group.shared.method, *group.bases))
    size = result_bytes(len(config.sizes), min(max(config.sizes), config.keep_ranked), config.n_evaluation)
    return Outlook(tuple(models), size, tuple(filter(is_code, names)))


def time_one(config: RunConfig, *, report: Report = quiet, say: Say = say_nothing) -> Result:
    """Compute the first cell that is left, keep its result in the run's folder, and return it.

    Raises UserError if none is left or it cannot be computed, and as `run` does.
    """
    for model in look_ahead(config).models:
        for shared, treatment in model.left:
            axes = {name: [value] for name, value in (shared._asdict() | treatment._asdict()).items()}
            for one, many in (("task", "tasks"), ("method", "methods"), ("basis", "bases")):
                axes[many] = axes.pop(one)
            done = run(config.model_copy(update={**axes, "include": [], "exclude": []}), report=report, say=say)
            if done.failures:
                raise UserError(f"the cell to be timed failed: {done.failures[0].cell}: {done.failures[0].reason}")
            return done.results[0]
    raise UserError(f"no cell of this run is left to be timed in {config.out}: valid: settings that leave one")


def is_code(name: str) -> bool:
    """Whether a name stands for something in a Python file, which would be run to look at it."""
    return name.rpartition(":")[0].endswith(".py")


def result_bytes(n_sizes: int, n_ranked: int, n_pairs: int) -> int:
    """Bytes of a cell's two files: the ranking kept (8 a node) and the outcomes (4 a part) of every pair and point."""
    return RESULT_BYTES + 8 * n_ranked + 4 * OUTCOME_PARTS * n_pairs * (2 * n_sizes + 2)


def _resolve(groups: Sequence[Group]) -> dict[str, str]:
    """The tasks' own names; raises UserError for a name that is not known and a Python file that is not there."""

    def each(values: Iterator[str]) -> Iterator[str]:
        for name in dict.fromkeys(values):
            if not is_code(name):
                yield name
            elif not Path(name.rpartition(":")[0]).is_file():
                raise UserError(f"no file {name.rpartition(':')[0]}: valid: path/to/file.py:Name")

    tasks = {name: load_task(name).name for name in each(group.shared.task for group in groups)}
    for method in each(group.shared.method for group in groups):
        recorded_as(method)
    for ablation in each(treatment.ablation for group in groups for treatment in group.treatments):
        check_ablation(ablation)
    for basis in each(name for group in groups for name in group.bases):
        find_basis(basis)
    for model in each(group.shared.model for group in groups):
        if model not in MODELS:  # a registered one would be fetched
            resolve_model(model, say_nothing)
    return tasks


def _of_model(
    config: RunConfig,
    model: str,
    groups: Sequence[Group],
    tasks: Mapping[str, str],
    records: Records,
    timed: Sequence[Timed],
) -> ModelOutlook:
    names = list(dict.fromkeys(name for group in groups for name in group.bases))
    shape = find_shape(model)
    outlines = {name: outline(name, model, shape) for name in names}
    hashes = {name: content_hash(name) for name in names}
    methods = {name: recorded_as(name) for name in dict.fromkeys(group.shared.method for group in groups)}
    asked = [
        (group.shared, treatment, _cell(config, group.shared, treatment, tasks, methods, hashes))
        for group in groups
        for treatment in _distinct(group, outlines)
    ]
    settings = [settings_of(cell) for *_, cell in asked]
    skipped = records.done.keys() | (frozenset() if config.retry else records.failed)
    left = [one for one, its in zip(asked, settings, strict=True) if its not in skipped]
    cells = [cell for *_, cell in left]
    treatments = [treatment for group in groups for treatment in group.treatments]
    shared = {axis: [group.shared._asdict()[axis] for group in groups] for axis in ("task", "seed", "method")}
    apart = {axis: [getattr(treatment, axis) for treatment in treatments] for axis in Treatment._fields}
    return ModelOutlook(
        model=model,
        axes={axis: tuple(dict.fromkeys(map(str, found))) for axis, found in (shared | apart).items()},
        outlines=outlines,
        cells=len(asked),
        done=sum(its in records.done for its in settings),
        failed=sum(its in records.failed for its in settings),
        left=tuple((shared, treatment) for shared, treatment, _ in left),
        download=_download(model, shape, [outlines[basis] for basis in {t.basis for _, t, _ in left}]),
        hours=hours_of(cells, timed) or hours_of(cells, list(records.done.values())),
    )


def _distinct(group: Group, outlines: Mapping[str, Outline]) -> Iterator[Treatment]:
    """The treatments of a group as a run tells them apart: a basis without an error has one treatment of it."""
    yield from dict.fromkeys(
        t._replace(error="score") if outlines[t.basis].has_error is False else t for t in group.treatments
    )


def _cell(
    config: RunConfig,
    shared: Shared,
    treatment: Treatment,
    tasks: Mapping[str, str],
    methods: Mapping[str, tuple[str, Mapping[str, str]]],
    hashes: Mapping[str, dict[str, str]],
) -> Cell:
    """The cell that a run would compute, but for what is known only of what was loaded."""
    basis, (method, identity) = treatment.basis, methods[shared.method]
    return config.cell(
        model=shared.model,
        task=tasks.get(shared.task, shared.task),
        basis=basis.rpartition(":")[2] if is_code(basis) else basis,
        method=method,
        ablation=treatment.ablation,
        error=treatment.error,
        seed=shared.seed,
        options={**hashes[basis], **identity},
    )


def _download(model: str, shape: Shape | None, bases: Sequence[Outline]) -> Bytes:
    """What is fetched where cells of a model are left in these bases."""
    if not bases:
        return Bytes(0)
    parts = [bytes_to_fetch(model, shape), *(basis.download for basis in bases)]
    return Bytes(sum(part for part in parts if part), all=None not in parts)
