"""Settings: each said once, with its default, its valid values and its help; read from files and options, checked.

A command's settings are a class, in the module of the command here (those of cells in `basisbench.grid.config`). What
is said of a setting stands at its field: the command line, YAML files, Python, error messages, tables of results, the
leaderboard and docs/settings.md all have it from there.
"""

from basisbench.settings.common import EMBEDDED, Dtype, ModelConfig, Name, Names, Seeds, Sizes
from basisbench.settings.make import given, make_settings
from basisbench.settings.setting import Setting, settings_in

__all__ = [
    "EMBEDDED",
    "Dtype",
    "ModelConfig",
    "Name",
    "Names",
    "Seeds",
    "Setting",
    "Sizes",
    "given",
    "make_settings",
    "settings_in",
]
