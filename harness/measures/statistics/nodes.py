"""Sizes at a threshold: how many nodes it takes until a circuit stays as faithful as that."""

import numpy as np

from basisbench.measures.curve import Curve
from basisbench.measures.forms import COUNT
from basisbench.measures.metrics import Floats
from basisbench.measures.statistic import Statistic


def nodes_at(curve: Curve, f: Floats, threshold: float) -> Floats:
    """Return, of curves f [P, R], the size from which each stays at or above `threshold`, [R].

    Keeping everything (f = 1 at total_nodes) is the last of them, so there always is one.
    """
    # What comes after the last dip: a later one undoes an earlier success.
    places = np.arange(1, len(f) + 1, dtype=np.min_scalar_type(len(f)))[:, None]
    after_dips = ((f < threshold) * places).max(axis=0)
    nodes: Floats = np.array([*curve.size.tolist(), curve.total_nodes], dtype=np.float64)[after_dips]
    return nodes


def nodes_at_threshold(threshold: float, board: bool = False) -> Statistic:
    """Return ``nodes@threshold``."""
    return Statistic(
        name=f"nodes@{threshold:g}",
        title=f"Nodes for {threshold:.0%} of the behaviour".replace("%", " %"),
        about=f"The smallest measured size from which faithfulness stays at {threshold:g} or more; \u201call\u201d "
        "where only the whole model does. The further left a curve rises, the sparser the basis.",
        compute=lambda weighed: nodes_at(weighed.curve, weighed.faithfulness, threshold) + weighed.undefined,
        better="lower",
        axis="nodes kept",
        scale="log",
        form=COUNT,
        average="median",
        threshold=threshold,
        counts="nodes",
        board=board,
        panel=True,
    )


RECORDS = (nodes_at_threshold(0.5), nodes_at_threshold(0.8, board=True), nodes_at_threshold(0.9))
