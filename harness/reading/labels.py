"""Names for units, made of the evidence alone by stated criteria, and what each name rests on.

1. A unit that is always on is called that.
2. "on X": at least SHARED of the contexts that drive it (LEAST_CONTEXTS or more) have the same token, or run of tokens,
   where the unit is driven; else "before X", the same token next; else "after X", the same token just before. Upper
   and lower case, and blanks around a token, make no difference.
3. "says X": the tokens that it raises by the direct path stand STANDS_OUT standard deviations or more out of the
   vocabulary; else "against X": those that it lowers do. Of neurons turned at random fewer than one in a thousand
   reach that.
4. Otherwise "unclear", the unit, and the best weak hint there is.

All of it is said of one sign of the unit's activation: for the negative sign, what is raised and lowered change places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from basisbench.reading.evidence import Context, TaskUse

SHARED = 0.7
LEAST_CONTEXTS = 4
STRONG = 0.25
"""Contexts that drive a unit less than this part of the first one say nothing."""
STANDS_OUT = 6.5
HINTS_FROM = 5.5
HINT_SHARED = 0.5
SERVES_FROM = 0.01
MOST_SHOWN = 3
LONGEST_RUN = 4
LONGEST_TEXT = 40
UNREADABLE = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Side:
    """One sign of a unit: the contexts that drive it most, and the tokens that it raises and lowers when driven.

    `raised_z` and `lowered_z` are those of `basisbench.reading.direct.Direct`.
    """

    contexts: Sequence[Context]
    raised: Sequence[str]
    raised_z: float
    lowered: Sequence[str]
    lowered_z: float


@dataclass(frozen=True)
class Label:
    """A unit's name, and what it rests on, in words."""

    text: str
    rests_on: str


def make_label(unit: str, side: Side, always_on: str, serves: Sequence[TaskUse] = ()) -> Label:
    """Name `unit` from one side of it; `always_on` says why it is always on, empty if it is not."""
    if always_on:
        return Label("always on", always_on)
    parts = [part for part in (_driven(side.contexts), _says(side, STANDS_OUT)) if part]
    if parts:
        return Label(", ".join(part.text for part in parts), "; ".join(part.rests_on for part in parts))
    hint = _hint(side, serves)
    return Label(f"unclear {unit}, {hint.text}", f"weak: {hint.rests_on}")


