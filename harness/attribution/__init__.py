"""Attribution methods: what they are, how they are named, how they are asked."""

from basisbench.attribution.ask import ask, ask_scores
from basisbench.attribution.load import load_method, recorded_as
from basisbench.attribution.methods import METHODS, Method, Passes, Request, add_up
from basisbench.circuits.circuit import Circuit, Circuits
from basisbench.circuits.scores import Scores

__all__ = [
    "METHODS",
    "Circuit",
    "Circuits",
    "Method",
    "Passes",
    "Request",
    "Scores",
    "add_up",
    "ask",
    "ask_scores",
    "load_method",
    "recorded_as",
]
