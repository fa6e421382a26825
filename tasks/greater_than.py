"""Greater-than: the year in which something ended comes after the year in which it began.

Hanna et al. 2023, "How does GPT-2 compute greater-than?" (arXiv 2305.00586), section 2, with our own nouns. The
prompt ends in the century, so the two digits after it are asked for: all above those of the start are right. The
corrupt prompt starts in the year 01 of the same century, after which any two digits but 00 and 01 are right. Starts
have 1 to 8 as their first digit, so for a tokenizer that takes digits one by one there are first digits that are
always right and others that are always wrong; the start's own first digit begins both and does not count.

Discovery and evaluation never have the same noun in the same century; the held-out split has its own nouns,
centuries and starts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product

import numpy as np

from basisbench.shipped_tasks.patterns import check_split, fill, filled_pair, has_frame, in_turn
from basisbench.tasks.pair import Pair
from basisbench.values import SPLITS, Split

# The first is asked everywhere but in the split of held-out templates, which has the others.
PATTERNS = (
    "The {noun} lasted from the year {century}{start} to the year {century}",
    "The {noun} began in the year {century}{start} and ended in the year {century}",
    "In {century}{start} we saw the start of the {noun}, and its end came in {century}",
)
CORRUPT_START = "01"
TWO_DIGITS = tuple(f"{number:02d}" for number in range(100))
FIRST_DIGITS = "12345678"

_NOUNS = """
    war battle siege campaign conflict rebellion revolt uprising revolution riot strike protest dispute quarrel
    alliance treaty negotiation conference summit debate trial investigation inquiry hearing reign rule empire
    dynasty regime occupation colony mission expedition voyage journey tour march retreat pursuit search exile
    imprisonment marriage engagement friendship partnership career apprenticeship presidency administration reform
    transition experiment project study construction restoration renovation excavation festival celebration
    tournament competition drought famine flood plague epidemic outbreak illness treatment crisis depression
    recession shortage boom decline expansion migration trade boycott embargo monopoly lease contract agreement
    romance affair rivalry chaos panic peace struggle fighting violence terror persecution invasion defense
    contest season era
"""
_HELDOUT_NOUNS = """
    assault operation pilgrimage crusade adventure exploration training lecture convention session parliament
    coalition movement publication production exhibition courtship employment program survey recovery blockade pact
    accord collaboration relationship settlement captivity storm tenure
"""
NOUNS, HELDOUT_NOUNS = tuple(_NOUNS.split()), tuple(_HELDOUT_NOUNS.split())
CENTURIES, HELDOUT_CENTURIES = ("11", "13", "15", "17"), ("12", "14", "16")
HELDOUT_STARTS = TWO_DIGITS[10:90:4]


@dataclass(frozen=True)
class GreaterThanTask:
    """Two digits above `start` after "The `noun` lasted from the year 17`start` to the year 17".

    `answer` lists the two-digit strings above the start, `foil` the others, its own digits included. The case is
    the first digit of the start.
    """

    family = "greater_than"
    name: str = "greater_than"
    description: str = "end a span of years after its start (task of Hanna et al. 2023, arXiv 2305.00586)"
    splits: tuple[Split, ...] = SPLITS

    def pairs(self, split: Split, n: int, seed: int) -> list[Pair]:
        """Return up to `n` pairs of `split` in the order of `seed`, balanced over first digits and templates.

        Raises UserError for an unknown split.
        """
        check_split(split, self.splits)
        combinations = list(product(PATTERNS[1:] if split == "heldout_templates" else PATTERNS[:1], FIRST_DIGITS))
        order, *streams = np.random.default_rng(seed).spawn(1 + len(combinations))
        sources = [_pairs(split, *chosen, stream) for chosen, stream in zip(combinations, streams, strict=True)]
        return list(islice(in_turn(sources, order), n))


def _pairs(split: Split, pattern: str, first_digit: str, rng: np.random.Generator) -> Iterator[Pair]:
    """Yield every pair of one template whose start begins with `first_digit`, in a random order."""
    heldout = split == "heldout"
    nouns, centuries = (HELDOUT_NOUNS, HELDOUT_CENTURIES) if heldout else (NOUNS, CENTURIES)
    elsewhere = CENTURIES if heldout else HELDOUT_CENTURIES
    starts = [s for s in TWO_DIGITS if s[0] == first_digit and (s in HELDOUT_STARTS) == heldout and s not in elsewhere]
    everything = list(product(nouns, centuries, starts))
    for i in rng.permutation(len(everything)):
        noun, century, start = everything[i]
        # Without the start, so that a corrupt prompt too stands in one of the two only.
        if not has_frame(split, f"{noun} {century}"):
            continue
        words = {"noun": noun, "century": century, "start": start}
        after = TWO_DIGITS.index(start) + 1
        yield filled_pair(
            fill(pattern, words),
            fill(pattern, words | {"start": CORRUPT_START}),
            TWO_DIGITS[after:],
            TWO_DIGITS[:after],
            f"start_{first_digit}",
            TWO_DIGITS,
        )


GREATER_THAN = GreaterThanTask()
