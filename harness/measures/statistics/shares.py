"""Areas over the share of all nodes that is kept, as in MIB (Mueller et al. 2025, arXiv 2504.13151, section 3)."""

from math import inf

import numpy as np

from basisbench.measures.curve import WeighedCurve
from basisbench.measures.intervals import corrected_distance
from basisbench.measures.metrics import Floats
from basisbench.measures.statistic import Statistic


def share_area(weighed: WeighedCurve, ideal: bool) -> Floats:
    """Return the area under f, or with `ideal` under |1 - f|, over k / total_nodes in [0, 1], as [R].

    Trapezoid through the measured sizes; f is 0 where nothing is kept and 1 where everything is. |1 - f| is corrected
    for its noise (`corrected_distance`).
    """
    curve, f = weighed.curve, weighed.faithfulness
    share = np.concatenate([[0.0], curve.size / curve.total_nodes, [1.0]])
    padded = np.pad(f, ((1, 1), (0, 0)), constant_values=((0, 1), (0, 0)))
    area: Floats = np.trapezoid(corrected_distance(1 - padded, np.inf) if ideal else padded, share, axis=0)
    return area


CPR = Statistic(
    name="cpr",
    title="CPR",
    about="MIB\u2019s circuit performance ratio: the area under faithfulness over the share of all nodes kept. "
    "Higher is sparser.",
    compute=lambda weighed: share_area(weighed, ideal=False),
    axis="CPR",
    tolerance=0.5,
)
CMD = Statistic(
    name="cmd",
    title="CMD",
    about="MIB\u2019s circuit-model distance: the area under |1 \u2212 f| over the share of all nodes kept, f the "
    "faithfulness. Lower is sparser.",
    compute=lambda weighed: share_area(weighed, ideal=True),
    centred=True,
    better="lower",
    limits=(0.0, inf),
    axis="CMD",
    tolerance=0.5,
)
RECORDS = (CPR, CMD)
