"""From a name to a method: registered, or out of a file."""

from collections.abc import Mapping
from pathlib import Path

from basisbench.attribution.methods import METHODS, Method
from basisbench.errors import UserError
from basisbench.models.names import file_sha256
from basisbench.registry import with_option
from basisbench.user_code import RAISED, file_and_name, from_file, reason_in


def method_file(name: str) -> tuple[Path, str] | None:
    """The file and the attribute that ``path/to/file.py:Name`` stands for (see `user_code.file_and_name`)."""
    return file_and_name("method", name)


def load_method(name: str) -> Method:
    """Return the method called `name`: registered, ``registered:option``, or ``path/to/file.py:Name``.

    A file's method is called by the part behind the colon, and has the file's hash in its identity. Raises UserError
    for an unknown name, an option that is not valid and a file that cannot be imported or gives no method.
    """
    if file := method_file(name):
        return _of_file(*file)
    base, _, option = name.partition(":")
    method = with_option("method", base, METHODS.get(base), option)()
    _check(name, method)
    method.name = method.name or name
    return method


def recorded_as(name: str) -> tuple[str, Mapping[str, str]]:
    """What results call the method of this name, and the hashes that they record; the code of a file is not run.

    So hashes that only this code knows are left out. Raises UserError as `load_method`.
    """
    if file := method_file(name):
        return file[1], _identity(file[0])
    method = load_method(name)
    return method.name, method.identity


def _identity(path: Path) -> dict[str, str]:
    return {"method_sha256": file_sha256(path)} if path.is_file() else {}


def _of_file(path: Path, attribute: str) -> Method:
    # hashed before it is run: what a file says may change later
    identity = _identity(path)
    factory = from_file(path, attribute)
    try:
        method = factory() if callable(factory) else factory
    except UserError:
        raise
    except RAISED as error:
        raise UserError(f"method '{attribute}' failed: {reason_in(path, error)}") from error
    _check(attribute, method)
    assert isinstance(method, Method)
    method.name = attribute
    method.identity = {**method.identity, **identity}
    return method


def _check(name: str, method: object) -> None:
    if not isinstance(method, Method):
        raise UserError(f"method '{name}' is a {type(method).__name__}: valid: a basisbench.Method")
