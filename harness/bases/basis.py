"""What a basis is: a way to split activations into units and an error.

At each of its layers a basis reads one site and writes one or more: the written activation is

    x_write = sum over units i of f_i(x_read) * direction_i + error

where `encode` gives f and `lift` the sum. Constant offsets (a decoder's bias) cancel wherever the engine takes
differences, so they belong to the error. `project` is the transpose of `lift`: it carries a gradient at the
written site to the units. Everything else in the engine is written in these three functions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor
from typing_extensions import override

from basisbench.models.sites import Site
from basisbench.registry import Registry


class Basis(ABC):
    """A basis bound to one model. `has_error` is False where encode and lift lose nothing.

    `name` is set by `bind_basis`. `content` tells weights apart that one name may stand for, where that is so. `notes`
    are what a reader of its results should know of the weights, a line each. `is_control` is True where the basis shows
    what chance alone gives: it is never the best of a board.
    """

    name: str
    content: str = ""
    notes: Sequence[str] = ()
    has_error: bool = True
    is_control: bool = False

    @abstractmethod
    def layers(self) -> Sequence[int]:
        """Layers that hold units, ascending."""

    @abstractmethod
    def n_units(self, layer: int) -> int:
        """Units in `layer`."""

    @abstractmethod
    def read(self, layer: int) -> Site:
        """The site that the layer's units read."""

    @abstractmethod
    def writes(self, layer: int) -> Sequence[Site]:
        """The sites that the layer's units write to, ascending; several for a cross-layer transcoder."""

    @abstractmethod
    def encode(self, layer: int, x: Tensor, units: Tensor | None = None) -> Tensor:
        """Activations [..., k] of `units` [k] (None: all) from the read activation x [..., width]."""

    def coordinates(self, layer: int, units: Tensor) -> Tensor | None:
        """Where each of `units` is one coordinate of the read activation: which ones [k]; else None."""
        return None

    @abstractmethod
    def lift(self, layer: int, site: Site, f: Tensor, units: Tensor | None = None) -> Tensor:
        """What activations f [..., k] of `units` write to `site`, [..., width]: linear in f."""

    @abstractmethod
    def project(self, layer: int, site: Site, g: Tensor, units: Tensor | None = None) -> Tensor:
        """The transpose of `lift`: a gradient g [..., width] at `site` as a gradient [..., k] at the units."""

    def offset(self, layer: int, site: Site, x: Tensor) -> Tensor | None:
        """What the layer adds to `site` beside its units, from the read activation: an output bias, a skip path.

        It broadcasts to [..., width]; None where the layer says nothing. The engine takes it for a part of the error,
        which it measures; only `basisbench.checks.basis` asks, to tell a good dictionary from a bad one.
        """
        return None

    def made_for(self, layer: int) -> str | None:
        """The model whose activations the layer's units were made for, where their files name it."""
        return None


class LinearBasis(Basis):
    """A basis that reads and writes one site a layer; `directions` [units, width] or None for the site's axes.

    With None, unit i is coordinate i. Otherwise the rows of `directions` are orthonormal, f = x @ directions.T.
    """

    def __init__(
        self,
        name: str,
        sites: Sequence[Site],
        width: int,
        directions: Callable[[int], Tensor] | None = None,
        n_units: int | None = None,
    ) -> None:
        self.name = name
        self._sites = {site.layer: site for site in sites}
        self._directions = directions
        self._n_units = width if n_units is None else n_units
        self._width = width
        self.has_error = self._n_units < width

    @override
    def layers(self) -> Sequence[int]:
        return tuple(self._sites)

    @override
    def n_units(self, layer: int) -> int:
        return self._n_units

    @override
    def read(self, layer: int) -> Site:
        return self._sites[layer]

    @override
    def writes(self, layer: int) -> Sequence[Site]:
        return (self._sites[layer],)

    @override
    def encode(self, layer: int, x: Tensor, units: Tensor | None = None) -> Tensor:
        return self.project(layer, self._sites[layer], x, units)

    @override
    def coordinates(self, layer: int, units: Tensor) -> Tensor | None:
        return units if self._directions is None else None

    @override
    def lift(self, layer: int, site: Site, f: Tensor, units: Tensor | None = None) -> Tensor:
        if self._directions is None:
            return f if units is None else f.new_zeros(*f.shape[:-1], self._width).index_copy(-1, units, f)
        directions = self._directions(layer).to(f.dtype)
        return f @ (directions if units is None else directions[units])

    @override
    def project(self, layer: int, site: Site, g: Tensor, units: Tensor | None = None) -> Tensor:
        if self._directions is None:
            return g if units is None else g.index_select(-1, units)
        directions = self._directions(layer).to(g.dtype)
        return g @ (directions if units is None else directions[units]).T


BasisFactory = Callable[..., Basis]
"""Takes the model; one that can be named ``name:option`` takes `option` as well."""
BASES: Registry[BasisFactory] = Registry("basis", "basisbench.bases")


class Preset(Protocol):
    """A published basis for a known model: the name to ask for, and what it is."""

    @property
    def basis(self) -> str:
        """The name that `load_basis` takes."""

    @property
    def about(self) -> str:
        """One line."""


PRESETS: Registry[Callable[[str], Sequence[Preset]]] = Registry("presets", "basisbench.presets")
"""Functions from a model's name to the published bases made for it."""


def sites_of(bases: Sequence[Basis]) -> set[Site]:
    """Every site that the bases read or write."""
    return {s for b in bases for layer in b.layers() for s in (b.read(layer), *b.writes(layer))}
