"""What a task is: a name and a way to make prompt pairs for a split."""

from collections.abc import Sequence
from typing import Protocol

from datasets import Dataset

from basisbench.registry import Registry
from basisbench.values import Split


class Task(Protocol):
    """A source of prompt pairs.

    `pairs` yields a `datasets.Dataset` of at most `n` rows (fewer when the split holds fewer) with the columns

    - ``clean``, ``corrupt``: the two prompts (str);
    - ``answer``, ``foil``: the continuations of the clean and of the corrupt prompt (leading space included where
      the language writes one): a str, or a list of which any will do;
    - ``candidates`` (may be absent or empty): every continuation that could be asked for, a list of str;
    - ``case``: a label of the construction (str);
    - ``clean_spans``, ``corrupt_spans``: named character spans, a list of
      ``{"name": str, "start": int, "end": int}`` in reading order, the same names in both; may be empty.

    The metric is logit(answer) - logit(foil) after the prompt, higher is better; of several answers, the log of
    the sum of their exponentials. `heldout` shares no content word with the other splits, `heldout_templates` no
    template; a task that lacks one raises UserError for it.
    Rows are a prefix of the seed's order: ``pairs(split, n, seed)`` equals the first n rows of
    ``pairs(split, m, seed)`` for m > n. No (prompt, answer) row of one split stands in another, whatever the seeds.
    """

    @property
    def name(self) -> str:
        """Name in results, e.g. ``sva/nounpp``."""

    @property
    def description(self) -> str:
        """One line: what the task tests, with its source."""

    @property
    def splits(self) -> Sequence[Split]:
        """The splits it has: discovery, evaluation and perhaps held-out ones."""

    def pairs(self, split: Split, n: int, seed: int) -> Dataset:
        """Return up to `n` pairs of `split` in the order of `seed`."""


TASKS: Registry[Task] = Registry("task", "basisbench.tasks")
