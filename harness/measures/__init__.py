"""What is measured of outcomes: metrics, and the statistics of curves. Only numpy and scipy are needed."""

from basisbench.measures.curve import Curve, WeighedCurve, weigh
from basisbench.measures.metrics import METRICS, Floats, Metric, Outcome, scoring_metric
from basisbench.measures.resampling import Band, Estimate, resampled
from basisbench.measures.statistic import STATISTICS, Statistic
from basisbench.measures.summary import CurveStatistics, statistics_of, summarise

__all__ = [
    "METRICS",
    "STATISTICS",
    "Band",
    "Curve",
    "CurveStatistics",
    "Estimate",
    "Floats",
    "Metric",
    "Outcome",
    "Statistic",
    "WeighedCurve",
    "resampled",
    "scoring_metric",
    "statistics_of",
    "summarise",
    "weigh",
]
