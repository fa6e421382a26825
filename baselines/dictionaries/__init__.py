"""Dictionaries that sae-lens loads (SAEs and transcoders), spliced by the engine.

sae-lens' own attach path is not used: it loses a skip transcoder's skip path, only warns of a wrong hook name, and
cuts the gradient at the error.
"""

from basisbench.baselines.dictionaries.basis import DictionaryBasis, dictionary_basis
from basisbench.baselines.dictionaries.family import sae, transcoder

__all__ = ["DictionaryBasis", "dictionary_basis", "sae", "transcoder"]
