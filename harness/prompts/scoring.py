"""From the last hidden states to what is measured: outcomes of an evaluation, the objective of attribution."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from basisbench.measures.metrics import Outcome
from basisbench.models.adapter import Model
from basisbench.prompts.prompt_set import Continuation, PromptSet


@dataclass(frozen=True)
class _Parts:
    """The parts of an outcome that have gradients, [..., N]."""

    answer: Tensor
    foil: Tensor
    logsumexp: Tensor


def objective(model: Model, hidden: Tensor, prompts: PromptSet, *, cap_as_gain: bool = False) -> Tensor:
    """Sum over pairs of the prompts' metric; `hidden` [repeats * U, d_model] may repeat the prompts.

    With `cap_as_gain` a soft cap of the logits is differentiated as a fixed gain (see `Model.logits_of`).
    """
    hidden = hidden.unflatten(0, (-1, prompts.n_prompts))
    denominator = None
    if prompts.whole or prompts.metric.normalised:
        denominator = model.logits(hidden.flatten(0, 1), cap_as_gain=cap_as_gain).logsumexp(-1)
        denominator = denominator.unflatten(0, hidden.shape[:2])

    def scored(side: Continuation) -> Tensor:
        rows = hidden[:, side.prompt]
        tokens = side.tokens.clamp(min=0).expand(*rows.shape[:2], -1)
        logits = model.logits_of(rows.flatten(0, 1), tokens.flatten(0, 1), cap_as_gain=cap_as_gain)
        return _summed(logits.unflatten(0, rows.shape[:2]), denominator, side, prompts)

    parts = _Parts(scored(prompts.answer), scored(prompts.foil), _denominator(denominator, prompts, hidden))
    total: Tensor = prompts.metric.compute(parts).sum()
    return total


def outcome(
    model: Model, hidden: Tensor, prompts: PromptSet, points: int | None = None, plain: Tensor | None = None
) -> Outcome:
    """What the model said after each pair's prompt, [N] or [points, N] from `hidden` [points * U, d_model].

    `plain` [U, vocabulary] are the log-probabilities of the plain model; without them, this is the plain model.
    """
    with torch.no_grad():
        found = [_measured(model.logits(point), prompts, plain) for point in hidden.unflatten(0, (points or 1, -1))]
        arrays = [torch.stack(part).double().cpu().numpy() for part in zip(*found, strict=True)]
    return Outcome(*(array if points else array[0] for array in arrays))


def log_probabilities(model: Model, hidden: Tensor) -> Tensor:
    """Log-probabilities of the next token, float32 [U, vocabulary], from `hidden` [U, d_model]."""
    with torch.no_grad():
        return model.logits(hidden).log_softmax(-1)


def _measured(logits: Tensor, prompts: PromptSet, plain: Tensor | None) -> tuple[Tensor, ...]:
    """The parts of an Outcome, [N] each, from one point's logits [U, vocabulary]."""
    denominator = logits.logsumexp(-1)

    def scored(side: Continuation) -> Tensor:
        at_tokens = logits[side.prompt].gather(1, side.tokens.clamp(min=0))
        return _summed(at_tokens[None], denominator[None], side, prompts)[0]

    kl = torch.zeros_like(denominator)
    if plain is not None:
        kl = (plain.exp() * (plain - logits + denominator[:, None])).sum(-1).clamp(min=0)
    at_pairs = _denominator(denominator[None], prompts, logits)[0]
    lead = _lead(logits[prompts.pair_prompt], prompts)
    return scored(prompts.answer), scored(prompts.foil), at_pairs, lead, kl[prompts.pair_prompt]


def _summed(logits: Tensor, denominator: Tensor | None, side: Continuation, prompts: PromptSet) -> Tensor:
    """Sum over each pair's terms, [repeats, N], of the log-sum-exp of their tokens' logits [repeats, T, M]."""
    terms = logits.masked_fill(side.tokens < 0, -math.inf).logsumexp(-1)
    if prompts.whole and denominator is not None:
        terms = terms - denominator[:, side.prompt]
    return terms.new_zeros(len(terms), prompts.n_pairs).index_add(1, side.pair, terms)


def _denominator(denominator: Tensor | None, prompts: PromptSet, like: Tensor) -> Tensor:
    if denominator is None or prompts.whole:  # a summed log-probability is normalised already
        return like.new_zeros(1, prompts.n_pairs).float()
    return denominator[:, prompts.pair_prompt]


def _lead(logits: Tensor, prompts: PromptSet) -> Tensor:
    """Highest logit of a pair's first answer tokens minus the highest of its other candidates, [N]."""
    answers = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, prompts.first_answer, True)
    rivals = torch.ones_like(answers)
    if prompts.candidates.shape[1]:
        rivals = torch.zeros_like(answers).scatter_(1, prompts.candidates, True)
    best = logits.masked_fill(~answers, -math.inf).amax(-1)
    return best - logits.masked_fill(answers | ~rivals, -math.inf).amax(-1)
