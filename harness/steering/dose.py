"""Dose-response curves: what the model says as a set of nodes is multiplied, or set, ever more strongly.

1. Run the plain model on the clean and on the corrupt prompts: where the curve starts, and what "the other answer" is.
2. Steer all prompts at every dose, doses as rows of one pass (`basisbench.steering.intervene`).
3. Means over pairs, with percentile bootstrap intervals; numerators and denominators are resampled together.

The effect of a dose is the share of the way from the clean to the corrupt prompts' logit difference,
(F(clean) - F(steered)) / (F(clean) - F(corrupt)): 0 changes nothing, 1 is as if the other question had been asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from basisbench.bases.basis import Basis
from basisbench.errors import UserError
from basisbench.measures.metrics import ACCURACY, LOGIT_DIFFERENCE, Floats, Outcome
from basisbench.measures.statistics import Band, resampled
from basisbench.models.adapter import Model
from basisbench.progress import Progress, silent
from basisbench.prompts.prompt_set import PromptSet
from basisbench.prompts.scoring import log_probabilities, outcome
from basisbench.settings.steer import DOSES
from basisbench.steering.intervene import Condition, Multiply, Operation, prepare, run
from basisbench.steering.nodes import Nodes
from basisbench.steering.outcomes import Outcomes, probabilities

SMALLEST_GAP = 1e-6
"""Of the largest logit: below it F(clean) - F(corrupt) cannot be divided by."""


@dataclass(frozen=True)
class DoseResponse:
    """What the model said at P doses, of N pairs.

    `steered` is [P, N], `clean` and `corrupt` [N] are the plain model on the clean and on the corrupt prompts.
    `probability` by outcome [P, N] (NaN where a pair has none); "answer" and "foil" are among them.
    """

    doses: Floats
    steered: Outcome
    clean: Outcome
    corrupt: Outcome
    probability: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def logit_difference(self) -> Floats:
        """logit(answer) - logit(foil) at each dose, [P, N]."""
        values: Floats = LOGIT_DIFFERENCE.compute(self.steered)
        return values

    def bands(self, seed: int = 0, n_resamples: int = 2000) -> dict[str, Band]:
        """Means over pairs with 95 % intervals, bands [P].

        By name: ``p(OUTCOME)`` for each outcome, ``logit_difference``, ``accuracy`` (answer above foil), ``kl`` (of the
        next token after the prompt, against the plain model) and ``effect`` (see the module; NaN where clean and
        corrupt prompts do not differ).
        """

        def compute(weights: Floats) -> dict[str, Floats]:
            found = {f"p({name})": weighted_mean(values, weights) for name, values in self.probability.items()}
            found["logit_difference"] = self.logit_difference @ weights.T
            found["accuracy"] = ACCURACY.compute(self.steered) @ weights.T
            found["kl"] = self.steered.kl @ weights.T
            found["effect"] = effects(self.logit_difference, self.clean, self.corrupt, weights)
            return found

        return resampled(compute, self.clean.answer.size, seed, n_resamples)


def weighted_mean(values: Floats, weights: Floats) -> Floats:
    """Means [P, R] of values [P, N] under weights [R, N], over those that are defined; NaN where none is."""
    defined = np.isfinite(values)
    total = defined.astype(np.float64) @ weights.T
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Floats = np.where(total > 0, (np.where(defined, values, 0) @ weights.T) / total, np.nan)
    return mean


def effects(steered: Floats, clean: Outcome, corrupt: Outcome, weights: Floats) -> Floats:
    """Effects [P, R] of logit differences [P, N] under weights [R, N] (see the module); a ratio of means."""
    before, other = (LOGIT_DIFFERENCE.compute(plain) for plain in (clean, corrupt))
    least = SMALLEST_GAP * max(float(np.abs(part).max()) for part in (clean.answer, clean.foil))
    gap = (before - other) @ weights.T
    if abs(float((before - other).mean())) <= least:
        gap = np.full_like(gap, np.nan)
    # a resample's is kept away from 0: it belongs in the tail of the interval
    gap = np.copysign(np.maximum(np.abs(gap), least), gap)
    share: Floats = ((before - steered) @ weights.T) / gap
    return share


def dose_response(
    model: Model,
    prompts: PromptSet,
    basis: Basis,
    nodes: Nodes,
    multipliers: Sequence[float] = DOSES,
    *,
    outcomes: Outcomes | None = None,
    operation: Callable[[float], Operation] = Multiply,
    reuse: bool = True,
    progress: Progress = silent,
) -> DoseResponse:
    """Steer `nodes` in the clean prompts at each of `multipliers`; `operation` Set makes them values to set.

    `outcomes` are followed beside answer and foil (`basisbench.steering.outcomes`). `reuse` as in `prepare`. Raises
    UserError for no dose, and for nodes that there are not.

    Memory law: that of `prepare`, and one pass over TOKENS_AT_ONCE tokens.
    """
    if not multipliers:
        raise UserError("no dose: valid is one multiplier or more")
    (found,) = dose_responses(
        model,
        prompts,
        basis,
        [nodes],
        multipliers,
        outcomes=outcomes,
        operation=operation,
        reuse=reuse,
        progress=progress,
    )
    return found


def dose_responses(
    model: Model,
    prompts: PromptSet,
    basis: Basis,
    sets: Sequence[Nodes],
    multipliers: Sequence[float] = DOSES,
    *,
    outcomes: Outcomes | None = None,
    operation: Callable[[float], Operation] = Multiply,
    reuse: bool = True,
    progress: Progress = silent,
) -> list[DoseResponse]:
    """`dose_response` of several node sets (a set and its controls) in shared passes."""
    bench = prepare(model, prompts, basis, sets, reuse=reuse)
    conditions = [Condition(nodes, operation(dose)) for nodes in sets for dose in multipliers]
    hidden = run(bench, conditions, progress, f"steering {basis.name}")
    plain = log_probabilities(model, bench.hidden)
    clean = outcome(model, bench.hidden, prompts, plain=plain)
    with torch.no_grad():
        corrupt = outcome(model, model.forward(prompts.corrupt, prompts.last), prompts)
    responses = []
    for part in hidden.unflatten(0, (len(sets), -1)):
        steered = outcome(model, part.flatten(0, 1), prompts, len(multipliers), plain)
        probability = {
            "answer": np.exp(steered.answer - steered.logsumexp),
            "foil": np.exp(steered.foil - steered.logsumexp),
            **probabilities(model, part, prompts, outcomes or {}),
        }
        responses.append(DoseResponse(np.array(multipliers, dtype=np.float64), steered, clean, corrupt, probability))
    return responses
