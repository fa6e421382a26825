"""All that is reported of a curve, with intervals from one bootstrap over its evaluation pairs."""

from collections.abc import Mapping
from dataclasses import dataclass

from basisbench.measures.curve import Curve, smallest_effect, weigh
from basisbench.measures.metrics import LOGIT_DIFFERENCE, Floats, Metric, reported_metrics
from basisbench.measures.resampling import Band, Estimate, resampled
from basisbench.measures.statistic import STATISTICS


@dataclass(frozen=True)
class Reported:
    """What a metric says beside faithfulness and completeness: bands [P], of the circuit and of the complement."""

    circuit: Band
    complement: Band


@dataclass(frozen=True)
class CurveStatistics:
    """All that is reported of a curve: bands [P], the summary by statistic, and F of the full and of the empty model.

    `reported` is by metric. `degenerate` is true where F(full) - F(empty) cannot carry a ratio: at most 1e-6 of the
    largest logit in `full` and `empty`, or with an interval that contains 0. In the first case every ratio is NaN; in
    the second they are computed and not to be trusted. With one clean prompt there is nothing to resample, and there
    are no intervals: their ends are NaN.
    """

    faithfulness: Band
    completeness: Band
    reported: Mapping[str, Reported]
    summary: Mapping[str, Estimate]
    f_full: Estimate
    f_empty: Estimate
    degenerate: bool


def summarise(curve: Curve, n_resamples: int = 2000, metric: Metric = LOGIT_DIFFERENCE) -> CurveStatistics:
    """Return the statistics of `curve` with 95 % bootstrap intervals over its evaluation pairs, clustered by prompt."""
    centred = {statistic.name for statistic in STATISTICS if statistic.centred}
    bands = resampled(
        lambda weights: statistics_of(curve, weights, metric), curve.cluster, n_resamples=n_resamples, centred=centred
    )
    effect = bands["effect"].estimate()
    return CurveStatistics(
        faithfulness=bands["faithfulness"],
        completeness=bands["completeness"],
        reported={m.name: Reported(bands[m.name], bands[f"{m.name}_complement"]) for m in reported_metrics()},
        summary={one.name: bands[one.name].estimate().within(*one.limits) for one in STATISTICS},
        f_full=bands["f_full"].estimate(),
        f_empty=bands["f_empty"].estimate(),
        degenerate=abs(effect.value) <= smallest_effect(curve) or effect.low <= 0 <= effect.high,
    )


def statistics_of(curve: Curve, weights: Floats, metric: Metric = LOGIT_DIFFERENCE) -> dict[str, Floats]:
    """Return everything that is told of `curve` under R weightings [R, N] of its pairs, arrays [P, R] and [R] by name.

    f_full, f_empty and effect; faithfulness and completeness; the reported metrics, of the circuit (by the metric's
    name) and of the complement (name and ``_complement``); and every statistic.
    """
    weighed = weigh(curve, weights, metric)
    return {
        "f_full": weighed.mean(metric, curve.full),
        "f_empty": weighed.mean(metric, curve.empty),
        "effect": weighed.effect,
        "faithfulness": weighed.faithfulness,
        "completeness": weighed.completeness,
        **{other.name: weighed.mean(other, curve.circuit) for other in reported_metrics()},
        **{f"{other.name}_complement": weighed.mean(other, curve.complement) for other in reported_metrics()},
        **{statistic.name: statistic.compute(weighed) for statistic in STATISTICS},
    }
