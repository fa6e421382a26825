"""Run a grid of cells and write each result as soon as it is there.

1. Plan: which groups of cells, each of one model, task, seed and method. Resolve every name before anything is
   computed.
2. Load each model once. For each task and seed tokenise the pairs once; leave out cells whose result is in the folder.
3. Claim a group, so that no other process on the folder computes it too; score all its bases that lack a result in one
   go, so that they share passes and fields. A method that needs the ablation scores once for each, and for each
   treatment of errors.
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

from basisbench.attribution import Circuits, Method, Request, Scores, ask
from basisbench.bases.basis import Basis
from basisbench.bases.load import bind_basis
from basisbench.cache import write_atomically
from basisbench.circuits.ablation import check_ablation
from basisbench.circuits.ranking import Ranking, rank_nodes
from basisbench.errors import UserError
from basisbench.grid.cells import Pairs, compute_cell
from basisbench.grid.claims import claim
from basisbench.grid.clock import Clock
from basisbench.grid.config import RunConfig
from basisbench.grid.failures import Failure, forget_failure, reason_of, record_failure, recorded_failure
from basisbench.grid.names import NO_METHODS, Names, check_distinct, resolve_names
from basisbench.grid.plan import Group, plan_groups
from basisbench.measures.metrics import scoring_metric
from basisbench.models.adapter import Model
from basisbench.models.loading import load_model
from basisbench.progress import Progress, Report, Say, quiet, say_nothing
from basisbench.prompts.prompt_set import PromptSet, Scoring
from basisbench.prompts.selection import Filter, load_prompts
from basisbench.results.files import read_result, write_result
from basisbench.results.schema import Cell, Result, result_name
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


def run(
    config: RunConfig | None = None,
    *,
    report: Report = quiet,
    say: Say = say_nothing,
    each: Each = ignore,
    methods: Mapping[str, Method] = NO_METHODS,
) -> RunReport:
    """Compute every cell of `config` that `config.out` does not hold yet.

    `report` is called with progress, `say` with lines worth keeping, `each` with every new result. `methods` are handed
    over as they are, by the names that `config` has for them; others are loaded. A cell that cannot be computed is
    listed in the report's failures and the others go on. Raises UserError for a name that is not known, a model that
    cannot be had and a folder that cannot be written, the disk being full for one.
    """
    config = config or RunConfig()
    groups = plan_groups(config)
    names = resolve_names(groups, methods)
    check_folder(config.out)
    clock = Clock(report, groups, names.methods)
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
    check_distinct("bases", [basis.name for basis in bases.values()])
    return Grid(config, names, model_name, model, model_hash, bases, say, each)


def check_folder(folder: Path) -> None:
    """Raise UserError if results cannot be written to `folder`: now, not when the first is there."""
    probe = folder / f".writable-{os.getpid()}"
    write_atomically(probe, b"")
    probe.unlink()


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
            path = self.config.out / f"{name}.json"
            if path.exists():
                self.results.append(read_result(path))
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
            path = self.config.out / f"{name}.json"
            if path.exists():
                self.results.append(read_result(path))
                self.reused += 1
            elif not self.config.retry and (reason := recorded_failure(self.config.out, name)):
                self._fail(_label(cell), f"{reason} (failed before; --retry computes it again)")
            else:
                wanted.setdefault(basis, []).append(cell)
        if not wanted:
            return
        method = self.names.methods[group.shared.method]
        for some in _sharing(method, wanted):
            began = time.perf_counter()
            scores = self._scores(group, pairs, some, list(some), clock.scoring(group))
            seconds = {"attribution": (time.perf_counter() - began) / len(some)}
            for basis, cells in some.items():
                for cell in cells if basis in scores else ():
                    progress = clock.curve(group)
                    self._run_cell(cell, self.bases[basis], pairs, scores[basis], seconds, method.is_control, progress)

    def _scores(
        self,
        group: Group,
        pairs: Pairs,
        wanted: Mapping[str, Sequence[Cell]],
        bases: Sequence[str],
        progress: Progress,
    ) -> dict[str, Scores | Circuits]:
        """Scores by basis; one that cannot be scored is noted, and spoils the passes it shares for no other."""
        chosen = [self.bases[name] for name in bases]
        method = self.names.methods[group.shared.method]
        try:
            scores = ask(method, self._request(method, wanted[bases[0]][0], pairs, chosen, progress))
            return {name: scores[basis.name] for name, basis in zip(bases, chosen, strict=True)}
        except CELL_ERRORS as error:
            if len(bases) == 1:
                reason = reason_of(error)
                self._fail(self._named(group, method.name, chosen[0].name), reason)
                for cell in wanted[bases[0]]:
                    self._record_failure(cell, pairs, reason)
                return {}
        alone = (self._scores(group, pairs, wanted, [name], progress) for name in bases)
        return {name: scores for found in alone for name, scores in found.items()}

    def _request(self, method: Method, cell: Cell, pairs: Pairs, bases: Sequence[Basis], progress: Progress) -> Request:
        """What a method is asked for cells that share scores, of which `cell` is one."""
        return Request(
            self.model,
            pairs.discovery,
            bases,
            cell.seed,
            cell.grid,
            cell.positions,
            check_ablation(cell.ablation) if method.needs_ablation else None,
            cell.error if method.needs_ablation else None,
            cell.task,
            progress,
        )

    def _run_cell(
        self,
        cell: Cell,
        basis: Basis,
        pairs: Pairs,
        scores: Scores | Circuits,
        seconds: dict[str, float],
        control_method: bool,
        progress: Progress,
    ) -> None:
        try:
            chosen = scores if isinstance(scores, Circuits) else self._ranking(cell, basis, scores)
            result, arrays = compute_cell(
                cell,
                self.model,
                self.model_hash,
                basis,
                chosen,
                pairs,
                seconds=seconds,
                keep_ranked=self.config.keep_ranked,
                keep_rounded=self.config.keep_rounded,
                control_method=control_method,
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

    @staticmethod
    def _ranking(cell: Cell, basis: Basis, scores: Scores) -> Ranking:
        return rank_nodes(
            scores, basis, rank=cell.rank, positions=cell.positions, error=cell.error, limit=max(cell.grid)
        )

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
        return Pairs(discovery, self._prompts(task, self.config.split, seed, discovery.slot_names), task.family)

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
        config, method = self.config, self.names.methods[group.shared.method]
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
                    method=method.name,
                    ablation=ablation,
                    error=error,
                    seed=group.shared.seed,
                    options={**self.names.hashes[name], **content, **method.identity},
                ),
            )


def _sharing(method: Method, wanted: Mapping[str, Sequence[Cell]]) -> Iterator[dict[str, list[Cell]]]:
    """The cells by basis, in portions that share scores: all of them, or those of one ablation and error treatment."""
    portions: dict[object, dict[str, list[Cell]]] = {}
    for basis, cells in wanted.items():
        for cell in cells:
            key = (cell.ablation, cell.error) if method.needs_ablation else None
            portions.setdefault(key, {}).setdefault(basis, []).append(cell)
    yield from portions.values()


def _label(cell: Cell) -> str:
    treatment = [cell.error] if cell.error != "score" else []
    seed = [f"seed {cell.seed}"] if cell.seed else []
    return " ".join([cell.task, cell.method, cell.basis, cell.ablation, *treatment, *seed])
