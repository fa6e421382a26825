"""What a leaderboard says: frozen records, and their JSON form. `build_leaderboard` makes them.

Numbers that are not defined are None here and null in JSON. All intervals are 95 % percentile intervals of one
bootstrap over evaluation pairs; spreads over discovery seeds stand apart from them.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter

from basisbench.results.schema import Interval
from basisbench.values import Number

By = Literal["auc_f", "auc_c", "nodes@0.8"]
Verdict = Literal["sparsest", "on these tasks", "cannot tell", "nothing to compare"]
STATISTICS: tuple[By, ...] = ("auc_f", "auc_c", "nodes@0.8")
"""What rows can be ordered by: larger is sparser for the areas, smaller for the nodes."""


@dataclass(frozen=True)
class Measures:
    """The numbers of one row on one task (means over seeds), or over all tasks (means over tasks).

    Nodes and units are averaged as geometric means. `nodes_at_08` counts nodes with positions; of these circuits
    `units_at_08` counts distinct (layer, unit), so without positions, and `errors_at_08` the error nodes; both are
    None where only everything reaches 0.8, which happens in `unreached` of `cells` cells. `*_sd` is the standard
    deviation over discovery seeds (of log10 for nodes), None with one seed. `seconds` is the mean over cells,
    `peak_memory_bytes` the largest; both are None on a board whose cells are of several machines.
    """

    auc_f: Interval
    auc_c: Interval
    nodes_at_08: Interval
    auc_f_sd: Number
    auc_c_sd: Number
    nodes_at_08_sd: Number
    units_at_08: Number
    errors_at_08: Number
    unreached: int
    cells: int
    seconds: Number
    peak_memory_bytes: int | None

    def interval(self, by: By) -> Interval:
        """Return the statistic `by` with its interval."""
        return {"auc_f": self.auc_f, "auc_c": self.auc_c, "nodes@0.8": self.nodes_at_08}[by]

    def spread(self, by: By) -> Number:
        """Return the standard deviation over seeds of the statistic `by`, of log10 for nodes."""
        return {"auc_f": self.auc_f_sd, "auc_c": self.auc_c_sd, "nodes@0.8": self.nodes_at_08_sd}[by]


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
    """A row against a better or worse one, paired on the same resamples of the same pairs, over the same tasks.

    `difference` is this row minus the reference in the statistic of the board (of log10 for nodes), a mean over
    tasks; `effect_size` is it over its standard deviation across tasks (None with one task or none). `node_ratio`
    is this row's nodes@0.8 over the reference's, a geometric mean over tasks. `p` is the two-sided sign-flip test
    across `tasks` tasks, `holm` the same after Holm's correction over the `comparisons` made together, and
    `smallest_holm` the least that `holm` can be with so many tasks and comparisons.
    """

    reference: str
    difference: Interval
    node_ratio: Interval
    effect_size: Number
    p: float
    holm: float
    smallest_holm: float
    comparisons: int
    tasks: int


@dataclass(frozen=True)
class Row:
    """A basis with a method under the same settings on all tasks.

    `key` is unique on the board (12 hex digits), `label` is what readers see: basis, method and what else tells
    rows apart, which `settings` holds by name. `question` words the settings that say which pairs were asked and how
    answers were scored, empty where all rows share them; rows are ranked and compared within one question only.
    `overall` is None for a row without all tasks. `rank` (1 is best, with its interval) and `comparison` (against
    the best row) are None where `note` says why; the best row itself has a rank and no comparison.
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
    rank: Interval | None
    comparison: Comparison | None
    note: str


@dataclass(frozen=True)
class Headline:
    """The answer to one question in one sentence.

    `verdict`: "sparsest" (interval and test agree), "on these tasks" (the interval excludes 0; the test across tasks
    cannot tell), "cannot tell" (the interval contains 0), "nothing to compare". `best` and `next` are row keys;
    `comparison` is the best minus the next.
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

    `tasks` are the columns; every row has an entry for each, in this order. `settings` words what all rows share,
    `notes` what a reader must know (duplicates, comparisons refused), `problems` the files that were skipped.
    """

    by: By
    tasks: tuple[str, ...]
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


_ADAPTER = TypeAdapter(Leaderboard)


def to_json(board: Leaderboard) -> str:
    """Return the board as JSON, numbers unrounded."""
    return _ADAPTER.dump_json(board, indent=1).decode() + "\n"


def from_json(text: str | bytes) -> Leaderboard:
    """Return the board that `to_json` wrote; raises pydantic.ValidationError for anything else."""
    return _ADAPTER.validate_json(text)
