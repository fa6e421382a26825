"""The sentence at the top: which basis is sparser, on what, by how much, how sure.

Bases are compared under one method and equal settings: were each basis allowed its best of several, the one with more
rows would win by choice alone. Two claims are made apart. Of these tasks: the best basis is ahead of every other by an
interval, from resamples of prompts, that excludes 0. Of tasks like these: p over families is at most 0.05 against every
other as well. A basis must beat all others at once, which takes no correction for their number: were another as good,
the best could be ahead of that one by chance alone, and of two that are equal one is in 5 % of boards
(docs/statistics.md).
"""

from collections.abc import Sequence
from dataclasses import replace

from basisbench.errors import printable
from basisbench.leaderboard.board import Comparison, Headline, Verdict
from basisbench.leaderboard.ranking import Ranked, compare, place, rank_rows
from basisbench.leaderboard.rows import RowCells
from basisbench.measures.families import SURE, smallest_p
from basisbench.measures.forms import CHANCE, RATIO, SHARE
from basisbench.measures.statistic import SIZE, STATISTICS, Statistic, power_of_ten
from basisbench.results.schema import Interval

PREFERRED = {
    "method": "relp",
    "ablation": "mean",
    "positions": "kept",
    "rank": "abs",
    "error": "score",
    "dtype": "float32",
}
"""Which settings are compared under where several have as many bases."""
ALWAYS_SAID = ("ablation",)
"""Conditions that the sentence names even where all rows share them."""


def headline(ranked: Ranked, question: str, method: str | None = None) -> Headline:
    """Return the answer that `ranked` rows give under `method`, by default the one with the most complete bases."""
    groups: dict[tuple[tuple[str, str], ...], list[RowCells]] = {}
    for row in ranked.rows:
        if not row.control and method in (None, row.method):
            groups.setdefault((("method", row.method), *sorted(row.conditions.items())), []).append(row)
    prefix = f"{question}: " if question else ""
    if not groups:
        under = f" with {printable(method)}" if method else ""
        sentence = f"{prefix}No basis{under} has a usable result, so nothing can be compared."
        return Headline(sentence, "nothing to compare", question, None, None, None, None)
    complete = {row.key for row in ranked.complete}

    def order(settings: tuple[tuple[str, str], ...]) -> tuple[object, ...]:
        rows = groups[settings]
        usual = [PREFERRED.get(name) == value for name, value in settings]
        return -sum(row.key in complete for row in rows), -len(rows), not usual[0], -sum(usual), settings

    rows = groups[min(groups, key=order)]
    if sum(row.key in complete for row in rows) < 2:
        # alone among rows of other methods, bases of one method may still share cells
        ranked = rank_rows(rows, ranked.by)
    own = {row.key for row in rows}
    left_out = [row for row in rows if row.key not in {other.key for other in ranked.complete}]
    rows = [row for row in ranked.complete if row.key in own]
    best = rows[0]
    if len(rows) == 1:
        words = f"{_name(best, rows)}, on {_tasks(len(ranked.tasks))} with {_under(best)}"
        value = f"{ranked.by.name} {_value(best, ranked)}"
        sentence = f"{prefix}Only one basis, {words}: {value}, and nothing to compare it with"
        sentence += f"{_controls_ahead(best, ranked)}.{_left_out(left_out)}"
        return Headline(sentence, "nothing to compare", question, printable(best.method), best.key, None, None)
    answer = _answer(rows, ranked, question)
    return replace(answer, sentence=f"{prefix}{answer.sentence}{_left_out(left_out)}")


def _answer(rows: Sequence[RowCells], ranked: Ranked, question: str) -> Headline:
    """Return what comes of comparing the best of two or more bases, the first, with each of the others."""
    best, following = rows[:2]
    found = {key: _turned(one, key) for key, one in compare(rows, best, ranked).items()}
    rivals = [row for row in rows[1:] if not _is_ahead(found[row.key], ranked.by)]
    p = max(one.p for one in found.values())
    verdict: Verdict = "cannot tell" if rivals else "on these tasks" if p > SURE else "sparsest"
    sentence = f"{_sentence(verdict, rows, rivals or [following], found, ranked)}{_controls_ahead(best, ranked)}."
    comparison = found[following.key]
    return Headline(sentence, verdict, question, printable(best.method), best.key, following.key, comparison)


