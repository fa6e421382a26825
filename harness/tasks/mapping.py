"""The language in which a task file says where a row's columns come from; `basisbench.tasks.mapped` describes it.

1. Parse an entry: a path, or text with paths in braces.
2. Follow each path through one record: fields by name, elements by index, either possibly taken from the record.
3. Join the pieces: one text, or as many as the one list among them has elements.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from string import Formatter

from basisbench.errors import unknown_name

_STEP = re.compile(r"[^.\[\]{}]+")


class MappingError(ValueError):
    """An entry that cannot be read, or a record that it does not fit; the message is one line."""


@dataclass(frozen=True)
class Place:
    """A path through a record: `text` as written; a step is a name, an index, or a path to one of these."""

    text: str
    steps: "tuple[str | int | Place, ...]"

    def columns(self) -> Iterator[str]:
        """Names of the columns that it starts from, its indices included."""
        yield str(self.steps[0])
        for step in self.steps:
            if isinstance(step, Place):
                yield from step.columns()


@cache
def parse(entry: str) -> tuple[str | Place, ...]:
    """Return the pieces of an entry, texts and places; raises MappingError."""
    if "{" not in entry and "}" not in entry:
        return (parse_place(entry),)
    pieces: list[str | Place] = []
    try:
        for literal, field, spec, conversion in Formatter().parse(entry):
            pieces += [literal] if literal else []
            if spec or conversion:
                raise MappingError(f"'{entry}': braces hold a path alone, without ':' or '!'")
            pieces += [parse_place(field)] if field is not None else []
    except MappingError:
        raise
    except ValueError as error:
        raise MappingError(f"'{entry}': {error}") from error
    return tuple(pieces)


@cache
def parse_place(path: str) -> Place:
    """Return a path such as ``choices.label[answerKey]``; raises MappingError."""
    place, rest = _place(path)
    if rest:
        raise MappingError(f"'{path}' is no path: valid: names and indices such as 'choices.label[answerKey]'")
    return place


def _place(path: str) -> tuple[Place, str]:
    """Return the path at the beginning of a text and the text after it."""
    steps: list[str | int | Place] = []
    rest = path
    while not steps or rest[:1] in (".", "["):
        if rest[:1] == "[" and steps:
            index, after = _place(rest[1:])
            if after[:1] != "]":
                raise MappingError(f"'{path}': a '[' is not closed")
            only = index.steps[0]
            literal = len(index.steps) == 1 and isinstance(only, str) and only.isdecimal()
            steps.append(int(index.text) if literal else index)
            rest = after[1:]
        else:
            name = _STEP.match(rest, 1 if steps else 0)
            if name is None:
                raise MappingError(f"'{path}' is no path: valid: names and indices such as 'choices.label[answerKey]'")
            steps.append(name[0])
            rest = rest[name.end() :]
    return Place(path[: len(path) - len(rest)], tuple(steps)), rest


def value_at(place: Place, record: Mapping[str, object]) -> object:
    """Return what stands at a place, None if a field on the way is null; raises MappingError if there is no such."""
    value: object = record
    for step in place.steps:
        key = value_at(step, record) if isinstance(step, Place) else step
        if value is None or key is None:
            return None
        if isinstance(value, Mapping) and isinstance(key, str):
            if key not in value:
                raise MappingError(f"'{place.text}': {unknown_name('field', key, map(str, value))}")
            value = value[key]
        elif isinstance(value, list) and isinstance(key, int) and not isinstance(key, bool):
            if not 0 <= key < len(value):
                raise MappingError(f"'{place.text}': index {key} is outside of a list of {len(value)}")
            value = value[key]
        else:
            raise MappingError(f"'{place.text}': {_kind(value)} has no {key!r}")
    return value


def build(entry: str | Sequence[str], record: Mapping[str, object]) -> str | list[str]:
    """Return the text that an entry gives, or the texts, if it is a list or one of its places holds one.

    Raises MappingError for what is missing, null, empty or neither text nor integer.
    """
    if not isinstance(entry, str):
        parts = [build(part, record) for part in entry]
        return [text for part in parts for text in ([part] if isinstance(part, str) else part)]
    places = [piece for piece in parse(entry) if isinstance(piece, Place)]
    found = {place: value_at(place, record) for place in places}
    lists = [place for place, value in found.items() if isinstance(value, list)]
    if len(lists) > 1:
        raise MappingError(f"'{entry}': two lists in one text: valid: one")
    several = found[lists[0]] if lists else None
    if not isinstance(several, list):
        return _join(entry, found)
    if not several:
        raise MappingError(f"'{lists[0].text}' is an empty list")
    return [_join(entry, found | {lists[0]: element}) for element in several]


def _join(entry: str, found: Mapping[Place, object]) -> str:
    return "".join(piece if isinstance(piece, str) else _written(piece, found[piece]) for piece in parse(entry))


def _written(place: Place, value: object) -> str:
    if value is None or value == "":
        raise MappingError(f"'{place.text}' is {'null' if value is None else 'empty'}")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise MappingError(f"'{place.text}' is {_kind(value)}: valid: text or an integer")
    return str(value)


def _kind(value: object) -> str:
    kinds = {Mapping: "a structure", list: "a list", str: "text", bool: "true or false", int | float: "a number"}
    return next((name for kind, name in kinds.items() if isinstance(value, kind)), type(value).__name__)
