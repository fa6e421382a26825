"""Subject-verb agreement: continue with the verb form that the controlling noun asks for.

The four templates of Marks et al. 2025, "Sparse Feature Circuits" (arXiv 2403.19647), with our own lexicon.
Discovery and evaluation share their words but not their frames, a frame being a prompt without the number of
its controlling noun; so neither a prompt nor its corrupt partner is in both. Which frame goes where depends
on its text alone, never on a seed. The heldout split has its own nouns, prepositions and embedded verbs.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product
from string import Formatter
from typing import get_args

import numpy as np

from basisbench.shipped_tasks.lexicon import ANSWERS, HELDOUT, SHARED, Number, Word
from basisbench.shipped_tasks.patterns import WORD_SPLITS, Prompt, check_split, fill, filled_pair, has_frame, in_turn
from basisbench.tasks.pair import Pair
from basisbench.values import Split

NUMBERS: tuple[Number, ...] = get_args(Number)


@dataclass(frozen=True)
class AgreementTask:
    """Agreement of a verb with the noun in the slot ``subject``, past an optional ``attractor``.

    `pattern` is the prompt with slots ``{name:word class}``; every slot but the subject stands in the number
    of the attractor, so an embedded verb agrees with it and is the same in the clean and the corrupt prompt.
    Slots become the spans of a pair. A pair is one choice of words, of both numbers and of an answer verb; its
    case is the template, the subject's clean number and the attractor's number.
    """

    family = "sva"
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

    @property
    def _plain(self) -> str:
        """The pattern without word classes."""
        return re.sub(r"\{(\w+):\w+\}", r"{\1}", self.pattern)

    @property
    def splits(self) -> tuple[Split, ...]:
        """Held-out nouns, prepositions and embedded verbs, but no held-out template."""
        return WORD_SPLITS

    def pairs(self, split: Split, n: int, seed: int) -> list[Pair]:
        """Return up to `n` pairs of `split` in the order of `seed`, balanced over numbers and answer verbs.

        Any prefix holds each combination of clean number, attractor number and answer verb equally often to
        within one, until a combination has no pairs left. Raises UserError for an unknown split.
        """
        check_split(split, self.splits)
        return list(islice(self._pairs(split, seed), n))

    def _pairs(self, split: Split, seed: int) -> Iterator[Pair]:
        """Yield every pair of `split` once, going round the combinations in a new order each time."""
        combinations = list(product(product(NUMBERS, repeat=1 + ("attractor" in self.slots)), ANSWERS))
        order, *streams = np.random.default_rng(seed).spawn(1 + len(combinations))
        sources = [
            self._pairs_of(split, numbers, verb, stream)
            for (numbers, verb), stream in zip(combinations, streams, strict=True)
        ]
        return in_turn(sources, order)

    def _pairs_of(
        self, split: Split, numbers: tuple[Number, ...], verb: Word, rng: np.random.Generator
    ) -> Iterator[Pair]:
        """Yield the pairs of one combination in a random order; `numbers`: the subject's, the attractor's."""
        lexicon = HELDOUT if split == "heldout" else SHARED
        pools = [lexicon[word_class] for word_class in self.slots.values()]
        sizes = tuple(map(len, pools))
        clean, other = numbers[0], numbers[-1]
        corrupt = NUMBERS[clean == NUMBERS[0]]
        for choice in rng.permutation(math.prod(sizes)):
            chosen = [pool[i] for pool, i in zip(pools, np.unravel_index(choice, sizes), strict=True)]
            words = dict(zip(self.slots, chosen, strict=True))
            frame = self._prompt(words, "singular", other).text
            if len(set(chosen)) < len(chosen) or not has_frame(split, frame):
                continue
            yield filled_pair(
                self._prompt(words, clean, other),
                self._prompt(words, corrupt, other),
                f" {verb.form(clean)}",
                f" {verb.form(corrupt)}",
                "_".join([self.template, *numbers]),
            )

    def _prompt(self, words: Mapping[str, Word], subject: Number, other: Number) -> Prompt:
        """Fill the pattern, the subject in its number and all else in the other."""
        forms = {slot: word.form(subject if slot == "subject" else other) for slot, word in words.items()}
        return fill(self._plain, forms)


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
