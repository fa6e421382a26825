"""Result files to samples: each cell's statistics and their bootstrap replicates, from its per-pair outcomes.

1. Find the result files of all folders; one name counts once.
2. Read each with the arrays beside it; what is wrong with one is a line, and the others go on.
3. Draw one set of resamples a task, the same for every row, so that rows can be compared pair by pair.
4. Compute the three statistics of the board under these resamples. Summaries in the files are not believed.
"""

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from harness.errors import UserError, printable, unknown_name
from harness.metrics import Floats, Metric, scoring_metric
from harness.results import read_arrays, read_result
from harness.schema import Cell, Number, Result
from harness.statistics import Curve, log_mean, nodes_at, safe_divisor

THRESHOLD = 0.8
MAX_PAIRS, MAX_POINTS = 10_000, 2_000
"""Evaluation pairs and sizes that a result may have here: resamples of more would fill the memory."""
CHUNK = 50
"""Results that a process reads at a time: neighbours by name, so mostly of one task and its resamples."""
BLOCK = 1024
"""Weightings computed at a time: what is in between then stays near the processor."""
PATTERN = "*__*__*__*.json"
"""How a result is named; other JSON files in a folder are none."""

Weights = Callable[[str, int], Floats]
"""Takes a task and its number of pairs, gives weights [1 + R, N]."""


@dataclass(frozen=True)
class Sample:
    """One cell: its settings, its statistics and their replicates.

    `point` [3] and `replicates` [3, R] hold auc_f, auc_c and log10 nodes@0.8, NaN and empty where `degenerate`.
    `pairs` says which pairs they were measured on. `units` and `errors` are the distinct (layer, unit) and the error
    nodes of the circuit at nodes@0.8, None where only everything reaches it.
    """

    name: str
    cell: Cell
    model_hash: str
    pairs: str
    degenerate: bool
    point: Floats
    replicates: Floats
    units: Number
    errors: Number
    machine: tuple[str, str, str]
    seconds: Number
    peak_memory_bytes: int | None


@dataclass(frozen=True)
class Reading:
    """What was found in folders: samples by name, and a line for each bad file and for each oddity."""

    samples: tuple[Sample, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Found:
    """What came of the copies of one file; `task` is known of a result that was not asked for, too."""

    sample: Sample | None
    task: str | None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_samples(folders: Sequence[Path], tasks: Collection[str] | None, n_resamples: int) -> Reading:
    """Return the samples of all results in `folders` and the folders in them, of `tasks` only if given.

    Raises UserError for a folder that is not there, for no good result at all and for a task without any.
    """
    found = _read_all(find_results(folders), tasks, n_resamples)
    problems = tuple(line for one in found for line in one.problems)
    known = {one.task for one in found if one.task is not None}
    if not known:
        where = ", ".join(map(str, folders))
        if problems:
            raise UserError(f"no valid result in {where}, {len(problems)} bad, the first: {problems[0]}")
        raise UserError(f"no results in {where}: valid are folders that `basisbench run` wrote to")
    for task in tasks or ():
        if task not in known:
            raise unknown_name("task", task, known)
    # by the name that the content gives: a renamed copy is the same result
    samples = {one.sample.name: one.sample for one in reversed(found) if one.sample}
    notes = tuple(line for one in found for line in one.notes)
    return Reading(tuple(samples[name] for name in sorted(samples)), problems, notes)


def find_results(folders: Sequence[Path]) -> list[list[Path]]:
    """Return the result files in `folders` and below, those of one name together, by name."""
    copies: dict[str, list[Path]] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"no folder {folder}: valid is a folder of results, as `basisbench run` writes them")
        for parent, inner, files in os.walk(folder):
            inner.sort()
            for name in sorted(files):
                if fnmatch(name, PATTERN):
                    copies.setdefault(name, []).append(Path(parent, name))
    return [copies[name] for name in sorted(copies)]


def draw_weights(task: str, n: int, n_resamples: int) -> Floats:
    """Return the weights of a task's n pairs: 1/n for the point, then a resample's counts over n, [1 + R, n].

    The seed is made of the task's name: one task's resamples are the same for every row and seed, another task's are
    independent of them.
    """
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(task.encode()).digest()[:8]))
    point = np.full(n, 1 / n)
    weights: Floats = np.concatenate([point[None], rng.multinomial(n, point, n_resamples) / n])
    return weights


