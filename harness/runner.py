"""Run a grid of cells on one model and write each result as soon as it is there.

1. Resolve every name before anything is computed.
2. Load the model. For each task tokenise the pairs; leave out cells whose result is in the folder already.
3. For each method score all bases that lack a result, in one go, so that they share passes and fields.
4. For each basis rank the nodes, evaluate the curve under each ablation, summarise, write.

A cell that cannot be computed is noted and the others go on; what has been written stays, whatever happens later.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch

from harness.ablation import check_ablation
from harness.attribution import Method, Progress, Scores, load_method
from harness.bases import Basis, basis_file, bind_basis, find_basis
from harness.cache import write_atomically
from harness.circuits import ErrorTreatment, Ranking, rank_nodes
from harness.clock import Clock, Report, quiet
from harness.config import RunConfig
from harness.curves import evaluate
from harness.errors import UserError
from harness.metrics import scoring_metric
from harness.models.adapter import Model
from harness.models.names import ModelSource, file_sha256, fingerprint, load_hf, resolve_model
from harness.prompts import PromptSet, Scoring
from harness.results import (
    RankingArrays,
    describe_environment,
    make_result,
    pack_arrays,
    read_result,
    write_result,
)
from harness.schema import Cell, Data, PairCounts, Result, Timing, result_name
from harness.selection import Filter, load_prompts
from harness.statistics import summarise
from harness.tasks import Split, Task, load_task

# What ends a cell and not the run.
CELL_ERRORS = (UserError, torch.OutOfMemoryError)


@dataclass(frozen=True)
class Failure:
    """A cell that has no result, and why."""

    cell: str
    reason: str


@dataclass(frozen=True)
class RunReport:
    """What a run leaves: all its results, those that were there before counted, and what failed."""

    results: tuple[Result, ...]
    reused: int
    failures: tuple[Failure, ...]
    folder: Path


def say_nothing(line: str) -> None:
    """Drop a line."""


def load_model(
    name: str = "smollm2-135m",
    dtype: str = "float32",
    device: str = "auto",
    say: Callable[[str], None] = say_nothing,
) -> tuple[Model, str]:
    """Return a model and the hash of its files (a hub model's commit).

    `name` is registered, a local Hugging Face folder, or a hub name. Raises UserError if it cannot be had.
    """
    chosen = _device(device)
    source: ModelSource = resolve_model(name, say)
    say(f"loading {source.label}")
    hf, tokenizer = load_hf(source, getattr(torch, dtype), chosen)
    path = Path(source.path)
    digest = fingerprint(path) if path.is_dir() else str(getattr(hf.config, "_commit_hash", None) or source.path)
    return Model(source.name, hf, tokenizer), digest


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"device '{name}' cannot be used ({reason}): valid: auto, cpu, cuda, cuda:N") from error
    return device


def run(
    config: RunConfig | None = None, *, report: Report = quiet, say: Callable[[str], None] = say_nothing
) -> RunReport:
    """Compute every cell of `config` that `config.out` does not hold yet.

    `report` is called with progress, `say` with lines worth keeping. A cell that cannot be computed is listed in
    the report's failures and the others go on. Raises UserError for a name that is not known, a model that cannot
    be had and a folder that cannot be written, the disk being full for one.
    """
    config = config or RunConfig()
    tasks = [load_task(name) for name in config.tasks]
    methods = {name: load_method(name) for name in config.methods}
    for name in config.ablation:
        check_ablation(name)
    hashes = {name: _content_hash(name) for name in config.bases}
    factories = {name: find_basis(name) for name in config.bases}
    _check_folder(config.out)
    model, model_hash = load_model(config.model, config.dtype, config.device, say)
    bases = {name: bind_basis(name, factory, model) for name, factory in factories.items()}
    _check_distinct("tasks", [task.name for task in tasks])
    _check_distinct("bases", [basis.name for basis in bases.values()])
    # what a file says may change while the run goes on: it counts as it was when it was loaded
    options = {
        basis.name: hashes[name] | ({"content": basis.content} if basis.content else {})
        for name, basis in bases.items()
    }
    grid = _Grid(config, model, model_hash, {basis.name: basis for basis in bases.values()}, options, say)
    curves = sum(len(_treatments(basis, config)) for basis in bases.values()) * len(config.ablation)
    clock = Clock(report, len(tasks), config.methods, curves)
    for task in tasks:
        grid.run_task(task, methods, clock)
    return RunReport(tuple(grid.results), grid.reused, tuple(grid.failures), config.out)


def _treatments(basis: Basis, config: RunConfig) -> Sequence[ErrorTreatment]:
    """How a basis' errors are treated; one without an error has one cell, whatever is asked of the others."""
    return config.error if basis.has_error else ("score",)


def _content_hash(basis: str) -> dict[str, str]:
    """The hash of the local file or folder that a basis comes from: its content can change under its name."""
    file = basis_file(basis)
    option = str(file[0]) if file else basis.partition(":")[2]
    before, pattern, _ = option.partition("{layer}")
    path = Path(before.rpartition("/")[0] if pattern else option).expanduser()
    if not option or not path.exists():
        return {}
    kinds = ("*.safetensors", "*.json", "*.yaml")
    files = sorted(file for kind in kinds for file in path.rglob(kind)) if path.is_dir() else [path]
    lines = [f"{file.relative_to(path).as_posix()} {file_sha256(file)}\n" for file in files]
    return {"basis_sha256": hashlib.sha256("".join(lines).encode()).hexdigest()}


def _check_folder(folder: Path) -> None:
    """Raise UserError if results cannot be written to `folder`: now, not when the first is there."""
    probe = folder / f".writable-{os.getpid()}"
    write_atomically(probe, b"")
    probe.unlink()


def _check_distinct(kind: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two {kind} are called '{name}', so results could not be told apart: rename one")


@dataclass(frozen=True)
class _Pairs:
    """A task's prompts and how they were counted."""

    task: Task
    discovery: PromptSet
    evaluation: PromptSet

    @property
    def data(self) -> Data:
        def counts(prompts: PromptSet) -> PairCounts:
            return PairCounts(**vars(prompts.usage))

        digest = hashlib.sha256((self.discovery.digest + self.evaluation.digest).encode()).hexdigest()[:16]
        return Data(discovery=counts(self.discovery), evaluation=counts(self.evaluation), hash=digest)


class _Grid:
    """The cells of one run on one loaded model."""

    def __init__(
        self,
        config: RunConfig,
        model: Model,
        model_hash: str,
        bases: Mapping[str, Basis],
        options: Mapping[str, dict[str, str]],
        say: Callable[[str], None],
    ) -> None:
        self.config = config
        self.model = model
        self.model_hash = model_hash
        self.bases = bases
        self.options = options
        self.say = say
        self.results: list[Result] = []
        self.failures: list[Failure] = []
        self.reused = 0

    def run_task(self, task: Task, methods: Mapping[str, Method], clock: Clock) -> None:
        """Compute a task's cells, method by method."""
        try:
            discovery = self._prompts(task, "discovery")
            pairs = _Pairs(task, discovery, self._prompts(task, self.config.split, discovery.slot_names))
        except UserError as error:
            self._fail(task.name, error)
            clock.finish(task.name, clock.task)
            return
        for method_name, method in methods.items():
            wanted: dict[str, list[Cell]] = {}
            for cell in self._cells(task.name, method_name):
                path = self.config.out / f"{result_name(cell, self.model_hash, pairs.data.hash)}.json"
                if path.exists():
                    self.results.append(read_result(path))
                    self.reused += 1
                    clock.finish(task.name, clock.CURVE)
                else:
                    wanted.setdefault(cell.basis, []).append(cell)
            label = f"{task.name} {method_name}"
            cost = clock.costs[method_name]
            if not wanted:
                clock.finish(label, cost)
                continue
            began = time.perf_counter()
            scores = self._scores(label, method, pairs.discovery, list(wanted), clock.part(label, cost))
            seconds = (time.perf_counter() - began) / len(wanted)
            clock.finish(label, cost)
            for basis, cells in wanted.items():
                for cell in cells:
                    if basis in scores:
                        progress = clock.part(f"{label} {basis}", clock.CURVE)
                        self._run_cell(cell, pairs, scores[basis], seconds, progress)
                    clock.finish(f"{label} {basis}", clock.CURVE)

    def _scores(
        self, label: str, method: Method, prompts: PromptSet, bases: Sequence[str], progress: Progress
    ) -> dict[str, Scores]:
        """Scores by basis; one that cannot be scored is noted, and spoils the passes it shares for no other."""
        chosen = [self.bases[name] for name in bases]
        try:
            return method(self.model, prompts, chosen, seed=self.config.seed, progress=progress)
        except CELL_ERRORS as error:
            if len(bases) == 1:
                self._fail(f"{label} {bases[0]}", error)
                return {}
        alone = (self._scores(label, method, prompts, [name], progress) for name in bases)
        return {name: scores for found in alone for name, scores in found.items()}

    def _run_cell(
        self, cell: Cell, pairs: _Pairs, scores: Scores, attribution_seconds: float, progress: Progress
    ) -> None:
        try:
            result, arrays = self._computed(cell, pairs, scores, attribution_seconds, progress)
        except CELL_ERRORS as error:
            treatment = [cell.error] if self.bases[cell.basis].has_error else []
            self._fail(" ".join([cell.task, cell.method, cell.basis, cell.ablation, *treatment]), error)
            return
        # a result that cannot be written ends the run: the next could not be written either
        write_result(self.config.out, result, arrays)
        self.results.append(result)

    def _fail(self, what: str, error: BaseException) -> None:
        self.failures.append(Failure(what, str(error).strip().partition("\n")[0]))

    def _prompts(self, task: Task, split: Split, slot_names: Sequence[str] = ()) -> PromptSet:
        config = self.config
        wanted = config.n_discovery if split == "discovery" else config.n_evaluation
        scoring = Scoring(scoring_metric(config.metric), config.answers, config.chat)
        filtered = Filter(scoring, config.require_correct)
        prompts = load_prompts(task, split, wanted, config.seed, self.model, filtered, slot_names)
        if prompts.usage.unusable or prompts.usage.shared or prompts.n_pairs < wanted:
            self.say(f"{task.name} {split}: {wanted} pairs asked for, {prompts.usage}")
        if slot_names and (new := prompts.slot_names[len(slot_names) :]):
            self.say(
                f"{task.name} {split}: positions that discovery did not have, in no circuit of positions "
                f"'kept': {', '.join(new)}"
            )
        return prompts

    def _cells(self, task: str, method: str) -> Iterator[Cell]:
        config = self.config
        for name, basis in self.bases.items():
            for ablation, error in product(config.ablation, _treatments(basis, config)):
                yield Cell(
                    model=config.model,
                    task=task,
                    basis=name,
                    method=method,
                    ablation=ablation,
                    positions=config.positions,
                    rank=config.rank,
                    error=error,
                    n_discovery=config.n_discovery,
                    n_evaluation=config.n_evaluation,
                    split=config.split,
                    seed=config.seed,
                    dtype=config.dtype,
                    metric=config.metric,
                    answers=config.answers,
                    chat=config.chat,
                    require_correct=config.require_correct,
                    grid=config.sizes,
                    options=dict(self.options[name]),
                )

    def _computed(
        self, cell: Cell, pairs: _Pairs, scores: Scores, attribution_seconds: float, progress: Progress
    ) -> tuple[Result, bytes]:
        basis = self.bases[cell.basis]
        began = time.perf_counter()
        ranking = rank_nodes(
            scores, basis, rank=cell.rank, positions=cell.positions, error=cell.error, limit=max(cell.grid)
        )
        curve = evaluate(
            self.model,
            pairs.evaluation,
            basis,
            ranking,
            cell.grid,
            ablation=check_ablation(cell.ablation),
            error=cell.error,
            seed=cell.seed,
            progress=progress,
        )
        evaluated = time.perf_counter()
        statistics = summarise(curve, seed=cell.seed, n_resamples=cell.n_resamples, metric=scoring_metric(cell.metric))
        seconds = {
            "attribution": attribution_seconds,
            "curve": evaluated - began,
            "statistics": time.perf_counter() - evaluated,
        }
        arrays = pack_arrays(curve, _arrays(ranking))
        environment = describe_environment(
            str(self.model.device), cell.dtype, torch.get_num_threads(), self.model_hash, pairs.data.hash
        )
        timing = Timing(seconds=seconds, peak_memory_bytes=_peak_memory(self.model.device))
        return make_result(cell, curve, statistics, arrays, pairs.data, environment, timing), arrays


def _arrays(ranking: Ranking) -> RankingArrays:
    units = torch.where(ranking.is_error, -1, ranking.unit)
    layer, slot, unit = (part.int().numpy() for part in (ranking.layer, ranking.slot, units))
    return RankingArrays(layer, slot, unit, ranking.score.float().numpy())


def _peak_memory(device: torch.device) -> int | None:
    """Peak memory of the device, or resident memory of the process on a CPU, in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
