"""Steerability: how few nodes of a basis it takes to steer the model, what that costs, and which basis needs fewest.

For each k the first k nodes of a basis' ranking are steered in two ways, and so are controls of the same size:

- turned around: multiplied by HEADLINE = -1 in the clean prompts. A factor of 0 is the ablation that curves measure
  already; -1 is the smallest that pushes beyond it, by as much again, and says the same of units with a sign (neurons)
  and of those without (dictionaries). The effect is the share of the way to the corrupt prompts' logit difference
  (`basisbench.steering.dose`), so a half is where answer and foil come out about even;
- swapped: how often another prompt's activations bring that prompt's answer (`basisbench.steering.swap`).

Both are corrected: minus the mean of the equally active controls, on the same resamples. Beside them stands the side
effect, KL on unrelated text, of the same units turned around, or set to donors' values, at every position.

A board ranks bases by the nodes that half of the way takes; the effect per node is taken where the side effect is at
most KL_BUDGET, so that a basis is not ahead because it breaks the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from basisbench.bases.basis import Basis
from basisbench.errors import UserError
from basisbench.measures.metrics import Floats
from basisbench.measures.statistics import Band, Estimate, resampled
from basisbench.models.adapter import Model
from basisbench.progress import Progress, silent
from basisbench.prompts.prompt_set import PromptSet
from basisbench.settings.steer import DRAWS, SIZES
from basisbench.steering.controls import KINDS, Controls, Kind, activities, has_others, matched_controls
from basisbench.steering.donors import constant_values, donor_values
from basisbench.steering.dose import DoseResponse, dose_responses, effects
from basisbench.steering.intervene import Multiply
from basisbench.steering.nodes import Nodes
from basisbench.steering.side_effects import donor_effect, side_effect
from basisbench.steering.swap import SwapResult, difference_band, swap
from basisbench.text.sample import TEXT, Sample

HEADLINE = -1.0
HALF = 0.5
KL_BUDGET = 0.1
"""Nats a token of unrelated text."""
DONORS = 2
"""Donors whose values are put into unrelated text for each size."""
SWAPS = 100
"""Ordered pairs that a board swaps for each size, drawn once: all bases and controls get the same ones."""


@dataclass(frozen=True)
class Steerability:
    """One basis at P sizes, `size` [P].

    `effect` and `corrected` [P]: of turning the nodes around, raw and minus the active controls'. `swapped` and
    `swap_corrected` [P]: the success rate of swaps. `kl`, `swap_kl` [P]: the side effects, nats a token. `controls`: by
    kind the effect of each draw, [P, draws]; `control_swaps`: the success rate of each active draw. `activity`: by kind
    the controls' activity over the nodes', at the largest size.

    `nodes_half`, `nodes_swap`: the smallest size at which the corrected effect, the corrected success rate, is a half
    or more, one more than the largest size where none is. `budget_effect`: the largest corrected effect within
    KL_BUDGET, at `budget_nodes` nodes; NaN and 0 where no size is within it.
    """

    basis: str
    size: tuple[int, ...]
    effect: Band
    corrected: Band
    swapped: Band
    swap_corrected: Band
    kl: Band
    swap_kl: Band
    controls: Mapping[str, Floats]
    control_swaps: Floats
    activity: Mapping[str, float]
    nodes_half: Estimate
    nodes_swap: Estimate
    budget_effect: float
    budget_nodes: int

    @property
    def effect_per_node(self) -> float:
        """The effect within the budget, over the nodes it takes."""
        return self.budget_effect / self.budget_nodes if self.budget_nodes else float("nan")


def steerability(
    model: Model,
    prompts: PromptSet,
    basis: Basis,
    nodes: Nodes,
    sizes: Sequence[int] = SIZES,
    *,
    draws: int = DRAWS,
    swaps: int | None = SWAPS,
    sample: Sample | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Steerability:
    """Measure the first k of `nodes` (in the order of a ranking), for each k of `sizes` with enough nodes and controls.

    `swaps` is how many ordered pairs are swapped for each size (None: all). Raises UserError where no size is left.
    """
    sizes = tuple(k for k in sorted(set(sizes)) if 0 < k <= len(nodes) and has_others(nodes.first(k), basis))
    if not sizes:
        raise UserError(f"no size is valid: from 1 to {len(nodes)} nodes, with as many others for controls")
    nodes = nodes.first(sizes[-1])
    activity = activities(model, prompts, basis, nodes)
    controls = {
        kind: matched_controls(model, prompts, basis, nodes, kind, draws=draws, seed=seed, activity=activity)
        for kind in KINDS
    }
    turned = _turned(model, prompts, basis, nodes, sizes, controls, progress)
    sample = Sample.of(model, [TEXT]) if sample is None else sample
    sets = [nodes.first(k) for k in sizes]
    kl = side_effect(model, basis, sets, [Multiply(HEADLINE)] * len(sets), sample, progress=progress).band(seed)
    swapped: list[SwapResult] = []
    others: list[list[SwapResult]] = []
    for k, some in zip(sizes, sets, strict=True):
        swapped.append(swap(model, prompts, basis, some, most=swaps, seed=seed, progress=progress))
        drawn = [control.first(k) for control in controls["active"].sets]
        others.append([swap(model, prompts, basis, c, most=swaps, seed=seed, progress=progress) for c in drawn])
    bands = _effect_bands(turned, sizes, seed)
    swap_bands = [result.bands(seed)["success"] for result in swapped]
    differences = [difference_band(own, other, "success", seed) for own, other in zip(swapped, others, strict=True)]
    budget_effect, budget_nodes = _within_budget(sizes, bands["corrected"].value, kl.value)
    return Steerability(
        basis=basis.name,
        size=sizes,
        effect=bands["effect"],
        corrected=bands["corrected"],
        swapped=_stacked(swap_bands),
        swap_corrected=_stacked(differences),
        kl=kl,
        swap_kl=_stacked([_swap_kl(model, prompts, basis, some, sample, seed, progress) for some in sets]),
        controls={kind: _plain_effects(turned[kind], len(sizes)) for kind in KINDS},
        control_swaps=np.array([[other.outcome["success"].mean() for other in some] for some in others]),
        activity={kind: found.activity for kind, found in controls.items()},
        nodes_half=bands["nodes_half"].estimate(),
        nodes_swap=_nodes_swap(swapped, others, sizes, seed),
        budget_effect=budget_effect,
        budget_nodes=budget_nodes,
    )


def order(rows: Sequence[Steerability]) -> list[Steerability]:
    """The board's order: fewest nodes for half of the way, then fewest for half of the swaps, then the effect."""
    return sorted(rows, key=lambda row: (row.nodes_half.value, row.nodes_swap.value, -float(row.corrected.value.max())))


