"""How numbers are written: one record a kind of number, for text here, and by its name for pages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from basisbench.values import Number
from basisbench.writing import compact

ABSENT = "-"
WHOLE = "all"


class Spread(Protocol):
    """A value and the ends of its interval."""

    @property
    def value(self) -> Number:
        """The value."""

    @property
    def low(self) -> Number:
        """The lower end."""

    @property
    def high(self) -> Number:
        """The upper end."""


@dataclass(frozen=True)
class Form:
    """How one kind of number is written in text; `name` is that of its writer on pages (pages/report/data.js)."""

    name: str
    write: Callable[[float], str]

    def number(self, number: Number, whole: Number = None) -> str:
        """Return `number` in words; "all" if it equals `whole`, and a dash where it is not defined."""
        if number is None:
            return ABSENT
        return WHOLE if number == whole else self.write(number)

    def interval(self, interval: Spread, whole: Number = None) -> str:
        """Return ``value [low, high]``."""
        value, low, high = (self.number(part, whole) for part in (interval.value, interval.low, interval.high))
        return f"{value} [{low}, {high}]"


SHARE = Form("share", lambda share: f"{share:z.2f}")  # z: no -0.00
COUNT = Form("count", compact)
RATIO = Form("ratio", lambda ratio: compact(ratio) if ratio >= 100 else f"{ratio:#.3g}")
CHANCE = Form("chance", lambda p: f"{p:.2g}" if p >= 0.001 else f"{p:.0e}")
RANK = Form("rank", lambda rank: f"{rank:.0f}")
SECONDS = Form("seconds", lambda seconds: f"{seconds:z.2f}")
MEBIBYTES = Form("mebibytes", lambda size: f"{size / 2**20:,.0f}")
