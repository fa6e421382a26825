"""Which text is looked at: what ships with the program by default, or named sources and folders."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence

from basisbench.progress import Say
from basisbench.tasks.load import tasks_at_hand
from basisbench.text.documents import documents, prompt_lines
from basisbench.text.sample import TEXT

PROMPTS_A_TASK = 16
BUILT_IN = "built-in text"
PIECE = re.compile(r".{1,2000}(?:\s|$)|.{1,2000}", re.DOTALL)
"""A stretch of a document, up to 2,000 characters, that ends with a word where it can."""


def default_texts(tasks: Iterable[str] = ()) -> list[Source]:
    """The built-in text and PROMPTS_A_TASK discovery prompts with an answer of each shipped task and of `tasks`.

    It is there at once and needs no network. No pair that circuits are evaluated on is in it, and each prompt is a
    document of its own, called by its task. Raises UserError for an unknown task.
    """
    names = dict.fromkeys([*tasks_at_hand(), *tasks])
    return [(BUILT_IN, TEXT), *((name, line) for name in names for line in prompt_lines(name, PROMPTS_A_TASK, 0))]


def named_texts(names: Sequence[str], say: Say) -> list[Source]:
    """Named sources or folders of .txt files (`text.documents.documents`) in stretches, in a fixed mixed order.

    However few tokens are then looked at, they come from all over the text. Raises UserError as `documents` does.
    """
    found = [(name, piece) for name in names for text in documents(name, say) for piece in PIECE.findall(text)]
    random.Random(0).shuffle(found)
    return found


Source = tuple[str, str]
"""A document: what it is called, and its text."""
