"""Controls, which show what chance or magnitude alone gives: a basis or a method says so, and its results carry it."""

from typing import Literal

Control = Literal["basis", "method"]
_METHODS = ("random", "delta", "activation")
_BASES = ("rotated_neurons", "rotated_mlp_out")


def shipped_controls(basis: str, method: str, *, from_file: bool = False) -> list[Control]:
    """Which of a cell's basis and method is one of the controls that ship, by its exact name.

    For documents that were written before results said so themselves. A basis from a user's file (`from_file`) is none,
    whatever it is called.
    """
    found: list[Control] = ["basis"] if basis in _BASES and not from_file else []
    return [*found, "method"] if method in _METHODS else found
