"""Controls of a node set: as many other units, in the same layers and slots.

- ``random``: any others.
- ``active``: equally active others. The activity of a unit in a slot is the mean over the clean prompts of |activation|
  times the length of what the unit writes to the residual stream for each 1 of activation. Node by node, in a random
  order, one of the NEAREST units whose activity is nearest by ratio, and that is not taken yet, is drawn.

Units of the set are no controls, whatever their slot.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from basisbench.attribution.fields import field_site
from basisbench.bases.basis import Basis
from basisbench.errors import UserError, unknown_name
from basisbench.models.adapter import Model
from basisbench.models.recording import record
from basisbench.prompts.prompt_set import PromptSet
from basisbench.settings.steer import DRAWS
from basisbench.steering.intervene import TOKENS_AT_ONCE
from basisbench.steering.nodes import EVERYWHERE, Nodes

Kind = Literal["active", "random"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NEAREST = 10
UNITS_AT_ONCE = 512
TINY = 1e-12
"""An activity of 0 is taken for this much, so that ratios of activities exist."""

Activity = dict[tuple[int, int], Tensor]
"""The activity of every unit of a layer in a slot, float32 [n_units], by (layer, slot)."""


@dataclass(frozen=True)
class Controls:
    """Node sets to compare with: `sets` of one kind, and the mean activity of their nodes over that of the set's."""

    kind: Kind
    sets: tuple[Nodes, ...]
    activity: float


def matched_controls(
    model: Model,
    prompts: PromptSet,
    basis: Basis,
    nodes: Nodes,
    kind: Kind = "active",
    *,
    draws: int = DRAWS,
    seed: int = 0,
    activity: Activity | None = None,
) -> Controls:
    """Draw `draws` control sets of a kind; `activity` is asked for where it is not given (`activities`).

    The k-th control node stands for the k-th node, so that the first ones of a control control the first nodes.
    Raises UserError for an unknown kind, and where a layer has too few other units.
    """
    if kind not in KINDS:
        raise unknown_name("kind of control", kind, KINDS)
    nodes.check(basis, prompts.n_slots)
    if not has_others(nodes, basis):
        raise UserError(
            f"basis '{basis.name}' has too few units beside the steered ones for controls: valid are smaller sets"
        )
    activity = activities(model, prompts, basis, nodes) if activity is None else activity
    generator = torch.Generator().manual_seed(seed)
    sets = tuple(_draw(nodes, basis, activity, kind, generator) for _ in range(draws))

    def mean(some: Nodes) -> float:
        return sum(float(activity[layer, slot][unit]) for layer, slot, unit in some.rows) / len(some)

    own = mean(nodes)
    return Controls(kind, sets, sum(map(mean, sets)) / draws / own if own else math.nan)


def has_others(nodes: Nodes, basis: Basis) -> bool:
    """Whether every layer and slot has enough units beside the nodes for controls."""
    wanted = Counter((layer, slot) for layer, slot, _ in nodes.rows)
    return all(basis.n_units(i) - len(nodes.units(i)) >= count for (i, _), count in wanted.items())


def _draw(nodes: Nodes, basis: Basis, activity: Activity, kind: Kind, generator: torch.Generator) -> Nodes:
    free = {}
    for layer in nodes.layers:
        free[layer] = torch.ones(basis.n_units(layer), dtype=torch.bool)
        free[layer][nodes.units(layer)] = False
    taken = {key: free[key[0]].clone() for key in dict.fromkeys((layer, slot) for layer, slot, _ in nodes.rows)}
    rows = nodes.rows
    chosen: dict[int, tuple[int, int, int]] = {}
    for index in torch.randperm(len(rows), generator=generator).tolist():
        layer, slot, unit = rows[index]
        others = taken[layer, slot].nonzero()[:, 0]
        if kind == "active":
            value = activity[layer, slot].clamp(min=TINY).log()
            distance = (value[others] - value[unit]).abs()
            # a random order first: units that are never active are all equally far
            mixed = torch.randperm(len(others), generator=generator)
            others = others[mixed[distance[mixed].sort(stable=True).indices[:NEAREST]]]
        other = int(others[torch.randint(len(others), (1,), generator=generator)])
        taken[layer, slot][other] = False
        chosen[index] = (layer, slot, other)
    return Nodes.of(chosen[index] for index in range(len(rows)))


def activities(model: Model, prompts: PromptSet, basis: Basis, nodes: Nodes) -> Activity:
    """The activity of all units of the layers and slots in which the nodes stand, on the clean prompts, on the CPU.

    Memory law: all units of one layer at the slot's tokens of TOKENS_AT_ONCE tokens, and the recordings of a pass.
    """
    keys = list(dict.fromkeys((layer, slot) for layer, slot, _ in nodes.rows))
    total = {(layer, slot): torch.zeros(basis.n_units(layer)) for layer, slot in keys}
    count = dict.fromkeys(keys, 0)
    sites = {basis.read(layer) for layer in nodes.layers}
    at_once = max(1, TOKENS_AT_ONCE // prompts.clean.shape[1])
    for rows in torch.arange(prompts.n_prompts, device=prompts.clean.device).split(at_once):
        stored, _ = record(model, prompts.clean[rows], prompts.last[rows], sites)
        for layer, slot in keys:
            inside = prompts.slot[rows] == slot
            if slot == EVERYWHERE:
                inside = prompts.real[rows].clone()
                inside[:, 0] = False
            f = basis.encode(layer, stored[basis.read(layer)][inside])
            total[layer, slot] += f.float().abs().sum(0).cpu()
            count[layer, slot] += len(f)
    lengths = {layer: written_length(model, basis, layer) for layer in nodes.layers}
    return {key: total[key] / max(1, count[key]) * lengths[key[0]] for key in keys}


def written_length(model: Model, basis: Basis, layer: int) -> Tensor:
    """The length of what each unit writes to the residual stream at an activation of 1, float32 [n_units] on the CPU.

    Over several sites: the root of the sum of squares. A norm after the written site (Gemma's) is passed over.
    """
    squares = torch.zeros(basis.n_units(layer))
    for units in torch.arange(basis.n_units(layer), device=model.device).split(UNITS_AT_ONCE):
        one = torch.eye(len(units), dtype=model.dtype, device=model.device)
        for site in basis.writes(layer):
            _, weight = field_site(model, site)
            rows = basis.lift(layer, site, one, units)
            squares[units.cpu()] += (rows if weight is None else rows @ weight).float().square().sum(-1).cpu()
    return squares.sqrt()
