"""Reading YAML that others wrote: names with values, or one line that says what is wrong."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from basisbench.errors import UserError, printable, said

LARGEST = 2**20
"""Bytes of a file that is read: configurations are short."""


class _Loader(yaml.SafeLoader):
    """Plain values only, and each name once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise yaml.MarkedYAMLError(problem=f"'{twice}' stands there twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The names and values in the YAML file `path`; an empty one has none.

    Raises UserError for a file that cannot be read, is too large or no YAML, has a value that is none (a date without
    such a day), a name twice, or other than names with values.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise UserError(f"{path} is larger than {LARGEST:,} bytes: valid: a configuration")
        content = yaml.load(data.decode(), _Loader)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except RecursionError as error:
        raise UserError(f"{path} is nested too deep") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the last two: dates and numbers that are none
        raise UserError(f"{path} is not YAML: {said(error)}") from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise UserError(f"{path} holds no names with values: valid: lines such as 'name: value'")
    return {printable(name): value for name, value in content.items()}
