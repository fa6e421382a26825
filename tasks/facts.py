"""Tasks that ask for one fact: a word stands in a template, and what goes with it has to follow.

The corrupt prompt asks for another word in the same template; its answer is the foil. Discovery and evaluation
share words but no prompt: a hash of the text decides which of them may ask it, so a corrupt prompt of one is not
a clean prompt of the other either. `heldout` has facts of its own, `heldout_templates` templates of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from string import Formatter

import numpy as np

from basisbench.shipped_tasks.patterns import Prompt, check_split, fill, filled_pair, has_frame, in_turn
from basisbench.tasks.pair import Pair
from basisbench.values import SPLITS, Split


@dataclass(frozen=True)
class Fact:
    """What is asked and what has to follow; `shape` is what a corrupt partner must share, to be as long."""

    asked: str
    answer: str
    shape: str = ""


@dataclass(frozen=True)
class Template:
    """A text with one slot and, after it, ``{answer}``; before it a line for each exemplar asked in `shown`.

    The prompt is what stands before the answer; a blank there belongs to the answer, not to the prompt. What
    follows the answer, if anything, stands in the exemplars only.
    """

    case: str
    text: str
    shown: tuple[str, ...] = ()

    @property
    def slot(self) -> str:
        """Name of the slot, which names the span."""
        return next(slot for _, slot, _, _ in Formatter().parse(self.text) if slot and slot != "answer")

    @property
    def question(self) -> str:
        """What stands before the answer, without a blank at its end."""
        return self.text.partition("{answer}")[0].rstrip(" ")

    @property
    def lead(self) -> str:
        """What an answer begins with: a blank where the language and the template put one."""
        return " " if " {answer}" in self.text else ""


@dataclass(frozen=True)
class Question:
    """A fact asked in a template."""

    template: Template
    fact: Fact
    prompt: Prompt


@dataclass(frozen=True)
class FactTask:
    """Continue with the answer of the fact asked: `shared` and `heldout` facts, `templates` and held-out ones.

    Exemplars are shared facts; neither they nor facts with a word of theirs are asked in their template.
    """

    name: str
    description: str
    shared: tuple[Fact, ...]
    heldout: tuple[Fact, ...]
    templates: tuple[Template, ...]
    heldout_templates: tuple[Template, ...]

    @property
    def family(self) -> str:
        """What the name begins with, e.g. ``capitals``."""
        return self.name.partition("/")[0]

    @property
    def splits(self) -> tuple[Split, ...]:
        """Held-out facts and held-out templates."""
        return SPLITS

    def pairs(self, split: Split, n: int, seed: int) -> list[Pair]:
        """Return up to `n` pairs of `split` in the order of `seed`, balanced over answers.

        Any prefix holds each answer equally often to within one, until an answer has no pairs left; of each
        answer, every prompt comes once before one comes again with another corrupt partner. Raises UserError
        for an unknown split.
        """
        check_split(split, self.splits)
        return list(islice(self._pairs(split, seed), n))

    def questions(self, split: Split) -> list[Question]:
        """Return everything that a split may ask, as clean or as corrupt prompt."""
        facts = self.heldout if split == "heldout" else self.shared
        templates = self.heldout_templates if split == "heldout_templates" else self.templates
        asked = [question for template in templates for question in self._asked(template, facts)]
        return [question for question in asked if has_frame(split, question.prompt.text)]

    def _asked(self, template: Template, facts: tuple[Fact, ...]) -> Iterator[Question]:
        """Ask every fact of which no word stands in the template's exemplars."""
        of = {fact.asked: fact for fact in self.shared}
        shown = [of[asked] for asked in template.shown]
        lines = [fill(template.text, {template.slot: fact.asked, "answer": fact.answer}).text for fact in shown]
        pattern = "\n".join([*lines, template.question])
        used = {word for fact in shown for word in (fact.asked, fact.answer)}
        for fact in facts:
            if not used & {fact.asked, fact.answer}:
                yield Question(template, fact, fill(pattern, {template.slot: fact.asked}))

    def _pairs(self, split: Split, seed: int) -> Iterator[Pair]:
        """Yield every pair of `split` once, going round the answers in a new order each time."""
        questions = self.questions(split)
        answers = list(dict.fromkeys(question.fact.answer for question in questions))
        order, *streams = np.random.default_rng(seed).spawn(1 + len(answers))
        sources = []
        for answer, stream in zip(answers, streams, strict=True):
            own = [question for question in questions if question.fact.answer == answer]
            sources.append(in_turn([self._pairs_of(question, questions, stream) for question in own], stream))
        return in_turn(sources, order)

    def _pairs_of(self, clean: Question, questions: list[Question], rng: np.random.Generator) -> Iterator[Pair]:
        """Yield the pairs of one clean prompt: its partners in a random order."""
        partners = [
            other
            for other in questions
            if (other.template, other.fact.shape) == (clean.template, clean.fact.shape)
            and clean.fact.answer not in (other.fact.answer, other.fact.asked)
        ]
        lead = clean.template.lead
        candidates = [lead + answer for answer in dict.fromkeys(f.answer for f in (*self.shared, *self.heldout))]
        for i in rng.permutation(len(partners)):
            corrupt = partners[i]
            yield filled_pair(
                clean.prompt,
                corrupt.prompt,
                lead + clean.fact.answer,
                lead + corrupt.fact.answer,
                clean.template.case,
                candidates,
            )
