"""The language in which a task file says where a pair's texts come from; `basisbench.tasks.mapped` describes it.

1. Parse an entry: a path, or text with paths in braces; a constant is what it is.
2. Follow each path through one row: fields by name, elements by index, either possibly taken from the row. A name may
   hold dots and brackets: of what the rest of a path can name, the longest that is there is taken.
3. Join the pieces: one text, or as many as the one list among them has elements.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from basisbench.errors import unknown_name

_STEP = re.compile(r"[^.\[\]{}]+")
_PIECE = re.compile(r"\{\{|\}\}|\{(?P<path>[^{}]*)\}|[^{}]+")


class MappingError(ValueError):
    """An entry that cannot be read, or a row that it does not fit; the message is one line."""


class MissingError(MappingError):
    """A row has no such column, field or element."""


@dataclass(frozen=True)
class Constant:
    """A text that is the same in every row."""

    text: str


Entry = str | Constant
Scalar = str | int | float | bool


@dataclass(frozen=True)
class Place:
    """A path through a row: `text` as written; a step is a name, an index, or a path to one of these.

    `ends` says after how many characters of the text each step ends.
    """

    text: str
    steps: "tuple[str | int | Place, ...]"
    ends: tuple[int, ...]

    def names(self, step: int) -> Iterator[tuple[str, int]]:
        """What a column or field may be called that step number `step` begins, and the step after it; longest first."""
        begin = self.ends[step - 1] + 1 if step else 0
        for last in reversed(range(step, len(self.steps) if isinstance(self.steps[step], str) else step)):
            yield self.text[begin : self.ends[last]], last + 1

    def columns(self) -> Iterator[tuple[str, ...]]:
        """What each column that it reads, those of its indices included, may be called."""
        yield tuple(name for name, _ in self.names(0))
        for step in self.steps:
            if isinstance(step, Place):
                yield from step.columns()


@cache
def parse(entry: str) -> tuple[str | Place, ...]:
    """Return the pieces of an entry, texts and places; raises MappingError."""
    if "{" not in entry and "}" not in entry:
        return (parse_place(entry),)
    pieces: list[str | Place] = []
    rest = entry
    while rest:
        piece = _PIECE.match(rest)
        if piece is None:
            raise MappingError(f"'{entry}': valid: a path in braces, and '{{{{' or '}}}}' for a brace")
        path = piece["path"]
        pieces.append(parse_place(path) if path is not None else piece[0].replace("{{", "{").replace("}}", "}"))
        rest = rest[piece.end() :]
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
    ends: list[int] = []
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
        ends.append(len(path) - len(rest))
    return Place(path[: len(path) - len(rest)], tuple(steps), tuple(ends)), rest


def value_at(place: Place, row: Mapping[str, object]) -> object:
    """Return what stands at a place, None if a field on the way is null.

    Raises MissingError if there is no such, MappingError if what is there has neither fields nor elements.
    """
    value: object = row
    step = 0
    while step < len(place.steps):
        if value is None:
            return None
        if isinstance(value, Mapping):
            there = next(((name, after) for name, after in place.names(step) if name in value), None)
            if there is not None:
                value, step = value[there[0]], there[1]
                continue
        named = place.steps[step]
        key = value_at(named, row) if isinstance(named, Place) else named
        if key is None:
            return None
        if isinstance(value, Mapping) and isinstance(key, str):
            if key not in value:
                raise unknown(next(place.columns()), value) if not step else _unknown_field(place, key, value)
            value = value[key]
        elif isinstance(value, list) and isinstance(key, int) and not isinstance(key, bool):
            if not 0 <= key < len(value):
                raise MissingError(f"'{place.text}': index {key} is outside of a list of {len(value)}")
            value = value[key]
        else:
            raise MappingError(f"'{place.text}': {_kind(value)} has no {key!r}")
        step += 1
    return value


def unknown(names: Sequence[str], columns: Iterable[str]) -> MissingError:
    """What to say of a column that is called any of `names`, longest first, and not among those that there are."""
    valid = [str(column) for column in columns]
    near = (name for name in names if difflib.get_close_matches(name, valid, n=1))
    told = unknown_name("column", next(near, names[-1]), valid)
    return MissingError(f"{told}; a text that is the same in every row is written {{text: {names[0]!r}}}")


def _unknown_field(place: Place, key: str, fields: Mapping[str, object]) -> MissingError:
    return MissingError(f"'{place.text}': {unknown_name('field', key, map(str, fields))}")


def build(entry: Entry | Sequence[Entry], row: Mapping[str, object]) -> str | list[str]:
    """Return the text that an entry gives, or the texts, if it is a list or one of its places holds one.

    Raises MappingError for what is missing, null, empty or neither text nor integer.
    """
    if isinstance(entry, Constant):
        return entry.text
    if not isinstance(entry, str):
        parts = [build(part, row) for part in entry]
        return [text for part in parts for text in ([part] if isinstance(part, str) else part)]
    places = [piece for piece in parse(entry) if isinstance(piece, Place)]
    found = {place: value_at(place, row) for place in places}
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
    text = as_text(value)
    if text is None:
        raise MappingError(f"'{place.text}' is {_kind(value)}: valid: text or an integer")
    return text


def as_text(value: object) -> str | None:
    """A value as it stands in a file, true and false as in JSON; None for what has no one text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else None


def is_there(place: Place, row: Mapping[str, object]) -> bool:
    """Whether a row has a value at a place that is neither null nor empty."""
    try:
        return value_at(place, row) not in (None, "")
    except MissingError:
        return False


def has_value(place: Place, row: Mapping[str, object], wanted: Scalar) -> bool:
    """Whether a row has a value at a place: texts as texts, numbers as numbers however written, true as True too."""
    try:
        value = value_at(place, row)
    except MissingError:
        return False
    if isinstance(wanted, bool):
        return str(as_text(value)).lower() == as_text(wanted)
    if isinstance(wanted, str):
        return as_text(value) == wanted
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return False
    return not isinstance(value, bool) and value == wanted


def _kind(value: object) -> str:
    kinds = {Mapping: "a structure", list: "a list", str: "text", bool: "true or false", int | float: "a number"}
    return next((name for kind, name in kinds.items() if isinstance(value, kind)), type(value).__name__)
