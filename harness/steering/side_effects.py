"""Side effects: how much steering the same units, at every position, changes what the model says of unrelated text.

KL(plain || steered) of the next-token distribution, in nats, at every token of a text but the first of each row, which
is neither steered nor measured (see `basisbench.text.sample.Sample`); the mean over tokens, with an interval over rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from torch import Tensor

from basisbench.bases.basis import Basis
from basisbench.errors import UserError
from basisbench.measures.metrics import Floats
from basisbench.measures.resampling import Band, resampled
from basisbench.models.adapter import Model, Start
from basisbench.models.recording import record
from basisbench.models.sites import Site
from basisbench.progress import Progress, silent
from basisbench.steering.intervene import TOKENS_AT_ONCE, Condition, Operation, Steering, Transplant, Values
from basisbench.steering.nodes import Nodes
from basisbench.text.sample import TEXT, Sample

MOST_DONORS = 4
"""Donors whose values are put into the text, spread evenly over those there are."""


@dataclass(frozen=True)
class SideEffect:
    """KL(plain || steered) in nats, [P, rows, tokens] for P conditions."""

    kl: Floats

    def band(self, seed: int = 0, n_resamples: int = 2000) -> Band:
        """Mean over tokens of each condition with a 95 % interval over rows, [P]."""
        by_row = self.kl.mean(-1)
        return resampled(lambda weights: {"": by_row @ weights.T}, by_row.shape[1], seed, n_resamples)[""]


def side_effect(
    model: Model,
    basis: Basis,
    nodes: Nodes | Sequence[Nodes],
    operations: Sequence[Operation],
    sample: Sample | None = None,
    *,
    progress: Progress = silent,
) -> SideEffect:
    """Measure `operations`, each on the node set beside it in `nodes` (one set: the same for all).

    Each unit is steered at every position, whatever its slot. `sample` is `text.sample.TEXT` unless given. Raises
    UserError for no operation, or not as many as node sets.

    Memory law: the plain and the steered log-probabilities of about TOKENS_AT_ONCE tokens, 4 bytes a word of the
    vocabulary each, one condition at a time.
    """
    sets = [nodes] * len(operations) if isinstance(nodes, Nodes) else list(nodes)
    if not operations or len(sets) != len(operations):
        raise UserError(
            f"{len(operations)} operations on {len(sets)} node sets: valid is one operation or more, each on a set"
        )
    sample = Sample.of(model, [TEXT]) if sample is None else sample
    # slots mean nothing in this text: every token is in the only one, the first in none
    conditions = [Condition(some.everywhere(), operation) for some, operation in zip(sets, operations, strict=True)]
    for condition in conditions:
        condition.nodes.check(basis, 0)
    parts = sample.tokens.split(max(1, TOKENS_AT_ONCE // sample.tokens.shape[1]))
    done, total = count(1), len(parts) * len(conditions)

    def step() -> None:
        progress(f"side effects {basis.name}", next(done), total)

    return SideEffect(np.concatenate([_measure(model, basis, conditions, part, step) for part in parts], axis=1))


def donor_effect(
    model: Model,
    basis: Basis,
    nodes: Nodes,
    values: Mapping[int, Values],
    sample: Sample | None = None,
    *,
    most: int = MOST_DONORS,
    progress: Progress = silent,
) -> SideEffect:
    """The side effect of a transplant: the units set to one donor's values throughout, a condition a donor.

    `values` are `basisbench.steering.donors.constant_values`, of which at most `most` donors are used.
    """
    n_donors = len(next(iter(values.values())).table)
    chosen = np.unique(np.linspace(0, n_donors - 1, min(most, n_donors)).round().astype(int)).tolist()
    operations = [Transplant(values, torch.tensor([donor], device=model.device)) for donor in chosen]
    return side_effect(model, basis, nodes, operations, sample, progress=progress)


def _measure(
    model: Model, basis: Basis, conditions: Sequence[Condition], tokens: Tensor, step: Callable[[], None]
) -> Floats:
    """KL [P, rows, length - 1] of some rows of text; `step` is called after each condition."""
    everywhere = torch.ones_like(tokens, dtype=torch.bool)
    everywhere[:, 0] = False
    last = torch.full((len(tokens),), tokens.shape[1] - 1, device=tokens.device)
    first = min(layer for condition in conditions for layer in condition.nodes.layers)
    entry = Site(first, "resid_pre")
    stored, _ = record(model, tokens, last, [entry])
    start = Start(first, stored[entry])

    def said(steering: Steering | None) -> Tensor:
        hidden: list[Tensor] = []
        edits = steering.edits() if steering else []
        with torch.no_grad():
            model.forward(tokens, last, edits=edits, hooks=[("unembed.hook_in", hidden.append)], start=start)
            return model.logits(hidden[0][:, 1:]).log_softmax(-1)

    plain = said(None)
    weights = plain.exp()
    found = []
    for condition in conditions:
        steered = said(Steering(basis, [condition], everywhere.long() - 1, everywhere))
        found.append((weights * (plain - steered)).sum(-1).clamp(min=0).double().cpu().numpy())
        step()
    return np.stack(found)
