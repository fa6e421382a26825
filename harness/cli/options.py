"""A command's options, made of the class of its settings: what is said of a setting there is all that is said of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from basisbench.errors import UserError
from basisbench.settings import Setting, given, make_settings, settings_in
from basisbench.settings.setting import default_value, placeholder, valid_values

CONFIG = Annotated[Path | None, typer.Option(help="YAML file of these settings; options go over it.")]

BOARD = Annotated[str | None, typer.Option(help="A shipped board (basisbench list boards), in place of --config.")]


def takes(
    kind: type[BaseModel],
    argument: str = "",
    *,
    checked: bool = True,
    boards: Callable[[str], Path] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the settings in `kind` as options, and `--config`; they are its first argument, checked.

    The setting `argument` is not an option but stands by itself. Not `checked`, they are what was given, by name. With
    `boards`, which finds the file of a name, `--board` may stand for `--config`.
    """

    def give(command: Callable[..., None]) -> Callable[..., None]:
        _, *own = inspect.signature(command, eval_str=True).parameters.values()
        said = {name: setting for name, setting in _in_order(kind) if setting.option}
        options = [_parameter(name, kind.model_fields[name], said[name], name == argument) for name in said]

        @wraps(command)
        def run(config: Path | None = None, **arguments: Any) -> None:
            if boards is not None and (board := arguments.pop("board")) is not None:
                if config is not None:
                    raise UserError(
                        "--board and --config are both files of settings: valid: one of them, and options over it"
                    )
                config = boards(board)
            named = {name: arguments.pop(name) for name in said}
            asked = {name: value for name, value in named.items() if value is not None}
            command(make_settings(kind, asked, config) if checked else given(kind, asked, config), **arguments)

        last = inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=CONFIG)
        every = [*options, *(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own), last]
        if boards is not None:
            every.append(last.replace(name="board", annotation=BOARD))
        # what typer makes options of, and what docs/settings.md is made of
        vars(run).update(__signature__=inspect.Signature(every), settings=kind)
        return run

    return give


def names_in(line: str | None) -> list[str]:
    """Return the names in a comma-separated line."""
    return [name.strip() for name in (line or "").split(",") if name.strip()]


def help_of(field: FieldInfo, setting: Setting) -> str:
    """Return what a setting is, its valid values and its default, in a line."""
    valid, default = valid_values(field, setting), default_value(field, setting)
    return f"{setting.help}{valid and f': {valid}'}{default and f' (default: {default})'}."


def _parameter(name: str, field: FieldInfo, setting: Setting, alone: bool) -> inspect.Parameter:
    """A setting as a parameter that typer understands; all but switches are texts, read by the setting's own type."""
    flag, words = name.replace("_", "-"), help_of(field, setting)
    annotation: Any
    if alone:
        annotation = Annotated[str | None, typer.Argument(help=words)]
    elif field.annotation is bool:
        annotation = Annotated[bool | None, typer.Option(f"--{flag}/--no-{flag}", help=words)]
    else:
        annotation = Annotated[str | None, typer.Option(f"--{flag}", metavar=placeholder(field), help=words)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _in_order(kind: type[BaseModel]) -> Iterator[tuple[str, Setting]]:
    """The settings of a class, its own before those that it shares with others; each must have its record."""
    said = settings_in(kind)
    names = dict.fromkeys(name for base in kind.__mro__ for name in inspect.get_annotations(base))
    yield from ((name, said[name]) for name in names if name in kind.model_fields)
