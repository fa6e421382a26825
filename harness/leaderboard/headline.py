"""The sentence at the top: which basis is sparser, by how much, how sure.

Bases are compared under one method and equal settings: were each basis allowed its best of several, the one with more
rows would win by choice alone. The test is of the best against the next, so that choosing the best on the same data
does not make the difference look surer than it is.
"""

from collections.abc import Sequence
from dataclasses import replace

from basisbench.errors import printable
from basisbench.leaderboard.board import STATISTICS, Comparison, Headline, Verdict
from basisbench.leaderboard.inference import quantiles
from basisbench.leaderboard.ranking import NODES, Ranked, compare
from basisbench.leaderboard.rows import RowCells, power
from basisbench.results.schema import Interval
from basisbench.results.tables import interval_text
from basisbench.values import Number
from basisbench.writing import compact

SURE = 0.05
PREFERRED = {
    "method": "relp",
    "ablation": "mean",
    "positions": "kept",
    "rank": "abs",
    "error": "score",
    "dtype": "float32",
}
"""Which settings are compared under where several have as many bases."""


def headline(ranked: Ranked, question: str, method: str | None = None) -> Headline:
    """Return the answer that `ranked` rows give under `method`, by default the one with the most complete bases."""
    groups: dict[tuple[tuple[str, str], ...], list[RowCells]] = {}
    for row in ranked.rows:
        if not row.control and method in (None, row.method):
            groups.setdefault((("method", row.method), *sorted(row.conditions.items())), []).append(row)
    prefix = f"{question}: " if question else ""
    if not groups:
        under = f" with {printable(method)}" if method else ""
        tasks = _tasks(len(ranked.tasks))
        sentence = f"{prefix}No basis{under} has usable results on all {tasks}, so nothing can be compared."
        if not ranked.tasks:
            sentence = f"{prefix}No basis{under} has a usable result, so nothing can be compared."
        return Headline(sentence, "nothing to compare", question, None, None, None, None)

    def order(settings: tuple[tuple[str, str], ...]) -> tuple[object, ...]:
        usual = [PREFERRED.get(name) == value for name, value in settings]
        return -len(groups[settings]), not usual[0], -sum(usual), settings

    chosen = min(groups, key=order)
    rows = groups[chosen]
    best = rows[0]
    under = ", ".join([printable(best.method), *(f"{k} {v}" for k, v in best.shown.items() if k in best.conditions)])
    if len(rows) == 1:
        sentence = (
            f"{prefix}Only one basis, {_name(best, rows)}, has all {_tasks(len(ranked.tasks))} with {under}: "
            f"{ranked.by} {_value(best, ranked)}, and nothing to compare it with{_controls_ahead(best, ranked)}."
        )
        return Headline(sentence, "nothing to compare", question, printable(best.method), best.key, None, None)
    following = rows[1]
    comparison = _turned(compare(rows, best, ranked)[following.key], following)
    low, high = comparison.difference.low, comparison.difference.high
    verdict: Verdict = "sparsest"
    if low is None or high is None or low <= 0 <= high:
        verdict = "cannot tell"
    elif comparison.holm > SURE:
        verdict = "on these tasks"
    sentence = _sentence(verdict, under, rows, comparison, ranked)
    sentence = f"{prefix}{sentence}{_controls_ahead(best, ranked)}."
    return Headline(sentence, verdict, question, printable(best.method), best.key, following.key, comparison)


