"""Settings: how they are read from a YAML file and options, and what is said of those that are wrong."""

import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from basisbench.errors import UserError, unknown_name
from basisbench.values import Count, Line, Size

EMBEDDED = "smollm2-135m"
Settings = TypeVar("Settings", bound=BaseModel)
T = TypeVar("T")


def split_line(value: object) -> object:
    """Take a comma-separated line as a list."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _listed(value: object) -> object:
    """Take a lone number, or a comma-separated line, as a list."""
    return [value] if isinstance(value, int) else split_line(value)


def _once(names: list[T]) -> list[T]:
    return list(dict.fromkeys(names))


def _ascending(sizes: list[int]) -> list[int]:
    return sorted(set(sizes))


Dtype = Literal["float32", "bfloat16", "float16", "float64"]
Name = Annotated[Line, Field(min_length=1)]
Names = Annotated[list[Name], Field(min_length=1), BeforeValidator(split_line), AfterValidator(_once)]
Seeds = Annotated[list[Count], Field(min_length=1), BeforeValidator(_listed), AfterValidator(_once)]
Sizes = Annotated[list[Size], Field(min_length=1), BeforeValidator(split_line), AfterValidator(_ascending)]


class ModelConfig(BaseModel):
    """The one model of a command, and how it is loaded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Name = EMBEDDED
    dtype: Dtype = "float32"
    device: str = "auto"


def make_settings(kind: type[Settings], options: dict[str, Any], file: Path | None = None) -> Settings:
    """Return settings of a `kind` from `file` with `options` over it.

    Raises UserError for an unreadable file, an unknown setting or a value of the wrong kind.
    """
    settings = (_read(file) if file else {}) | options
    for name in settings:
        if name not in kind.model_fields:
            raise unknown_name("setting", str(name), kind.model_fields)
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        got = reprlib.repr(first["input"])
        # of a list of objects, which one and its field; else the setting alone
        loc = first["loc"]
        if not loc:  # what is wrong is how settings go together
            raise UserError(first["msg"].removeprefix("Value error, ")) from error
        where = ".".join(map(str, loc[:3])) if len(loc) > 2 and isinstance(loc[1], int) else loc[0]
        raise UserError(f"setting {where}: {first['msg']}, got {got}") from error


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
