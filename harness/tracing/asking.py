"""What is asked of a prompt: its tokens, the answer's and the foil's, and the metric as a question to trace.

With answer and foil the metric is the difference of their logits. With an answer alone, or nothing said, it is the
logit of the answer (of the model's top token) less the mean logit over the vocabulary: a constant on all logits says
nothing of a token (Ameisen et al. 2025, transformer-circuits.pub/2025/attribution-graphs/methods.html, targets).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from basisbench.errors import UserError, printable
from basisbench.models.adapter import Model
from basisbench.models.text_tokenizer import Tokens
from basisbench.reading.rows import token_text
from basisbench.tracing.graph import Question, logit_difference

LOGIT_DIFFERENCE = "logit difference"
CENTRED_LOGIT = "logit less the mean logit"


@dataclass(frozen=True)
class Asked:
    """A prompt's `tokens` [S], the tokens asked about, their probabilities, and the question.

    `metric` names what the question is, and `value` is what the model says to it.
    """

    text: str
    tokens: Tensor
    answer: int
    foil: int | None
    answer_probability: float
    foil_probability: float | None
    metric: str
    value: float
    question: Question


def ask(model: Model, text: str, answer: str | None = None, foil: str | None = None) -> Asked:
    """Return what is asked of the prompt `text`; without an answer, of the model's top token.

    An answer is read by its first token. One that begins with no blank is read with one where the model finds that
    likelier, since most words do begin with a blank. Raises UserError for an empty prompt, a foil without an answer,
    and answers that do not continue the prompt or begin alike.
    """
    (ids,) = model.text_tokenizer.ids([text])
    if not ids:
        raise UserError("the prompt is empty: valid is a text of one token or more")
    if model.context is not None and len(ids) > model.context:
        raise UserError(f"the prompt has {len(ids)} tokens: valid are {model.context}, the model's context, or fewer")
    if foil is not None and answer is None:
        raise UserError("a foil needs an answer: valid: --answer TEXT beside --foil TEXT")
    tokens = torch.tensor(ids, device=model.device)
    with torch.no_grad():
        hidden = model.forward(tokens[None], torch.tensor([len(ids) - 1], device=model.device))
        said = model.logits(hidden)[0].log_softmax(-1)
    first = int(said.argmax()) if answer is None else _first_token(model, text, ids, answer, said)
    second = None if foil is None else _first_token(model, text, ids, foil, said)
    if first == second:
        raise UserError(
            f"answer and foil begin with the same token, {token_text(model, first)!r}: "
            "valid are answers that differ in it"
        )
    if second is None:
        question, metric = centred_logit(model, first), CENTRED_LOGIT
    else:
        question, metric = logit_difference(model, first, second), LOGIT_DIFFERENCE
    with torch.no_grad():
        value = float(question.outputs(hidden).sum())
    return Asked(
        text,
        tokens,
        first,
        second,
        float(said[first].exp()),
        None if second is None else float(said[second].exp()),
        metric,
        value,
        question,
    )


def centred_logit(model: Model, token: int) -> Question:
    """The logit of `token` less the mean over the vocabulary, as one node."""

    def centred(hidden: Tensor) -> Tensor:
        logits = model.logits(hidden, cap_as_gain=True)
        return logits[:, token] - logits.mean(-1)

    return Question(centred, (1.0,))


def _first_token(model: Model, text: str, ids: Tokens, continuation: str, said: Tensor) -> int:
    """The first token that `continuation`, or a blank and it, adds to the prompt: the likelier of the two."""
    joined = text[-1:].isspace() or continuation[:1].isspace() or not continuation[:1].isalnum()
    spellings = [continuation] if joined else [continuation, f" {continuation}"]
    found: list[int] = []
    for whole in model.text_tokenizer.ids([text + spelling for spelling in spellings]):
        if whole[: len(ids)] == ids and len(whole) > len(ids):
            found.append(whole[len(ids)])
    if not found:
        raise UserError(
            f"{printable(repr(continuation[:60]))} does not continue the prompt: its tokens change when both are "
            "joined; valid: a prompt without a blank at its end, an answer with one before it"
        )
    return max(found, key=lambda token: float(said[token]))
