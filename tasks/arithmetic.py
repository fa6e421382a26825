"""Addition and subtraction of numbers of one and two digits.

Tasks as in Stolfo et al. 2023 (arXiv 2305.15054) and MIB (Mueller et al. 2025, arXiv 2504.13151), with our own
templates. The corrupt prompt has two other operands, each of as many digits, whose result is another with as many
digits; it is one of the clean prompts of the same split. Discovery and evaluation share operands, never the two of
a pair, in either order; the held-out split has its own operands.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, product
from operator import add, sub

import numpy as np

from basisbench.shipped_tasks.patterns import Prompt, check_split, fill, filled_pair, has_frame, in_turn
from basisbench.tasks.pair import Pair
from basisbench.values import SPLITS, Split

Digits = tuple[int, int, int]
Sum = tuple[int, int, int]

# The numbers of the worked examples stand in no pair, so the held-out split shares no number with them either.
EXAMPLES = (5, 15, 20, 25, 30, 31, 61, 91)
HELDOUT_OPERANDS = (
    *(3, 7, 8, 13, 14, 19, 22, 26, 27, 34, 36, 38, 42, 45, 49, 53, 54, 57),
    *(63, 66, 68, 72, 74, 78, 80, 85, 89, 90, 92, 97),
)
OPERANDS = tuple(number for number in range(1, 100) if number not in (*EXAMPLES, *HELDOUT_OPERANDS))


@dataclass(frozen=True)
class ArithmeticTask:
    """The result of `calculate` on two operands, in the slots ``a`` and ``b``.

    `patterns`: the first is asked everywhere but in the split of held-out templates, which has the others.
    `digits`: how many digits the operands and the result have; each is a case.
    """

    family = "arithmetic"
    operation: str
    calculate: Callable[[int, int], int]
    patterns: tuple[str, ...]
    digits: tuple[Digits, ...]
    splits: tuple[Split, ...] = SPLITS

    @property
    def name(self) -> str:
        """Name in results, e.g. ``arithmetic/addition``."""
        return f"arithmetic/{self.operation}"

    @property
    def description(self) -> str:
        """One line: what is tested, with the source of the task."""
        return f"{self.operation} of numbers of up to two digits (as in MIB, Mueller et al. 2025, arXiv 2504.13151)"

    def pairs(self, split: Split, n: int, seed: int) -> list[Pair]:
        """Return up to `n` pairs of `split` in the order of `seed`, balanced over digit counts and templates.

        Any prefix holds each combination equally often to within one, until one has no pairs left. Raises
        UserError for an unknown split.
        """
        check_split(split, self.splits)
        patterns = self.patterns[1:] if split == "heldout_templates" else self.patterns[:1]
        combinations = list(product(patterns, self.digits))
        order, *streams = np.random.default_rng(seed).spawn(1 + len(combinations))
        sources = [self._pairs(split, *chosen, stream) for chosen, stream in zip(combinations, streams, strict=True)]
        return list(islice(in_turn(sources, order), n))

    def _pairs(self, split: Split, pattern: str, digits: Digits, rng: np.random.Generator) -> Iterator[Pair]:
        """Yield a pair for every two operands of one template and digit count, in a random order."""
        sums = self._sums(split, digits)
        order = [sums[i] for i in rng.permutation(len(sums))]
        for i, clean in enumerate(order):
            # the next that differs in all, going round
            others = (other for other in order[i + 1 :] + order[:i] if _all_differ(clean, other))
            corrupt = next(others, None)
            if corrupt is not None:
                yield filled_pair(
                    _prompt(pattern, clean),
                    _prompt(pattern, corrupt),
                    f" {clean[2]}",
                    f" {corrupt[2]}",
                    "digits_{}_{}_{}".format(*digits),
                )

    def _sums(self, split: Split, digits: Digits) -> list[Sum]:
        """All operands of a split with their result, of the given digit counts."""
        operands = HELDOUT_OPERANDS if split == "heldout" else OPERANDS
        sums = [(a, b, self.calculate(a, b)) for a, b in product(operands, repeat=2)]
        return [
            s
            for s in sums
            if tuple(len(str(number)) for number in s) == digits
            and s[2] > 0
            and has_frame(split, f"{self.operation} {min(s[:2])} {max(s[:2])}")
        ]


def _all_differ(one: Sum, other: Sum) -> bool:
    return all(x != y for x, y in zip(one, other, strict=True))


def _prompt(pattern: str, numbers: Sum) -> Prompt:
    return fill(pattern, {"a": str(numbers[0]), "b": str(numbers[1])})


ADDITION = ArithmeticTask(
    "addition",
    add,
    (
        "20 + 5 = 25\n61 + 30 = 91\n{a} + {b} =",
        "{a} + {b} =",
        "Question: What is {a} plus {b}?\nAnswer:",
    ),
    ((1, 2, 2), (2, 1, 2), (2, 2, 2), (2, 2, 3)),
)
SUBTRACTION = ArithmeticTask(
    "subtraction",
    sub,
    (
        "20 - 5 = 15\n61 - 30 = 31\n{a} - {b} =",
        "{a} - {b} =",
        "Question: What is {a} minus {b}?\nAnswer:",
    ),
    ((2, 1, 2), (2, 2, 1), (2, 2, 2)),
)
