"""What a task is: a name and a way to make prompt pairs for a split."""

from pathlib import Path
from typing import Literal, Protocol

from datasets import Dataset

from harness.errors import UserError, unknown_name
from harness.registry import Registry

Split = Literal["discovery", "evaluation", "heldout"]


class Task(Protocol):
    """A source of prompt pairs.

    `pairs` yields a `datasets.Dataset` of at most `n` rows (fewer when the split holds fewer) with the columns

    - ``clean``, ``corrupt``: the two prompts (str);
    - ``answer``, ``foil``: the continuations of the clean and of the corrupt prompt (str, leading space
      included where the language writes one);
    - ``case``: a label of the construction (str);
    - ``clean_spans``, ``corrupt_spans``: named character spans, a list of
      ``{"name": str, "start": int, "end": int}`` in reading order, the same names in both; may be empty.

    The metric is logit(answer) - logit(foil) after the prompt; higher is better.
    Rows are a prefix of the seed's order: ``pairs(split, n, seed)`` equals the first n rows of
    ``pairs(split, m, seed)`` for m > n. No (prompt, answer) row of one split stands in another, whatever the seeds.
    """

    @property
    def name(self) -> str:
        """Name in results, e.g. ``sva/nounpp``."""

    @property
    def description(self) -> str:
        """One line: what the task tests, with its source."""

    def pairs(self, split: Split, n: int, seed: int) -> Dataset:
        """Return up to `n` pairs of `split` in the order of `seed`."""


TASKS: Registry[Task] = Registry("task", "basisbench.tasks")


def load_task(name: str) -> Task:
    """Return a registered task, or the task in the folder called `name`; raises UserError if it is neither."""
    from harness.folder_task import folder_task

    if name in TASKS:
        return TASKS.get(name)
    if Path(name).is_dir():
        return folder_task(Path(name))
    raise UserError(f"{unknown_name('task', name, TASKS)}, or a folder with discovery.jsonl and evaluation.jsonl")
