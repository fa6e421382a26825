"""What is measured of the model's output after a prompt, and the metrics made of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basisbench.errors import UserError, unknown_name
from basisbench.measures.forms import SHARE, Form
from basisbench.registry import Records

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

    def rounded(self, unit: float) -> Outcome:
        """The same to the nearest multiples of `unit` nats."""
        return Outcome(*(np.round(part / unit) * unit for part in vars(self).values()))


@dataclass(frozen=True)
class Metric:
    """A number per prompt, [..., N] from an Outcome [..., N].

    `axis` labels an axis of it, `short` heads a narrow column and `form` writes its numbers; its means lie within
    `limits`. One that `scores` can be had from has a gradient: it can drive attribution and faithfulness, and `compute`
    then also takes tensors `answer`, `foil` and `logsumexp`. `normalised` says that `compute` reads `logsumexp`,
    `reported` that its mean is told for each point of a curve, of the circuit and of all but the circuit.
    """

    name: str
    axis: str
    compute: Callable[[Any], Any]
    short: str = ""
    limits: tuple[float, float] = (-math.inf, math.inf)
    form: Form = SHARE
    scores: bool = False
    normalised: bool = False
    reported: bool = False

    @property
    def heading(self) -> str:
        """What heads a column of it."""
        return self.short or self.name


def _exp(x: Any) -> Any:
    return np.exp(x) if isinstance(x, np.ndarray) else x.exp()  # a tensor: torch need not be loaded to read results


def _probability_difference(outcome: Any) -> Any:
    return _exp(outcome.answer - outcome.logsumexp) - _exp(outcome.foil - outcome.logsumexp)


LOGIT_DIFFERENCE = Metric("logit_difference", "logit(answer) - logit(foil)", lambda o: o.answer - o.foil, scores=True)
LOG_PROBABILITY = Metric(
    "log_probability", "log p(answer)", lambda o: o.answer - o.logsumexp, scores=True, normalised=True
)
PROBABILITY_DIFFERENCE = Metric(
    "probability_difference",
    "p(answer) - p(foil)",
    _probability_difference,
    "dp",
    limits=(-1.0, 1.0),
    scores=True,
    normalised=True,
    reported=True,
)
# a tie counts half
ACCURACY = Metric(
    "accuracy",
    "answer above foil",
    lambda o: np.heaviside(o.answer - o.foil, 0.5),
    "acc",
    limits=(0.0, 1.0),
    reported=True,
)
CANDIDATE_ACCURACY = Metric(
    "candidate_accuracy",
    "above all candidates",
    lambda o: np.heaviside(o.lead, 0.5),
    "first",
    limits=(0.0, 1.0),
    reported=True,
)
KL = Metric("kl", "to the full model (nats)", lambda o: o.kl, "KL", limits=(0.0, math.inf), reported=True)
METRICS: Records[Metric] = Records(
    "metric",
    "basisbench.metrics",
    lambda: (LOGIT_DIFFERENCE, LOG_PROBABILITY, ACCURACY, CANDIDATE_ACCURACY, PROBABILITY_DIFFERENCE, KL),
)


def scoring_metrics() -> tuple[Metric, ...]:
    """Return the metrics by which nodes can be scored and curves drawn."""
    return tuple(metric for metric in METRICS if metric.scores)


def reported_metrics() -> tuple[Metric, ...]:
    """Return the metrics told for each point of a curve, beside faithfulness and completeness."""
    return tuple(metric for metric in METRICS if metric.reported)


def scoring_metric(name: str) -> Metric:
    """Return the metric `name`, by which nodes are scored and curves drawn; raises UserError for another."""
    for metric in scoring_metrics():
        if metric.name == name:
            return metric
    raise unknown_name("metric", name, [metric.name for metric in scoring_metrics()])
