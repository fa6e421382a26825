"""Statistics of a sparsity-faithfulness curve, with intervals from one bootstrap over evaluation pairs.

Every statistic is a function of per-pair weights: 1/N each gives the point, and a resample's counts over N
give one bootstrap replicate. So numerators and denominators are always resampled together, all statistics of
a curve share one set of resamples, and two curves on the same N pairs share it too (see `paired_difference`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from basisbench.errors import UserError, unknown_name
from basisbench.measures.metrics import LOGIT_DIFFERENCE, REPORTED, Floats, Metric, Outcome

Integers = NDArray[np.int64]

MAX_SIZE = 10_000  # right end of the headline areas' axis, log10 k in [0, 4]
THRESHOLDS = (0.5, 0.8, 0.9)
CONFIDENCE = 0.95
SMALLEST_EFFECT = 1e-6  # of the largest logit: about ten times the rounding error of float32


@dataclass(frozen=True)
class Curve:
    """Outcomes of a circuit and of its complement at P growing sizes, on N evaluation pairs.

    `size` counts kept nodes, error nodes included: int64 [P], strictly increasing, from 1 to total_nodes - 1
    (nothing and everything are known without measuring). `distinct_units` counts distinct (layer, unit) and
    `error_nodes` the error nodes among them, int64 [P]. `total_nodes` is all the nodes that the basis has
    here, error nodes included. `full` [N] is the plain model, `empty` [N] has everything ablated, `circuit`
    [P, N] keeps only the circuit and `complement` [P, N] ablates only the circuit. Raises ValueError if not.
    """

    size: Integers
    distinct_units: Integers
    error_nodes: Integers
    total_nodes: int
    full: Outcome
    empty: Outcome
    circuit: Outcome
    complement: Outcome

    def __post_init__(self) -> None:
        if self.size.ndim != 1 or not self.size.shape == self.distinct_units.shape == self.error_nodes.shape:
            raise ValueError("size, distinct_units and error_nodes need one shape, [P]")
        if not self.size.size or self.size[0] < 1 or not (self.size[1:] > self.size[:-1]).all():
            raise ValueError("size needs one value or more, positive and strictly increasing")
        if self.size[-1] >= self.total_nodes:
            raise ValueError(f"sizes must stay below total_nodes, {self.total_nodes}")
        n = self.full.answer.shape
        if len(n) != 1 or not n[0] or self.empty.answer.shape != n:
            raise ValueError("full and empty need one shape, [N], with N of 1 or more")
        if not self.circuit.answer.shape == self.complement.answer.shape == (self.size.size, *n):
            raise ValueError("circuit and complement need the shape [P, N]")

    @property
    def n(self) -> int:
        """Number of evaluation pairs, N."""
        return int(self.full.answer.size)


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % percentile interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Band:
    """Values and their pointwise 95 % percentile intervals: arrays of one shape, [P] along a curve."""

    value: Floats
    low: Floats
    high: Floats

    def estimate(self) -> Estimate:
        """Return the one value of a band of shape []."""
        return Estimate(float(self.value), float(self.low), float(self.high))


@dataclass(frozen=True)
class Summary:
    """One number a question; `statistics_of` defines each of them."""

    auc_f: Estimate
    auc_c: Estimate
    nodes_at_05: Estimate
    nodes_at_08: Estimate
    nodes_at_09: Estimate
    cpr: Estimate
    cmd: Estimate


@dataclass(frozen=True)
class CurveStatistics:
    """All that is reported of a curve: bands [P], the summary and F of the full and of the empty model.

    `reported` has a band for each metric of `measures.metrics.REPORTED`, of the circuit (by the metric's name) and
    of the complement (name and ``_complement``).

    `degenerate` is true where F(full) - F(empty) cannot carry a ratio: at most 1e-6 of the largest logit in
    `full` and `empty`, or with an interval that contains 0. In the first case every ratio is NaN; in the
    second they are computed and not to be trusted. With N = 1 there is nothing to resample, so intervals
    equal the points.
    """

    faithfulness: Band
    completeness: Band
    reported: Mapping[str, Band]
    summary: Summary
    f_full: Estimate
    f_empty: Estimate
    degenerate: bool


def summarise(
    curve: Curve, seed: int = 0, n_resamples: int = 2000, metric: Metric = LOGIT_DIFFERENCE
) -> CurveStatistics:
    """Return the statistics of `curve` with 95 % percentile bootstrap intervals over its evaluation pairs."""
    bands = resampled(lambda weights: statistics_of(curve, weights, metric), curve.n, seed, n_resamples)
    effect = bands["effect"].estimate()
    return CurveStatistics(
        faithfulness=bands["faithfulness"],
        completeness=bands["completeness"],
        reported={m.name + part: bands[m.name + part] for m in REPORTED for part in ("", "_complement")},
        summary=Summary(**{name: bands[name].estimate() for name in Summary.__dataclass_fields__}),
        f_full=bands["f_full"].estimate(),
        f_empty=bands["f_empty"].estimate(),
        degenerate=abs(effect.value) <= _smallest_effect(curve) or effect.low <= 0 <= effect.high,
    )


def paired_difference(
    a: Curve,
    b: Curve,
    statistic_name: str,
    seed: int = 0,
    n_resamples: int = 2000,
    metric: Metric = LOGIT_DIFFERENCE,
) -> Estimate:
    """Return the statistic of `a` minus that of `b`, both on the same resamples of the same pairs.

    `statistic_name` is a field of `Summary`; nodes are compared as log10, so -1 says ten times fewer. Both
    curves must hold the same pairs in the same order (equal data hashes say so). Raises UserError for an
    unknown statistic or another number of pairs. NaN where either curve's effect is too small to divide by.
    """
    if statistic_name not in Summary.__dataclass_fields__:
        raise unknown_name("statistic", statistic_name, Summary.__dataclass_fields__)
    if a.n != b.n:
        raise UserError(f"cannot pair curves of {a.n} and {b.n} evaluation pairs: valid are equal numbers")

    def one(curve: Curve, weights: Floats) -> Floats:
        value = statistics_of(curve, weights, metric)[statistic_name]
        return np.log10(value) if statistic_name.startswith("nodes") else value

    difference = resampled(lambda weights: {"": one(a, weights) - one(b, weights)}, a.n, seed, n_resamples)
    return difference[""].estimate()


def resampled(
    compute: Callable[[Floats], Mapping[str, Floats]], n: int, seed: int = 0, n_resamples: int = 2000
) -> dict[str, Band]:
    """Return a band for each array that `compute` makes of weights over n pairs.

    `compute` takes weights [R, n] whose rows sum to 1 and returns arrays [..., R]; it is called once for the
    point (R = 1) and once for all resamples. The same n, seed and n_resamples give the same resamples.
    Percentile intervals (Efron and Tibshirani 1993, chapter 13); with n = 1 they equal the points.
    """
    from scipy import stats  # takes longer to import than all else that reads results

    point = {name: values[..., 0] for name, values in compute(np.full((1, n), 1 / n)).items()}
    if n == 1:
        return {name: Band(value, value, value) for name, value in point.items()}

    def statistic(indices: Integers, axis: int) -> Floats:
        arrays = compute(_weights(indices))
        rows: Floats = np.concatenate([array.reshape(-1, len(indices)) for array in arrays.values()])
        rows[np.isnan(rows)] = 0  # scipy warns of NaN; what has no point gets no interval below
        return rows

    interval = stats.bootstrap(
        (np.arange(n),),
        statistic,
        n_resamples=n_resamples,
        vectorized=True,
        axis=-1,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=seed,
    ).confidence_interval
    ends = np.cumsum([value.size for value in point.values()])[:-1]
    lows, highs = np.split(interval.low, ends), np.split(interval.high, ends)
    return {
        name: Band(value, *(np.where(np.isnan(value), np.nan, end.reshape(value.shape)) for end in (low, high)))
        for (name, value), low, high in zip(point.items(), lows, highs, strict=True)
    }


def statistics_of(curve: Curve, weights: Floats, metric: Metric = LOGIT_DIFFERENCE) -> dict[str, Floats]:
    """Return every statistic of `curve` under R weightings [R, N] of its pairs, arrays [P, R] and [R].

    - f_full, f_empty, effect: F(full), F(empty) and their difference, F a weighted mean of `metric`.
    - faithfulness = (F(circuit) - F(empty)) / effect, completeness = (F(complement) - F(empty)) / effect:
      ratios of means, after Marks et al. 2024, arXiv 2403.19647, section 4.
    - the metrics of `measures.metrics.REPORTED`: means for the circuit, and for the complement (``_complement``).
    - auc_f, auc_c: means over log10 k in [0, 4] of max(0, 1 - |1 - f|) and 1 - min(1, |c|), see `log_area`.
    - nodes_at_05, _08, _09: the smallest measured size from which f stays at or above the threshold at every
      larger one; keeping everything (f = 1 at total_nodes) is the last, so there always is one.
    - cpr, cmd: areas under f and under |1 - f| over k / total_nodes in [0, 1], trapezoid through the measured
      sizes (Mueller et al. 2025, MIB, arXiv 2504.13151, section 3).
    """

    def mean(measured: Metric, outcome: Outcome) -> Floats:
        values: Floats = measured.compute(outcome) @ weights.T
        return values

    full, empty = mean(metric, curve.full), mean(metric, curve.empty)
    effect = full - empty
    divisor = safe_divisor(curve, effect, metric)
    f = (mean(metric, curve.circuit) - empty) / divisor
    c = (mean(metric, curve.complement) - empty) / divisor
    share = np.concatenate([[0.0], curve.size / curve.total_nodes, [1.0]])
    f_share = np.pad(f, ((1, 1), (0, 0)), constant_values=((0, 1), (0, 0)))
    undefined = 0 * divisor  # NaN where f is, so that padding and thresholds cannot hide it
    return {
        "f_full": full,
        "f_empty": empty,
        "effect": effect,
        "faithfulness": f,
        "completeness": c,
        **{other.name: mean(other, curve.circuit) for other in REPORTED},
        **{f"{other.name}_complement": mean(other, curve.complement) for other in REPORTED},
        "auc_f": log_area(curve, f, ideal=1),
        "auc_c": log_area(curve, c, ideal=0),
        **{
            f"nodes_at_{round(10 * threshold):02d}": nodes_at(curve, f, threshold) + undefined
            for threshold in THRESHOLDS
        },
        "cpr": np.trapezoid(f_share, share, axis=0),
        "cmd": np.trapezoid(np.abs(1 - f_share), share, axis=0),
    }


def log_area(curve: Curve, values: Floats, ideal: Literal[0, 1]) -> Floats:
    """Return the mean over log10 k in [0, 4] of 1 - min(1, |value - ideal|) for a curve's values [P, R], as [R].

    Trapezoid between the measured sizes, on log k. The curve is `ideal` from total_nodes on, a straight line
    in log k up to there from the last measured size, and cut at k = 10,000. Where the smallest measured size
    is above 1, the curve starts at k = 1 as if nothing were kept, at 1 - ideal: what was not measured is not counted.
    """
    unmeasured = int(curve.size[0] > 1)
    shares, cut = _log_shares((*[1] * unmeasured, *curve.size.tolist(), curve.total_nodes))
    loss = values[: len(shares) - unmeasured] - ideal
    np.minimum(1, np.abs(loss, out=loss), out=loss)
    # einsum starts no threads, which would cost more than they bring; all is lost at 1 - ideal, nothing at ideal
    lost: Floats = np.einsum("p,pr->r", shares[unmeasured:][: len(loss)], loss) + unmeasured * shares[0]
    if cut is not None:
        share, part = cut
        rows: list[Any] = [*[1 - ideal] * unmeasured, *values, ideal]
        at_cut = (1 - part) * rows[len(shares) - 1] + part * rows[len(shares)]
        lost += share * np.minimum(1, np.abs(at_cut - ideal))
    return 1 - lost


@lru_cache(maxsize=64)
def _log_shares(sizes: tuple[int, ...]) -> tuple[Floats, tuple[float, float] | None]:
    """Return what each of `sizes` up to 10,000 counts in a mean over log10 k in [0, 4].

    And, where 10,000 lies between two of them, what it counts itself, and where it lies on log k from the one (0) to
    the other (1). Beyond the last of `sizes` that one counts on. Cached, since curves share their sizes.
    """
    logs = np.log10(sizes) / np.log10(MAX_SIZE)
    count = int(np.searchsorted(logs, 1, side="right"))
    steps = np.diff(np.append(logs[:count], 1)) / 2
    shares = np.append(0, steps[:-1]) + steps
    if count == len(logs):
        shares[-1] += steps[-1]
    elif steps[-1] > 0:
        return shares, (float(steps[-1]), float((1 - logs[count - 1]) / (logs[count] - logs[count - 1])))
    return shares, None


def nodes_at(curve: Curve, f: Floats, threshold: float) -> Floats:
    """Return, of curves f [P, R], the size from which each stays at or above `threshold`, [R] (see `statistics_of`)."""
    # What comes after the last dip: a later one undoes an earlier success.
    places = np.arange(1, len(f) + 1, dtype=np.min_scalar_type(len(f)))[:, None]
    after_dips = ((f < threshold) * places).max(axis=0)
    nodes: Floats = np.array([*curve.size.tolist(), curve.total_nodes], dtype=np.float64)[after_dips]
    return nodes


def _smallest_effect(curve: Curve) -> float:
    logits = (curve.full.answer, curve.full.foil, curve.empty.answer, curve.empty.foil)
    return SMALLEST_EFFECT * float(np.abs(np.concatenate(logits)).max())


def safe_divisor(curve: Curve, effect: Floats, metric: Metric) -> Floats:
    """Return `effect` [R] ready to divide by: NaN if the curve's own is too small to.

    A resample's is only kept that far from 0: it belongs in the tail of the interval, it does not undo it.
    """
    smallest = _smallest_effect(curve)
    point = float((metric.compute(curve.full) - metric.compute(curve.empty)).mean())
    if abs(point) <= smallest:
        return np.full_like(effect, np.nan)
    return np.copysign(np.maximum(np.abs(effect), smallest), effect)


def _weights(indices: NDArray[Any]) -> Floats:
    """Return how often each row of indices [R, N] names each of the N pairs, over N: [R, N]."""
    rows, n = indices.shape
    counts = np.bincount((np.arange(rows)[:, None] * n + indices).ravel(), minlength=rows * n)
    weights: Floats = counts.reshape(rows, n) / n
    return weights
