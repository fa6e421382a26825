"""What a task is: a name and a way to make prompt pairs for a split."""

from collections.abc import Sequence
from typing import Protocol

from basisbench.registry import Registry
from basisbench.tasks.pair import Pair
from basisbench.values import Split


class Task(Protocol):
    """A source of prompt pairs.

    The metric is logit(answer) - logit(foil) after the prompt, higher is better; of several answers, the log of
    the sum of their exponentials. `heldout` shares no content word with the other splits, `heldout_templates` no
    template; a task that lacks one raises UserError for it.
    Pairs are a prefix of the seed's order: ``pairs(split, n, seed)`` equals the first n of ``pairs(split, m, seed)``
    for m > n. No prompt stands with its answer in two splits, whatever the seeds.
    """

    @property
    def name(self) -> str:
        """Name in results, e.g. ``sva/nounpp``."""

    @property
    def family(self) -> str:
        """What kind of task it is, in one word, e.g. ``sva``: tasks of one family are one piece of evidence."""

    @property
    def description(self) -> str:
        """One line: what the task tests, with its source."""

    @property
    def splits(self) -> Sequence[Split]:
        """The splits it has: discovery, evaluation and perhaps held-out ones."""

    def pairs(self, split: Split, n: int, seed: int) -> Sequence[Pair]:
        """Return up to `n` pairs of `split` in the order of `seed`; fewer where the split holds fewer."""


TASKS: Registry[Task] = Registry("task", "basisbench.tasks")
