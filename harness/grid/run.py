"""Run a grid of cells and write each result as soon as it is there.

1. Plan: which groups of cells, each of one model, task, seed and method. Resolve every name before anything is
   computed.
2. Load each model once. For each task and seed tokenise the pairs once; leave out cells whose result is in the folder.
3. Claim a group, so that no other process on the folder computes it too; score all its bases that lack a result in one
   go, so that they share passes and fields.
4. For each basis rank the nodes, evaluate the curve under each ablation, summarise, write.
5. Groups that others held come last, when they have let go: what they have written is then there.

A cell that cannot be computed is noted, with its reason, and the others go on; what has been written stays, whatever
happens later. A cell that failed before is computed again on request (`RunConfig.retry`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import torch

from basisbench.attribution import Method, Scores, load_method
from basisbench.bases.basis import Basis, BasisFactory
from basisbench.bases.load import bind_basis, find_basis
from basisbench.cache import write_atomically
from basisbench.circuits.ablation import check_ablation
from basisbench.circuits.ranking import rank_nodes
from basisbench.errors import UserError
from basisbench.grid.cells import Pairs, compute_cell, content_hash
from basisbench.grid.claims import claim
from basisbench.grid.clock import Clock
from basisbench.grid.config import RunConfig
from basisbench.grid.failures import Failure, forget_failure, reason_of, record_failure, recorded_failure
from basisbench.grid.plan import Group, plan_groups
from basisbench.measures.metrics import scoring_metric
from basisbench.models.adapter import Model
from basisbench.models.loading import load_model
from basisbench.progress import Progress, Report, Say, quiet, say_nothing
from basisbench.prompts.prompt_set import PromptSet, Scoring
from basisbench.prompts.selection import Filter, load_prompts
from basisbench.results.files import write_result
from basisbench.results.find import ResultFolder
from basisbench.results.schema import Cell, Result, result_name
from basisbench.tasks.load import load_task
from basisbench.tasks.task import Task
from basisbench.values import Split

# What ends a cell and not the run.
CELL_ERRORS = (UserError, torch.OutOfMemoryError)

Each = Callable[[Result, Path], None]
"""Takes a result that was just computed, and the path of its JSON."""


def ignore(result: Result, path: Path) -> None:
    """Do nothing with a result."""


@dataclass(frozen=True)
class RunReport:
    """What a run leaves: all its results, those that were there before counted, and what failed."""

    results: tuple[Result, ...]
    reused: int
    failures: tuple[Failure, ...]
    folder: Path


@dataclass(frozen=True)
class Names:
    """Everything that the cells of a run name, resolved."""

    tasks: Mapping[str, Task]
    methods: Mapping[str, Method]
    factories: Mapping[str, BasisFactory]
    hashes: Mapping[str, dict[str, str]]


def run(
    config: RunConfig | None = None, *, report: Report = quiet, say: Say = say_nothing, each: Each = ignore
) -> RunReport:
    """Compute every cell of `config` that `config.out` does not hold yet.

    `report` is called with progress, `say` with lines worth keeping, `each` with every new result. A cell that cannot
    be computed is listed in the report's failures and the others go on. Raises UserError for a name that is not known,
    a model that cannot be had and a folder that cannot be written, the disk being full for one.
    """
    config = config or RunConfig()
    groups = plan_groups(config)
    names = resolve_names(groups)
    check_folder(config.out)
    clock = Clock(report, groups)
    results: list[Result] = []
    failures: list[Failure] = []
    reused = 0
    by_model = [(name, list(members)) for name, members in groupby(groups, lambda group: group.shared.model)]
    for model_name, members in by_model:
        try:
            grid = open_model(config, names, model_name, members, say, each)
        except UserError as error:
            if len(by_model) == 1:
                raise
            failures.append(Failure(model_name, reason_of(error)))
            continue
        later = [group for group in members if not grid.run_group(group, clock, wait=False)]
        if later:
            say(f"another process computes {len(later)} groups of cells of this run: waiting for what it leaves")
        for group in later:
            grid.run_group(group, clock, wait=True)
        results += grid.results
        failures += grid.failures
        reused += grid.reused
    return RunReport(tuple(results), reused, tuple(failures), config.out)


def open_model(config: RunConfig, names: Names, model_name: str, groups: Sequence[Group], say: Say, each: Each) -> Grid:
    """Load a model and bind the bases that its groups name; raises UserError for what cannot be had."""
    model, model_hash = load_model(model_name, config.dtype, config.device, say)
    bound = dict.fromkeys(name for group in groups for name in group.bases)
    bases = {name: bind_basis(name, names.factories[name], model) for name in bound}
    _check_distinct("bases", [basis.name for basis in bases.values()])
    return Grid(config, names, model_name, model, model_hash, bases, say, each)


def resolve_names(groups: Sequence[Group]) -> Names:
    """Resolve everything that groups name; raises UserError for a name that is not known."""

    def named(values: Iterator[str]) -> list[str]:
        return list(dict.fromkeys(values))

    tasks = {name: load_task(name) for name in named(group.shared.task for group in groups)}
    methods = {name: load_method(name) for name in named(group.shared.method for group in groups)}
    for name in named(treatment.ablation for group in groups for treatment in group.treatments):
        check_ablation(name)
    bases = named(name for group in groups for name in group.bases)
    # what a file says may change while the run goes on: it counts as it was when it was loaded
    hashes = {name: content_hash(name) for name in bases}
    factories = {name: find_basis(name) for name in bases}
    _check_distinct("tasks", [task.name for task in tasks.values()])
    return Names(tasks, methods, factories, hashes)


def check_folder(folder: Path) -> None:
    """Raise UserError if results cannot be written to `folder`: now, not when the first is there."""
    probe = folder / f".writable-{os.getpid()}"
    write_atomically(probe, b"")
    probe.unlink()


def _check_distinct(kind: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two {kind} are called '{name}', so results could not be told apart: rename one")


class Grid:
    """The cells of one run on one loaded model."""

    def __init__(
        self,
        config: RunConfig,
        names: Names,
        model_name: str,
        model: Model,
        model_hash: str,
        bases: Mapping[str, Basis],
        say: Say,
        each: Each,
    ) -> None:
        self.config = config
        self.names = names
        self.model_name = model_name
        self.model = model
        self.model_hash = model_hash
        self.bases = bases
        self.folder = ResultFolder(config.out)
        self.say = say
        self.each = each
        self.results: list[Result] = []
        self.failures: list[Failure] = []
        self.reused = 0
        self.without_pairs: set[tuple[str, int]] = set()
        # groups of one task and seed follow each other: the last pairs are the ones that are asked for again
        self.pairs = lru_cache(maxsize=1)(self._load_pairs)

    def expected(self, group: Group) -> list[str]:
        """The names of the results of a group's cells; none where its task has no pairs."""
        pairs = self._pairs(group)
        return [name for _, _, name in self._named_cells(group, pairs)] if pairs else []

    def give_up(self, group: Group, reason: str) -> None:
        """Note and record as failed the cells of a group that have no result, for want of a process that survives."""
        pairs = self._pairs(group)
        for _, cell, name in self._named_cells(group, pairs) if pairs else []:
            if stored := self.folder.find(name):
                self.results.append(stored.result())
            else:
                known = recorded_failure(self.config.out, name) or reason
                self._fail(_label(cell), known)
                record_failure(self.config.out, name, cell, known)

    def run_group(self, group: Group, clock: Clock, *, wait: bool) -> bool:
        """Compute a group's cells; False, and nothing is done, if another process does so and `wait` is not set."""
        with claim(self.config.out, group, wait=wait) as ours:
            if ours:
                if pairs := self._pairs(group):
                    self._run_claimed(group, pairs, clock)
                clock.finish(group)
        return ours

    def _pairs(self, group: Group) -> Pairs | None:
        """The pairs of a group; None, noted once, where its task has none."""
        key = group.shared.task, group.shared.seed
        if key in self.without_pairs:
            return None
        try:
            return self.pairs(*key)
        except UserError as error:
            self.without_pairs.add(key)
            self._fail(self._named(group), reason_of(error))
            return None

    def _run_claimed(self, group: Group, pairs: Pairs, clock: Clock) -> None:
        wanted: dict[str, list[Cell]] = {}
        for basis, cell, name in self._named_cells(group, pairs):
            if stored := self.folder.find(name):
                self.results.append(stored.result())
                self.reused += 1
            elif not self.config.retry and (reason := recorded_failure(self.config.out, name)):
                self._fail(_label(cell), f"{reason} (failed before; --retry computes it again)")
            else:
                wanted.setdefault(basis, []).append(cell)
        if not wanted:
            return
        began = time.perf_counter()
        scores = self._scores(group, pairs, wanted, list(wanted), clock.scoring(group))
        seconds = {"attribution": (time.perf_counter() - began) / len(wanted)}
        done = 0
        for basis, cells in wanted.items():
            for cell in cells:
                if basis in scores:
                    self._run_cell(cell, self.bases[basis], pairs, scores[basis], seconds, clock.curve(group, done))
                done += 1

    def _scores(
        self,
        group: Group,
        pairs: Pairs,
        wanted: Mapping[str, Sequence[Cell]],
        bases: Sequence[str],
        progress: Progress,
    ) -> dict[str, Scores]:
        """Scores by basis; one that cannot be scored is noted, and spoils the passes it shares for no other."""
        chosen = [self.bases[name] for name in bases]
        method = self.names.methods[group.shared.method]
        try:
            scores = method(self.model, pairs.discovery, chosen, seed=group.shared.seed, progress=progress)
            return {name: scores[basis.name] for name, basis in zip(bases, chosen, strict=True)}
        except CELL_ERRORS as error:
            if len(bases) == 1:
                reason = reason_of(error)
                self._fail(self._named(group, group.shared.method, chosen[0].name), reason)
                for cell in wanted[bases[0]]:
                    self._record_failure(cell, pairs, reason)
                return {}
        alone = (self._scores(group, pairs, wanted, [name], progress) for name in bases)
        return {name: scores for found in alone for name, scores in found.items()}

    def _run_cell(
        self,
        cell: Cell,
        basis: Basis,
        pairs: Pairs,
        scores: Scores,
        seconds: dict[str, float],
        progress: Progress,
    ) -> None:
        try:
            ranking = rank_nodes(
                scores, basis, rank=cell.rank, positions=cell.positions, error=cell.error, limit=max(cell.grid)
            )
            result, arrays = compute_cell(
                cell,
                self.model,
                self.model_hash,
                basis,
                ranking,
                pairs,
                seconds=seconds,
                keep_ranked=self.config.keep_ranked,
                progress=progress,
            )
        except CELL_ERRORS as error:
            self._fail(_label(cell), reason_of(error))
            self._record_failure(cell, pairs, reason_of(error))
            return
        # a result that cannot be written ends the run: the next could not be written either
        path = write_result(self.config.out, result, arrays)
        forget_failure(self.config.out, result.name)
        self.results.append(result)
        self.each(result, path)

    def _named(self, group: Group, *more: str) -> str:
        return " ".join(
            [
                self.names.tasks[group.shared.task].name,
                *more,
                *([f"seed {group.shared.seed}"] if group.shared.seed else []),
            ]
        )

    def _fail(self, what: str, reason: str) -> None:
        self.failures.append(Failure(what, reason))

    def _record_failure(self, cell: Cell, pairs: Pairs, reason: str) -> None:
        record_failure(self.config.out, result_name(cell, self.model_hash, pairs.data.hash), cell, reason)

    def _load_pairs(self, task_name: str, seed: int) -> Pairs:
        task = self.names.tasks[task_name]
        discovery = self._prompts(task, "discovery", seed)
        return Pairs(discovery, self._prompts(task, self.config.split, seed, discovery.slot_names))

    def _prompts(self, task: Task, split: Split, seed: int, slot_names: Sequence[str] = ()) -> PromptSet:
        config = self.config
        wanted = config.n_discovery if split == "discovery" else config.n_evaluation
        scoring = Scoring(scoring_metric(config.metric), config.answers, config.chat)
        filtered = Filter(scoring, config.require_correct)
        prompts = load_prompts(task, split, wanted, seed, self.model, filtered, slot_names)
        if prompts.usage.unusable or prompts.usage.shared or prompts.n_pairs < wanted:
            self.say(f"{task.name} {split}: {wanted} pairs asked for, {prompts.usage}")
        if slot_names and (new := prompts.slot_names[len(slot_names) :]):
            self.say(
                f"{task.name} {split}: positions that discovery did not have, in no circuit of positions "
                f"'kept': {', '.join(new)}"
            )
        return prompts

    def _named_cells(self, group: Group, pairs: Pairs) -> Iterator[tuple[str, Cell, str]]:
        """As `_cells`, with the names of their results."""
        for basis, cell in self._cells(group):
            yield basis, cell, result_name(cell, self.model_hash, pairs.data.hash)

    def _cells(self, group: Group) -> Iterator[tuple[str, Cell]]:
        """A group's cells and the bases that they ask for; a basis without an error has one treatment of it."""
        config = self.config
        asked = dict.fromkeys(
            (t.basis, t.ablation, t.error if self.bases[t.basis].has_error else "score") for t in group.treatments
        )
        for name, ablation, error in asked:
            basis = self.bases[name]
            content = {"content": basis.content} if basis.content else {}
            yield (
                name,
                config.cell(
                    model=self.model_name,
                    task=self.names.tasks[group.shared.task].name,
                    basis=basis.name,
                    method=group.shared.method,
                    ablation=ablation,
                    error=error,
                    seed=group.shared.seed,
                    options={**self.names.hashes[name], **content},
                ),
            )


def _label(cell: Cell) -> str:
    treatment = [cell.error] if cell.error != "score" else []
    seed = [f"seed {cell.seed}"] if cell.seed else []
    return " ".join([cell.task, cell.method, cell.basis, cell.ablation, *treatment, *seed])
