"""Which units are steered, and where: the first of a ranking, a list in words, or a named group of a trace."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from basisbench.bases.basis import Basis
from basisbench.circuits.ranking import Ranking
from basisbench.errors import UserError, unknown_name
from basisbench.models.adapter import Model
from basisbench.models.sites import layer_ranges
from basisbench.prompts.prompt_set import PromptSet
from basisbench.tracing.document import NodeRecord, TraceDocument

EVERYWHERE = -1
"""The slot of a unit that is steered at every position but a prompt's first (see `basisbench.text.sample.Sample`)."""
NODE = re.compile(r"(\d{1,9}):(\d{1,12})(?:@(.+))?")


@dataclass(frozen=True)
class Nodes:
    """Distinct units to steer: `layer`, `slot` (or EVERYWHERE) and `unit`, int64 [K] on the CPU, in their order.

    Slots are numbers of the prompt set's `slot_names`. Raises UserError for no node, or one that is named twice.
    """

    layer: Tensor
    slot: Tensor
    unit: Tensor

    def __post_init__(self) -> None:
        rows = self.rows
        if not rows:
            raise UserError("no node to steer: valid is one or more")
        if len(set(rows)) < len(rows):
            raise UserError("nodes are named twice: valid are distinct ones")

    @staticmethod
    def of(rows: Iterable[tuple[int, int, int]]) -> Nodes:
        """The nodes of (layer, slot, unit) rows."""
        table = torch.tensor(list(rows), dtype=torch.long).reshape(-1, 3)
        return Nodes(*table.unbind(-1))

    @property
    def rows(self) -> list[tuple[int, int, int]]:
        """(layer, slot, unit) of each."""
        columns = (self.layer, self.slot, self.unit)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def __len__(self) -> int:
        return len(self.layer)

    @property
    def layers(self) -> list[int]:
        """The layers that hold one, ascending."""
        return sorted(set(self.layer.tolist()))

    def units(self, layer: int) -> Tensor:
        """The distinct units of a layer, ascending, int64 [k]."""
        units: Tensor = self.unit[self.layer == layer].unique()
        return units

    def first(self, count: int) -> Nodes:
        """The first `count` of them, or all."""
        return Nodes(self.layer[:count], self.slot[:count], self.unit[:count])

    def everywhere(self) -> Nodes:
        """The same units at every position, each once, in the order in which they come first."""
        return Nodes.of(dict.fromkeys((layer, EVERYWHERE, unit) for layer, _, unit in self.rows))

    def words(self, slot_names: Sequence[str]) -> list[str]:
        """Each as ``layer:unit@slot``, or ``layer:unit`` at every position: what `parse_nodes` reads."""
        return [f"{i}:{unit}" + (f"@{slot_names[slot]}" if slot >= 0 else "") for i, slot, unit in self.rows]

    def check(self, basis: Basis, n_slots: int) -> None:
        """Raise UserError for a layer, unit or slot that there is not."""
        for layer, slot, unit in self.rows:
            if layer not in basis.layers():
                raise UserError(
                    f"basis '{basis.name}' has no units in layer {layer}: valid: {layer_ranges(basis.layers())}"
                )
            if not 0 <= unit < basis.n_units(layer):
                raise UserError(
                    f"basis '{basis.name}' has no unit {unit} in layer {layer}: valid: 0 to {basis.n_units(layer) - 1}"
                )
            if not EVERYWHERE <= slot < n_slots:
                raise UserError(f"no slot {slot}: valid: 0 to {n_slots - 1}, or {EVERYWHERE} for every position")


def top_nodes(ranking: Ranking, count: int) -> Nodes:
    """The first `count` units of a ranking, errors left out: an error is not one direction that could be steered."""
    kept = (~ranking.is_error).nonzero()[:count, 0]
    return Nodes(ranking.layer[kept], ranking.slot[kept], ranking.unit[kept])


def parse_nodes(text: str, slot_names: Sequence[str]) -> Nodes:
    """Nodes of a line such as ``12:345@city,20:7``: layer, unit and, unless at every position, the slot's name."""
    rows = []
    for word in text.split(","):
        found = NODE.fullmatch(word.strip())
        if found is None:
            raise UserError(f"'{word.strip()}' is no node: valid: LAYER:UNIT or LAYER:UNIT@SLOT, for instance 12:345")
        layer, unit, slot = found.groups()
        if slot is not None and slot not in slot_names:
            raise unknown_name("slot", slot, slot_names)
        rows.append((int(layer), EVERYWHERE if slot is None else slot_names.index(slot), int(unit)))
    return Nodes.of(rows)


def group_nodes(
    trace: TraceDocument, name: str, model: Model, prompts: PromptSet, *, everywhere: bool = False
) -> Nodes:
    """The units of a trace's group `name`, at the slots of `prompts` that their positions stand for.

    A task's trace has slots for positions; a prompt's trace has tokens, which have slots if the prompt is one of
    `prompts`. With `everywhere` they are steered at every position. Raises UserError where the group is not there, has
    no unit, or stands at positions that are no slots of `prompts`.
    """
    groups = {group.name: group for group in (trace.groups.groups if trace.groups else [])}
    if name not in groups:
        raise unknown_name("group", name, groups)
    members = [trace.nodes[index] for index in groups[name].nodes if trace.nodes[index].kind == "unit"]
    if everywhere:
        return Nodes.of(dict.fromkeys((node.layer, EVERYWHERE, node.unit) for node in members))
    slots = _slots(trace, model, prompts)

    def slot(node: NodeRecord) -> int:
        if not 0 <= node.position < len(slots) or slots[node.position] < 0:
            raise UserError(
                f"group '{name}' has a node at position {node.position} of its trace, which is no slot of these "
                "prompts: valid is a trace of this task, of one of its prompts, or steering at every position"
            )
        return slots[node.position]

    return Nodes.of(dict.fromkeys((node.layer, slot(node), node.unit) for node in members))


def _slots(trace: TraceDocument, model: Model, prompts: PromptSet) -> list[int]:
    """The slot of each of a trace's positions; -1 for none."""
    if trace.asked.prompt is None:
        numbers = {name: number for number, name in enumerate(prompts.slot_names)}
        return [numbers.get(token, -1) for token in trace.tokens]
    tokens = torch.tensor(model.text_tokenizer.ids([trace.asked.prompt])[0], device=prompts.clean.device)
    for side in (prompts.clean, prompts.corrupt):
        for row, slot, last in zip(side, prompts.slot, prompts.last.tolist(), strict=True):
            if last + 1 == len(tokens) and bool((row[: last + 1] == tokens).all()):
                found: list[int] = slot[: last + 1].tolist()
                return found
    return []