def _read_all(copies: Sequence[Sequence[Path]], tasks: Collection[str] | None, n_resamples: int) -> list[_Found]:
    """Read all results; many of them in several processes, where starting those is cheap and safe."""
    chunks = [copies[i : i + CHUNK] for i in range(0, len(copies), CHUNK)]
    workers = min(os.cpu_count() or 1, len(chunks))
    # a fork copies no other thread, and what such a thread held stays locked
    if workers > 1 and sys.platform == "linux" and threading.active_count() == 1:
        with ProcessPoolExecutor(workers, get_context("fork")) as pool:
            found = list(pool.map(partial(_read_some, tasks=tasks, n_resamples=n_resamples), chunks))
    else:
        found = [_read_some(chunk, tasks, n_resamples) for chunk in chunks]
    return [one for some in found for one in some]


def _read_some(copies: Sequence[Sequence[Path]], tasks: Collection[str] | None, n_resamples: int) -> list[_Found]:
    weights = cache(lambda task, n: draw_weights(task, n, n_resamples))
    return [_read_one(paths, tasks, weights) for paths in copies]


def _read_one(paths: Sequence[Path], tasks: Collection[str] | None, weights: Weights) -> _Found:
    """Read the first good one of the copies of a result, and say what is wrong with those before it."""
    problems: list[str] = []
    for number, path in enumerate(paths, start=1):
        try:
            result = read_result(path)
            task = result.cell.task
            sample = measure(path, result, weights) if tasks is None or task in tasks else None
            others = [other for other in paths[number:] if _differs(other, result)]
            notes = tuple(f"{other} has other numbers than {path}, which counts" for other in others)
            return _Found(sample, task, tuple(problems), notes)
        except UserError as error:
            problems.append(printable(str(error)))
    return _Found(None, None, tuple(problems))


def _differs(path: Path, result: Result) -> bool:
    try:
        return read_result(path).arrays_sha256 != result.arrays_sha256
    except UserError:  # a bad copy of a good result takes nothing away
        return False


def measure(path: Path, result: Result, weights: Weights) -> Sample:
    """Return the sample of the result at `path`; raises UserError for arrays that are not its own or too large."""
    curve, _ = read_arrays(path, result)
    if curve.size.tolist() != result.curve.size:
        raise UserError(f"{path} and its arrays have other sizes: field curve.size differs")
    if curve.n > MAX_PAIRS or curve.size.size > MAX_POINTS:
        raise UserError(
            f"{path} has {curve.n:,} evaluation pairs and {curve.size.size:,} sizes: "
            f"valid are at most {MAX_PAIRS:,} and {MAX_POINTS:,}"
        )
    point, replicates = np.full(3, np.nan), np.zeros((3, 0))
    units = errors = None
    if not result.degenerate:
        found = statistics(curve, weights(result.cell.task, curve.n), result.cell.metric)
        point, replicates = found[:, 0], found[:, 1:]
        reached = int(np.searchsorted(np.log10(curve.size), point[2] - 1e-9))
        if reached < curve.size.size:
            units, errors = float(curve.distinct_units[reached]), float(curve.error_nodes[reached])
    return Sample(
        name=result.name,
        cell=result.cell,
        model_hash=result.environment.model_hash,
        pairs=f"{result.data.hash} {curve.n}",
        degenerate=result.degenerate or not np.isfinite(point).all(),
        point=point,
        replicates=replicates,
        units=units,
        errors=errors,
        machine=result.environment.machine,
        seconds=sum(result.timing.seconds.values()),
        peak_memory_bytes=result.timing.peak_memory_bytes,
    )


def statistics(curve: Curve, weights: Floats, metric_name: str) -> Floats:
    """Return auc_f, auc_c and log10 nodes@0.8 under weights [R, N] as [3, R] (see `statistics_of`)."""
    metric = scoring_metric(metric_name)
    blocks = [weights[i : i + BLOCK] for i in range(0, len(weights), BLOCK)]
    return np.concatenate([_statistics(curve, block, metric) for block in blocks], axis=1)


def _statistics(curve: Curve, weights: Floats, metric: Metric) -> Floats:
    full, empty, circuit, complement = (
        metric.compute(outcome) @ weights.T for outcome in (curve.full, curve.empty, curve.circuit, curve.complement)
    )
    divisor = safe_divisor(curve, full - empty, metric)
    f, c = (circuit - empty) / divisor, (complement - empty) / divisor
    nodes = nodes_at(curve, f, THRESHOLD) + 0 * divisor  # NaN where f is
    rows: Floats = np.stack(
        [
            log_mean(curve, f, 0, 1, lambda value: np.maximum(0, 1 - np.abs(1 - value))),
            log_mean(curve, c, 1, 0, lambda value: 1 - np.minimum(1, np.abs(value))),
            np.log10(nodes),
        ]
    )
    return rows
