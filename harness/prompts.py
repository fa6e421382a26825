"""From a task's text pairs to aligned tokens.

1. Tokenise clean and corrupt prompts as the model's own tokenizer prescribes (start token included).
2. Set aside, and count by reason, every pair the definitions cannot use.
3. Give each token a slot: its segment (a named span, or the stretch after one) and its offset from the
   segment's end, so that prompts of different lengths align.
4. Merge pairs that share both prompts: their metrics are summed in one pass.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor

from harness.errors import UserError
from harness.models.adapter import Model
from harness.tasks import Split, Task

SEVERAL_TOKENS = "answer of several tokens"
UNSTABLE = "tokenisation changes when prompt and answer are joined"
LENGTHS = "clean and corrupt prompts differ in length"
SPANS = "spans do not align"
SAME_ANSWER = "answer and foil are the same token"
SAME_PROMPT = "clean and corrupt prompts are the same"


@dataclass(frozen=True)
class Usage:
    """How many pairs were used, and how many were not, by reason."""

    usable: int
    unusable: Mapping[str, int]

    def __str__(self) -> str:
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.unusable.items())
        return f"{self.usable} pairs usable" + (f"; not usable: {reasons}" if reasons else "")


@dataclass(frozen=True)
class PromptSet:
    """Tokenised pairs of one split: U distinct (clean, corrupt) prompts carry N pairs.

    Shapes: `clean`, `corrupt`, `slot` [U, S] (right-padded; slot -1 at padding), `last` [U] index of the last
    token; `pair_prompt`, `answer`, `foil` [N]: a pair's prompt and its two tokens.
    """

    clean: Tensor
    corrupt: Tensor
    slot: Tensor
    last: Tensor
    pair_prompt: Tensor
    answer: Tensor
    foil: Tensor
    slot_names: tuple[str, ...]
    usage: Usage
    digest: str

    @property
    def n_pairs(self) -> int:
        """N, the number of pairs."""
        return len(self.pair_prompt)

    @property
    def n_prompts(self) -> int:
        """U, the number of distinct prompt pairs."""
        return len(self.clean)

    @property
    def n_slots(self) -> int:
        """The number of aligned positions."""
        return len(self.slot_names)

    @cached_property
    def weight(self) -> Tensor:
        """Pairs per prompt, float32 [U]."""
        return torch.bincount(self.pair_prompt, minlength=self.n_prompts).float()

    @cached_property
    def real(self) -> Tensor:
        """True where there is a token, bool [U, S]."""
        return self.slot >= 0

    @cached_property
    def unchanged(self) -> int:
        """Leading tokens that are the same in the clean and corrupt prompt of every pair."""
        same = (self.clean == self.corrupt).int().cumprod(dim=1).sum(dim=1)
        return int(same.min())

    @cached_property
    def shared(self) -> int:
        """Leading tokens that are the same, and in the same slots, in every prompt of the set."""
        everything = torch.cat([self.clean, self.corrupt])
        same = (everything == everything[:1]).all(0) & (self.slot == self.slot[:1]).all(0)
        return min(int(same.int().cumprod(0).sum()), int(self.last.min()))

    def rows(self, begin: int, end: int) -> "PromptSet":
        """The prompts `begin` to `end` with their pairs; slots keep their numbers."""
        pairs = (self.pair_prompt >= begin) & (self.pair_prompt < end)
        return replace(
            self,
            clean=self.clean[begin:end],
            corrupt=self.corrupt[begin:end],
            slot=self.slot[begin:end],
            last=self.last[begin:end],
            pair_prompt=self.pair_prompt[pairs] - begin,
            answer=self.answer[pairs],
            foil=self.foil[pairs],
        )

    def after(self, length: int) -> "PromptSet":
        """The same prompts without their first `length` tokens."""
        return replace(
            self,
            clean=self.clean[:, length:],
            corrupt=self.corrupt[:, length:],
            slot=self.slot[:, length:],
            last=self.last - length,
        )

    def slot_sum(self, values: Tensor) -> Tensor:
        """Sum over tokens at each slot: [U, S, ...] -> [n_slots, ...], accumulated in float32."""
        total = torch.zeros((self.n_slots, *values.shape[2:]), device=values.device)
        return total.index_add_(0, self.slot[self.real], values.float()[self.real])

    def slot_mean(self, values: Tensor) -> Tensor:
        """Mean over pairs at each slot: [U, S, ...] -> [n_slots, ...], accumulated in float32."""
        weight = self.weight.view(-1, *[1] * (values.dim() - 1))
        count = self.slot_sum(weight.expand(*values.shape[:2], *weight.shape[2:]))
        return self.slot_sum(values.float() * weight) / count.clamp(min=1)

    def at_slots(self, table: Tensor) -> Tensor:
        """Spread a table by slot over the tokens: [n_slots, ...] -> [U, S, ...] (slot 0's row at padding)."""
        return table[self.slot.clamp(min=0)]


def load_prompts(task: Task, split: Split, n: int, seed: int, model: Model) -> PromptSet:
    """Return `n` usable pairs of a split, or as many as it holds.

    Raises UserError if none is usable, naming the reasons.
    """
    wanted = n
    while True:
        dataset = task.pairs(split, wanted, seed)
        prompts = encode(dataset, model, limit=n)
        if (prompts is not None and prompts.n_pairs >= n) or len(dataset) < wanted:
            break
        wanted *= 2
    if prompts is None:
        _, unusable = _usable_rows(dataset, model, n)
        reasons = ", ".join(f"{count} {reason}" for reason, count in unusable.items()) or "it is empty"
        raise UserError(f"task '{task.name}' has no usable pair in '{split}' for model '{model.name}': {reasons}")
    return prompts


@dataclass(frozen=True)
class _Row:
    clean: tuple[int, ...]
    corrupt: tuple[int, ...]
    slots: tuple[tuple[str, int], ...]
    answer: int
    foil: int


def encode(dataset: Dataset, model: Model, limit: int | None = None) -> PromptSet | None:
    """Tokenise and align the first `limit` usable rows; None where no row is usable."""
    rows, unusable = _usable_rows(dataset, model, limit)
    if not rows:
        return None
    names = _slot_order([row.slots for row in rows])
    prompts: dict[tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[str, int], ...]], int] = {}
    for row in rows:
        prompts.setdefault((row.clean, row.corrupt, row.slots), len(prompts))
    width = max(len(clean) for clean, _, _ in prompts)

    def padded(lines: list[list[int]], fill: int) -> Tensor:
        return torch.tensor([line + [fill] * (width - len(line)) for line in lines], device=model.device)

    def ids(values: list[int]) -> Tensor:
        return torch.tensor(values, device=model.device)

    digest = hashlib.sha256(json.dumps([[r.clean, r.corrupt, r.slots, r.answer, r.foil] for r in rows]).encode())
    return PromptSet(
        clean=padded([list(clean) for clean, _, _ in prompts], 0),
        corrupt=padded([list(corrupt) for _, corrupt, _ in prompts], 0),
        slot=padded([[names[key] for key in slots] for _, _, slots in prompts], -1),
        last=ids([len(clean) - 1 for clean, _, _ in prompts]),
        pair_prompt=ids([prompts[row.clean, row.corrupt, row.slots] for row in rows]),
        answer=ids([row.answer for row in rows]),
        foil=ids([row.foil for row in rows]),
        slot_names=tuple(f"{name}-{offset}" if offset else name for name, offset in names),
        usage=Usage(len(rows), dict(unusable)),
        digest=digest.hexdigest()[:16],
    )


