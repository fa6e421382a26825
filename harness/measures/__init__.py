"""What is measured of outcomes: metrics, and the statistics of curves. Only numpy and scipy are needed."""

from basisbench.measures.metrics import METRICS, REPORTED, SCORING_METRICS, Floats, Metric, Outcome, scoring_metric
from basisbench.measures.statistics import (
    Curve,
    CurveStatistics,
    Estimate,
    Summary,
    resampled,
    statistics_of,
    summarise,
)

__all__ = [
    "METRICS",
    "REPORTED",
    "SCORING_METRICS",
    "Curve",
    "CurveStatistics",
    "Estimate",
    "Floats",
    "Metric",
    "Outcome",
    "Summary",
    "resampled",
    "scoring_metric",
    "statistics_of",
    "summarise",
]
