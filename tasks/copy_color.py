"""Copy the color of an object, as the letter of a multiple choice or as a word.

The colored-objects question of MIB (Mueller et al. 2025, arXiv 2504.13151, ``copycolors_mcqa``), with our own
words and templates. Asked for the letter, the corrupt prompt has two choices in each other's place, so that another
letter is right; asked for the word, it has the object in the color of another choice. Discovery and evaluation
share objects and colors, never an object with the same four choices; the held-out split has its own of both.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, permutations, product

import numpy as np

from basisbench.shipped_tasks.patterns import Prompt, check_split, fill, filled_pair, has_frame, in_turn
from basisbench.tasks.pair import Pair
from basisbench.values import SPLITS, Split

LETTERS = "ABCD"
COLORS = ("red", "blue", "green", "yellow", "purple", "brown", "black", "white")
HELDOUT_COLORS = ("orange", "pink", "gray", "gold", "silver", "violet")
# None begins with a vowel: they stand after "a".
_OBJECTS = """
    box ball car cup hat shirt book chair table door bag coat dress ring flag bike truck boat train bus lamp clock
    plate bowl bottle pen pencil phone guitar piano kite balloon doll robot house roof gate fence tent bed couch shelf
    drawer curtain blanket pillow towel sock shoe boot glove belt tie
"""
_HELDOUT_OBJECTS = """
    jacket skirt hood mask helmet basket bucket candle ribbon rope button badge card folder sticker van tower bench
    vase jar kettle
"""
OBJECTS, HELDOUT_OBJECTS = tuple(_OBJECTS.split()), tuple(_HELDOUT_OBJECTS.split())


@dataclass(frozen=True)
class CopyColorTask:
    """Which of four colors the object has: the letter of the choice, or with `by_word` the color.

    `patterns`: the first is asked everywhere but in the split of held-out templates, which has the others. Spans:
    ``object`` and ``color`` where they are stated, ``choice_a`` to ``choice_d``. The case is the letter of the
    answer and that of the foil; candidates are all four letters or colors.
    """

    family = "copy_color"
    name: str
    description: str
    patterns: tuple[str, ...]
    by_word: bool = False
    splits: tuple[Split, ...] = SPLITS

    def pairs(self, split: Split, n: int, seed: int) -> list[Pair]:
        """Return up to `n` pairs of `split` in the order of `seed`, balanced over both letters and templates.

        Any prefix holds each combination of template, letter of the answer and letter of the foil equally often
        to within one; no prompt comes twice. Raises UserError for an unknown split.
        """
        check_split(split, self.splits)
        patterns = self.patterns[1:] if split == "heldout_templates" else self.patterns[:1]
        combinations = list(product(patterns, range(len(LETTERS))))
        order, *streams = np.random.default_rng(seed).spawn(1 + len(combinations))
        sources = [self._pairs(split, *chosen, stream) for chosen, stream in zip(combinations, streams, strict=True)]
        return list(islice(in_turn(sources, order), n))

    def _pairs(self, split: Split, pattern: str, right: int, rng: np.random.Generator) -> Iterator[Pair]:
        """Yield a pair for every prompt of a template whose answer is choice number `right`, in a random order."""
        heldout = split == "heldout"
        objects = HELDOUT_OBJECTS if heldout else OBJECTS
        orders = list(permutations(HELDOUT_COLORS if heldout else COLORS, len(LETTERS)))
        foils: list[int] = []
        for i in rng.permutation(len(objects) * len(orders)):
            thing, choices = objects[i // len(orders)], orders[i % len(orders)]
            # Alike for the clean and the corrupt prompt.
            if not has_frame(split, " ".join([thing, *sorted(choices)])):
                continue
            foils = foils or [place for place in rng.permutation(len(LETTERS)) if place != right]
            wrong = foils.pop()
            clean = _prompt(pattern, thing, choices[right], choices)
            if self.by_word:
                corrupt, options = _prompt(pattern, thing, choices[wrong], choices), choices
            else:
                changed = list(choices)
                changed[right], changed[wrong] = choices[wrong], choices[right]
                corrupt, options = _prompt(pattern, thing, choices[right], tuple(changed)), tuple(LETTERS)
            candidates = [f" {option}" for option in options]
            case = f"{LETTERS[right]}_{LETTERS[wrong]}"
            yield filled_pair(clean, corrupt, candidates[right], candidates[wrong], case, candidates)


def _prompt(pattern: str, thing: str, color: str, choices: tuple[str, ...]) -> Prompt:
    named = {f"choice_{letter.lower()}": choice for letter, choice in zip(LETTERS, choices, strict=True)}
    return fill(pattern, {"object": thing, "color": color} | named)


_SOURCE = "(copycolors_mcqa of MIB, Mueller et al. 2025, arXiv 2504.13151)"
COPY_COLOR = CopyColorTask(
    "copy_color",
    f"pick the letter of an object's stated color from four choices {_SOURCE}",
    (
        "A {object} is {color}. What color is the {object}?\n"
        "A. {choice_a}\nB. {choice_b}\nC. {choice_c}\nD. {choice_d}\nAnswer:",
        "Question: The {object} that I saw was {color}. Which color did it have?\n"
        "A) {choice_a}\nB) {choice_b}\nC) {choice_c}\nD) {choice_d}\nThe letter of the right answer is",
    ),
)
COPY_COLOR_WORD = CopyColorTask(
    "copy_color/word",
    f"name an object's stated color, one of four choices {_SOURCE}",
    (
        "Question: The {object} that I saw was {color}. Which color did it have:"
        " {choice_a}, {choice_b}, {choice_c} or {choice_d}?\nAnswer: The color of the {object} was",
        "A {object} is {color}. What color is the {object}:"
        " {choice_a}, {choice_b}, {choice_c} or {choice_d}? The {object} is",
    ),
    by_word=True,
)
