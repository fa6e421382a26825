"""Attribution methods behind one interface; importing this package registers the built-in ones."""

from harness.attribution import controls, exact, fields
from harness.attribution.methods import METHODS, Method, Progress, Scores, load_method, silent

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
