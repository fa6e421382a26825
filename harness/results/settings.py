"""What tells rows apart beside basis and method: settings in words, controls, names fit to be shown."""

import json
from collections.abc import Mapping, Sequence

from basisbench.errors import printable
from basisbench.results.schema import Cell
from basisbench.settings import settings_in
from basisbench.writing import compact


def _shown(name: str) -> str:
    """What a setting of a cell is called where settings are shown."""
    return "sizes" if name == "grid" else name


TOLD = {name: said for name, said in settings_in(Cell).items() if said.tells}
QUESTION = tuple(name for name, said in TOLD.items() if said.tells == "question")
"""Settings that say which pairs were asked and how answers were scored: only rows that share them are compared."""
CONDITIONS = ("model_hash", *(_shown(name) for name, said in TOLD.items() if said.tells == "condition"))
"""Settings that bases are compared under, beside the method."""
UNSAID = {name: str(Cell.model_fields[name].default) for name, said in TOLD.items() if said.unsaid}
"""Values that go without saying."""
CONTROL_METHODS = ("random", "delta", "activation")
CONTROL_BASES = "rotated_"
OF_ONE_TASK = ("scores_sha256",)
"""Options that differ between the tasks of one row: the hash of a submitted ranking."""
HASH_SHOWN = 12


def settings_of(cell: Cell, model_hash: str) -> dict[str, str]:
    """Return the settings of a cell in words, those of QUESTION first, then those of CONDITIONS."""
    derived = {
        "model_hash": model_hash[:HASH_SHOWN],
        "sizes": f"{len(cell.grid)} to {compact(max(cell.grid, default=0))}",
    }
    return {name: derived[name] if name in derived else str(getattr(cell, name)) for name in (*QUESTION, *CONDITIONS)}


def options_of(cell: Cell) -> dict[str, str]:
    """Return the options that are the same on all tasks of a row, in words: hashes of a basis' content, as a rule."""
    return {name: str(value)[:HASH_SHOWN] for name, value in cell.options.items() if name not in OF_ONE_TASK}


def identity_of(cell: Cell, model_hash: str) -> str:
    """Return all that makes a row, as canonical JSON: settings, basis, method, sizes and options."""
    options = {name: value for name, value in cell.options.items() if name not in OF_ONE_TASK}
    settings = settings_of(cell, model_hash)
    return json.dumps([cell.basis, cell.method, settings, cell.grid, model_hash, options], sort_keys=True)


def varying(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the names of the settings that are not the same in all of `settings`."""
    return [name for name in settings[0] if len({each[name] for each in settings}) > 1]


def shared(settings: Sequence[Mapping[str, str]], seeds: Sequence[int] = ()) -> str:
    """Return, in a line, the settings that all of `settings` share and that do not go without saying, and `seeds`."""
    differ = {*varying(settings), "model_hash"}
    same = {name: value for name, value in settings[0].items() if name not in differ and UNSAID.get(name) != value}
    words = [f"{name} {value}" for name, value in same.items()]
    words += [f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"] if seeds else []
    return printable(", ".join(words))


def is_control(basis: str, method: str) -> bool:
    """Whether a row shows what chance or magnitude alone gives, and is no answer itself."""
    return method.partition(":")[0] in CONTROL_METHODS or basis.startswith(CONTROL_BASES)
