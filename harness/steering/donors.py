"""Donors: the activations of units in other prompts' runs, to be put into a recipient's."""

from __future__ import annotations

import torch

from basisbench.bases.basis import Basis
from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.models.recording import record
from basisbench.prompts.prompt_set import PromptSet
from basisbench.steering.intervene import TOKENS_AT_ONCE, Values
from basisbench.steering.nodes import Nodes


def donor_values(
    model: Model, prompts: PromptSet, basis: Basis, nodes: Nodes, slot_names: tuple[str, ...] = ()
) -> dict[int, Values]:
    """Activations of the nodes' units in the plain runs of the clean prompts, by layer and slot.

    `slot_names` are the recipients', where they are another prompt set's; slots are matched by name.

    Memory law: ``4 U n_slots K`` bytes for K distinct units, and one pass over TOKENS_AT_ONCE tokens.
    """
    names = slot_names or prompts.slot_names
    number = {name: i for i, name in enumerate(names)}
    if not set(number) & set(prompts.slot_names):
        raise UserError("donors and recipients share no slot: valid are prompts of one task")
    own = torch.tensor([number.get(name, -1) for name in prompts.slot_names], device=prompts.slot.device)
    slot = torch.where(prompts.slot >= 0, own[prompts.slot.clamp(min=0)], prompts.slot)
    units = {layer: nodes.units(layer).to(model.device) for layer in nodes.layers}
    shape = (prompts.n_prompts, len(names))
    tables = {
        i: torch.full((*shape, len(k)), torch.nan, dtype=model.dtype, device=model.device) for i, k in units.items()
    }
    for rows in torch.arange(prompts.n_prompts, device=model.device).split(
        max(1, TOKENS_AT_ONCE // prompts.clean.shape[1])
    ):
        sites = {basis.read(layer) for layer in units}
        stored, _ = record(model, prompts.clean[rows], prompts.last[rows], sites)
        row, token = (slot[rows] >= 0).nonzero(as_tuple=True)
        for layer, table in tables.items():
            f = basis.encode(layer, stored[basis.read(layer)], units[layer])
            table[rows[row], slot[rows][row, token]] = f[row, token].to(table.dtype)
    return {layer: Values(units[layer], table) for layer, table in tables.items()}


def constant_values(values: dict[int, Values], nodes: Nodes) -> dict[int, Values]:
    """Each donor's values without their slots, `table` [D, 1, k]: for text in which the nodes' slots mean nothing.

    A unit's is its mean over the slots at which it is a node (over all slots for one at every position) and the donor
    has a token; where there is none, the unit is left alone.
    """
    result = {}
    for layer, held in values.items():
        n_slots = held.table.shape[1]
        wanted = torch.zeros(n_slots, len(held.units), dtype=torch.bool, device=held.table.device)
        for i, slot, unit in nodes.rows:
            if i == layer:
                wanted[slot if slot >= 0 else slice(None), int((held.units == unit).nonzero()[0, 0])] = True
        table = held.table.masked_fill(~wanted, torch.nan).nanmean(1, keepdim=True)
        result[layer] = Values(held.units, table)
    return result
