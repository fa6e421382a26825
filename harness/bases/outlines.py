"""What a basis is made of and what it costs, as far as its family tells before anything of it is loaded.

A family is what `BASES` holds under a name. One that has a method ``outline(model, shape, option)`` answers by it: from
the name of the model, its `Shape` (None where that is not known here) and what stands behind the colon, without a
network. Of any other, and of a basis in a user's file, nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from basisbench.bases.basis import BASES
from basisbench.bases.load import basis_file
from basisbench.models.shapes import Shape
from basisbench.models.sites import SITES

Outliner = Callable[[str, "Shape | None", str], "Outline"]


@dataclass(frozen=True)
class Outline:
    """A basis before it is made; None for what is not known.

    `layers` are ascending, `n_units` those of the widest layer, `reads` and `writes` kinds of site. `n_bytes` are
    those of its weights in float32, `download` those of them that have to be fetched.
    """

    layers: tuple[int, ...] | None = None
    n_units: int | None = None
    reads: str | None = None
    writes: str | None = None
    has_error: bool | None = None
    n_bytes: int | None = None
    download: int | None = None


UNKNOWN = Outline()


def outline(name: str, model: str, shape: Shape | None) -> Outline:
    """The outline of the basis called `name` on the model called `model`.

    Raises UserError for an unknown name, and where the family knows that it is none of this model's.
    """
    if basis_file(name):
        return UNKNOWN
    base, _, option = name.partition(":")
    told: Outliner | None = getattr(BASES.get(base), "outline", None)
    return told(model, shape, option) if told else UNKNOWN


def whole_site(kind: str, shape: Shape | None) -> Outline:
    """The outline of a basis that splits one kind of site in every layer into as many units as it is wide."""
    layers = tuple(range(shape.n_layers)) if shape else None
    n_units = SITES.get(kind).width(shape) if shape else None
    return Outline(layers, n_units, kind, kind, has_error=False, n_bytes=0, download=0)
