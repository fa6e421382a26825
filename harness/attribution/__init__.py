"""Attribution methods behind one interface; importing this package registers the built-in ones."""

from basisbench.attribution import controls, exact, fields
from basisbench.attribution.methods import METHODS, Method, load_method
from basisbench.circuits.scores import Scores
from basisbench.progress import Progress, silent

__all__ = [
    "METHODS",
    "Method",
    "Progress",
    "Scores",
    "controls",
    "exact",
    "fields",
    "load_method",
    "silent",
]
