"""Controls, which show what chance or magnitude alone gives: a basis or a method says so, and its results carry it."""

from collections.abc import Collection
from typing import Literal

Control = Literal["basis", "method"]
_METHODS = ("random", "delta", "activation")
_BASES = ("rotated_neurons", "rotated_mlp_out")


def shipped_controls(basis: str, method: str, options: Collection[str] = ()) -> list[Control]:
    """Which of a cell's basis and method is one of the controls that ship, by its exact name.

    For documents that were written before results said so themselves. One from a user's file, whose hash is then among
    the cell's `options`, is none, whatever it is called.
    """
    found: list[Control] = ["basis"] if basis in _BASES and "basis_sha256" not in options else []
    return [*found, "method"] if method in _METHODS and "method_sha256" not in options else found
