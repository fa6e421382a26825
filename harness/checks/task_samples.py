"""What can be wrong between the pairs and splits of a task, whatever the model.

1. Balance: whether a constant answer would do, and whether one case is most of the pairs.
2. Leaks: pairs and prompts of one split in another.
3. Held-out words: what a span holds, as a whole and word by word; without spans, the words of the prompts. What
   stands in all prompts of both (the clean or the corrupt ones) belongs to the template, without spans what stands in
   half of them.
4. Held-out templates: a prompt with its spans, and whatever repeats them, blanked.
5. Answers: none that is wrong in another pair with the same prompt.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations, permutations

from basisbench.checks.findings import Finding, Problem, broken, shown, warning
from basisbench.checks.task_pairs import Drawn
from basisbench.tasks.pair import Pair
from basisbench.values import Split

MOST_SHARE = 0.5
MOST_OF_EVEN = 1.5
TEMPLATE_SHARE = 0.5
"""Without spans, words in so many prompts are the template's."""
BLANK = "…"


def pair_findings(drawn: Drawn) -> list[Finding]:
    """Every check of pairs that needs no model."""
    checks: tuple[Callable[[Drawn], Finding], ...] = (
        check_balance,
        check_leaks,
        check_heldout,
        check_templates,
        check_answers,
    )
    return [check(drawn) for check in checks]


def check_balance(drawn: Drawn) -> Finding:
    """The share of the most frequent answer and case in the first n pairs of each split.

    One is too frequent if more than half of the pairs have it and it is more than 1.5 times as frequent as it would
    be were all equally so; an answer too, if it is the only one.
    """
    problems: list[Problem] = []
    largest = {"answer": (0.0, ""), "case": (0.0, "")}
    for split in drawn.pairs:
        pairs = drawn.first(split)
        for kind, values in (("answer", [pair.answers for pair in pairs]), ("case", [(pair.case,) for pair in pairs])):
            ((value, count),) = Counter(values).most_common(1)
            share, kinds = count / len(pairs), len(set(values))
            words = (
                f"{shown('/'.join(value))} in {share:.0%} of the pairs of {split} ({kinds} {kind}{'s' * (kinds > 1)})"
            )
            if kinds > 1:
                largest[kind] = max(largest[kind], (share, words))
            only = kind == "answer" and kinds == 1 and len(pairs) > 1
            if only or share > max(MOST_SHARE, MOST_OF_EVEN / kinds):
                problems.append(warning(f"not balanced: {kind} {words}"))
    said = (f"most frequent {kind} {words}" if words else f"one {kind} a split" for kind, (_, words) in largest.items())
    return Finding("balance", "; ".join(said), tuple(problems))


def check_leaks(drawn: Drawn) -> Finding:
    """Prompts that stand with one of their answers in two splits, and corrupt prompts that another split asks."""
    problems: list[Problem] = []
    asked = {s: {(pair.clean, answer) for pair in drawn.all(s) for answer in pair.answers} for s in drawn.pairs}
    for one, other in combinations(drawn.pairs, 2):
        if found := asked[one] & asked[other]:
            clean, answer = min(found)
            problems.append(
                broken(f"{len(found)} pairs of {one} stand in {other} too: {shown(clean)} with {shown(answer)}")
            )
    for one, other in permutations(drawn.pairs, 2):
        if both := {pair.corrupt for pair in drawn.all(one)} & {pair.clean for pair in drawn.all(other)}:
            words = f"{len(both)} corrupt prompts of {one} are clean ones of {other}: {shown(min(both))}"
            problems.append(warning(words))
    count = len({(pair.clean, pair.answers) for pair in drawn.all(*drawn.pairs)})
    return Finding("leaks", f"none of {count:,} pairs, all seeds together, stands in two splits", tuple(problems))


def check_heldout(drawn: Drawn) -> Finding:
    """Content words that `heldout` shares with discovery or evaluation.

    What a span of one name holds in both breaks the contract. A warning is what spans of two names hold, a word of
    a longer span, and any word where the task has no spans, which alone tell content from templates.
    """
    name = "held-out words"
    if "heldout" not in drawn.pairs:
        return Finding(name, "the task has no heldout")
    own, others = list(drawn.all("heldout")), list(drawn.all("discovery", "evaluation"))
    if not all(pair.clean_spans for pair in (*own, *others)):
        if shared := _in_both(own, others, _words, TEMPLATE_SHARE):
            words = f"heldout shares words with discovery or evaluation: {_listed(shared)}"
            return Finding(name, "", (warning(f"{words} (spans would tell content words from the template's)"),))
        return Finding(name, "heldout shares no word with discovery and evaluation but the template's")
    if shared := _in_both(own, others, _fillings):
        words = f"heldout shares what spans hold with discovery or evaluation: {_listed(shared)}"
        return Finding(name, "", (broken(words),))
    in_spans = "heldout shares words in spans of other names, or parts of longer ones, with discovery or evaluation"
    if shared := _in_both(own, others, _span_words):
        return Finding(name, "", (warning(f"{in_spans}: {_listed(shared)}"),))
    return Finding(name, "no word in a span of heldout is in one of discovery or evaluation")


