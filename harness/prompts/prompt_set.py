"""From pairs as tokens to aligned tensors.

1. Tokenise each pair of a task (`prompts.tokens`); set aside, and count by reason, every one that the definitions
   cannot use.
2. Number the slots in reading order.
3. Merge pairs that share both prompts: their metrics are summed in one pass.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from basisbench.errors import UserError
from basisbench.measures.clusters import Integers, cluster_number
from basisbench.measures.metrics import LOG_PROBABILITY, LOGIT_DIFFERENCE, Metric
from basisbench.models.adapter import Model
from basisbench.prompts.tokens import PromptTokens, Scored, Slots, TokenisedPair, tokenise
from basisbench.tasks.pair import Pair
from basisbench.values import Answers

SUMS = (LOGIT_DIFFERENCE.name, LOG_PROBABILITY.name)
"""Metrics that are sums over the tokens of a continuation."""


@dataclass(frozen=True)
class Usage:
    """How many pairs were used, and how many were not, by reason.

    `shared` of them are scored at a later token than the first, since answer and foil begin alike.
    """

    usable: int
    unusable: Mapping[str, int]
    shared: int = 0

    def __str__(self) -> str:
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.unusable.items())
        later = f"; {self.shared} scored at a later token, where answer and foil differ" if self.shared else ""
        return f"{self.usable} pairs usable{later}" + (f"; not usable: {reasons}" if reasons else "")


@dataclass(frozen=True)
class Continuation:
    """What is scored of the answers, or of the foils, of N pairs, in T terms; a pair's terms are summed.

    A term is read after one prompt: the log of the sum of exp(logit) over a set of tokens. `pair` and `prompt` [T]
    say whose and where, `tokens` [T, M] are the set, -1 where it has fewer than M.
    """

    pair: Tensor
    prompt: Tensor
    tokens: Tensor

    def __getitem__(self, terms: Tensor) -> Continuation:
        return Continuation(self.pair[terms], self.prompt[terms], self.tokens[terms])


@dataclass(frozen=True)
class Scoring:
    """How pairs are scored: the metric, by the first token that differs or the whole answer, in a chat or plain."""

    metric: Metric = LOGIT_DIFFERENCE
    answers: Answers = "first"
    chat: bool = False

    def __post_init__(self) -> None:
        if self.answers == "whole" and self.metric.name not in SUMS:
            raise UserError(
                f"answers scored whole are summed log-probabilities, which '{self.metric.name}' is not a sum of: "
                f"valid are the metrics {' and '.join(SUMS)}, or --answers first"
            )


PLAIN = Scoring()
"""Logit difference of the first token that differs, without a chat."""


@dataclass(frozen=True)
class PromptSet:
    """Tokenised pairs of one split: U distinct (clean, corrupt) prompts carry N pairs.

    Shapes: `clean`, `corrupt`, `slot` [U, S] (right-padded; slot -1 at padding), `last` [U] index of the last
    token. `pair_prompt` [N] is a pair's prompt up to the first token in which answer and foil differ, `first_answer`
    [N, A] its answers' tokens there, `candidates` [N, C] the others that could be asked for (C = 0: any token); both
    are padded by repetition. `cluster` [N] numbers a pair's own clean prompt, alike in all prompt sets. With `whole`,
    terms are log-probabilities and not logits.
    """

    clean: Tensor
    corrupt: Tensor
    slot: Tensor
    last: Tensor
    pair_prompt: Tensor
    cluster: Integers
    answer: Continuation
    foil: Continuation
    first_answer: Tensor
    candidates: Tensor
    slot_names: tuple[str, ...]
    usage: Usage
    digest: str
    metric: Metric = LOGIT_DIFFERENCE
    whole: bool = False

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
        """Pairs that are scored after each prompt, float32 [U]."""
        pair = torch.cat([self.answer.pair, self.foil.pair])
        prompt = torch.cat([self.answer.prompt, self.foil.prompt])
        once = torch.stack([pair, prompt]).unique(dim=1)[1]
        return torch.bincount(once, minlength=self.n_prompts).float()

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

    def rows(self, begin: int, end: int) -> PromptSet:
        """The prompts `begin` to `end` with what is scored after them; slots keep their numbers.

        A pair of which only some terms are there stands with those: a sum of terms may be taken in parts.
        """

        def within(prompt: Tensor) -> Tensor:
            return (prompt >= begin) & (prompt < end)

        sides = [side[within(side.prompt)] for side in (self.answer, self.foil)]
        pairs = torch.cat([side.pair for side in sides]).unique()
        renumbered = torch.full((self.n_pairs,), -1, device=pairs.device)
        renumbered[pairs] = torch.arange(len(pairs), device=pairs.device)
        answer, foil = (Continuation(renumbered[side.pair], side.prompt - begin, side.tokens) for side in sides)
        return replace(
            self,
            clean=self.clean[begin:end],
            corrupt=self.corrupt[begin:end],
            slot=self.slot[begin:end],
            last=self.last[begin:end],
            pair_prompt=self.pair_prompt[pairs] - begin,
            cluster=self.cluster[pairs.cpu().numpy()],
            answer=answer,
            foil=foil,
            first_answer=self.first_answer[pairs],
            candidates=self.candidates[pairs],
        )

    def after(self, length: int) -> PromptSet:
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


def encode(
    pairs: Sequence[TokenisedPair],
    unusable: Mapping[str, int],
    model: Model,
    scoring: Scoring,
    slot_names: Sequence[str] = (),
) -> PromptSet:
    """Align pairs; slots that `slot_names` names get its numbers, others follow. Raises ValueError without pairs."""
    if not pairs:
        raise ValueError("pairs: one or more")
    number: dict[PromptTokens, int] = {}
    for pair in pairs:
        for prompt in (pair.prompt, *(term.prompt for side in (pair.answer, pair.foil) for term in side)):
            number.setdefault(prompt, len(number))
    prompts = list(number)
    names = _slot_numbers([prompt.slots for prompt in prompts], slot_names)
    width = max(len(prompt.clean) for prompt in prompts)

    def table(lines: Iterable[Sequence[int]], fill: int | None = None, width: int | None = None) -> Tensor:
        """Lines of one width, filled up with `fill` or, without it, with their first entry."""
        held = [list(line) for line in lines]
        width = max(map(len, held), default=0) if width is None else width
        padded = [line + (line[:1] if fill is None else [fill]) * (width - len(line)) for line in held]
        return torch.tensor(padded, dtype=torch.long, device=model.device).view(len(held), width)

    def side(name: str) -> Continuation:
        terms = [(index, term) for index, pair in enumerate(pairs) for term in getattr(pair, name)]
        places = [number[term.prompt] for _, term in terms]
        pair, prompt = torch.tensor([[index for index, _ in terms], places], device=model.device)
        return Continuation(pair, prompt, table((term.tokens for _, term in terms), -1))

    # a pair without candidates among pairs with them has its foil for the only one
    some = any(pair.candidates for pair in pairs)
    candidates = [pair.candidates or pair.foil[0].tokens if some else () for pair in pairs]
    document = [[p.prompt.clean, p.prompt.corrupt, p.prompt.slots, _terms(p.answer), _terms(p.foil)] for p in pairs]
    return PromptSet(
        clean=table((prompt.clean for prompt in prompts), 0, width),
        corrupt=table((prompt.corrupt for prompt in prompts), 0, width),
        slot=table(([names[_slot_name(key)] for key in prompt.slots] for prompt in prompts), -1, width),
        last=torch.tensor([len(prompt.clean) - 1 for prompt in prompts], device=model.device),
        pair_prompt=torch.tensor([number[pair.prompt] for pair in pairs], device=model.device),
        cluster=np.array([cluster_number(pair.own_clean) for pair in pairs], dtype=np.int64),
        answer=side("answer"),
        foil=side("foil"),
        first_answer=table(pair.first_answer for pair in pairs),
        candidates=table(candidates),
        slot_names=tuple(names),
        usage=Usage(len(pairs), dict(unusable), sum(pair.n_shared > 0 for pair in pairs)),
        digest=hashlib.sha256(json.dumps(document).encode()).hexdigest()[:16],
        metric=scoring.metric,
        whole=scoring.answers == "whole",
    )


def usable_pairs(
    pairs: Iterable[Pair], model: Model, scoring: Scoring, limit: int | None = None
) -> tuple[list[TokenisedPair], Counter[str]]:
    """The first `limit` usable pairs, and how many before the last of them were not usable, by reason."""
    usable: list[TokenisedPair] = []
    unusable: Counter[str] = Counter()
    tokenizer = model.text_tokenizer
    for pair in pairs:
        if limit is not None and len(usable) == limit:
            break
        found = tokenise(pair, tokenizer, scoring.answers, scoring.chat, model.context)
        if isinstance(found, str):
            unusable[found] += 1
        else:
            usable.append(found)
    return usable, unusable


def _terms(side: Sequence[Scored]) -> list[object]:
    return [[term.prompt.clean, term.tokens] for term in side]


def _slot_name(key: tuple[str, int]) -> str:
    name, offset = key
    return f"{name}-{offset}" if offset else name


def _slot_numbers(lines: Iterable[Slots], first: Sequence[str]) -> dict[str, int]:
    """Number all slots by name: `first` as they stand, then the others by their mean relative position."""
    places: dict[str, list[float]] = {}
    for slots in lines:
        for index, key in enumerate(slots):
            places.setdefault(_slot_name(key), []).append((index + 1) / len(slots))
    new = sorted(places.keys() - set(first), key=lambda name: (sum(places[name]) / len(places[name]), name))
    return {name: number for number, name in enumerate([*first, *new])}
