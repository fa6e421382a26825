"""What a leaderboard says: frozen records. `build_leaderboard` makes them.

Numbers that are not defined are None here and null in JSON. All intervals are at 95 % and speak of these tasks, from
resamples of their clean prompts, but for one that says otherwise; spreads over discovery seeds stand apart from them.
"""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import model_serializer, model_validator

from basisbench.measures.statistic import board_statistics
from basisbench.results.schema import Interval
from basisbench.values import Number

Verdict = Literal["sparsest", "on these tasks", "cannot tell", "nothing to compare"]


@dataclass(frozen=True)
class Measures:
    """The numbers of one row on one task (averages over seeds), or over tasks, families of them weighing alike.

    `statistics` are those of boards, by name, and `spreads` their standard deviations over discovery seeds, each on
    the statistic's own scale (so of log10 for nodes), None with one seed. `numbers` are those of the columns that are
    measured in cells (`basisbench.leaderboard.columns`), by the column's name. In JSON all stand side by side.
    """

    statistics: dict[str, Interval]
    spreads: dict[str, Number]
    numbers: dict[str, int | float | None]

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        known = [statistic for statistic in board_statistics() if statistic.name in self.statistics]
        return {
            **{statistic.identifier: self.statistics[statistic.name] for statistic in known},
            **{f"{statistic.identifier}_sd": self.spreads[statistic.name] for statistic in known},
            **self.numbers,
        }

    @model_validator(mode="before")
    @classmethod
    def _nested(cls, flat: Any) -> Any:
        if not isinstance(flat, dict):
            return flat
        numbers = dict(flat)
        known = [statistic for statistic in board_statistics() if statistic.identifier in flat]
        return {
            "statistics": {statistic.name: numbers.pop(statistic.identifier) for statistic in known},
            "spreads": {one.name: numbers.pop(f"{one.identifier}_sd", None) for one in known},
            "numbers": numbers,
        }


@dataclass(frozen=True)
class TaskEntry:
    """A row on one task. `measures` is None unless measured; degenerate seeds are listed and not averaged in.

    `results` names the result files (without suffix) behind the entry, degenerate ones included.
    """

    task: str
    status: Literal["measured", "degenerate", "missing"]
    measures: Measures | None
    seeds: tuple[int, ...]
    degenerate_seeds: tuple[int, ...]
    results: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """A row against a better or worse one, paired on the same resamples of the same pairs, over the same `tasks`.

    `difference` is this row minus the reference in the statistic of the board, on its scale (so of log10 for nodes),
    an average over these tasks. `like_these` speaks of tasks like these: the mean over their `families`, and what its
    sign flips do not reject; an end is None where they are too few to reject anything. `effect_size` is that mean over
    the standard deviation across families (None with one family). `node_ratio` is this row's nodes@0.8 over the
    reference's, a median over tasks. `p` is the two-sided sign-flip test across families, `holm` the same after Holm's
    correction over the `comparisons` made together, and `smallest_holm` the least that `holm` can be with so many
    families and comparisons.
    """

    reference: str
    difference: Interval
    like_these: Interval
    node_ratio: Interval
    effect_size: Number
    p: float
    holm: float
    smallest_holm: float
    comparisons: int
    tasks: int
    families: int


@dataclass(frozen=True)
class Row:
    """A basis with a method under the same settings on all tasks.

    `key` is unique on the board (12 hex digits), `label` is what readers see: basis, method and what else tells
    rows apart, which `settings` holds by name. `question` words the settings that say which pairs were asked and how
    answers were scored, empty where all rows share them; rows are ranked and compared within one question only.
    Ranks, `overall` and comparisons are of the cells that rows share; a row that lacks some of them stands behind those
    that do not, `overall` is of those that it has, and `note` says what it lacks. `rank` (1 is best) and `comparison`
    (against the best row) are None where there is nothing to compare; the best row has a rank and no comparison.
    """

    key: str
    label: str
    model: str
    basis: str
    method: str
    settings: dict[str, str]
    question: str
    control: bool
    best: bool
    entries: tuple[TaskEntry, ...]
    overall: Measures | None
    rank: int | None
    comparison: Comparison | None
    note: str


@dataclass(frozen=True)
class Headline:
    """The answer to one question in one sentence.

    `verdict`: "sparsest" (on tasks like these: against every other basis the interval excludes 0 and p over families is
    at most 0.05), "on these tasks" (only the intervals do), "cannot tell" (an interval contains 0), "nothing to
    compare". `best` and `next` are row keys; `comparison` is the best minus the next.
    """

    sentence: str
    verdict: Verdict
    question: str
    method: str | None
    best: str | None
    next: str | None
    comparison: Comparison | None


@dataclass(frozen=True)
class Leaderboard:
    """The whole board: rows best first by question, `headlines` one a question, most complete question first.

    `tasks` are the columns, of these `families`; every row has an entry for each, in this order. `settings` words what
    all rows share, `notes` what a reader must know (duplicates, tasks not counted), `problems` the files that were
    skipped.
    """

    by: str
    tasks: tuple[str, ...]
    families: tuple[str, ...]
    headlines: tuple[Headline, ...]
    rows: tuple[Row, ...]
    settings: str
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    n_results: int
    n_resamples: int

    @property
    def headline(self) -> str:
        """The sentences, one a line."""
        return "\n".join(headline.sentence for headline in self.headlines)