def check_templates(drawn: Drawn) -> Finding:
    """Templates that `heldout_templates` shares with another split."""
    name = "held-out templates"
    own = list(drawn.all("heldout_templates"))
    if not own:
        return Finding(name, "the task has no heldout_templates")
    others: list[Split] = [split for split in drawn.pairs if split != "heldout_templates"]
    every = [*own, *drawn.all(*others)]
    if not all(pair.clean_spans for pair in every):
        return Finding(name, "", (warning("not checked: without spans a template cannot be told from its words"),))
    templates = {template(pair) for pair in own}
    problems = [
        broken(f"heldout_templates shares {len(both)} with {split}: {shown(min(both))}")
        for split in others
        if (both := templates & {template(pair) for pair in drawn.all(split)})
    ]
    return Finding(name, "none of them in another split", tuple(problems))


def check_answers(drawn: Drawn) -> Finding:
    """Answers that are foils of another pair with the same clean prompt."""
    answers: dict[str, set[str]] = {}
    foils: dict[str, set[str]] = {}
    for pair in drawn.all(*drawn.pairs):
        answers.setdefault(pair.clean, set()).update(pair.answers)
        foils.setdefault(pair.clean, set()).update(pair.foils)
    problems = []
    if ambiguous := [prompt for prompt in answers if answers[prompt] & foils[prompt]]:
        both = ", ".join(shown(text) for text in sorted(answers[ambiguous[0]] & foils[ambiguous[0]])[:2])
        problems.append(
            broken(
                f"{len(ambiguous)} of {len(answers)} prompts have an answer that is a foil in another pair: "
                f"{shown(ambiguous[0])} with {both}"
            )
        )
    return Finding("answers", f"no answer of {len(answers):,} prompts is a foil of the same prompt", tuple(problems))


def template(pair: Pair) -> str:
    """The clean prompt with its spans blanked, and every other place where the whole of one stands as a word."""
    text, end = "", 0
    for _, start, stop in pair.clean_spans:
        text, end = text + pair.clean[end:start] + BLANK, stop
    text += pair.clean[end:]
    for filling in sorted((pair.clean[start:stop] for _, start, stop in pair.clean_spans), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(filling)}(?!\w)", BLANK, text)
    return text


Contents = tuple[set[tuple[str, str]], set[tuple[str, str]]]
"""What stands in the clean and in the corrupt prompt of a pair: the name of its span, if that counts, and the text."""


def _fillings(pair: Pair) -> Contents:
    """What the spans hold, each as a whole."""
    clean, corrupt = (
        {(name, text[start:stop].strip().lower()) for name, start, stop in spans}
        for text, spans in ((pair.clean, pair.clean_spans), (pair.corrupt, pair.corrupt_spans))
    )
    return clean, corrupt


def _span_words(pair: Pair) -> Contents:
    """The words in spans of any name."""
    clean, corrupt = (_split(text for _, text in side) for side in _fillings(pair))
    return clean, corrupt


def _words(pair: Pair) -> Contents:
    return _split([pair.clean]), _split([pair.corrupt])


def _split(texts: Iterable[str]) -> set[tuple[str, str]]:
    return {("", word) for text in texts for word in re.findall(r"\w+", text.lower())}


def _in_both(
    own: Sequence[Pair], others: Sequence[Pair], contents: Callable[[Pair], Contents], template_share: float = 1.0
) -> list[str]:
    """What stands in prompts of both, in fewer than `template_share` of those of one, the most frequent first."""
    shares = [_shares([contents(pair) for pair in some]) for some in (own, others)]
    shared = [item for item in shares[0] if min(share.get(item, 1.0) for share in shares) < template_share]
    found = sorted((item for item in shared if item in shares[1]), key=lambda item: (-shares[0][item], item))
    return [text for _, text in found]


def _shares(pairs: Sequence[Contents]) -> dict[tuple[str, str], float]:
    """How many of the clean prompts, or of the corrupt ones if they are more, hold each item."""
    sides = [Counter(item for pair in pairs for item in pair[side]) for side in (0, 1)]
    return {item: max(count[item] for count in sides) / len(pairs) for item in sides[0] | sides[1]}


def _listed(words: Sequence[str]) -> str:
    more = f" and {len(words) - 5} more" if len(words) > 5 else ""
    return ", ".join(shown(word) for word in words[:5]) + more
