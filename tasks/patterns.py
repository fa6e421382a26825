"""What task files share: prompts filled from patterns, halves of a pool, pairs in a balanced order.

A pattern is a text with slots, ``"The capital of {state} is"``; each slot becomes a named span of the prompt, by
which positions are aligned across templates and lengths.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter

import numpy as np

from basisbench.errors import unknown_name
from basisbench.tasks.pair import Pair, Span
from basisbench.values import Split

WORD_SPLITS: tuple[Split, ...] = ("discovery", "evaluation", "heldout")
"""Of a task that has one template."""


@dataclass(frozen=True)
class Prompt:
    """A filled pattern: its text and the spans of its slots, in reading order."""

    text: str
    spans: tuple[Span, ...]


def fill(pattern: str, words: Mapping[str, str]) -> Prompt:
    """Fill the slots ``{name}`` of a pattern; a slot that stands twice is a span the first time only."""
    text = ""
    spans: dict[str, Span] = {}
    for literal, slot, _, _ in Formatter().parse(pattern):
        text += literal
        if slot:
            spans.setdefault(slot, Span(slot, len(text), len(text) + len(words[slot])))
            text += words[slot]
    return Prompt(text, tuple(spans.values()))


def filled_pair(
    clean: Prompt,
    corrupt: Prompt,
    answers: str | Sequence[str],
    foils: str | Sequence[str],
    case: str,
    candidates: Sequence[str] = (),
) -> Pair:
    """The pair of two filled patterns."""
    return Pair(clean.text, corrupt.text, answers, foils, case, candidates, clean.spans, corrupt.spans)


def in_discovery(text: str) -> bool:
    """Whether discovery, not evaluation, has what `text` stands for: half of all texts, whatever the seed."""
    return hashlib.sha256(text.encode()).digest()[0] < 128


def has_frame(split: Split, frame: str) -> bool:
    """Whether a split may hold a frame: discovery and evaluation halve them, held-out ones have their own words."""
    return split not in ("discovery", "evaluation") or in_discovery(frame) == (split == "discovery")


def in_turn(sources: Sequence[Iterator[Pair]], rng: np.random.Generator) -> Iterator[Pair]:
    """Yield from all sources, going round them in a new order each time, so that any prefix is balanced."""
    live = list(sources)
    while live:
        rest = []
        for i in rng.permutation(len(live)):
            found = next(live[i], None)
            if found is not None:
                rest.append(live[i])
                yield found
        live = rest


def check_split(split: Split, splits: Sequence[Split]) -> None:
    """Raise UserError for a split that a task does not have."""
    if split not in splits:
        raise unknown_name("split", split, splits)
