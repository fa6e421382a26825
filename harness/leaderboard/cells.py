"""Result files to samples: each cell's statistics and their bootstrap replicates, from its per-pair outcomes.

1. Find the result files of all folders; one name counts once.
2. Read each with the arrays beside it; what is wrong with one is a line, and the others go on.
3. Measure each (`samples`).
"""

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path

import numpy as np

from basisbench.errors import UserError, printable, unknown_name
from basisbench.leaderboard.processes import spread
from basisbench.leaderboard.samples import Sample, clusters_in, measure
from basisbench.measures.clusters import draw_weights
from basisbench.measures.curve import Curve
from basisbench.measures.metrics import Floats, scoring_metric
from basisbench.measures.statistic import board_statistics
from basisbench.results.files import read_arrays, read_result
from basisbench.results.schema import Result

MAX_PAIRS, MAX_POINTS = 10_000, 2_000
"""Evaluation pairs and sizes that a result may have here: resamples of more would fill the memory."""
CHUNK = 200
"""Results that a process reads at a time: neighbours by name, so mostly of one task and its resamples."""
BATCH = 2**15
"""Values of curves read before their statistics are computed: what runs again at once is still near the processor."""
PATTERN = "*__*__*__*.json"
"""How a result is named; other JSON files in a folder are none."""


@dataclass(frozen=True)
class Reading:
    """What was found in folders: samples by name, and a line for each bad file and for each oddity."""

    samples: tuple[Sample, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Read:
    """The first good one of the copies of a file, its curve if it was asked for, and what is wrong with others."""

    result: Result | None
    curve: Curve | None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Found:
    """What came of the copies of one file; `task` is known of a result that was not asked for, too."""

    sample: Sample | None
    task: str | None
    problems: tuple[str, ...]
    notes: tuple[str, ...]


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


def _read_all(copies: Sequence[Sequence[Path]], tasks: Collection[str] | None, n_resamples: int) -> list[_Found]:
    read = partial(_read_some, tasks=tasks, n_resamples=n_resamples)
    found, replicates = spread(read, copies, (len(board_statistics()), n_resamples), CHUNK)
    return [_with_replicates(one, part) for one, part in zip(found, replicates, strict=True)]


def _read_some(
    copies: Sequence[Sequence[Path]], replicates: Floats, tasks: Collection[str] | None, n_resamples: int
) -> list[_Found]:
    """Return what came of each of some results; the replicates of all go into `replicates` [results, S, R]."""
    weights = lru_cache(maxsize=8)(lambda numbers: draw_weights(clusters_in(numbers), n_resamples))
    found: list[_Found] = []
    for read in chain.from_iterable(_batches(copies, tasks)):
        sample = measure(read.result, read.curve, weights) if read.result and read.curve else None
        if sample and not sample.degenerate:
            replicates[len(found)] = sample.replicates
        task = read.result.cell.task if read.result else None
        one = _Found(sample, task, read.problems, read.notes)
        found.append(_with_replicates(one, np.empty((0, 0))))
    return found


def _with_replicates(one: _Found, replicates: Floats) -> _Found:
    if one.sample is None or one.sample.degenerate:
        return one
    return replace(one, sample=replace(one.sample, replicates=replicates))


def _batches(copies: Sequence[Sequence[Path]], tasks: Collection[str] | None) -> Iterator[list[_Read]]:
    """Read results until their curves have BATCH values, again and again."""
    batch: list[_Read] = []
    values = 0
    for paths in copies:
        batch.append(read := _read_one(paths, tasks))
        values += read.curve.circuit.answer.size if read.curve else 0
        if values >= BATCH:
            yield batch
            batch, values = [], 0
    yield batch


def _read_one(paths: Sequence[Path], tasks: Collection[str] | None) -> _Read:
    """Read the first good one of the copies of a result, and say what is wrong with those before it."""
    problems: list[str] = []
    for number, path in enumerate(paths, start=1):
        try:
            result = read_result(path)
            curve = read_curve(path, result) if tasks is None or result.cell.task in tasks else None
            others = [other for other in paths[number:] if _differs(other, result)]
            notes = tuple(f"{other} has other numbers than {path}, which counts" for other in others)
            return _Read(result, curve, tuple(problems), notes)
        except UserError as error:
            problems.append(printable(str(error)))
    return _Read(None, None, tuple(problems))


def _differs(path: Path, result: Result) -> bool:
    try:
        return read_result(path).arrays_sha256 != result.arrays_sha256
    except UserError:  # a bad copy of a good result takes nothing away
        return False


def read_curve(path: Path, result: Result) -> Curve:
    """Return the curve of the result at `path`.

    Raises UserError for arrays that are not its own or too large, and for a metric that nothing is scored by.
    """
    scoring_metric(result.cell.metric)
    curve, _ = read_arrays(path, result)
    if curve.size.tolist() != result.curve.size:
        raise UserError(f"{path} and its arrays have other sizes: field curve.size differs")
    if curve.n > MAX_PAIRS or curve.size.size > MAX_POINTS:
        raise UserError(
            f"{path} has {curve.n:,} evaluation pairs and {curve.size.size:,} sizes: "
            f"valid are at most {MAX_PAIRS:,} and {MAX_POINTS:,}"
        )
    return curve