def quoted(text: str) -> str:
    """Text in quotes, with escapes for what cannot be printed, cut to LONGEST_TEXT characters."""
    return repr(text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…")


# -- what drives it ------------------------------------------------------------------------------------


def strong(contexts: Sequence[Context]) -> list[Context]:
    """The contexts that drive a unit at least STRONG times as much as the first."""
    return [c for c in contexts if abs(c.activation) >= STRONG * abs(contexts[0].activation)]


def _driven(contexts: Sequence[Context]) -> Label | None:
    """What it is on, before or after: the token that enough contexts share, with as long a run as they share."""
    looked_at = strong(contexts)
    if len(looked_at) < LEAST_CONTEXTS:
        return None
    for word, place, step in (("on", 0, -1), ("before", 1, 1), ("after", -1, -1)):
        run: list[Context] = []
        length = 0
        while length < LONGEST_RUN:
            longer = _sharing(looked_at, [place + step * i for i in range(length + 1)])
            if len(longer) < SHARED * len(looked_at):
                break
            run, length = longer, length + 1
        if run:
            first = run[0].at + min(place, place + step * (length - 1))
            text = quoted("".join(run[0].tokens[first : first + length]))
            stand = "have" if word == "on" else f"stand {word}"
            example = "" if word == "on" else f": {_examples(run)}"
            return Label(f"{word} {text}{example}", f"{_of_contexts(run, looked_at)} {stand} {text}{_where(run)}")
    return None


def _examples(contexts: Iterable[Context]) -> str:
    """The tokens that drive a unit most, each once."""
    return ", ".join(map(quoted, _distinct(context.tokens[context.at] for context in contexts)))


def _sharing(contexts: Sequence[Context], places: Sequence[int]) -> list[Context]:
    """The largest set of contexts with the same readable tokens at `places`, counted from the driving token."""
    groups: dict[tuple[str, ...], list[Context]] = {}
    for context in contexts:
        if all(0 <= context.at + place < len(context.tokens) for place in places):
            run = tuple(folded(context.tokens[context.at + place]) for place in places)
            if not any(UNREADABLE in token for token in run):
                groups.setdefault(run, []).append(context)
    return max(groups.values(), key=len, default=[])


def folded(token: str) -> str:
    """A token without case and without blanks around it; blanks alone stay as they are."""
    return token.strip().casefold() or token


def _of_contexts(some: Sequence[Context], looked_at: Sequence[Context]) -> str:
    sign = "most" if looked_at[0].activation > 0 else "most, below zero,"
    return f"{len(some)} of {len(looked_at)} contexts that drive it {sign}"


def _where(contexts: Sequence[Context]) -> str:
    sources = {context.source for context in contexts}
    return f" (all in {sources.pop()})" if len(sources) == 1 else f" (in {len(sources)} texts)"


# -- what it does --------------------------------------------------------------------------------------


def _says(side: Side, least: float) -> Label | None:
    """The tokens that it says or is against, where they stand `least` standard deviations out."""
    for word, tokens, z in (("says", side.raised, side.raised_z), ("against", side.lowered, side.lowered_z)):
        shown = _distinct(tokens)
        if z >= least and shown:
            done = "raises" if word == "says" else "lowers"
            return Label(
                f"{word} {', '.join(map(quoted, shown))}",
                f"the tokens it {done} most stand {z:.1f} standard deviations out of the vocabulary",
            )
    return None


def _distinct(tokens: Iterable[str]) -> list[str]:
    """The first MOST_SHOWN readable tokens, each once but for case and blanks."""
    shown: dict[str, str] = {}
    for token in tokens:
        if UNREADABLE not in token:
            shown.setdefault(folded(token), token)
    return list(shown.values())[:MOST_SHOWN]


# -- hints ---------------------------------------------------------------------------------------------


def _ends_in(ending: str) -> Callable[[str], bool]:
    return lambda token: token.strip().isalpha() and len(token.strip()) > 3 and token.casefold().endswith(ending)


KINDS: Sequence[tuple[str, Callable[[str], bool]]] = (
    ("line ends", lambda token: "\n" in token),
    ("numbers", lambda token: token.strip().isdigit()),
    ("punctuation", lambda token: bool(token.strip()) and not any(c.isalnum() for c in token)),
    *((f"words in -{ending}", _ends_in(ending)) for ending in ("s", "ed", "ing")),
    ("capitalised words", lambda token: token.strip()[:1].isupper()),
    ("pieces of words", lambda token: token[:1].isalpha()),
)
"""Kinds of tokens, the first that fits."""


def _hint(side: Side, serves: Sequence[TaskUse]) -> Label:
    """The best of what would not bear a name of its own."""
    looked_at = strong(side.contexts)
    if not looked_at:
        return Label("silent on the text", "it is not driven this way anywhere in the text")
    readable = [context for context in looked_at if UNREADABLE not in context.tokens[context.at]]
    if len(looked_at) >= LEAST_CONTEXTS:
        for kind, fits in KINDS:
            some = [context for context in readable if fits(context.tokens[context.at])]
            if len(some) >= SHARED * len(looked_at):
                basis = f"{_of_contexts(some, looked_at)} have {kind} there{_where(some)}"
                return Label(f"mostly on {kind}: {_examples(some)}", basis)
    if said := _says(side, HINTS_FROM):
        return Label(f"perhaps {said.text}", said.rests_on)
    some = _sharing(looked_at, [0])
    if len(some) >= max(LEAST_CONTEXTS, HINT_SHARED * len(looked_at)):
        token = quoted(some[0].tokens[some[0].at])
        return Label(f"often on {token}", f"{_of_contexts(some, looked_at)} have {token}{_where(some)}")
    source, times = Counter(context.source for context in looked_at).most_common(1)[0]
    if times >= max(LEAST_CONTEXTS, SHARED * len(looked_at)):
        some = [context for context in looked_at if context.source == source]
        return Label(f"mostly in {source}", f"{_of_contexts(some, looked_at)} are of {source}")
    if serves and serves[0].share >= SERVES_FROM:
        return Label(
            f"serves {serves[0].task}", f"{serves[0].share:.1%} of all |attribution| in {serves[0].task} is its"
        )
    if readable:
        return Label(f"as on {_examples(readable)}", "the contexts that drive it most share nothing that is looked for")
    return Label("on pieces of characters", "tokens that are no text alone drive it most")
