"""A user's own Python file, named as ``path/to/file.py:Name``: imported, and what goes wrong in it said in one line."""

import sys
import traceback
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType

from basisbench.errors import UserError, unknown_name

# whatever the user's code raises is the user's to read; a file may end the program as it is imported
RAISED = (Exception, SystemExit)


def file_and_name(kind: str, name: str) -> tuple[Path, str] | None:
    """The file and the attribute that ``path/to/file.py:Name`` stands for, None for any other name.

    Raises UserError for a file without an attribute; `kind` is the noun of the message.
    """
    if name.endswith(".py"):
        raise UserError(f"{kind} '{name}' names no class or function: valid: path/to/file.py:Name")
    path, _, attribute = name.rpartition(":")
    return (Path(path), attribute) if path.endswith(".py") else None


def from_file(path: Path, attribute: str) -> object:
    """What the Python file `path` calls `attribute`.

    Raises UserError for a file that is missing or fails to import, and for a name that it does not define.
    """
    module = _imported(path)
    if attribute not in vars(module):
        own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
        raise unknown_name(f"name in {path}", attribute, own)
    found: object = getattr(module, attribute)
    return found


def _imported(path: Path) -> ModuleType:
    if not path.is_file():
        raise UserError(f"no file {path}: valid: path/to/file.py:Name")
    # under a name of its own: a file called numpy.py must not become numpy
    loader = SourceFileLoader(f"_user_file_{path.stem}", str(path))
    module = module_from_spec(ModuleSpec(loader.name, loader, origin=str(path)))
    module.__file__ = str(path)
    sys.modules[loader.name] = module  # dataclasses look their module up there
    try:
        # compiled from the text that was hashed: cached bytecode would hide a change of equal size within a second
        exec(loader.source_to_code(path.read_bytes(), str(path)), vars(module))
    except RAISED as error:
        raise UserError(f"{path} failed to import: {reason_in(path, error)}") from error
    return module


def reason_in(path: Path | None, error: BaseException) -> str:
    """One line: the error, and where in `path` it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if path and Path(frame.filename).name == path.name]
    where = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"
