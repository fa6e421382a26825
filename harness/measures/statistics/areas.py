"""Areas over log size: how faithful circuits are, and how little is left without them, over the decades of size."""

from functools import lru_cache
from typing import Any, Literal

import numpy as np

from basisbench.measures.curve import Curve
from basisbench.measures.intervals import corrected_distance
from basisbench.measures.metrics import Floats
from basisbench.measures.statistic import Statistic

MAX_SIZE = 10_000  # right end of the axis, log10 k in [0, 4]


def log_area(curve: Curve, values: Floats, ideal: Literal[0, 1]) -> Floats:
    """Return the mean over log10 k in [0, 4] of 1 - min(1, |value - ideal|) for a curve's values [P, R], as [R].

    Distances are corrected for their noise, where there are resamples to tell it (`corrected_distance`). Trapezoid
    between the measured sizes, on log k. The curve is `ideal` from total_nodes on, a straight line in log k up to there
    from the last measured size, and cut at k = 10,000. Where the smallest measured size is above 1, the curve starts at
    k = 1 as if nothing were kept, at 1 - ideal: what was not measured is not counted.
    """
    unmeasured = int(curve.size[0] > 1)
    shares, cut = _log_shares((*[1] * unmeasured, *curve.size.tolist(), curve.total_nodes))
    loss = corrected_distance(values[: len(shares) - unmeasured] - ideal)
    # einsum starts no threads, which would cost more than they bring; all is lost at 1 - ideal, nothing at ideal
    lost: Floats = np.einsum("p,pr->r", shares[unmeasured:][: len(loss)], loss) + unmeasured * shares[0]
    if cut is not None:
        share, part = cut
        rows: list[Any] = [*[1 - ideal] * unmeasured, *values, ideal]
        at_cut = (1 - part) * rows[len(shares) - 1] + part * rows[len(shares)]
        lost += share * corrected_distance(at_cut - ideal)
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


AUC_F = Statistic(
    name="auc_f",
    title="Area under faithfulness",
    about=f"Mean over log size, from 1 to {MAX_SIZE:,}, of max(0, 1 \u2212 |1 \u2212 f|), f the faithfulness. "
    "Higher is sparser.",
    compute=lambda weighed: log_area(weighed.curve, weighed.faithfulness, ideal=1),
    centred=True,
    limits=(0.0, 1.0),
    axis="auc_f",
    board=True,
    tolerance=0.5,
)
AUC_C = Statistic(
    name="auc_c",
    title="Area over completeness",
    about=f"Mean over log size, from 1 to {MAX_SIZE:,}, of 1 \u2212 min(1, |c|), c the completeness. "
    "Higher is sparser.",
    compute=lambda weighed: log_area(weighed.curve, weighed.completeness, ideal=0),
    centred=True,
    limits=(0.0, 1.0),
    axis="auc_c",
    board=True,
    tolerance=0.5,
)
RECORDS = (AUC_F, AUC_C)
