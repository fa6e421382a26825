"""What a run would do and take, before it starts: no model is loaded and no network asked.

1. Plan the groups of cells, and resolve every name: tasks, methods, ablations, bases (published ones against sae-lens'
   own registry), models.
2. See which cells the folder of results holds already, and which failed there.
3. For each model whose shape is known, add up the operations of the cells that are left (`basisbench.grid.costs`) and
   divide them by the rate of the machine (`basisbench.grid.rates`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

import torch

from basisbench.attribution import Method, load_method
from basisbench.bases.load import basis_file, find_basis
from basisbench.bases.outlines import DICTIONARIES, Outline, outline, published_ids
from basisbench.circuits.ablation import check_ablation
from basisbench.grid import costs
from basisbench.grid.cells import content_hash
from basisbench.grid.config import RunConfig
from basisbench.grid.costs import Prompts
from basisbench.grid.lengths import TOKENS_A_WORD, UNREAD, counter, model_files, prompts_of
from basisbench.grid.plan import Group, Treatment, plan_groups
from basisbench.grid.rates import Rate, machine_rate
from basisbench.grid.records import Records, read_records, settings_of
from basisbench.models.embedded import SMOLLM2
from basisbench.models.names import MODELS, resolve_model
from basisbench.models.shapes import Shape, find_shape
from basisbench.results.schema import Cell
from basisbench.tasks.load import load_task
from basisbench.tasks.mapped import MappedTask
from basisbench.tasks.task import Task
from basisbench.values import Split

DRAWN = 2
"""Pairs looked at for one that the model gets right (`require_correct`): assumed, since only the model knows."""


@dataclass(frozen=True)
class Taken:
    """What the cells of one model that are left take; bytes, and multiply-adds. `download` is of model and bases."""

    operations: int
    memory: int
    download: int


@dataclass(frozen=True)
class ModelEstimate:
    """The cells of one model: names on each axis, and how many cells there are, are done, failed and are left.

    `taken` is None where the model's shape is not known.
    """

    model: str
    axes: dict[str, tuple[str, ...]]
    cells: int
    done: int
    failed: int
    left: int
    taken: Taken | None


@dataclass(frozen=True)
class Estimate:
    """The plan of a run, its rate, the bytes of results a cell, and what the estimates rest on, a line each."""

    models: tuple[ModelEstimate, ...]
    rate: Rate
    result_bytes: int
    notes: tuple[str, ...]

    def seconds(self, model: ModelEstimate) -> float | None:
        """What is left of a model's cells, in seconds; None where its shape is not known."""
        return model.taken.operations / self.rate.operations if model.taken else None


def estimate(config: RunConfig, rate: Rate | None = None) -> Estimate:
    """Plan a run and estimate what it takes, at `rate` or at what this machine does.

    Raises UserError as a run would: for names that are not known, and bases that the model cannot have.
    """
    groups = plan_groups(config)
    tasks = {name: load_task(name) for name in dict.fromkeys(group.shared.task for group in groups)}
    methods = {name: load_method(name) for name in dict.fromkeys(group.shared.method for group in groups)}
    _resolve(groups)
    records = read_records(config.out)
    notes: dict[str, None] = {}
    models = [
        _of_model(config, name, list(members), tasks, methods, records, lambda line: notes.setdefault(line))
        for name, members in groupby(groups, lambda group: group.shared.model)
    ]
    if any(isinstance(task, MappedTask) for task in tasks.values()):
        notes.setdefault(f"tasks from data files are not read: prompts of {UNREAD.positions} tokens are assumed")
    if config.require_correct:
        notes.setdefault(f"the model is assumed to get one pair of {DRAWN} right")
    rate = rate or machine_rate(config.device, config.dtype)
    size = costs.result_bytes(len(config.sizes), min(max(config.sizes), config.keep_ranked), config.n_evaluation)
    return Estimate(tuple(models), rate, size, (f"speed: {rate.basis}", *notes))


def _resolve(groups: Sequence[Group]) -> None:
    """Raise UserError for an ablation, a basis or a model that is not known."""
    treatments = [treatment for group in groups for treatment in group.treatments]
    for ablation in dict.fromkeys(treatment.ablation for treatment in treatments):
        check_ablation(ablation)
    for basis in dict.fromkeys(treatment.basis for treatment in treatments):
        find_basis(basis)
    for model in dict.fromkeys(group.shared.model for group in groups):
        if model not in MODELS:  # a registered one would be fetched
            resolve_model(model, lambda line: None)