def _sentence(
    verdict: Verdict,
    rows: Sequence[RowCells],
    others: Sequence[RowCells],
    found: dict[str, Comparison],
    ranked: Ranked,
) -> str:
    best, other = rows[0], others[0]
    comparison = found[other.key]
    names = _listed([_name(row, rows) for row in others])
    these = f"these {_tasks(comparison.tasks)}" if comparison.tasks > 1 else "this one task"
    value = f"{ranked.by.name} {_value(best, ranked)}"
    if verdict == "cannot tell":
        apart = _gain(comparison, ranked.by) + ("" if ranked.by.logarithmic else " apart")
        return (
            f"Cannot tell {_name(best, rows)} from {names} on {these}, with {_under(best)}: "
            f"{value} and {_value(other, ranked)}, {apart}{_needs(comparison, ranked.by, f'; {_name(other, rows)}')}"
        )
    lead = f"{_name(best, rows)}, {value}, {_distance(comparison, ranked.by)} {names}, the next basis"
    lead += _needs(comparison, ranked.by, ", which")
    families = f"{comparison.families} famil{'ies' if comparison.families != 1 else 'y'}"
    test = f"p = {CHANCE.write(max(one.p for one in found.values()))} over {families}"
    if verdict == "sparsest":
        return f"Sparsest on tasks like these {comparison.tasks}, with {_under(best)}: {lead}; {test}"
    least = smallest_p(comparison.families)
    bound = f", and so few can give no p below {CHANCE.write(least)}" if least > SURE else ""
    return f"Sparsest on {these}, with {_under(best)}: {lead}. Of tasks like these one cannot tell: {test}{bound}"


def _is_ahead(comparison: Comparison, by: Statistic) -> bool:
    """Whether the whole interval of the best row's lead is on its side of 0."""
    lead = comparison.difference if by.better == "higher" else comparison.difference.turned
    return lead.low is not None and lead.low > 0


def _under(row: RowCells) -> str:
    """Return the method and conditions of a row in words: those that differ between rows, and some always."""
    told = {name: row.conditions[name] for name in row.conditions if name in row.shown or name in ALWAYS_SAID}
    words = (f"{value} {name}" if name in ALWAYS_SAID else f"{name} {value}" for name, value in told.items())
    return printable(", ".join([row.method, *words]))


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _tasks(count: int) -> str:
    return f"{count} task{'s' * (count != 1)}"


def _name(row: RowCells, rows: Sequence[RowCells]) -> str:
    """Return a basis' name, with what tells it from another of the same name among `rows`."""
    if sum(other.basis == row.basis for other in rows) == 1:
        return printable(row.basis)
    options = (f"{name} {value}" for name, value in row.shown.items() if name not in row.conditions)
    return printable(f"{row.basis} ({', '.join(options)})")


def _value(row: RowCells, ranked: Ranked) -> str:
    return ranked.by.form.interval(row.overall(ranked.block).statistics[ranked.by.name])


def _gain(comparison: Comparison, by: Statistic) -> str:
    """Return by how much the best row is better, in words: a ratio where differences are ratios."""
    difference = comparison.difference if by.better == "higher" else comparison.difference.turned
    if not by.logarithmic:
        return SHARE.interval(difference)
    return f"{RATIO.interval(difference.mapped(power_of_ten))} times {by.direction}"


def _distance(comparison: Comparison, by: Statistic) -> str:
    side = "than" if by.logarithmic else "above" if by.better == "higher" else "below"
    return f"{_gain(comparison, by)} {side}"


def _needs(comparison: Comparison, by: Statistic, who: str) -> str:
    """Return how many times as many nodes the other basis needs; nothing where that was said or is not known."""
    size, ratio = STATISTICS.get(SIZE), _inverse(comparison.node_ratio)
    if by.name == SIZE or ratio.value is None or ratio.low == ratio.high == 1:
        return ""
    return f"{who} needs {RATIO.interval(ratio)} times as many {size.counts} for f = {size.threshold:g}"


def _turned(comparison: Comparison, reference: str) -> Comparison:
    """Return the comparison of the two rows the other way round, now with `reference`."""
    return replace(
        comparison,
        reference=reference,
        difference=comparison.difference.turned,
        like_these=comparison.like_these.turned,
        node_ratio=_inverse(comparison.node_ratio),
        effect_size=None if comparison.effect_size is None else 0.0 - comparison.effect_size,
    )


def _inverse(ratio: Interval) -> Interval:
    value, low, high = (None if part is None else 1 / part for part in (ratio.value, ratio.high, ratio.low))
    return Interval(value=value, low=low, high=high)


def _left_out(rows: Sequence[RowCells]) -> str:
    names = [_name(row, rows) for row in rows]
    return f" Not compared, for want of some of these cells: {', '.join(names)}." if names else ""


def _controls_ahead(best: RowCells, ranked: Ranked) -> str:
    at, sign = place(ranked.by), ranked.by.sign
    own = sign * best.point(ranked.block)[at]
    ahead = [row.label for row in ranked.complete if row.control and sign * row.point(ranked.block)[at] > own]
    return f"; but a control is ahead: {'; '.join(ahead)}" if ahead else ""
