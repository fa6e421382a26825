"""What task files share: prompts filled from patterns, halves of a pool, rows in a balanced order.

A pattern is a text with slots, ``"The capital of {state} is"``; each slot becomes a named span of the prompt, by
which positions are aligned across templates and lengths.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from string import Formatter

import numpy as np
from datasets import Dataset

from basisbench.errors import unknown_name
from basisbench.tasks.foreign_rows import FEATURES, OF_SEVERAL
from basisbench.values import Split

Row = dict[str, object]

WORD_SPLITS: tuple[Split, ...] = ("discovery", "evaluation", "heldout")
ALL_SPLITS: tuple[Split, ...] = (*WORD_SPLITS, "heldout_templates")


@dataclass(frozen=True)
class Prompt:
    """A filled pattern: its text and the character spans of its slots, in reading order."""

    text: str
    spans: tuple[tuple[str, int, int], ...]


def fill(pattern: str, words: Mapping[str, str]) -> Prompt:
    """Fill the slots ``{name}`` of a pattern; a slot that stands twice is a span the first time only."""
    text = ""
    spans: list[tuple[str, int, int]] = []
    for literal, slot, _, _ in Formatter().parse(pattern):
        text += literal
        if slot:
            if slot not in {name for name, _, _ in spans}:
                spans.append((slot, len(text), len(text) + len(words[slot])))
            text += words[slot]
    return Prompt(text, tuple(spans))


def row(
    clean: Prompt,
    corrupt: Prompt,
    answer: str | Sequence[str],
    foil: str | Sequence[str],
    case: str,
    candidates: Sequence[str] = (),
) -> Row:
    """One row in the columns of `basisbench.tasks.task.Task`."""

    def listed(spans: Iterable[tuple[str, int, int]]) -> list[dict[str, object]]:
        return [{"name": name, "start": start, "end": end} for name, start, end in spans]

    return {
        "clean": clean.text,
        "corrupt": corrupt.text,
        "answer": answer if isinstance(answer, str) else list(answer),
        "foil": foil if isinstance(foil, str) else list(foil),
        "case": case,
        "clean_spans": listed(clean.spans),
        "corrupt_spans": listed(corrupt.spans),
        "candidates": list(candidates),
    }


def in_discovery(text: str) -> bool:
    """Whether discovery, not evaluation, has what `text` stands for: half of all texts, whatever the seed."""
    return hashlib.sha256(text.encode()).digest()[0] < 128


def has_frame(split: Split, frame: str) -> bool:
    """Whether a split may hold a frame: discovery and evaluation halve them, held-out ones have their own words."""
    return split not in ("discovery", "evaluation") or in_discovery(frame) == (split == "discovery")


def in_turn(sources: Sequence[Iterator[Row]], rng: np.random.Generator) -> Iterator[Row]:
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


def take(rows: Iterator[Row], n: int) -> Dataset:
    """The first `n` rows as a dataset; all their answers are of one kind, a str or a list."""
    some = list(islice(rows, n))
    several = bool(some) and isinstance(some[0]["answer"], list)
    return Dataset.from_list(some, features=OF_SEVERAL if several else FEATURES)


def check_split(split: Split, splits: Sequence[Split]) -> None:
    """Raise UserError for a split that a task does not have."""
    if split not in splits:
        raise unknown_name("split", split, splits)
