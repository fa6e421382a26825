"""What the arrays of a result say, against what its document reports.

1. The document alone: rates, counts, intervals and hashes that can be what they are said to be.
2. The outcomes: logits that a model can give.
3. The ranking: in order, each node once, of nodes that the basis can have, with the counts that the curve reports.
4. The numbers: every value of the curve and of the summary computed again from the outcomes, intervals too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import ValidationError

from basisbench.checks.findings import Finding, Problem, broken, warning
from basisbench.errors import UserError
from basisbench.measures.curve import Curve
from basisbench.measures.metrics import reported_metrics, scoring_metric, scoring_metrics
from basisbench.measures.statistic import STATISTICS
from basisbench.measures.summary import summarise
from basisbench.results.controls import shipped_controls
from basisbench.results.files import CircuitArrays, RankingArrays, make_result
from basisbench.results.schema import Interval, Result
from basisbench.values import LEAST_RANKED, Number, size_grid

TOLERANCE = 1e-6
"""Of a number computed again from the same arrays, absolute and relative: sums taken in another order."""
MOST_WORK = 2**26
"""Numbers that a bootstrap may hold at once: resamples x (pairs + values on the curve)."""
LARGEST_LOGIT = 1e6

# -- the document alone --------------------------------------------------------------------------------


def check_record(result: Result) -> Finding:
    """Whether what the document says can be, whatever the arrays hold."""
    problems = [*_counts(result), *_ranges(result), *_intervals(result), *_provenance(result)]
    curve = result.curve
    summary = f"{len(curve.size)} sizes from {curve.size[0]:,} to {curve.size[-1]:,} of {result.total_nodes:,} nodes"
    return Finding("record", summary, tuple(problems))


def _counts(result: Result) -> Iterator[Problem]:
    curve, cell = result.curve, result.cell
    if cell.grid != sorted(set(cell.grid)):
        yield broken("cell.grid is not ascending, with each size once")
    if curve.size != [size for size in cell.grid if size < result.total_nodes]:
        yield broken("the curve's sizes are not those of cell.grid below total_nodes")
    if missing := [size for size in size_grid() if size < result.total_nodes and size not in set(curve.size)]:
        yield warning(f"size {missing[0]:,} of the usual grid was not measured: areas are interpolated there")
    for size, units, errors in zip(curve.size, curve.distinct_units, curve.error_nodes, strict=True):
        if units + errors > size:
            yield broken(f"{units:,} distinct units and {errors:,} error nodes are more than the {size:,} kept")
    for name, asked in (("discovery", cell.n_discovery), ("evaluation", cell.n_evaluation)):
        counts = getattr(result.data, name)
        if not 0 < counts.usable <= asked:
            yield broken(f"{counts.usable:,} {name} pairs used of {asked:,} asked for")
        if counts.shared > counts.usable:
            yield broken(f"{counts.shared:,} {name} pairs scored at a later token, of {counts.usable:,} used")


def _ranges(result: Result) -> Iterator[Problem]:
    columns = result.curve.columns
    for metric in reported_metrics():
        low, high = metric.limits
        for name in (metric.name, f"{metric.name}_complement"):
            for size, value in zip(result.curve.size, columns.get(name, []), strict=False):
                if value is None or not low - TOLERANCE <= value <= high + TOLERANCE:
                    yield broken(f"{name} at {size:,} is {value}: valid is {low:g} to {high:g}")
    absent = [metric.name for metric in reported_metrics() if metric.name not in columns]
    absent += [name for name in STATISTICS.names if name not in result.summary]
    if absent:
        yield warning(f"not reported, as by a version that did not know them: {', '.join(absent)}")
    if result.f_full is None or result.f_empty is None:
        yield broken("F_full and F_empty are always defined")


def _intervals(result: Result) -> Iterator[Problem]:
    for name, interval in _named_intervals(result):
        ends = (interval.low, interval.value, interval.high)
        low, value, high = ends
        if low is None or value is None or high is None:
            if any(end is not None for end in ends):
                yield broken(f"{name}: value, low and high are null together or not at all")
        elif low > high:
            yield broken(f"{name}: low {low:g} is above high {high:g}")
        elif not low - TOLERANCE <= value <= high + TOLERANCE:
            # a percentile interval need not hold its point, but seldom does not
            yield warning(f"{name} {value:g} lies outside its interval [{low:g}, {high:g}]")


def _named_intervals(result: Result) -> Iterator[tuple[str, Interval]]:
    yield from result.summary.items()
    for name in ("faithfulness", "completeness"):
        values, lows, highs = (getattr(result.curve, name + part) for part in ("", "_low", "_high"))
        for size, value, low, high in zip(result.curve.size, values, lows, highs, strict=True):
            yield f"{name} at {size:,}", Interval(value=value, low=low, high=high)


def _provenance(result: Result) -> Iterator[Problem]:
    cell, environment = result.cell, result.environment
    scoring = [metric.name for metric in scoring_metrics()]
    if cell.metric not in scoring:
        yield broken(f"metric '{cell.metric}' is none of {', '.join(scoring)}")
    if environment.dtype != cell.dtype:
        yield broken(f"environment.dtype {environment.dtype} is not cell.dtype {cell.dtype}")
    if environment.data_hash != result.data.hash:
        yield broken("environment.data_hash is not data.hash")
    shipped = shipped_controls(cell.basis, cell.method, cell.options)
    if hidden := [part for part in shipped if part not in result.controls]:
        yield broken(f"its {' and '.join(hidden)} is a control that ships, and controls does not say so")
    if environment.git_commit and environment.git_commit.endswith("-dirty"):
        yield warning(f"made by a changed version of the code, {environment.git_commit[:60]}")


# -- the arrays ----------------------------------------------------------------------------------------


def check_outcomes(result: Result, curve: Curve) -> Finding:
    """Whether the outcomes belong to this document and a model can have given them."""
    problems: list[Problem] = []
    if curve.size.tolist() != result.curve.size:
        problems.append(broken("the sizes of the arrays are not those of the document"))
    if curve.n != result.data.evaluation.usable:
        problems.append(
            broken(f"outcomes of {curve.n:,} pairs, {result.data.evaluation.usable:,} are reported as used")
        )
    if curve.full.kl.any():
        problems.append(broken("the plain model's divergence from itself is not 0"))
    for name in ("full", "empty", "circuit", "complement"):
        outcome = getattr(curve, name)
        if max(float(np.abs(part).max()) for part in vars(outcome).values()) > LARGEST_LOGIT:
            problems.append(broken(f"{name}: a value beyond {LARGEST_LOGIT:g} nats"))
        if (outcome.kl < 0).any():
            problems.append(broken(f"{name}: a divergence below 0"))
        excess = np.maximum(outcome.answer, outcome.foil) - outcome.logsumexp
        if (excess > 1e-3 * (1 + np.abs(outcome.logsumexp))).any():
            problems.append(broken(f"{name}: a probability above 1 (a logit above the softmax denominator)"))
    return Finding("outcomes", f"{curve.n:,} pairs", tuple(problems))


def check_ranking(result: Result, ranking: RankingArrays) -> Finding:
    """Whether the ranking is one of this cell, and has the counts that the curve reports."""
    if isinstance(ranking, CircuitArrays):
        return _check_circuits(result, ranking)
    length = len(ranking.layer)
    problems = [*_places(result, ranking)]
    longest = min(max(result.cell.grid, default=0), result.total_nodes)
    if not min(LEAST_RANKED, longest) <= length <= longest:
        few = f"{LEAST_RANKED:,} to " if longest > LEAST_RANKED else ""
        words = f"{length:,} nodes are ranked: valid are {few}{longest:,}, as many as the largest size asks for"
        return Finding("ranking", "", (*problems, broken(words)))
    keys = np.abs(ranking.score) if result.cell.rank == "abs" else -ranking.score
    if not np.isfinite(ranking.score).all():
        problems.append(broken("a score is NaN or infinite"))
    elif (np.diff(keys) > 0).any():
        first = int(np.argmax(np.diff(keys) > 0)) + 1
        problems.append(
            broken(f"not sorted by {result.cell.rank}: node {first + 1:,} has a better score than {first:,}")
        )
    for name in ("distinct_units", "error_nodes"):
        values = getattr(result.curve, name)
        if values != sorted(values):
            problems.append(broken(f"{name} falls as the circuit grows"))
    problems += _compared(result, [size for size in result.curve.size if size <= length], ranking)
    unchecked = "" if length == longest else f", of {longest:,}: what larger circuits count was not checked"
    return Finding("ranking", f"{length:,} nodes in order{unchecked}", tuple(problems))


def _check_circuits(result: Result, circuits: CircuitArrays) -> Finding:
    """Whether circuits that need not hold each other are of this cell, with the counts that the curve reports."""
    problems = [*_places(result, circuits)]
    sizes = circuits.sizes.tolist()
    measured = result.curve.size
    if sizes != measured[: len(sizes)] or any(size <= LEAST_RANKED for size in measured[len(sizes) :]):
        words = f"circuits of the sizes {sizes} are held: valid are those measured, up to {LEAST_RANKED:,} at least"
        return Finding("ranking", "", (*problems, broken(words)))
    for size, count in zip(sizes, circuits.kept.sum(1).tolist(), strict=True):
        if count > size:
            problems.append(broken(f"the circuit of size {size:,} has {count:,} nodes"))
    if not np.isfinite(circuits.score).all():
        problems.append(broken("a score is NaN or infinite"))
    problems += _compared(result, sizes, circuits)
    return Finding("ranking", f"{len(sizes)} circuits of {len(circuits.layer):,} nodes in all", tuple(problems))


def _compared(result: Result, sizes: Sequence[int], ranking: RankingArrays) -> Iterator[Problem]:
    """What the curve reports of the circuits of these sizes, its first, against the nodes they have."""
    for place, size in enumerate(sizes):
        layer, _, unit = ranking.circuit(size).T
        counted = {
            "distinct_units": len(np.unique(np.stack([layer, unit])[:, unit >= 0], axis=1).T),
            "error_nodes": int((unit == -1).sum()),
        }
        for name, count in counted.items():
            if (reported := getattr(result.curve, name)[place]) != count:
                yield broken(f"{name} at {size:,} is {reported:,}, the ranking has {count:,}")


def _places(result: Result, ranking: RankingArrays) -> Iterator[Problem]:
    layer, position, unit = (part.astype(np.int64) for part in (ranking.layer, ranking.position, ranking.unit))
    if not layer.size:
        return
    if layer.min() < 0 or unit.min() < -1:
        yield broken("a layer below 0 or a unit below -1")
        return
    pooled = result.cell.positions == "pooled"
    if pooled and (position != -1).any():
        yield broken("positions are pooled, so each position is -1")
    if not pooled and position.min() < 0:
        yield broken("positions are kept, so none is below 0")
    if result.cell.error != "score" and (unit == -1).any():
        yield broken(f"an error node is ranked, where error nodes are not scored (error {result.cell.error})")
    nodes = np.stack([layer, position, unit])
    if np.unique(nodes, axis=1).shape[1] < layer.size:
        yield broken("a node is ranked twice")
    # at least as many nodes as the ranked ones imply: each layer as wide as its last unit, at each position
    layers, index = np.unique(layer, return_inverse=True)
    widths = np.zeros(len(layers), np.int64)
    np.maximum.at(widths, index, unit + 1)
    least = int(widths.sum()) * max(1, int(position.max()) + 1)
    if least > result.total_nodes:
        yield broken(f"the ranking speaks of {least:,} nodes or more, total_nodes is {result.total_nodes:,}")


# -- the numbers ---------------------------------------------------------------------------------------


def check_numbers(result: Result, curve: Curve) -> Finding:
    """Whether every reported number comes out again, within TOLERANCE, of the outcomes."""
    name = "numbers"
    work = result.cell.n_resamples * (2 * curve.n + 20 * len(curve.size))
    if work > MOST_WORK:
        words = f"{result.cell.n_resamples:,} resamples of {curve.n:,} pairs are too many to check"
        return Finding(name, "", (broken(words),))
    try:
        with np.errstate(all="ignore"):
            again = _again(result, curve)
    except UserError as error:  # a metric that there is not
        return Finding(name, "", (broken(str(error)),))
    except ValidationError:
        return Finding(name, "", (broken("the outcomes give numbers that are not finite"),))
    largest = 0.0
    problems = []
    computed_of = dict(numbers_of(again))
    pairs = [(what, reported, computed_of[what]) for what, reported in numbers_of(result)]
    for what, reported, computed in pairs:
        if reported is None or computed is None:
            same = reported is computed
        else:
            largest = max(largest, abs(reported - computed))
            same = math.isclose(reported, computed, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        if not same:
            problems.append(broken(f"{what} is {_short(reported)}, from the arrays {_short(computed)}"))
    if result.degenerate != again.degenerate:
        problems.append(broken(f"degenerate is {result.degenerate}, from the arrays {again.degenerate}"))
    return Finding(name, f"{len(pairs)} computed again, the largest difference is {largest:.0e}", tuple(problems))


def _again(result: Result, curve: Curve) -> Result:
    cell = result.cell
    statistics = summarise(curve, seed=cell.seed, n_resamples=cell.n_resamples, metric=scoring_metric(cell.metric))
    given = result.data, result.environment, result.timing
    return make_result(cell, curve, statistics, b"", *given, result.controls)


def numbers_of(result: Result) -> Iterator[tuple[str, Number]]:
    """Every number of a result that is computed from outcomes, by name."""
    yield "F_full", result.f_full
    yield "F_empty", result.f_empty
    for name, values in result.curve.columns.items():
        if name != "size":
            for size, value in zip(result.curve.size, values, strict=True):
                yield f"{name} at {size:,}", value
    for name, interval in result.summary.items():
        for part in Interval.model_fields:
            yield f"{name} ({part})", getattr(interval, part)


def _short(number: Number) -> str:
    return "null" if number is None else f"{number:.6g}"
