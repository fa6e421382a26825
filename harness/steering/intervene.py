"""Steering: units of a basis multiplied, set or transplanted while the model runs.

At every site that a steered layer writes, the activation becomes

    x <- x + lift(f' - f)

with f the units' activations in this very pass, which steering further up has changed already, and f' what the
operation makes of them. Only the steered columns are computed, and what a basis leaves over (its error) stays as it
is: multiplying by 1 changes nothing at all, and for neurons this is editing neurons by hand.

1. Make the prompts ready (`prepare`): run the leading tokens that all share and no node steers once, and keep the
   plain residual stream before the first steered layer.
2. A pass starts there; its rows are [conditions x prompts], each condition with nodes and an operation of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from basisbench.bases.basis import Basis
from basisbench.models.adapter import Edit, Model, Prefix, Start
from basisbench.models.recording import record
from basisbench.models.sites import Site
from basisbench.progress import Progress, silent
from basisbench.prompts.prompt_set import PromptSet
from basisbench.steering.nodes import EVERYWHERE, Nodes

TOKENS_AT_ONCE = 2048


class Operation(Protocol):
    """What is done to steered units."""

    def change(self, layer: int, f: Tensor, units: Tensor, slot: Tensor) -> Tensor:
        """Return f' - f, [rows, S, k], for activations f of `units` [k] at tokens in `slot` [rows, S] (-1: none)."""


@dataclass(frozen=True)
class Multiply:
    """f' = factor f: 1 leaves units alone, 0 ablates them to zero, negative factors turn them around."""

    factor: float

    def change(self, layer: int, f: Tensor, units: Tensor, slot: Tensor) -> Tensor:
        """Return (factor - 1) f: exactly 0 for a factor of 1, and so is its gradient."""
        return (self.factor - 1) * f


@dataclass(frozen=True)
class Set:
    """f' = value, whatever the units were."""

    value: float

    def change(self, layer: int, f: Tensor, units: Tensor, slot: Tensor) -> Tensor:
        """Return value - f."""
        return self.value - f


@dataclass(frozen=True)
class Values:
    """Activations of `units` [k] (ascending) of one layer in D donors' runs: `table` [D, n_slots, k].

    NaN where a donor has no token in the slot.
    """

    units: Tensor
    table: Tensor


@dataclass(frozen=True)
class Transplant:
    """f' = the activation of the same unit, in the same slot, in the run of row r's donor, `donor` [rows].

    Where the donor has no such slot, the unit is left as it is. `values` by layer must hold all steered units.
    """

    values: Mapping[int, Values]
    donor: Tensor

    def change(self, layer: int, f: Tensor, units: Tensor, slot: Tensor) -> Tensor:
        """Return the donor's value minus f; 0 where there is none."""
        held = self.values[layer]
        column = torch.searchsorted(held.units, units).clamp(max=len(held.units) - 1)
        values = held.table[self.donor[:, None], slot.clamp(min=0)][..., column].to(f.dtype)
        return torch.where(values.isnan(), torch.zeros_like(f), values - f)


@dataclass(frozen=True)
class Condition:
    """Which nodes are steered, and how."""

    nodes: Nodes
    operation: Operation


@dataclass
class Steering:
    """What steers one batch of conditions in a pass; rows are [conditions x prompts].

    `slot` [U, S] is -1 where nothing may be steered; `everywhere` [U, S] is true at tokens that nodes at every position
    act on.
    """

    basis: Basis
    conditions: Sequence[Condition]
    slot: Tensor
    everywhere: Tensor
    pending: dict[Site, Tensor] = field(default_factory=dict)

    def edits(self) -> list[tuple[Site, Edit]]:
        """Edits in the order of the forward pass: a layer reads before it writes."""
        layers = sorted({layer for condition in self.conditions for layer in condition.nodes.layers})
        sites = dict.fromkeys(site for layer in layers for site in self.basis.writes(layer))
        reading = [(self.basis.read(layer), self._reader(layer)) for layer in layers]
        return [*reading, *((site, self._writer(site)) for site in sites)]

    def _reader(self, layer: int) -> Edit:
        device = self.slot.device
        held = [condition.nodes.units(layer) for condition in self.conditions]
        units = torch.cat(held).unique().to(device)
        steered = torch.stack([self._steered(condition.nodes, layer, units) for condition in self.conditions])

        def edit(x: Tensor) -> None:
            f = self.basis.encode(layer, x, units).unflatten(0, (len(self.conditions), -1))
            change = torch.stack(
                [
                    self._change(condition, layer, part, units, where)
                    for condition, part, where in zip(self.conditions, f, steered, strict=True)
                ]
            ).flatten(0, 1)
            for site in self.basis.writes(layer):
                written = self.basis.lift(layer, site, change, units)
                self.pending[site] = self.pending[site] + written if site in self.pending else written

        return edit

    def _change(self, condition: Condition, layer: int, f: Tensor, units: Tensor, steered: Tensor) -> Tensor:
        """Return f' - f of one condition, [U, S, k]: 0 for units and at tokens that it does not steer."""
        # other conditions' units are among `units`: whatever the operation says of them is dropped here
        return torch.where(steered, condition.operation.change(layer, f, units, self.slot), torch.zeros_like(f))

    def _steered(self, nodes: Nodes, layer: int, units: Tensor) -> Tensor:
        """Which of `units` [k] are steered at which tokens, bool [U, S, k]."""
        inside = nodes.layer == layer
        slots, own = nodes.slot[inside].to(units.device), nodes.unit[inside].to(units.device)
        column = torch.searchsorted(units, own)
        always = torch.zeros(len(units), dtype=torch.bool, device=units.device)
        always[column[slots == EVERYWHERE]] = True
        n_slots = int(self.slot.max()) + 1
        within = (slots >= 0) & (slots < n_slots)
        table = torch.zeros(max(1, n_slots), len(units), dtype=torch.bool, device=units.device)
        table[slots[within], column[within]] = True
        at_slots = table[self.slot.clamp(min=0)] & (self.slot >= 0)[..., None]
        return at_slots | (self.everywhere[..., None] & always)

    def _writer(self, site: Site) -> Edit:
        def edit(x: Tensor) -> Tensor:
            return x + self.pending.pop(site).to(x.dtype)

        return edit


