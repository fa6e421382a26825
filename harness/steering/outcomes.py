"""Named outcomes: tokens whose probability after each prompt is followed while the model is steered.

Beside answer and foil these are words of the prompt itself (a capital's city) and what related tasks answer for the
same word (the city's state): a model that is steered away from a capital may say either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from basisbench.errors import UserError
from basisbench.measures.metrics import Floats
from basisbench.models.adapter import Model
from basisbench.prompts.prompt_set import PromptSet
from basisbench.tasks.task import TASKS, Task

Outcomes = Mapping[str, Tensor]
"""Tokens [N] by name, one a pair, -1 where a pair has none; a word stands for its first token."""
RESERVED = ("answer", "foil")
MOST_PAIRS = 5000


def outcomes_of(model: Model, prompts: PromptSet, task: Task | None = None) -> dict[str, Tensor]:
    """Outcomes of each pair beside answer and foil: its spans' words and, with `task`, related tasks' answers.

    A related task has the same family (``capitals/``) and asks about a span of the same name; its answer for the same
    word is called after the task (``city_state``). Only what at least half of the pairs have is kept.
    """
    found: dict[str, Tensor] = {}
    for span in span_names(prompts):
        found[span] = span_tokens(prompts, span)
        for name, answers in related_answers(task, span).items():
            found[name] = word_tokens(model, prompts, [answers.get(w, "") for w in span_words(model, prompts, span)])
    return {n: t for n, t in found.items() if n not in RESERVED and 2 * int((t >= 0).sum()) >= prompts.n_pairs}


def span_names(prompts: PromptSet) -> list[str]:
    """The spans that the slots are named after, in reading order."""
    segments = dict.fromkeys(re.sub(r"-\d+$", "", name) for name in prompts.slot_names)
    return [s for s in segments if s not in ("start", "end", "answer") and not s.startswith("after ")]


def _within(prompts: PromptSet, span: str) -> Tensor:
    """Which tokens of each pair's prompt lie in the span, bool [N, S]."""
    inside = [bool(re.fullmatch(rf"{re.escape(span)}(-\d+)?", name)) for name in prompts.slot_names]
    slot = prompts.slot[prompts.pair_prompt]
    return torch.tensor(inside, device=slot.device)[slot.clamp(min=0)] & (slot >= 0)


def span_tokens(prompts: PromptSet, span: str) -> Tensor:
    """The first token of a span in each pair's clean prompt, [N]."""
    inside = _within(prompts, span)
    first = inside.int().argmax(1)
    tokens = prompts.clean[prompts.pair_prompt].gather(1, first[:, None])[:, 0]
    return torch.where(inside.any(1), tokens, -torch.ones_like(tokens))


def span_words(model: Model, prompts: PromptSet, span: str) -> list[str]:
    """The words of a span in each pair's clean prompt."""
    tokenizer: Any = model.tokenizer
    clean, inside = prompts.clean[prompts.pair_prompt], _within(prompts, span)
    return [str(tokenizer.decode(row[where])).strip() for row, where in zip(clean, inside, strict=True)]


def word_tokens(model: Model, prompts: PromptSet, words: list[str]) -> Tensor:
    """The first token of each pair's word after its clean prompt, [N]; -1 for an empty word, or one that joins it."""
    tokenizer = model.text_tokenizer
    tokens = []
    for prompt, word in zip(prompts.pair_prompt.tolist(), words, strict=True):
        ids = tuple(prompts.clean[prompt, : int(prompts.last[prompt]) + 1].tolist())
        # only ids can be known to be the prompt: what they decode to may be read otherwise
        text = tokenizer.tokenizer.decode(list(ids), skip_special_tokens=True)
        (joined,) = tokenizer.ids([text + word]) if word else [()]
        tokens.append(joined[len(ids)] if joined[: len(ids)] == ids and len(joined) > len(ids) else -1)
    return torch.tensor(tokens, device=prompts.clean.device)


def related_answers(task: Task | None, span: str) -> dict[str, dict[str, str]]:
    """By related task's short name: what it answers for each word that its span called `span` holds."""
    family, slash, own = (task.name if task else "").partition("/")
    found: dict[str, dict[str, str]] = {}
    for name in TASKS if slash else ():
        other_family, _, short = name.partition("/")
        if other_family == family and short != own and (answers := _answers(TASKS.get(name), span)):
            found[short] = answers
    return found


def _answers(task: Task, span: str) -> dict[str, str]:
    answers: dict[str, str] = {}
    for split in task.splits:
        for pair in task.pairs(split, MOST_PAIRS, 0):
            for name, start, end in pair.clean_spans:
                if name == span and len(pair.answers) == 1:
                    answers.setdefault(pair.clean[start:end], pair.answers[0])
    return answers


def probabilities(model: Model, hidden: Tensor, prompts: PromptSet, outcomes: Outcomes) -> dict[str, Floats]:
    """Probability of each outcome's token, softmax over the vocabulary, by name [P, N]; NaN where a pair has none.

    `hidden` is [P, U, d_model]. Raises UserError for outcomes of another number of pairs.
    """
    for name, tokens in outcomes.items():
        if tokens.shape != (prompts.n_pairs,):
            raise UserError(
                f"outcome '{name}' has the shape {list(tokens.shape)}: valid: [{prompts.n_pairs}], one a pair"
            )
    found: dict[str, list[Floats]] = {name: [] for name in outcomes}
    for point in hidden:
        with torch.no_grad():
            said = model.logits(point).softmax(-1)[prompts.pair_prompt]
        for name, tokens in outcomes.items():
            tokens = tokens.to(said.device)
            chosen = said.gather(1, tokens.clamp(min=0)[:, None])[:, 0].double()
            found[name].append(chosen.masked_fill(tokens < 0, torch.nan).cpu().numpy())
    return {name: np.stack(values) for name, values in found.items()}
