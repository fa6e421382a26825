"""From documents to rows of tokens: split into training and held-out documents, packed, drawn in a seeded order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from basisbench.errors import UserError
from basisbench.progress import Say
from basisbench.text.documents import documents, prompts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HELD_OUT = 0.02
MAX_PROMPTS = 0.03
PROMPTS_A_TASK = 4000


@dataclass(frozen=True)
class Contexts:
    """Rows of token ids, int32 [rows, length], to train on and to evaluate on; no document is in both."""

    training: Tensor
    held_out: Tensor

    def sha256(self) -> str:
        """Hash of all ids, in hex: which text it was, byte for byte, whatever the sources' versions."""
        digest = hashlib.sha256(self.training.numpy().tobytes())
        digest.update(self.held_out.numpy().tobytes())
        return digest.hexdigest()

    def batch(self, step: int, rows: int, seed: int) -> Tensor:
        """Training rows of one step, int64 [rows, length]: each epoch in its own seeded order, no state kept."""
        a_epoch = len(self.training) // rows
        epoch, place = divmod(step, a_epoch)
        order = np.random.default_rng([seed, epoch]).permutation(len(self.training))
        return self.training[order[place * rows : (place + 1) * rows]].long()


def make_contexts(
    text: Sequence[str],
    tasks: Sequence[str],
    length: int,
    rows: int,
    seed: int,
    tokenizer: PreTrainedTokenizerBase,
    say: Say,
) -> Contexts:
    """Tokenise `text` (names or folders) and the discovery prompts of `tasks` into rows of `length` tokens.

    About 2 % of the text's tokens, whole documents, are held out; prompts are trained on only and are at most
    3 % of its tokens. Raises UserError if there are fewer than `rows` training rows or no held-out row.
    """
    found = [document for name in text for document in documents(name, say)]
    say(f"tokenising {len(found):,} documents, {sum(map(len, found)) / 1e6:.1f} M characters")
    rng = np.random.default_rng(seed)
    # Some at a time: the encodings of everything at once would take gigabytes.
    encoded = [_ids(tokenizer, found[start : start + 200]) for start in range(0, len(found), 200)]
    pieces = [ids for part in encoded for ids in part]
    order = rng.permutation(len(pieces))
    sizes = np.cumsum([len(pieces[i]) for i in order])
    n_held = int(np.searchsorted(sizes, HELD_OUT * sizes[-1])) + 1 if len(sizes) else 0
    held, kept = order[:n_held], order[n_held:]
    training = [pieces[i] for i in kept]
    lines = _ids(tokenizer, [prompts(task, PROMPTS_A_TASK, seed) for task in tasks])
    room = int(MAX_PROMPTS * sizes[-1] / len(lines)) if lines else 0
    training += [ids[:room] for ids in lines]
    contexts = Contexts(_packed(training, length), _packed([pieces[i] for i in held], length))
    if len(contexts.training) < rows or not len(contexts.held_out):
        raise UserError(
            f"too little text: {contexts.training.numel():,} tokens to train on and {contexts.held_out.numel():,} "
            f"held out; valid: at least one batch of {rows * length:,} and {length}"
        )
    return contexts


def _ids(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[np.ndarray]:
    """Token ids of each text and of an empty line after it; a special token would draw attention as no word does."""
    if not texts:
        return []
    encoded = tokenizer([f"{text}\n\n" for text in texts], add_special_tokens=False, verbose=False)["input_ids"]
    return [np.array(ids, dtype=np.int32) for ids in encoded]


def _packed(pieces: Sequence[np.ndarray], length: int) -> Tensor:
    """Lay the pieces end to end and cut rows of `length`; what is left over at the end is dropped."""
    stream = np.concatenate([*pieces, np.empty(0, np.int32)])
    n = len(stream) // length
    return torch.from_numpy(stream[: n * length].reshape(n, length).astype(np.int32))
