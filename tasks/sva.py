"""Subject-verb agreement: continue with the verb form that the controlling noun asks for.

The four templates of Marks et al. 2025, "Sparse Feature Circuits" (arXiv 2403.19647), with our own lexicon.
Discovery and evaluation share their words but not their frames, a frame being a prompt without the number of
its controlling noun; so neither a prompt nor its corrupt partner is in both. Which frame goes where depends
on its text alone, never on a seed. The heldout split has its own nouns, prepositions and embedded verbs.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product
from string import Formatter
from typing import get_args

import numpy as np
from datasets import Dataset

from harness.errors import unknown_name
from harness.tasks import Split
from tasks.lexicon import ANSWERS, HELDOUT, SHARED, Number, Word

NUMBERS: tuple[Number, ...] = get_args(Number)


@dataclass(frozen=True)
class AgreementTask:
    """Agreement of a verb with the noun in the slot ``subject``, past an optional ``attractor``.

    `pattern` is the prompt with slots ``{name:word class}``; every slot but the subject stands in the number
    of the attractor, so an embedded verb agrees with it and is the same in the clean and the corrupt prompt.
    Slots become the spans of a row. A row is one choice of words, of both numbers and of an answer verb; its
    case is the template, the subject's clean number and the attractor's number.
    """

    template: str
    pattern: str
    construction: str

    @property
    def name(self) -> str:
        """Name in results, e.g. ``sva/nounpp``."""
        return f"sva/{self.template}"

    @property
    def description(self) -> str:
        """One line: what is tested, with the source of the template."""
        return f"subject-verb agreement {self.construction} (template of Marks et al. 2025, arXiv 2403.19647)"

    @property
    def slots(self) -> dict[str, str]:
        """Word class of each slot, in reading order."""
        return {slot: words for _, slot, words, _ in Formatter().parse(self.pattern) if slot and words}

    def pairs(self, split: Split, n: int, seed: int) -> Dataset:
        """Return up to `n` pairs of `split` in the order of `seed`, balanced over numbers and answer verbs.

        Any prefix holds each combination of clean number, attractor number and answer verb equally often to
        within one, until a combination has no rows left. Raises UserError for an unknown split.
        """
        if split not in get_args(Split):
            raise unknown_name("split", split, get_args(Split))
        return Dataset.from_list(list(islice(self._rows(split, seed), n)))

    def _rows(self, split: Split, seed: int) -> Iterator[dict[str, object]]:
        """Yield every row of `split` once, going round the combinations in a new order each time."""
        combinations = list(product(product(NUMBERS, repeat=1 + ("attractor" in self.slots)), ANSWERS))
        order, *streams = np.random.default_rng(seed).spawn(1 + len(combinations))
        sources = [
            self._rows_of(split, numbers, verb, stream)
            for (numbers, verb), stream in zip(combinations, streams, strict=True)
        ]
        while sources:
            live = []
            for i in order.permutation(len(sources)):
                row = next(sources[i], None)
                if row is not None:
                    live.append(sources[i])
                    yield row
            sources = live

    def _rows_of(
        self, split: Split, numbers: tuple[Number, ...], verb: Word, rng: np.random.Generator
    ) -> Iterator[dict[str, object]]:
        """Yield the rows of one combination in a random order; `numbers`: the subject's, the attractor's."""
        lexicon = HELDOUT if split == "heldout" else SHARED
        pools = [lexicon[word_class] for word_class in self.slots.values()]
        sizes = tuple(map(len, pools))
        clean, other = numbers[0], numbers[-1]
        corrupt = NUMBERS[clean == NUMBERS[0]]
        for choice in rng.permutation(math.prod(sizes)):
            chosen = [pool[i] for pool, i in zip(pools, np.unravel_index(choice, sizes), strict=True)]
            words = dict(zip(self.slots, chosen, strict=True))
            frame, _ = self._prompt(words, "singular", other)
            if len(set(chosen)) < len(chosen) or not _holds(split, frame):
                continue
            clean_prompt, clean_spans = self._prompt(words, clean, other)
            corrupt_prompt, corrupt_spans = self._prompt(words, corrupt, other)
            yield {
                "clean": clean_prompt,
                "corrupt": corrupt_prompt,
                "answer": f" {verb.form(clean)}",
                "foil": f" {verb.form(corrupt)}",
                "case": "_".join([self.template, *numbers]),
                "clean_spans": clean_spans,
                "corrupt_spans": corrupt_spans,
            }

    def _prompt(self, words: Mapping[str, Word], subject: Number, other: Number) -> tuple[str, list[dict[str, object]]]:
        """Fill the pattern; returns the prompt and its spans."""
        text, spans = "", []
        for literal, slot, _, _ in Formatter().parse(self.pattern):
            text += literal
            if slot:
                start = len(text)
                text += words[slot].form(subject if slot == "subject" else other)
                spans.append({"name": slot, "start": start, "end": len(text)})
        return text, spans


def _holds(split: Split, frame: str) -> bool:
    """Whether `split` holds the frame with this text; discovery and evaluation halve the frames by a hash."""
    in_discovery = hashlib.sha256(frame.encode()).digest()[0] < 128
    return split == "heldout" or in_discovery == (split == "discovery")


SIMPLE = AgreementTask("simple", "The {subject:nouns}", "without anything between subject and verb")
NOUNPP = AgreementTask(
    "nounpp",
    "The {subject:nouns} {preposition:prepositions} the {attractor:nouns}",
    "across a prepositional phrase",
)
# The noun inside the relative clause is a person, since it is the one that acts.
RC = AgreementTask(
    "rc",
    "The {subject:nouns} {relative:relatives} the {attractor:people} {embedded_verb:verbs}",
    "across a relative clause",
)
WITHIN_RC = AgreementTask(
    "within_rc",
    "The {attractor:nouns} {relative:relatives} the {subject:people}",
    "inside a relative clause",
)
