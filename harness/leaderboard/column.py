"""What a column of the board is: one record that says everything about itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from basisbench.leaderboard.board import Measures, Row
from basisbench.measures.curve import Curve
from basisbench.measures.forms import SHARE, Form
from basisbench.results.schema import Interval, Result
from basisbench.values import Number

Value = Interval | str | float | int | None
Plain = str | float | int | None
Where = Literal["terminal", "md", "latex", "csv", "json", "html", "wandb"]
EVERYWHERE: frozenset[Where] = frozenset(("terminal", "md", "latex", "csv", "json", "html", "wandb"))


@dataclass(frozen=True)
class Measured:
    """A number of each cell, and how the numbers of several seeds, and then of several tasks, become one.

    `of` takes the result, its curve and the place among the curve's sizes of the circuit at `statistic.SIZE`, None
    where only everything is faithful enough. On a board of several `machine`s a number of one machine is left out.
    """

    of: Callable[[Result, Curve, int | None], Number]
    over: Callable[[Sequence[Number]], Number]
    of_one_machine: bool = False


@dataclass(frozen=True)
class Column:
    """One column of the board.

    `name` is what files call it, an interval's ends with ``_low`` and ``_high`` behind it; `header` heads it in tables
    and `title` on pages, where `about` explains it; in all of these ``{by}`` stands for the statistic of the board.
    Its value is made of the numbers over all tasks, or on one (`of_numbers`; by default what `measured` gives in each
    cell), or of the whole row (`of_row`, which also takes the statistic's name). `form` writes it, with its
    `interval` if it has one, or `told` does; `words` are no numbers.

    `formats` says where it is shown: JSON holds the rows as they are, so that it needs only what is not in them. The
    larger `kept`, the longer a narrow terminal shows it, always without a limit. `leads` puts it before the tasks on
    pages; the first click there sorts the largest first where `descends`, None being as the statistic of the board.
    `beneath` names what stands in small print under it, a word and a column.
    """

    name: str
    header: str = ""
    of_row: Callable[[Row, str], Value] | None = None
    of_numbers: Callable[[Measures], Value] | None = None
    measured: Measured | None = None
    form: Form = SHARE
    interval: bool = False
    words: bool = False
    told: Callable[[Row, str], str] | None = None
    title: str = ""
    about: str = ""
    formats: frozenset[Where] = EVERYWHERE
    kept: float = 0
    leads: bool = False
    descends: bool | None = False
    beneath: tuple[str, str] | None = None

    def of(self, found: Measures | None) -> Value:
        """Return its value of the numbers over all tasks or on one; None without any."""
        if found is None or self.of_row:
            return None
        return self.of_numbers(found) if self.of_numbers else found.numbers.get(self.name)

    def value(self, row: Row, by: str) -> Value:
        """Return its value of a row on a board by the statistic `by`."""
        return self.of_row(row, by) if self.of_row else self.of(row.overall)

    def plain(self, value: Value) -> dict[str, Plain]:
        """Return `value` as files hold it, by name: three numbers for an interval, also for one that is not there."""
        if not self.interval:
            return {self.name: value if not isinstance(value, Interval) else value.value}
        parts = (value.value, value.low, value.high) if isinstance(value, Interval) else (None, None, None)
        return dict(zip((self.name, f"{self.name}_low", f"{self.name}_high"), parts, strict=True))

    def text(self, row: Row, by: str) -> str:
        """Return its value in words."""
        return self.told(row, by) if self.told else written(self.value(row, by), self.form)

    def heading(self, by: str, own: str = "") -> str:
        """Return what heads it in tables, or where it is called by a name of its `own`."""
        return (own or self.header).replace("{by}", by)


def written(value: Value, form: Form) -> str:
    """Return `value` in words: a dash where it is not defined."""
    if isinstance(value, str):
        return value
    return form.interval(value) if isinstance(value, Interval) else form.number(value)
