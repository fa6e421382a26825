"""A model's tokenizer as texts are read with it: its start tokens stand before a text, once, and nothing after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Tokens = tuple[int, ...]
Offsets = tuple[tuple[int, int], ...]

_PROBE = "a"


@dataclass(frozen=True)
class TextTokenizer:
    """A Hugging Face tokenizer and its start tokens, none if it has none.

    A text that begins with the start tokens, as prompts of a dataset may, gets no others. An end token that the
    tokenizer would put after a text is left out: the text is to go on.
    """

    tokenizer: Any
    start: Tokens

    @staticmethod
    def of(tokenizer: Any) -> TextTokenizer:
        """Learn the start tokens from what the tokenizer makes of a letter with its special tokens and without."""
        bare = list(tokenizer(_PROBE, add_special_tokens=False)["input_ids"])
        full = list(tokenizer(_PROBE)["input_ids"])
        places = range(len(full) - len(bare) + 1)
        at = next((i for i in places if full[i : i + len(bare)] == bare), None)
        return TextTokenizer(tokenizer, tuple(tokenizer("")["input_ids"] if at is None else full[:at]))

    def ids(self, texts: Sequence[str], start: bool = True) -> list[Tokens]:
        """Token ids of each text; without `start`, of the text alone."""
        found = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"] if texts else []
        return [self._started(tuple(ids)) if start else tuple(ids) for ids in found]

    def located(self, text: str, start: bool = True) -> tuple[Tokens, Offsets]:
        """Token ids of a text, and where in it each begins and ends, in characters; (0, 0) for a start token."""
        found = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        bare = tuple(found["input_ids"])
        ids = self._started(bare) if start else bare
        return ids, ((0, 0),) * (len(ids) - len(bare)) + tuple(map(tuple, found["offset_mapping"]))

    def _started(self, ids: Tokens) -> Tokens:
        return ids if ids[: len(self.start)] == self.start else self.start + ids