def _of_model(
    config: RunConfig,
    model: str,
    groups: Sequence[Group],
    tasks: dict[str, Task],
    methods: dict[str, Method],
    records: Records,
    note: Callable[[str], object],
) -> ModelEstimate:
    names = list(dict.fromkeys(basis for group in groups for basis in group.bases))
    shape = find_shape(model)
    outlines = _outlines(model, shape, names, note)
    hashes = {name: content_hash(name) for name in names}
    wanted: list[tuple[Group, list[Treatment]]] = []
    cells = done = failed = 0
    for group in groups:
        left = []
        for treatment in _distinct(group, outlines):
            settings = settings_of(_cell(config, group, treatment, tasks, methods, hashes))
            cells += 1
            done += settings in records.done
            failed += settings in records.failed
            if settings not in records.done and (config.retry or settings not in records.failed):
                left.append(treatment)
        if left:
            wanted.append((group, left))
    treatments = [treatment for group in groups for treatment in group.treatments]
    shared = {axis: [group.shared._asdict()[axis] for group in groups] for axis in ("task", "seed", "method")}
    apart = {axis: [getattr(treatment, axis) for treatment in treatments] for axis in Treatment._fields}
    axes = {axis: tuple(dict.fromkeys(map(str, found))) for axis, found in (shared | apart).items()}
    taken = _taken(config, model, shape, wanted, outlines, tasks, note) if shape else None
    return ModelEstimate(model, axes, cells, done, failed, sum(len(left) for _, left in wanted), taken)


def _outlines(
    model: str, shape: Shape | None, names: Sequence[str], note: Callable[[str], object]
) -> dict[str, Outline]:
    """The outlines of a model's bases, none where its shape is not known; published names are checked all the same."""
    if shape is None:
        note(f"{model}: its shape is not known here (no config.json on this machine): cells listed, nothing estimated")
        for base, _, option in (name.partition(":") for name in names):
            if base in DICTIONARIES and option and "/" not in option:
                published_ids(option)
        return {}
    outlines = {name: outline(name, model, shape) for name in names}
    for name, found in outlines.items():
        if found.guess:
            note(found.guess)
        if len(found.layers) < shape.n_layers:
            note(f"{name}: no units in {shape.n_layers - len(found.layers)} of {model}'s {shape.n_layers} layers")
    return outlines


def _distinct(group: Group, outlines: dict[str, Outline]) -> Iterator[Treatment]:
    """The treatments of a group as a run tells them apart: a basis without an error has one treatment of it."""

    def has_error(basis: str) -> bool:
        return basis not in outlines or outlines[basis].has_error or bool(outlines[basis].guess)

    yield from dict.fromkeys(t if has_error(t.basis) else t._replace(error="score") for t in group.treatments)


def _cell(
    config: RunConfig,
    group: Group,
    treatment: Treatment,
    tasks: dict[str, Task],
    methods: dict[str, Method],
    hashes: dict[str, dict[str, str]],
) -> Cell:
    """The cell that a run would compute, but for what is known only of a loaded basis."""
    file, method = basis_file(treatment.basis), methods[group.shared.method]
    return config.cell(
        model=group.shared.model,
        task=tasks[group.shared.task].name,
        basis=file[1] if file else treatment.basis,
        method=method.name,
        ablation=treatment.ablation,
        error=treatment.error,
        seed=group.shared.seed,
        options={**hashes[treatment.basis], **method.identity},
    )


def _taken(
    config: RunConfig,
    model: str,
    shape: Shape,
    wanted: Sequence[tuple[Group, Sequence[Treatment]]],
    outlines: dict[str, Outline],
    tasks: dict[str, Task],
    note: Callable[[str], object],
) -> Taken:
    count = counter(model)
    if count is None:
        note(f"{model}: its tokenizer is not on this machine: {TOKENS_A_WORD:g} tokens a word, digit or mark")

    @cache
    def prompts(task: str, split: Split) -> Prompts:
        # seeds draw other rows of the same kind
        n = config.n_discovery if split == "discovery" else config.n_evaluation
        return prompts_of(tasks[task], split, n, config.seed[0], count)

    operations = memory = 0
    filtered: set[tuple[str, int]] = set()
    itemsize = torch.finfo(getattr(torch, config.dtype)).bits // 8
    for group, treatments in wanted:
        discovery, evaluation = (prompts(group.shared.task, split) for split in ("discovery", config.split))
        bases = [outlines[name] for name in dict.fromkeys(treatment.basis for treatment in treatments)]
        operations += costs.scores(shape, group.shared.method, bases, discovery)
        operations += sum(costs.curve(shape, outlines[t.basis], evaluation, len(config.sizes)) for t in treatments)
        pairs = group.shared.task, group.shared.seed
        if config.require_correct and pairs not in filtered:
            filtered.add(pairs)
            operations += DRAWN * (costs.forward(shape, discovery) + costs.forward(shape, evaluation))
        needed = costs.peak_memory(
            shape, [group.shared.method], bases, discovery, evaluation, itemsize, max(config.sizes)
        )
        memory = max(memory, needed)
    used = dict.fromkeys(treatment.basis for _, treatments in wanted for treatment in treatments)
    download = sum(outlines[name].download for name in used)
    if download:
        note("downloads: dictionaries at 4 bytes a weight, even those that the hub cache holds; models as published")
    if wanted and model_files(model) is None:
        download += SMOLLM2.size if model == SMOLLM2.name else shape.n_weights * shape.itemsize
    return Taken(operations, memory, download)
