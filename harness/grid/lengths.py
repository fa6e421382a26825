"""How many prompts a task gives and how long they are, from its own rows and without a model.

Tokens are counted by the model's tokenizer where its file is on this machine; else words, marks and numbers are counted
and TOKENS_A_WORD of them taken, and one token more for the start.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from tokenizers import Tokenizer

from basisbench.cache import cache_dir
from basisbench.grid.costs import Prompts
from basisbench.models.embedded import SMOLLM2
from basisbench.tasks.mapped import MappedTask
from basisbench.tasks.task import Task
from basisbench.values import Split

TOKENS_A_WORD = 1.2
UNREAD = Prompts(rows=0, positions=64)
"""Stands for a task whose data may have to be fetched: as many prompts as pairs are asked for, of this length."""
_PIECE = re.compile(r"[\u3040-\u9fff]|[^\W\d_]+|\d|[^\w\s]|_")

Count = Callable[[Sequence[str]], list[Sequence[object]]]
"""Takes texts, gives the tokens of each."""


def count_words(texts: Sequence[str]) -> list[Sequence[object]]:
    """Words, digits and marks instead of tokens."""
    return [_PIECE.findall(text) for text in texts]


def model_files(model: str) -> Path | None:
    """The folder on this machine that holds the files of a model; None if they have to be fetched."""
    if model == SMOLLM2.name:
        folder = cache_dir() / "models" / f"{SMOLLM2.name}-{SMOLLM2.sha256[:8]}"
    elif Path(model).expanduser().is_dir():
        folder = Path(model).expanduser()
    else:
        repo, _, revision = model.partition("@")
        cached = try_to_load_from_cache(repo, "tokenizer.json", revision=revision or None)
        if not isinstance(cached, str):
            return None
        folder = Path(cached).parent
    return folder if folder.is_dir() else None


def counter(model: str) -> Count | None:
    """What counts tokens as the model's tokenizer does; None if that is not on this machine."""
    folder = model_files(model)
    if folder is None or not (folder / "tokenizer.json").is_file():
        return None
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception:  # the library raises nothing narrower; a run says what is wrong with the file
        return None
    return lambda texts: [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]


def prompts_of(task: Task, split: Split, n: int, seed: int, count: Count | None) -> Prompts:
    """The prompts of `n` pairs of a split; UNREAD with n rows where the data may have to be fetched.

    Raises UserError for a split that the task lacks.
    """
    if isinstance(task, MappedTask):
        return Prompts(n, UNREAD.positions)
    pairs = task.pairs(split, n, seed)
    clean, corrupt = [pair.clean for pair in pairs], [pair.corrupt for pair in pairs]
    found = (count or count_words)([*clean, *corrupt])
    if split == "discovery":  # scores leave out what is unchanged in every pair
        shared = min((_common(pair) for pair in zip(found[: len(clean)], found[len(clean) :], strict=True)), default=0)
    else:  # a curve, what is the same in all prompts
        shared = _common(found)
    longest = max(map(len, found), default=1)
    if count is None:
        longest, shared = int(TOKENS_A_WORD * longest) + 1, int(TOKENS_A_WORD * shared) + 1
    return Prompts(max(1, len(set(zip(clean, corrupt, strict=True)))), longest, min(shared, longest - 1))


def _common(lines: Sequence[Sequence[object]]) -> int:
    """How many leading tokens all lines share."""
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*lines, strict=False)))
