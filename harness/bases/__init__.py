"""What a basis is: named, of a user's file, or packed."""

from basisbench.bases.basis import BASES, PRESETS, Basis, BasisFactory, LinearBasis
from basisbench.bases.load import bind_basis, find_basis, load_basis
from basisbench.bases.outlines import Outline, outline

__all__ = [
    "BASES",
    "PRESETS",
    "Basis",
    "BasisFactory",
    "LinearBasis",
    "Outline",
    "bind_basis",
    "find_basis",
    "load_basis",
    "outline",
]
