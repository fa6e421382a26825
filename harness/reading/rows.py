"""Text as rows of tokens, and passes over them: one law of memory for all who look at activations on text.

1. Cut each document into rows of CONTEXT tokens, each behind the tokenizer's start token if it has one.
2. Count each token once: not the first of a row (many models put activations there that are like no others), and not
   one that stands behind the very same tokens in an earlier row, where a causal model says the very same.
3. Run the rows TOKENS_A_PASS tokens at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from basisbench.errors import UserError
from basisbench.models.adapter import Edit, Model
from basisbench.models.recording import keeping
from basisbench.models.sites import Site
from basisbench.progress import Progress
from basisbench.text.named import Source
from basisbench.text.sample import CONTEXT

TOKENS_A_PASS = 512


@dataclass(frozen=True)
class Rows:
    """Token ids, int64 [rows, length], right-padded; `length` [rows] of each; which tokens count, bool [rows, length].

    `source` names the document of each row.
    """

    tokens: Tensor
    length: Tensor
    counted: Tensor
    source: tuple[str, ...]

    @property
    def n_counted(self) -> int:
        """Tokens that count."""
        return int(self.counted.sum())


def rows_of(model: Model, texts: Iterable[Source], limit: int | None = None) -> Rows:
    """Return the tokens of `texts` that count, or the first `limit` of them to the end of their row.

    No more documents are read than needed. Raises UserError if no token counts.
    """
    tokenizer = model.text_tokenizer
    width = min(CONTEXT, model.context or CONTEXT) - len(tokenizer.start)
    rows: list[list[int]] = []
    counted: list[list[bool]] = []
    sources: list[str] = []
    found = 0
    seen: dict[tuple[int, int], int] = {}
    for source, text in texts:
        (ids,) = tokenizer.ids([text], start=False)
        for begin in range(0, len(ids), width):
            row = [*tokenizer.start, *ids[begin : begin + width]]
            new = _new(row, seen)
            if any(new) and (limit is None or found < limit):
                rows.append(row)
                counted.append(new)
                sources.append(source)
                found += sum(new)
        if limit is not None and found >= limit:
            break
    if not rows:
        raise UserError("the text has no token to look at: valid is text of two tokens or more")
    width = max(map(len, rows))

    def table(lines: Sequence[Sequence[int | bool]]) -> Tensor:
        return torch.tensor([[*line, *[0] * (width - len(line))] for line in lines], device=model.device)

    length = torch.tensor([len(row) for row in rows], device=model.device)
    return Rows(table(rows), length, table(counted).bool(), tuple(sources))


def _new(row: Sequence[int], seen: dict[tuple[int, int], int]) -> list[bool]:
    """Whether each token counts; `seen` numbers stretches of tokens from a row's start, by the shorter one's number."""
    prefix, new = 0, []
    for place, token in enumerate(row):
        key = (prefix, token)
        new.append(place > 0 and key not in seen)
        prefix = seen.setdefault(key, len(seen) + 1)
    return new


@dataclass(frozen=True)
class Pass:
    """Activations of some rows by site, [rows, length, width]; their first row's number; which tokens count."""

    stored: dict[Site, Tensor]
    first_row: int
    counted: Tensor


def passes(
    model: Model,
    rows: Rows,
    sites: Collection[Site],
    hooks: Callable[[Tensor], Sequence[tuple[str, Edit]]],
    what: str,
    progress: Progress,
) -> Iterator[Pass]:
    """Run the rows without gradient, some at a time; `hooks` makes a pass' further hooks from which tokens count.

    Memory law: ``4 TOKENS_A_PASS (sum of the sites' widths)`` bytes, and one pass of the model.
    """
    n_rows, begin = len(rows.tokens), 0
    while begin < n_rows:
        end = begin + 1
        while end < n_rows and (end + 1 - begin) * int(rows.length[begin : end + 1].max()) <= TOKENS_A_PASS:
            end += 1
        width = int(rows.length[begin:end].max())
        counted = rows.counted[begin:end, :width]
        stored: dict[Site, Tensor] = {}
        with torch.no_grad():
            model.forward(
                rows.tokens[begin:end, :width],
                rows.length[begin:end] - 1,
                edits=keeping(stored, sites),
                hooks=hooks(counted),
            )
            yield Pass(stored, begin, counted)
        progress(what, end, n_rows)
        begin = end


def no_hooks(counted: Tensor) -> Sequence[tuple[str, Edit]]:
    """No hooks beside those of the sites."""
    return ()


def token_text(model: Model, token: int) -> str:
    """A token as it stands in a text, at most 500 characters of it."""
    return str(model.tokenizer.decode([token]))[:500]
