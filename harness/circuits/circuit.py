"""Circuits: sets of nodes, and one a size where those of different sizes need not hold each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from basisbench.errors import UserError


@dataclass(frozen=True)
class Circuit:
    """A set of k nodes, int64 [k] each: `layer`, `slot` (-1: at every position) and `unit` (-1: the error).

    They are kept on the CPU. Raises ValueError for columns of different lengths.
    """

    layer: Tensor
    slot: Tensor
    unit: Tensor

    def __post_init__(self) -> None:
        if self.layer.dim() != 1 or not self.layer.shape == self.slot.shape == self.unit.shape:
            raise ValueError("layer, slot and unit need one shape, [k]")
        for name, column in list(vars(self).items()):
            object.__setattr__(self, name, column.long().cpu())

    def __len__(self) -> int:
        return len(self.layer)

    @property
    def nodes(self) -> Tensor:
        """The nodes as rows, int64 [k, 3]."""
        return torch.stack([self.layer, self.slot, self.unit], 1)

    @property
    def distinct_units(self) -> int:
        """How many distinct (layer, unit) there are, errors not counted."""
        return len(self.nodes[self.unit >= 0][:, ::2].unique(dim=0))

    @property
    def error_nodes(self) -> int:
        """How many of the nodes are errors."""
        return int((self.unit < 0).sum())


@dataclass(frozen=True)
class Circuits:
    """The circuits of a basis by size, of at most so many nodes each; `total` nodes there are to choose from.

    A larger one need not hold a smaller one. Raises UserError for a circuit with a node twice or with more nodes than
    its size says.
    """

    basis: str
    by_size: Mapping[int, Circuit]
    total: int

    def __post_init__(self) -> None:
        for size, circuit in self.by_size.items():
            if len(circuit) > size:
                raise UserError(f"the circuit of size {size:,} of basis '{self.basis}' has {len(circuit):,} nodes")
            if len(circuit.nodes.unique(dim=0)) < len(circuit):
                raise UserError(f"the circuit of size {size:,} of basis '{self.basis}' has a node twice")

    def holds(self, size: int) -> bool:
        """Whether there is a circuit of this size."""
        return size in self.by_size

    def circuit(self, size: int) -> Circuit:
        """The circuit of this size."""
        return self.by_size[size]