def _sentence(verdict: Verdict, under: str, rows: Sequence[RowCells], comparison: Comparison, ranked: Ranked) -> str:
    best, following = rows[0], rows[1]
    first, second = _name(best, rows), _name(following, rows)
    test = f"Holm p = {p_text(comparison.holm)} over {_tasks(comparison.tasks)}"
    least = ""
    if comparison.smallest_holm > SURE:
        least = (
            f" (with {_tasks(comparison.tasks)} and {comparison.comparisons} "
            f"comparison{'s' * (comparison.comparisons > 1)} it cannot be below {p_text(comparison.smallest_holm)})"
        )
    values = f"{ranked.by} {_value(best, ranked)}"
    by_how_much = f"{_distance(comparison, ranked)} the next basis, {second}"
    if verdict == "cannot tell":
        return (
            f"Cannot tell {first} from {second} with {under}: {values} and {_value(following, ranked)}, "
            f"{_apart(comparison, ranked)}; {test}{least}"
        )
    if verdict == "on these tasks":
        return (
            f"Sparsest on these tasks with {under}: {first}, {values}, {by_how_much}; "
            f"on other tasks one cannot tell {first} from {second}, {test}{least}"
        )
    return f"Sparsest basis with {under}: {first}, {values}, {by_how_much}; {test}"


def node_text(interval: Interval) -> str:
    """Return ``value [low, high]`` of numbers of nodes, which need not be whole: they are means."""
    value, low, high = (
        "-" if part is None else compact(part) for part in (interval.value, interval.low, interval.high)
    )
    return f"{value} [{low}, {high}]"


def ratio_text(interval: Interval) -> str:
    """Return ``value [low, high]`` of ratios, in three digits."""
    parts = (interval.value, interval.low, interval.high)
    value, low, high = ("-" if x is None else compact(x) if x >= 100 else f"{x:#.3g}" for x in parts)
    return f"{value} [{low}, {high}]"


def p_text(p: float) -> str:
    """Return a p value in two digits."""
    return f"{p:.2g}" if p >= 0.001 else f"{p:.0e}"


def _tasks(count: int) -> str:
    return f"{count} task{'s' * (count != 1)}"


def _name(row: RowCells, rows: Sequence[RowCells]) -> str:
    """Return a basis' name, with what tells it from another of the same name among `rows`."""
    if sum(other.basis == row.basis for other in rows) == 1:
        return printable(row.basis)
    options = (f"{name} {value}" for name, value in row.shown.items() if name not in row.conditions)
    return printable(f"{row.basis} ({', '.join(options)})")


def _value(row: RowCells, ranked: Ranked) -> str:
    average, column = ranked.averages[row.key], STATISTICS.index(ranked.by)
    low, high = quantiles(average.replicates[column])
    interval = Interval(value=float(average.point[column]), low=float(low), high=float(high))
    return node_text(power(interval)) if column == NODES else interval_text(interval)


def _distance(comparison: Comparison, ranked: Ranked) -> str:
    if ranked.by == "nodes@0.8":
        return f"{ratio_text(_inverse(comparison.node_ratio))} times fewer than"
    return f"{interval_text(comparison.difference)} above"


def _apart(comparison: Comparison, ranked: Ranked) -> str:
    if ranked.by == "nodes@0.8":
        return f"{ratio_text(_inverse(comparison.node_ratio))} times fewer"
    return f"{interval_text(comparison.difference)} apart"


def _turned(comparison: Comparison, reference: RowCells) -> Comparison:
    """Return the comparison of the two rows the other way round, now with `reference`."""
    difference, size = comparison.difference, comparison.effect_size
    return replace(
        comparison,
        reference=reference.key,
        difference=Interval(value=_minus(difference.value), low=_minus(difference.high), high=_minus(difference.low)),
        node_ratio=_inverse(comparison.node_ratio),
        effect_size=_minus(size),
    )


def _inverse(interval: Interval) -> Interval:
    value, low, high = (None if part is None else 1 / part for part in (interval.value, interval.high, interval.low))
    return Interval(value=value, low=low, high=high)


def _minus(number: Number) -> Number:
    return None if number is None else 0.0 - number


def _controls_ahead(best: RowCells, ranked: Ranked) -> str:
    place = ranked.ranks[best.key].value or 0
    ahead = [row.label for row in ranked.rows if row.control and (ranked.ranks[row.key].value or 0) < place]
    return f"; but a control is ahead: {'; '.join(ahead)}" if ahead else ""
