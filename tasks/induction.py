"""Induction: what followed a word the last time follows it again.

Repeated random sequences, Olsson et al. 2022, "In-context Learning and Induction Heads" (arXiv 2209.11895), with
common words for tokens. A prompt is ten different words and then the first k of them again (k = 3 to 6), so it ends
in word k and word k + 1 is due. In the corrupt prompt word k + 1 and a later one, neither of which comes again, have
changed places in the ten: word k is followed by the other, which is the foil. Both prompts have the same words, the
answer and the foil once each, so only what followed word k tells them apart.

Discovery and evaluation share words, never a set of ten; the held-out split has its own words.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from basisbench.shipped_tasks.patterns import WORD_SPLITS, Prompt, check_split, fill, filled_pair, has_frame, in_turn
from basisbench.tasks.pair import Pair
from basisbench.values import Split

LENGTH = 10
REPEATED = (3, 4, 5, 6)
# Sequences can be drawn without end; a split ends here, so that it can be exhausted.
DRAWS = 1000

_WORDS = """
    apple arm army baby bag bank bath beach bear bed bell bird blood board boat body bone book bottle bowl box boy
    bread bridge brother bus butter cake camera camp captain car card castle cat chair cheese chicken child church
    city class clock cloud coat coffee coin corner country cousin cow cup dance daughter day desk dinner doctor dog
    door dream dress driver dust ear earth egg engine evening eye face factory family farm father field film finger
    fire fish flag floor flower food foot forest friend fruit game garden gate girl glass gold grass group guard gun
    hair hall hand hat head heart hill history holiday home horse hospital hotel hour house ice idea island job judge
    juice key king kitchen knife lady lake lamp language leaf leg lesson letter library light lion list machine man
    map market meal meat milk mind minute mirror money month moon morning mother mountain mouse mouth movie museum
    music name neck newspaper night nose ocean office oil page paint paper park party path pen phone picture plane
    plant plate player poem police pool potato prince queen question rain ring river road roof room rope salt school
    sea shirt shoe shop sky snow soldier song stone story street sugar summer sun table teacher train tree truck wall
    water week wheel wind window woman wood
"""
_HELDOUT_WORDS = """
    actor air animal artist autumn bar basket bike boss branch breakfast brick bull button candle circle college
    color copper cotton crowd desert diamond dish dollar drum duck farmer feather fence flight frame ghost hammer
    iron jacket lawyer lemon magazine metal mud nail nurse orange owner pencil piano pilot pocket port prison rice
    rock rose sand sheep ship silver smoke soap spoon spring star station storm student sword tail tea tower town
    village winter yard
"""
WORDS, HELDOUT_WORDS = tuple(_WORDS.split()), tuple(_HELDOUT_WORDS.split())


@dataclass(frozen=True)
class InductionTask:
    """The word that followed the last word where it stood before.

    Spans: ``earlier`` is the last word's earlier occurrence, ``earlier_answer`` the word after it, ``swapped`` the
    later word that has the answer's place in the corrupt prompt, ``last`` the last word. Candidates are the ten
    words, with the leading space; the case is how many words come again.
    """

    family = "induction"
    name: str = "induction"
    description: str = "continue a repeated sequence of random words (Olsson et al. 2022, arXiv 2209.11895)"
    splits: tuple[Split, ...] = WORD_SPLITS

    def pairs(self, split: Split, n: int, seed: int) -> list[Pair]:
        """Return up to `n` pairs of `split` in the order of `seed`, balanced over the number of repeated words.

        A seed has some two thousand pairs (of `heldout` four thousand), other seeds have others. Raises UserError
        for an unknown split.
        """
        check_split(split, self.splits)
        order, *streams = np.random.default_rng(seed).spawn(1 + len(REPEATED))
        sources = [_pairs(split, repeated, stream) for repeated, stream in zip(REPEATED, streams, strict=True)]
        return list(islice(in_turn(sources, order), n))


def _pairs(split: Split, repeated: int, rng: np.random.Generator) -> Iterator[Pair]:
    """Yield pairs in whose prompts `repeated` words come again."""
    lexicon = HELDOUT_WORDS if split == "heldout" else WORDS
    for _ in range(DRAWS):
        words = [lexicon[i] for i in rng.choice(len(lexicon), LENGTH, replace=False)]
        other = int(rng.integers(repeated + 1, LENGTH))
        # Alike for the clean and the corrupt prompt.
        if not has_frame(split, " ".join(sorted(words))):
            continue
        changed = list(words)
        changed[repeated], changed[other] = words[other], words[repeated]
        yield filled_pair(
            _prompt(words, repeated, other),
            _prompt(changed, repeated, other),
            f" {words[repeated]}",
            f" {words[other]}",
            f"repeated_{repeated}",
            [f" {word}" for word in words],
        )


def _prompt(words: Sequence[str], repeated: int, other: int) -> Prompt:
    """The words, then the first `repeated` of them again; `other` is the place of the span ``swapped``."""
    slots = {repeated - 1: "earlier", repeated: "earlier_answer", other: "swapped", LENGTH + repeated - 1: "last"}
    sequence = [*words, *words[:repeated]]
    pattern = " ".join(f"{{{slots[place]}}}" if place in slots else word for place, word in enumerate(sequence))
    return fill(pattern, {slot: sequence[place] for place, slot in slots.items()})


INDUCTION = InductionTask()
