"""Settings from a YAML file and options, and what is said of those that are wrong."""

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from basisbench.errors import UserError, first_fault, unknown_name
from basisbench.settings.setting import Setting, settings_in

Settings = TypeVar("Settings", bound=BaseModel)


def make_settings(kind: type[Settings], options: Mapping[str, Any], file: Path | None = None) -> Settings:
    """Return settings of a `kind` from `file` with `options` over it.

    Raises UserError for an unreadable file, an unknown setting or a value of the wrong kind.
    """
    settings = given(kind, options, file)
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        raise UserError(_wrong(kind, error)) from error


def given(kind: type[BaseModel], options: Mapping[str, Any], file: Path | None = None) -> dict[str, Any]:
    """Return the settings that `file` has, with `options` over it, not yet checked.

    Raises UserError for an unreadable file and for a setting that `kind` has not.
    """
    settings = (_read(file) if file else {}) | dict(options)
    for name in settings:
        if name not in kind.model_fields:
            raise unknown_name("setting", str(name), kind.model_fields)
    return settings


def _wrong(kind: type[BaseModel], error: ValidationError) -> str:
    """In a line: which setting is wrong, what is wrong with it, and what is valid."""
    first = error.errors(include_url=False)[0]
    fault, place = first_fault(error), first["loc"]
    if not place:  # what is wrong is how settings go together
        return fault.words
    name = str(place[0])
    said = settings_in(kind).get(name, Setting(""))
    if first["type"] == "missing" and len(place) == 1 and said.help:
        return f"which {name}? valid: {said.valid or said.help}"
    # of a list of objects, which one and its field; else the setting alone
    where = ".".join(fault.path[:3]) if len(place) > 2 and isinstance(place[1], int) else name
    valid = f"; valid: {said.valid}" if said.valid and where == name else ""
    return f"setting {where}: {fault.words}, got {reprlib.repr(first['input'])}{valid}"


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{file} holds no settings: valid: lines such as 'bases: [neurons, mlp_out]'")
    return content
