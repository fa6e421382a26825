"""Reading a result that anyone may have written, without trusting a byte of it.

1. The file is a regular one, no link, and no larger than a result can be.
2. Its text is UTF-8 and JSON, with no key twice, no NaN and no nesting that a parser could fall into.
3. Its content has the fields of `results.schema.Result`, and no text that a terminal would not show as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from basisbench.errors import UserError, printable
from basisbench.results.files import parse_result
from basisbench.results.find import Stored
from basisbench.results.schema import Result


def read_document(stored: Stored) -> Result:
    """Return the result that a stored document says; raises UserError, one printable line, for anything else."""
    path = stored.path
    if not stored.packed:
        refuse_link(path)
    content = stored.document()
    try:
        document = json.loads(content.decode(), object_pairs_hook=_each_once, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8 at byte {error.start:,}") from error
    except RecursionError as error:
        raise UserError("nested too deeply: a result has four levels") from error
    except ValueError as error:
        raise UserError(printable(f"not JSON: {error}")) from error
    for text in _texts(document):
        if not text.isprintable():
            raise UserError(f"holds a text that is not printable: {text[:60]!a}")
    try:
        return parse_result(content, path)
    except UserError as error:
        raise UserError(printable(str(error).removeprefix(f"{path} is "))) from error


def refuse_link(path: Path) -> None:
    """Raise UserError for a link: what it leads to is not what was handed in, and may be any file of this machine."""
    if path.is_symlink():
        raise UserError(f"{path.name} is a link: valid is the file itself")


def short(text: str) -> str:
    """Return at most 300 characters of `text` with "?" for what a terminal would not show as it is."""
    return printable(text[:300])


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice[:60]!r} stands twice in one object")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no number of JSON")


def _texts(document: object) -> Iterator[str]:
    """Every text in a document, keys among them."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        for part in (*document.keys(), *document.values()):
            yield from _texts(part)
    elif isinstance(document, list):
        for part in document:
            yield from _texts(part)
