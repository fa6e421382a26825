"""What is measured of the model's output after a prompt, and the metrics made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from basisbench.errors import UserError, unknown_name

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Outcome:
    """What the model said after each of N prompts; all in nats and of one shape, [..., N].

    `answer` and `foil` are logits (of several tokens: the log of the sum of their exponentials; of a continuation
    scored whole: its summed log-probability, and `logsumexp` is 0), `logsumexp` is the log of the softmax
    denominator over the vocabulary, `lead` is the highest logit of an answer minus the highest of another candidate
    (any token where the task names none), `kl` is the divergence KL(plain model || this one) of the next token.
    Raises UserError for values that are not finite, else ValueError.
    """

    answer: Floats
    foil: Floats
    logsumexp: Floats
    lead: Floats
    kl: Floats

    def __post_init__(self) -> None:
        parts = list(vars(self).values())
        if any(part.shape != self.answer.shape for part in parts) or self.answer.ndim == 0:
            raise ValueError("answer, foil, logsumexp, lead and kl need one shape, [..., N]")
        if not all(np.isfinite(part).all() for part in parts):
            raise UserError("the model gave logits that are not finite: valid are finite ones, try dtype float32")


@dataclass(frozen=True)
class Metric:
    """A number per prompt, [..., N] from an Outcome [..., N], and the direction in which it is better.

    `axis` labels it in figures. One that `scores` can be had from has a gradient: it can drive attribution and
    faithfulness, and `compute` then also takes tensors `answer`, `foil` and `logsumexp`. `normalised` says that
    `compute` reads `logsumexp`.
    """

    name: str
    direction: Literal["higher", "lower"]
    axis: str
    compute: Callable[[Any], Any]
    scores: bool = False
    normalised: bool = False


def _exp(x: Any) -> Any:
    return np.exp(x) if isinstance(x, np.ndarray) else x.exp()  # a tensor: torch need not be loaded to read results


def _probability_difference(outcome: Any) -> Any:
    return _exp(outcome.answer - outcome.logsumexp) - _exp(outcome.foil - outcome.logsumexp)


LOGIT_DIFFERENCE = Metric(
    "logit_difference", "higher", "logit(answer) - logit(foil)", lambda o: o.answer - o.foil, scores=True
)
LOG_PROBABILITY = Metric(
    "log_probability", "higher", "log p(answer)", lambda o: o.answer - o.logsumexp, scores=True, normalised=True
)
PROBABILITY_DIFFERENCE = Metric(
    "probability_difference",
    "higher",
    "p(answer) - p(foil)",
    _probability_difference,
    scores=True,
    normalised=True,
)
# a tie counts half
ACCURACY = Metric("accuracy", "higher", "answer above foil", lambda o: np.heaviside(o.answer - o.foil, 0.5))
CANDIDATE_ACCURACY = Metric(
    "candidate_accuracy", "higher", "answer above all candidates", lambda o: np.heaviside(o.lead, 0.5)
)
KL = Metric("kl", "lower", "KL to the full model (nats)", lambda o: o.kl)
METRICS = {
    metric.name: metric
    for metric in (LOGIT_DIFFERENCE, LOG_PROBABILITY, PROBABILITY_DIFFERENCE, ACCURACY, CANDIDATE_ACCURACY, KL)
}
SCORING_METRICS = {name: metric for name, metric in METRICS.items() if metric.scores}
REPORTED = (ACCURACY, CANDIDATE_ACCURACY, PROBABILITY_DIFFERENCE, KL)
"""Reported for each point of a curve, beside faithfulness and completeness."""


def scoring_metric(name: str) -> Metric:
    """Return the metric `name`, by which nodes are scored and curves drawn; raises UserError for another."""
    if name not in SCORING_METRICS:
        raise unknown_name("metric", name, SCORING_METRICS)
    return SCORING_METRICS[name]