def _usable_rows(dataset: Dataset, model: Model, limit: int | None) -> tuple[list[_Row], Counter[str]]:
    rows: list[_Row] = []
    unusable: Counter[str] = Counter()
    for record in dataset:
        if limit is not None and len(rows) == limit:
            break
        row = _row(record, model.tokenizer)
        if isinstance(row, str):
            unusable[row] += 1
        else:
            rows.append(row)
    return rows, unusable


def _row(record: Mapping[str, Any], tokenizer: Any) -> _Row | str:
    """One aligned row, or the reason why there is none."""
    tokens: dict[str, tuple[int, ...]] = {}
    slots: dict[str, tuple[tuple[str, int], ...]] = {}
    for side, answer in (("clean", "answer"), ("corrupt", "foil")):
        encoding = tokenizer(record[side], return_offsets_mapping=True)
        tokens[side] = tuple(encoding["input_ids"])
        slots[side] = _slots(encoding["offset_mapping"], record[f"{side}_spans"])
        added = tokenizer(record[answer], add_special_tokens=False)["input_ids"]
        if len(added) != 1:
            return SEVERAL_TOKENS
        if tuple(tokenizer(record[side] + record[answer])["input_ids"]) != (*tokens[side], added[0]):
            return UNSTABLE
        tokens[answer] = (added[0],)
    if len(tokens["clean"]) != len(tokens["corrupt"]):
        return LENGTHS
    if slots["clean"] != slots["corrupt"]:
        return SPANS
    if tokens["answer"] == tokens["foil"]:
        return SAME_ANSWER
    if tokens["clean"] == tokens["corrupt"]:
        return SAME_PROMPT
    return _Row(tokens["clean"], tokens["corrupt"], slots["clean"], tokens["answer"][0], tokens["foil"][0])


def _slots(offsets: Sequence[tuple[int, int]], spans: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, int], ...]:
    """(segment, offset from the segment's end) of each token; without spans the segment is "end"."""
    segments: list[str] = []
    after = "start" if spans else "end"
    for begin, end in offsets:
        inside = [s["name"] for s in spans if begin < s["end"] and s["start"] < end]
        before = [s["name"] for s in spans if s["end"] <= begin and end > begin]
        after = f"after {before[-1]}" if before else after
        segments.append(inside[-1] if inside else after)
    remaining = Counter(segments)
    slots = []
    for segment in segments:
        remaining[segment] -= 1
        slots.append((segment, remaining[segment]))
    return tuple(slots)


def _slot_order(rows: Sequence[tuple[tuple[str, int], ...]]) -> dict[tuple[str, int], int]:
    """Number all slots, in the order of their mean relative position."""
    places: dict[tuple[str, int], list[float]] = {}
    for slots in rows:
        for index, key in enumerate(slots):
            places.setdefault(key, []).append((index + 1) / len(slots))
    ordered = sorted(places, key=lambda key: (sum(places[key]) / len(places[key]), key))
    return {key: number for number, key in enumerate(ordered)}
