"""Weights on demand: the last used stay in memory, within a budget of bytes."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

BUDGET = 4 * 2**30
"""Bytes of weights that a basis keeps in memory by default."""


class Sized(Protocol):
    """Something that knows how many bytes it holds."""

    @property
    def nbytes(self) -> int:
        """Bytes held."""


K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Sized)


class ByteCache(Generic[K, V]):
    """Values by key, whole or for some units only, made by ``load(key, units)`` when they are not at hand.

    For each key one part, of the units last loaded, is held beside the whole; units among them are taken out of it
    by ``select(part, places)``: a curve asks for all its units first and then for some of them at each point. When
    more than `budget` bytes are held, wholes leave before parts and the least recently used first; the newest stays.
    """

    def __init__(
        self, load: Callable[[K, Tensor | None], V], select: Callable[[V, Tensor], V], budget: int = BUDGET
    ) -> None:
        self._load = load
        self._select = select
        self._budget = budget
        self._wholes: OrderedDict[K, V] = OrderedDict()
        self._parts: OrderedDict[K, tuple[Tensor, V]] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(v.nbytes for v in self._wholes.values()) + sum(v.nbytes for _, v in self._parts.values())

    def get(self, key: K, units: Tensor | None = None) -> V:
        """The value for `key`, whole or for `units` [k] in their order."""
        if units is None:
            if key not in self._wholes:
                self._wholes[key] = self._load(key, None)
            self._wholes.move_to_end(key)
            self._shrink(len(self._wholes) - 1, len(self._parts))
            return self._wholes[key]
        units = units.contiguous()  # searchsorted wants it
        places = _places(self._parts[key][0], units) if key in self._parts else None
        if places is None:
            self._parts.pop(key, None)  # before the next is made, so that the two are never in memory together
            held = units.unique()
            self._parts[key] = (held, self._load(key, held))
            places = torch.searchsorted(held, units)
        self._parts.move_to_end(key)
        self._shrink(len(self._wholes), len(self._parts) - 1)
        held, part = self._parts[key]
        return part if torch.equal(held, units) else self._select(part, places)

    def _shrink(self, wholes: int, parts: int) -> None:
        """Drop up to `wholes` wholes, then up to `parts` parts, until the budget is kept."""
        for _ in range(wholes):
            if self.nbytes > self._budget:
                self._wholes.popitem(last=False)
        for _ in range(parts):
            if self.nbytes > self._budget:
                self._parts.popitem(last=False)


def _places(held: Tensor, units: Tensor) -> Tensor | None:
    """Where `units` stand in ascending `held`, or None if some do not."""
    at = torch.searchsorted(held, units)
    if len(held) < len(units) or (at >= len(held)).any() or not torch.equal(held[at], units):
        return None
    return at
