"""Result files to samples: each cell's statistics and their bootstrap replicates, from its per-pair outcomes.

1. Find the results in all folders, packed or not; one name counts once.
2. Read each with its arrays; what is wrong with one is a line, and the others go on.
3. Draw one set of resamples a task, the same for every row, so that rows can be compared pair by pair.
4. Compute the three statistics of the board under these resamples. Summaries in the files are not believed.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from basisbench.errors import UserError, printable, unknown_name
from basisbench.measures.metrics import Floats, scoring_metric
from basisbench.measures.statistics import Curve, log_area, nodes_at, safe_divisor
from basisbench.results.find import Stored, find_results
from basisbench.results.schema import Cell, Result
from basisbench.values import Number

THRESHOLD = 0.8
MAX_PAIRS, MAX_POINTS = 10_000, 2_000
"""Evaluation pairs and sizes that a result may have here: resamples of more would fill the memory."""
BATCH = 2**15
"""Values of curves read before their statistics are computed: what runs again at once is still near the processor."""
AHEAD = 8
"""Batches that are read ahead of their statistics at most."""
BLOCK = 2048
"""Weightings computed at a time: more would fill the memory."""

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


@dataclass
class _Found:
    """What is known of the results read so far: the hash of each one's arrays, its place, the tasks, what was odd."""

    hashes: dict[str, str] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)
    tasks: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_samples(folders: Sequence[Path], tasks: Collection[str] | None, n_resamples: int) -> Reading:
    """Return the samples of all results in `folders` and the folders in them, of `tasks` only if given.

    Raises UserError for a folder that is not there, for no good result at all and for a task without any.
    """
    found = _Found()
    weights = lru_cache(maxsize=4)(lambda task, n: draw_weights(task, n, n_resamples))

    def measure_all(batch: list[tuple[str, Result, Curve]]) -> list[Sample]:
        return [measure(name, result, curve, weights) for name, result, curve in batch]

    # one thread reads ahead while another computes; those of BLAS, for matrices as small as these, wait for each other
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(1) as computing:
        measured: list[Future[list[Sample]]] = []
        for batch in _batches(find_results(folders), tasks, found):
            measured.append(computing.submit(measure_all, batch))
            if len(measured) > AHEAD:
                measured[-1 - AHEAD].result()
        samples = [sample for future in measured for sample in future.result()]
    if not found.tasks:
        where = ", ".join(map(str, folders))
        if found.problems:
            raise UserError(f"no valid result in {where}, {len(found.problems)} bad, the first: {found.problems[0]}")
        raise UserError(f"no results in {where}: valid are folders that `basisbench run` wrote to")
    for task in tasks or ():
        if task not in found.tasks:
            raise unknown_name("task", task, found.tasks)
    samples.sort(key=lambda sample: sample.name)
    return Reading(tuple(samples), tuple(found.problems), tuple(found.notes))


def draw_weights(task: str, n: int, n_resamples: int) -> Floats:
    """Return the weights of a task's n pairs: 1/n for the point, then a resample's counts over n, [1 + R, n].

    The seed is made of the task's name: one task's resamples are the same for every row and seed, another task's are
    independent of them.
    """
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(task.encode()).digest()[:8]))
    point = np.full(n, 1 / n)
    weights: Floats = np.concatenate([point[None], rng.multinomial(n, point, n_resamples) / n])
    return weights


def _batches(
    every: Iterator[Stored], tasks: Collection[str] | None, found: _Found
) -> Iterator[list[tuple[str, Result, Curve]]]:
    """Read the results of `tasks` until their curves have BATCH values, again and again."""
    batch: list[tuple[str, Result, Curve]] = []
    values = 0
    for stored in every:
        try:
            result = stored.result()
            name = result.name  # that the content gives: a renamed copy is the same result
            curve = None
            if (known := found.hashes.get(name)) is None:
                curve = read_curve(stored, result) if tasks is None or result.cell.task in tasks else None
                found.hashes[name], found.paths[name] = result.arrays_sha256, stored.path
                found.tasks.add(result.cell.task)
            elif known != result.arrays_sha256:
                found.notes.append(f"{stored.path} has other numbers than {found.paths[name]}, which counts")
        except UserError as error:
            found.problems.append(printable(str(error)))
            continue
        if curve:
            batch.append((name, result, curve))
            values += curve.circuit.answer.size
        if values >= BATCH:
            yield batch
            batch, values = [], 0
    yield batch


def read_curve(stored: Stored, result: Result) -> Curve:
    """Return the curve of a stored result.

    Raises UserError for arrays that are not its own or too large, and for a metric that nothing is scored by.
    """
    scoring_metric(result.cell.metric)
    curve, _ = stored.arrays(result)
    if curve.size.tolist() != result.curve.size:
        raise UserError(f"{stored.path} and its arrays have other sizes: field curve.size differs")
    if curve.n > MAX_PAIRS or curve.size.size > MAX_POINTS:
        raise UserError(
            f"{stored.path} has {curve.n:,} evaluation pairs and {curve.size.size:,} sizes: "
            f"valid are at most {MAX_PAIRS:,} and {MAX_POINTS:,}"
        )
    return curve


def measure(name: str, result: Result, curve: Curve, weights: Weights) -> Sample:
    """Return the sample of a result of this name that has this curve."""
    point, replicates = np.full(3, np.nan), np.zeros((3, 0))
    units = errors = None
    if not result.degenerate:
        found = statistics(curve, weights(result.cell.task, curve.n), result.cell.metric)
        point, replicates = found[:, 0], found[:, 1:]
        reached = int(np.searchsorted(np.log10(curve.size), point[2] - 1e-9))
        if reached < curve.size.size:
            units, errors = float(curve.distinct_units[reached]), float(curve.error_nodes[reached])
    return Sample(
        name=name,
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
    full, empty, circuit, complement = (
        metric.compute(outcome) for outcome in (curve.full, curve.empty, curve.circuit, curve.complement)
    )
    # differences before their means: one product of matrices gives them all
    values = np.vstack([full - empty, circuit - empty, complement - empty])
    found = np.empty((3, len(weights)))
    for first in range(0, len(weights), BLOCK):
        block = slice(first, first + BLOCK)
        means = values @ weights[block].T
        divisor = safe_divisor(curve, means[0], metric)
        ratios = np.divide(means[1:], divisor, out=means[1:])
        f, c = ratios[: curve.size.size], ratios[curve.size.size :]
        found[0, block], found[1, block] = log_area(curve, f, ideal=1), log_area(curve, c, ideal=0)
        found[2, block] = np.log10(nodes_at(curve, f, THRESHOLD)) + 0 * divisor  # NaN where f is
    return found
