"""What a basis is: a way to split activations into units and an error.

At each of its layers a basis reads one site and writes one or more: the written activation is

    x_write = sum over units i of f_i(x_read) * direction_i + error

where `encode` gives f and `lift` the sum. Constant offsets (a decoder's bias) cancel wherever the engine takes
differences, so they belong to the error. `project` is the transpose of `lift`: it carries a gradient at the
written site to the units. Everything else in the engine is written in these three functions.
"""

from __future__ import annotations

import importlib.util
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor
from typing_extensions import override

from harness.errors import UserError, unknown_name
from harness.models.adapter import Model
from harness.registry import Registry
from harness.sites import Site


class Basis(ABC):
    """A basis bound to one model. `has_error` is False where encode and lift lose nothing."""

    name: str
    has_error: bool = True

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


BasisFactory = Callable[[Model], Basis]
BASES: Registry[BasisFactory] = Registry("basis", "basisbench.bases")


def load_basis(name: str, model: Model) -> Basis:
    """Return the basis called `name`, bound to `model`.

    `name` is registered, or ``path/to/file.py:Name`` for a callable that takes the model. Raises UserError for
    an unknown name, a file that cannot be imported, or something that is no basis.
    """
    path, separator, attribute = name.rpartition(":")
    factory = _from_file(Path(path), attribute) if separator and path.endswith(".py") else BASES.get(name)
    basis = factory(model)
    if not isinstance(basis, Basis):
        raise UserError(f"basis '{name}' is a {type(basis).__name__}: valid: a harness.bases.Basis")
    for layer in basis.layers():
        for site in (basis.read(layer), *basis.writes(layer)):
            model.require_site(site)
    return basis


def _from_file(path: Path, attribute: str) -> BasisFactory:
    if not path.is_file():
        raise UserError(f"no file {path}: valid: path/to/file.py:Name")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises is the user's to read
        raise UserError(f"{path} failed to import: {type(error).__name__}: {error}") from error
    if not hasattr(module, attribute):
        defined = [n for n, v in vars(module).items() if inspect.isroutine(v) or inspect.isclass(v)]
        raise unknown_name(f"name in {path}", attribute, defined)
    factory: BasisFactory = getattr(module, attribute)
    return factory
