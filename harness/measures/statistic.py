"""What a statistic of a curve is: one record that says everything about itself, and all of them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Literal

import numpy as np

from basisbench.errors import unknown_name
from basisbench.measures.curve import WeighedCurve
from basisbench.measures.families import weighted_median
from basisbench.measures.forms import SHARE, Form, Spread
from basisbench.measures.metrics import Floats
from basisbench.registry import Records, found_in
from basisbench.values import Number

HEADLINE = "auc_f"
"""The statistic that answers the question, where another is not asked for."""
SIZE = "nodes@0.8"
"""The statistic that says how large a circuit is: its units and errors are counted, sizes compared as ratios of it."""


@dataclass(frozen=True)
class Statistic:
    """One number a curve.

    `compute` gives it under R weightings of the curve's pairs, [R], NaN where it is not defined; it is `centred` if
    it corrects distances (see `intervals`). `title` and `about` say what it is, in a few words and in a sentence;
    `axis` labels an axis of it, and on `scale` "log" its differences are ratios. `average` is taken on that scale, over
    seeds and tasks: the mean of a "log" one is a geometric mean. It lies within `limits`, where its estimates are told
    to lie. `form` writes its numbers, `threshold` is the faithfulness that it waits for, if it does, and `counts` what
    it then counts. On the `board` it is a column and rows can be ordered by it; with a `panel` it stands in the figure
    of sizes. `tolerance` is how far it may move when a cell is made again, over how far faithfulness may: None for one
    that jumps, which is not judged.
    """

    name: str
    title: str
    about: str
    compute: Callable[[WeighedCurve], Floats]
    centred: bool = False
    better: Literal["higher", "lower"] = "higher"
    axis: str = ""
    scale: Literal["linear", "log"] = "linear"
    average: Literal["mean", "median"] = "mean"
    limits: tuple[float, float] = (-inf, inf)
    form: Form = SHARE
    threshold: float | None = None
    counts: str = ""
    board: bool = False
    panel: bool = False
    tolerance: float | None = None

    @property
    def identifier(self) -> str:
        """The name in letters, digits and underscores, which W&B asks for: ``nodes_at_08``."""
        return identifier(self.name)

    @property
    def sign(self) -> float:
        """What makes larger numbers the better ones."""
        return 1.0 if self.better == "higher" else -1.0

    @property
    def direction(self) -> str:
        """What there is to be of it, in a word: more of it is sparser, or fewer."""
        return "more" if self.better == "higher" else "fewer" if self.logarithmic else "less"

    @property
    def logarithmic(self) -> bool:
        """Whether its differences are ratios."""
        return self.scale == "log"

    def scaled(self, values: Floats) -> Floats:
        """Return `values` as they are averaged and compared: their log10 on a log scale."""
        return np.log10(values) if self.logarithmic else values

    def unscaled(self, value: Number) -> Number:
        """Return the number, or of a difference the ratio, that was scaled to `value`."""
        if value is None or not self.logarithmic:
            return value
        return power_of_ten(value)

    def told(self, value: Number) -> Number:
        """Return what is said of an estimate on its own scale: unscaled, and no more or less than can be."""
        unscaled = self.unscaled(value)
        return None if unscaled is None else min(max(unscaled, self.limits[0]), self.limits[1])

    def averaged(self, scaled: Floats, weights: Floats | None = None) -> Floats:
        """Return the average of scaled values [K, ...] over their first axis, each counting its weight [K], or 1."""
        weights = np.ones(len(scaled)) if weights is None else weights
        if self.average == "median":
            return weighted_median(scaled, weights)
        average: Floats = np.tensordot(weights / weights.sum(), scaled, axes=1)
        return average

    def text(self, interval: Spread, whole: Number = None) -> str:
        """Return ``value [low, high]``; `whole` is what a size is where only everything is faithful enough."""
        return self.form.interval(interval, whole if self.threshold is not None else None)


def identifier(name: str) -> str:
    """Return `name` in letters, digits and underscores."""
    return re.sub(r"\W", "_", name.replace("@", "_at_").replace(".", ""))


def power_of_ten(exponent: float) -> float:
    """Return 10**exponent in twelve digits: counts that went through a logarithm come back as they were."""
    return float(f"{10**exponent:.12g}")


STATISTICS: Records[Statistic] = Records(
    "statistic", "basisbench.statistics", lambda: found_in("basisbench.measures.statistics")
)


def board_statistics() -> tuple[Statistic, ...]:
    """Return the statistics that rows of a board can be ordered by."""
    return tuple(statistic for statistic in STATISTICS if statistic.board)


def board_statistic(name: str) -> Statistic:
    """Return the statistic `name` if rows of a board can be ordered by it; raises UserError if not."""
    for statistic in board_statistics():
        if statistic.name == name:
            return statistic
    raise unknown_name("statistic", name, [statistic.name for statistic in board_statistics()])
