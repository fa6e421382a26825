"""A curve of outcomes against circuit size, and what it says under weights of its pairs: faithfulness, completeness.

Everything that is told of a curve is a function of per-pair weights: 1/N each gives the point, and a resample's counts
over N give one bootstrap replicate. So numerators and denominators are always resampled together.
"""

from dataclasses import dataclass

import numpy as np

from basisbench.measures.clusters import Integers
from basisbench.measures.metrics import LOGIT_DIFFERENCE, Floats, Metric, Outcome

SMALLEST_EFFECT = 1e-6  # of the largest logit: about ten times the rounding error of float32


@dataclass(frozen=True)
class Curve:
    """Outcomes of a circuit and of its complement at P growing sizes, on N evaluation pairs.

    `size` counts kept nodes, error nodes included: int64 [P], strictly increasing, from 1 to total_nodes - 1
    (nothing and everything are known without measuring). `distinct_units` counts distinct (layer, unit) and
    `error_nodes` the error nodes among them, int64 [P]. `total_nodes` is all the nodes that the basis has
    here, error nodes included. `cluster` numbers each pair's clean prompt, int64 [N]: pairs of one are resampled
    together. `full` [N] is the plain model, `empty` [N] has everything ablated, `circuit` [P, N] keeps only the circuit
    and `complement` [P, N] ablates only the circuit. Raises ValueError if not.
    """

    size: Integers
    distinct_units: Integers
    error_nodes: Integers
    total_nodes: int
    cluster: Integers
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
        if self.cluster.shape != n:
            raise ValueError("cluster needs the shape of full, [N]")
        if not self.circuit.answer.shape == self.complement.answer.shape == (self.size.size, *n):
            raise ValueError("circuit and complement need the shape [P, N]")

    @property
    def n(self) -> int:
        """Number of evaluation pairs, N."""
        return int(self.full.answer.size)


@dataclass(frozen=True)
class WeighedCurve:
    """A curve under R weightings of its N pairs, `weights` [R, N] whose rows sum to 1: what statistics are made of.

    The first of them is the point, others are its resamples (see `clusters.draw_weights`).
    `effect` [R] is F(full) - F(empty), F a weighted mean of the metric that `weigh` was given. `faithfulness` [P, R] =
    (F(circuit) - F(empty)) / effect and `completeness` [P, R] = (F(complement) - F(empty)) / effect are ratios of
    means, after Marks et al. 2024, arXiv 2403.19647, section 4; NaN where the effect is too small to divide by.
    """

    curve: Curve
    weights: Floats
    effect: Floats
    faithfulness: Floats
    completeness: Floats

    @property
    def undefined(self) -> Floats:
        """NaN where faithfulness is, else 0, [R]: added to what thresholds and padding would hide it from."""
        nothing: Floats = 0 * self.faithfulness[0]
        return nothing

    def mean(self, metric: Metric, outcome: Outcome) -> Floats:
        """Return the weighted means [..., R] of `metric` over the pairs of `outcome` [..., N]."""
        values: Floats = metric.compute(outcome) @ self.weights.T
        return values


def weigh(curve: Curve, weights: Floats, metric: Metric = LOGIT_DIFFERENCE) -> WeighedCurve:
    """Return `curve` under `weights` [R, N], its effect measured by `metric`."""
    full, empty, circuit, complement = (
        metric.compute(outcome) for outcome in (curve.full, curve.empty, curve.circuit, curve.complement)
    )
    # differences before their means: one product of matrices gives them all
    means = np.vstack([full - empty, circuit - empty, complement - empty]) @ weights.T
    divisor = safe_divisor(curve, means[0], metric)
    ratios = np.divide(means[1:], divisor, out=means[1:])
    return WeighedCurve(curve, weights, means[0], ratios[: curve.size.size], ratios[curve.size.size :])


def smallest_effect(curve: Curve) -> float:
    """Return the effect up to which nothing can be divided by it: 1e-6 of the largest logit."""
    logits = (curve.full.answer, curve.full.foil, curve.empty.answer, curve.empty.foil)
    return SMALLEST_EFFECT * float(np.abs(np.concatenate(logits)).max())


def has_effect(curve: Curve, metric: Metric) -> bool:
    """Return whether F(full) - F(empty) is large enough to divide by."""
    return abs(float((metric.compute(curve.full) - metric.compute(curve.empty)).mean())) > smallest_effect(curve)


def safe_divisor(curve: Curve, effect: Floats, metric: Metric) -> Floats:
    """Return `effect` [R] ready to divide by: NaN if the curve's own is too small to.

    A resample's is only kept that far from 0: it belongs in the tail of the interval, it does not undo it.
    """
    if not has_effect(curve, metric):
        return np.full_like(effect, np.nan)
    return np.copysign(np.maximum(np.abs(effect), smallest_effect(curve)), effect)