@dataclass(frozen=True)
class Bench:
    """Prompts ready to be steered: what passes share.

    `prompts` are without the leading tokens in `prefix`; `resid` [U, S, d_model] is the plain residual stream before
    layer `first`, `hidden` [U, d_model] the plain model's last hidden states. `everywhere` as in `Steering`.
    """

    model: Model
    basis: Basis
    prompts: PromptSet
    prefix: Prefix | None
    first: int
    resid: Tensor
    hidden: Tensor
    everywhere: Tensor

    def hidden_of(self, conditions: Sequence[Condition], rows: Tensor | None = None) -> Tensor:
        """Last hidden states [conditions, R, d_model] of the prompts `rows` [R] (None: all), in one pass."""
        prompts = self.prompts
        rows = torch.arange(prompts.n_prompts, device=prompts.clean.device) if rows is None else rows
        steering = Steering(self.basis, conditions, prompts.slot[rows], self.everywhere[rows])
        times = len(conditions)
        with torch.no_grad():
            hidden = self.model.forward(
                prompts.clean[rows].repeat(times, 1),
                prompts.last[rows].repeat(times),
                edits=steering.edits(),
                start=Start(self.first, self.resid[rows].repeat(times, 1, 1)),
                prefix=self.prefix,
            )
        found: Tensor = hidden.unflatten(0, (times, -1))
        return found

    def at_once(self, conditions: int = 1) -> int:
        """How many prompts fit a pass over TOKENS_AT_ONCE tokens, with so many conditions; at least one."""
        return max(1, TOKENS_AT_ONCE // (conditions * self.prompts.clean.shape[1]))


def prepare(model: Model, prompts: PromptSet, basis: Basis, sets: Sequence[Nodes], *, reuse: bool = True) -> Bench:
    """Make the clean prompts ready for steering any of the node `sets`; raises UserError for nodes there are not.

    Without `reuse` every pass runs every token and layer.

    Memory law: ``4 U S d_model`` bytes a layer while the plain model runs, of which one layer is kept.
    """
    for nodes in sets:
        nodes.check(basis, prompts.n_slots)
    length = min(prompts.shared, _first_position(prompts, sets)) if reuse else 0
    prefix = model.prefix(prompts.clean[:1, :length]) if length else None
    everywhere = prompts.real.clone()
    everywhere[:, 0] = False
    rest = prompts.after(length)
    first = min(layer for nodes in sets for layer in nodes.layers) if reuse else 0
    entry = Site(first, "resid_pre")
    stored, hidden = record(model, rest.clean, rest.last, [entry], prefix)
    return Bench(model, basis, rest, prefix, first, stored[entry], hidden, everywhere[:, length:])


def _first_position(prompts: PromptSet, sets: Sequence[Nodes]) -> int:
    """The first token that any of the nodes steers."""
    slots = torch.cat([nodes.slot for nodes in sets]).unique().to(prompts.slot.device)
    if (slots == EVERYWHERE).any():
        return 1
    steered = torch.isin(prompts.slot, slots).any(0).nonzero()
    return int(steered[0]) if len(steered) else prompts.clean.shape[1]


def run(bench: Bench, conditions: Sequence[Condition], progress: Progress = silent, what: str = "steering") -> Tensor:
    """Last hidden states [conditions, U, d_model] of all prompts, in as few passes as TOKENS_AT_ONCE allows."""
    prompts = bench.prompts
    together = max(1, TOKENS_AT_ONCE // prompts.clean.numel())
    found = []
    for begin in range(0, len(conditions), together):
        some = conditions[begin : begin + together]
        parts = torch.arange(prompts.n_prompts, device=prompts.clean.device).split(bench.at_once(len(some)))
        found.append(torch.cat([bench.hidden_of(some, rows) for rows in parts], dim=1))
        progress(what, min(begin + together, len(conditions)), len(conditions))
    return torch.cat(found)
