"""The sentence at the top: which basis is sparser, by how much, how sure.

Bases are compared under one method and equal settings: were each basis allowed its best of several, the one with more
rows would win by choice alone. The test is of the best against the next, so that choosing the best on the same data
does not make the difference look surer than it is.
"""

from collections.abc import Sequence
from dataclasses import replace

from basisbench.errors import printable
from basisbench.leaderboard.board import Comparison, Headline, Verdict
from basisbench.leaderboard.inference import quantiles
from basisbench.leaderboard.ranking import Ranked, compare, place
from basisbench.leaderboard.rows import RowCells
from basisbench.measures.forms import CHANCE, RATIO, SHARE
from basisbench.measures.statistic import power_of_ten
from basisbench.results.schema import Interval

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
            f"{ranked.by.name} {_value(best, ranked)}, and nothing to compare it with{_controls_ahead(best, ranked)}."
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
    test = f"Holm p = {CHANCE.write(comparison.holm)} over {_tasks(comparison.tasks)}"
    least = ""
    if comparison.smallest_holm > SURE:
        least = (
            f" (with {_tasks(comparison.tasks)} and {comparison.comparisons} "
            f"comparison{'s' * (comparison.comparisons > 1)} it cannot be below "
            f"{CHANCE.write(comparison.smallest_holm)})"
        )
    values = f"{ranked.by.name} {_value(best, ranked)}"
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


def _tasks(count: int) -> str:
    return f"{count} task{'s' * (count != 1)}"


def _name(row: RowCells, rows: Sequence[RowCells]) -> str:
    """Return a basis' name, with what tells it from another of the same name among `rows`."""
    if sum(other.basis == row.basis for other in rows) == 1:
        return printable(row.basis)
    options = (f"{name} {value}" for name, value in row.shown.items() if name not in row.conditions)
    return printable(f"{row.basis} ({', '.join(options)})")


def _value(row: RowCells, ranked: Ranked) -> str:
    average, column = ranked.averages[row.key], place(ranked.by)
    low, high = quantiles(average.replicates[column])
    interval = Interval.of(average.point[column], float(low), float(high))
    return ranked.by.form.interval(interval.mapped(ranked.by.unscaled))


def _gain(comparison: Comparison, ranked: Ranked) -> str:
    """Return by how much the best row is better, in words: a ratio where differences are ratios."""
    difference = comparison.difference if ranked.by.better == "higher" else comparison.difference.turned
    if not ranked.by.logarithmic:
        return SHARE.interval(difference)
    return f"{RATIO.interval(difference.mapped(power_of_ten))} times {ranked.by.direction}"


def _distance(comparison: Comparison, ranked: Ranked) -> str:
    gain = _gain(comparison, ranked)
    if ranked.by.logarithmic:
        return f"{gain} than"
    return f"{gain} {'above' if ranked.by.better == 'higher' else 'below'}"


def _apart(comparison: Comparison, ranked: Ranked) -> str:
    gain = _gain(comparison, ranked)
    return gain if ranked.by.logarithmic else f"{gain} apart"


def _turned(comparison: Comparison, reference: RowCells) -> Comparison:
    """Return the comparison of the two rows the other way round, now with `reference`."""
    return replace(
        comparison,
        reference=reference.key,
        difference=comparison.difference.turned,
        node_ratio=_inverse(comparison.node_ratio),
        effect_size=None if comparison.effect_size is None else 0.0 - comparison.effect_size,
    )


def _inverse(ratio: Interval) -> Interval:
    value, low, high = (None if part is None else 1 / part for part in (ratio.value, ratio.high, ratio.low))
    return Interval(value=value, low=low, high=high)


def _controls_ahead(best: RowCells, ranked: Ranked) -> str:
    place = ranked.ranks[best.key].value or 0
    ahead = [row.label for row in ranked.rows if row.control and (ranked.ranks[row.key].value or 0) < place]
    return f"; but a control is ahead: {'; '.join(ahead)}" if ahead else ""
