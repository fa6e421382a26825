"""Indirect object identification: of two people named, the one who did not act receives.

Wang et al. 2023, "Interpretability in the Wild" (arXiv 2211.00593), with our own templates and words. A prompt names
the indirect object (span ``io``) and the subject (``s1``), the indirect object first in case ABBA, the subject first
in case BABA; then the subject acts (``s2``), and the indirect object has to follow. Two corruptions:

- swapped (`ioi`): the second mention of the subject becomes the indirect object's name, nothing else changes. Then
  the other person has to follow: the foil, the subject's name, is the corrupt prompt's answer.
- replaced (`ioi/replaced`): each of the three mentions becomes a name of its own, none of them the subject's or the
  indirect object's (the paper's ABC). The corrupt prompt asks for none of the two; the foil is the subject's name.

A frame is a prompt without the second mention, so it is that of both prompts of a swapped pair; discovery and
evaluation share no frame.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product
from typing import Literal

import numpy as np

from basisbench.shipped_tasks.names import HELDOUT_MEN, HELDOUT_WOMEN, MEN, WOMEN, listed
from basisbench.shipped_tasks.patterns import check_split, fill, filled_pair, has_frame, in_turn
from basisbench.tasks.pair import Pair
from basisbench.values import SPLITS, Split

# In case ABBA, {first} is the indirect object; in case BABA, the subject.
TEMPLATES = (
    "When {first} and {second} went to the {place}, {s2} gave a {object} to",
    "After {first} and {second} had met at the {place}, {s2} handed a {object} to",
    "While {first} and {second} were waiting near the {place}, {s2} offered a {object} to",
    "Last week {first} and {second} drove to the {place}, and {s2} showed a {object} to",
    "Then {first} and {second} left the {place} together. Later {s2} sent a {object} to",
)
HELDOUT_TEMPLATES = (
    "As soon as {first} and {second} reached the {place}, {s2} passed a {object} to",
    "In June {first} and {second} had a good time at the {place}. There {s2} decided to give a {object} to",
    "Because {first} and {second} often walked past the {place}, {s2} once lent a {object} to",
)


@dataclass(frozen=True)
class Words:
    """What fills the slots."""

    names: tuple[str, ...]
    places: tuple[str, ...]
    objects: tuple[str, ...]


SHARED = Words(
    (*MEN, *WOMEN),
    listed("store school park office station restaurant hospital garden beach market library museum"),
    listed("drink book ring ball key letter gift bag bottle hat coin picture"),
)
HELDOUT = Words(
    (*HELDOUT_MEN, *HELDOUT_WOMEN),
    listed("theater hotel church bank bakery farm castle harbor"),
    listed("camera phone ticket flower cup map toy guitar"),
)


@dataclass(frozen=True)
class IoiTask:
    """Indirect object identification under one of the two corruptions of the module's description."""

    family = "ioi"
    name: str
    corruption: Literal["swapped", "replaced"]

    @property
    def description(self) -> str:
        """One line: what is tested, with its source."""
        source = "Wang et al. 2023, arXiv 2211.00593"
        return f"indirect object identification, names {self.corruption} ({source}); smollm2-135m: pairs 0.98 or more"

    @property
    def splits(self) -> tuple[Split, ...]:
        """Held-out names, places and objects, and held-out templates."""
        return SPLITS

    def pairs(self, split: Split, n: int, seed: int) -> list[Pair]:
        """Return up to `n` pairs of `split` in the order of `seed`, balanced over cases and answers.

        Any prefix holds ABBA and BABA equally often to within one, and within each of them every answer. A subject
        and an indirect object meet at most once in a template and case, at a random place with a random object.
        Raises UserError for an unknown split.
        """
        check_split(split, self.splits)
        return list(islice(self._pairs(split, seed), n))

    def _pairs(self, split: Split, seed: int) -> Iterator[Pair]:
        """Yield every pair of `split` once, the two cases in turn and in each of them the indirect objects."""
        words = HELDOUT if split == "heldout" else SHARED
        order, *streams = np.random.default_rng(seed).spawn(3)
        cases = []
        for case, stream in zip(("ABBA", "BABA"), streams, strict=True):
            sources = [
                self._pairs_of(split, words, case, io, rng)
                for io, rng in zip(words.names, stream.spawn(len(words.names)), strict=True)
            ]
            cases.append(in_turn(sources, stream))
        return in_turn(cases, order)

    def _pairs_of(self, split: Split, words: Words, case: str, io: str, rng: np.random.Generator) -> Iterator[Pair]:
        """Yield the pairs of one case and indirect object in a random order."""
        first, second = ("{io}", "{s1}") if case == "ABBA" else ("{s1}", "{io}")
        templates = HELDOUT_TEMPLATES if split == "heldout_templates" else TEMPLATES
        choices = list(product(templates, [name for name in words.names if name != io]))
        candidates = [f" {name}" for name in words.names]
        for i in rng.permutation(len(choices)):
            template, subject = choices[i]
            pattern = template.replace("{first}", first).replace("{second}", second)
            scene = {"place": str(rng.choice(words.places)), "object": str(rng.choice(words.objects))}
            names = {"io": io, "s1": subject, "s2": subject}
            if has_frame(split, fill(pattern, scene | names | {"s2": ""}).text):
                corrupt = names | {"s2": io} if self.corruption == "swapped" else _others(words.names, names, rng)
                yield filled_pair(
                    fill(pattern, scene | names),
                    fill(pattern, scene | corrupt),
                    f" {io}",
                    f" {subject}",
                    case,
                    candidates,
                )


def _others(pool: tuple[str, ...], names: dict[str, str], rng: np.random.Generator) -> dict[str, str]:
    """Give each mention a name of its own, none of them in `names`."""
    rest = [name for name in pool if name not in names.values()]
    return {mention: rest[i] for mention, i in zip(names, rng.permutation(len(rest)), strict=False)}


IOI = IoiTask("ioi", "swapped")
REPLACED = IoiTask("ioi/replaced", "replaced")