def _turned(
    model: Model,
    prompts: PromptSet,
    basis: Basis,
    nodes: Nodes,
    sizes: Sequence[int],
    controls: Mapping[Kind, Controls],
    progress: Progress,
) -> dict[str, list[DoseResponse]]:
    """Responses to HEADLINE: of the nodes at each size, and of each kind's draws, sizes of one draw after another."""
    families: dict[str, list[Nodes]] = {"nodes": [nodes]}
    families |= {kind: list(found.sets) for kind, found in controls.items()}
    sets = [some.first(k) for family in families.values() for some in family for k in sizes]
    responses = iter(dose_responses(model, prompts, basis, sets, [HEADLINE], progress=progress))
    return {name: [next(responses) for _ in range(len(family) * len(sizes))] for name, family in families.items()}


def _effect_bands(turned: Mapping[str, list[DoseResponse]], sizes: Sequence[int], seed: int) -> dict[str, Band]:
    own = np.concatenate([response.logit_difference for response in turned["nodes"]])
    active = np.concatenate([response.logit_difference for response in turned["active"]])
    control = active.reshape(-1, *own.shape).mean(0)
    clean, corrupt = turned["nodes"][0].clean, turned["nodes"][0].corrupt

    def compute(weights: Floats) -> dict[str, Floats]:
        effect = effects(own, clean, corrupt, weights)
        corrected = effect - effects(control, clean, corrupt, weights)
        return {"effect": effect, "corrected": corrected, "nodes_half": smallest(sizes, corrected)}

    return resampled(compute, own.shape[1], seed)


def _plain_effects(responses: Sequence[DoseResponse], n_sizes: int) -> Floats:
    """The effect of every draw at every size, [P, draws]."""
    n = responses[0].clean.answer.size
    even = np.full((1, n), 1 / n)
    values = [effects(r.logit_difference, r.clean, r.corrupt, even)[0, 0] for r in responses]
    return np.array(values).reshape(-1, n_sizes).T


def _swap_kl(
    model: Model, prompts: PromptSet, basis: Basis, nodes: Nodes, sample: Sample, seed: int, progress: Progress
) -> Band:
    """The side effect of a transplant: the mean over donors."""
    values = constant_values(donor_values(model, prompts, basis, nodes), nodes)
    by_row = donor_effect(model, basis, nodes, values, sample, most=DONORS, progress=progress).kl.mean((0, 2))
    return resampled(lambda weights: {"": by_row @ weights.T}, len(by_row), seed)[""]


def _nodes_swap(
    swapped: Sequence[SwapResult], others: Sequence[Sequence[SwapResult]], sizes: Sequence[int], seed: int
) -> Estimate:
    weights = swapped[0].weights(seed)
    corrected = [
        weights @ (own.outcome["success"] - np.mean([o.outcome["success"] for o in other], axis=0))
        for own, other in zip(swapped, others, strict=True)
    ]
    nodes = smallest(sizes, np.stack(corrected))
    low, high = np.quantile(nodes[1:], [0.025, 0.975])
    return Estimate(float(nodes[0]), float(low), float(high))


def smallest(sizes: Sequence[int], values: Floats) -> Floats:
    """The smallest size at which values [P, R] are HALF or more, one more than the largest where none is, [R]."""
    reached = values >= HALF
    index = np.where(reached.any(0), reached.argmax(0), len(sizes))
    found: Floats = np.array([*sizes, sizes[-1] + 1], dtype=np.float64)[index]
    return np.where(np.isnan(values).all(0), np.nan, found)


def _within_budget(sizes: Sequence[int], corrected: Floats, kl: Floats) -> tuple[float, int]:
    """The largest corrected effect within KL_BUDGET, and its size."""
    usable = np.where((kl <= KL_BUDGET) & np.isfinite(corrected), corrected, -np.inf)
    best = int(usable.argmax())
    return (float(corrected[best]), int(sizes[best])) if np.isfinite(usable[best]) else (float("nan"), 0)


def _stacked(bands: Sequence[Band]) -> Band:
    return Band(*(np.stack([getattr(band, part) for band in bands]) for part in ("value", "low", "high")))
