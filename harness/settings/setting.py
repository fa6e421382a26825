"""What is said of a setting: one record at its field, from which all that speak of settings have their words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Setting:
    """What a setting is, beside its name, its type and its default, which are its field's.

    `help` says in a line what it is; `valid` its valid values in words, where its type does not list them; `default`
    its default in words, where the value says nothing. Results that differ in it answer another question, or the same
    under another condition (`tells`); `unsaid`: its default goes without saying. One that is no `option` can be set in
    files and from Python only.
    """

    help: str
    valid: str = ""
    default: str = ""
    tells: Literal["", "question", "condition"] = ""
    unsaid: bool = False
    option: bool = True


def settings_in(kind: type[BaseModel]) -> dict[str, Setting]:
    """Return what is said of the fields of `kind`, by name, in their order; one of which nothing is said is left out.

    A field has its record as an annotation: ``rank: Annotated[Rank, Setting("...")] = "abs"``.
    """
    return {
        name: said for name, field in kind.model_fields.items() for said in field.metadata if isinstance(said, Setting)
    }


def valid_values(field: FieldInfo, setting: Setting) -> str:
    """Return the valid values of a setting in words; empty if any value of its type will do."""
    return setting.valid or ", ".join(_literals(field.annotation))


def default_value(field: FieldInfo, setting: Setting) -> str:
    """Return the default of a setting in words, as one would write it; empty if there is none, or it is off."""
    value = field.default
    if setting.default or field.is_required() or value is None or value is False or field.default_factory:
        return setting.default
    if isinstance(value, list | tuple):
        return ",".join(map(_written, value))
    return "on" if value is True else _written(value)


def placeholder(field: FieldInfo) -> str:
    """Return what stands for a value in a command's help, by the setting's type."""
    kinds = {int: "number", float: "number", Path: "path"}
    parts = list(_parts(field.annotation))
    name = next((kinds[part] for part in parts if part in kinds), "name")
    return f"<{name},...>" if list in parts or tuple in parts else f"<{name}>"


def _written(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _literals(annotation: object) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    return [name for part in get_args(annotation) for name in _literals(part)]


def _parts(annotation: object) -> Iterator[object]:
    """The types that an annotation is made of."""
    origin = get_origin(annotation)
    if origin is not Literal:
        yield origin or annotation
        for part in get_args(annotation)[: 1 if origin is Annotated else None]:
            yield from _parts(part)
