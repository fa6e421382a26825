"""Named things that can be extended from outside: tasks, bases, attribution methods, models, and records in order."""

import functools
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, Protocol, TypeVar

from basisbench.errors import UserError, unknown_name

T = TypeVar("T")


class _Record(Protocol):
    @property
    def name(self) -> str: ...


R = TypeVar("R", bound=_Record)


@dataclass(frozen=True)
class Registry(Generic[T]):
    """Names to values, from built-in registrations and from the entry points of installed packages.

    `kind` is the noun used in messages; `group` is the entry-point group, e.g. ``basisbench.bases``.
    """

    kind: str
    group: str
    entries: dict[str, T] = field(default_factory=dict)

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that stores the decorated value under `name`; one that another has raises ValueError."""

        def store(value: T) -> T:
            # a user's file is imported each time it is named, and gives the same again
            if self.entries.get(name, value) != value:
                raise ValueError(f"{self.kind} '{name}' is registered twice")
            self.entries[name] = value
            return value

        return store

    def get(self, name: str) -> T:
        """Return the value called `name`; raises UserError with a suggestion if there is none."""
        if name in self.entries:
            return self.entries[name]
        for point in entry_points(group=self.group, name=name):
            try:
                value: T = point.load()
            except Exception as error:
                reason = " ".join(str(error).split())
                raise UserError(f"{self.kind} '{name}' from {point.value} failed to load: {reason}") from error
            return self.entries.setdefault(name, value)
        raise unknown_name(self.kind, name, self)

    def describe(self, name: str) -> str:
        """One line on what `name` is: its value's `description`, else the first line of its docstring."""
        value = self.get(name)
        text = getattr(value, "description", None) or value.__doc__ or ""
        return str(text).strip().partition("\n")[0]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self.entries, *(point.name for point in entry_points(group=self.group))}))


@dataclass(frozen=True)
class Records(Generic[R]):
    """Records that say everything about themselves, known by their `name` and met in a fixed order.

    First the built-in ones, which `own` gives when they are first asked for; then those of the entry points of `group`
    (e.g. ``basisbench.statistics``), each a record; then what `add` has added. `kind` is the noun used in messages.
    """

    kind: str
    group: str
    own: Callable[[], Iterable[R]]

    @cached_property
    def _entries(self) -> dict[str, R]:
        entries: dict[str, R] = {}
        for record in (*self.own(), *map(self._load, entry_points(group=self.group))):
            if record.name in entries:
                raise UserError(f"{self.kind} '{record.name}' is registered twice: valid is one of a name")
            entries[record.name] = record
        return entries

    def _load(self, point: Any) -> R:
        try:
            record: R = point.load()
            if not isinstance(record.name, str):
                raise TypeError("its name is no text")
        except Exception as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{self.kind} '{point.name}' from {point.value} failed to load: {reason}") from error
        return record

    def add(self, record: R) -> R:
        """Add `record`, last in order, and return it; a taken name raises ValueError."""
        if record.name in self._entries:
            raise ValueError(f"{self.kind} '{record.name}' is registered twice")
        self._entries[record.name] = record
        return record

    def remove(self, name: str) -> None:
        """Take away what `add` has added."""
        del self._entries[name]

    def get(self, name: str) -> R:
        """Return the record called `name`; raises UserError with a suggestion if there is none."""
        if name not in self._entries:
            raise unknown_name(self.kind, name, self.names)
        return self._entries[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(self._entries)

    def __iter__(self) -> Iterator[R]:
        return iter(tuple(self._entries.values()))

    def __contains__(self, name: object) -> bool:
        return name in self._entries


def found_in(package: str) -> Iterator[Any]:
    """Yield the records that the modules of `package` list, each in its ``RECORDS``, in the order of their names."""
    for module in sorted(info.name for info in pkgutil.iter_modules(import_module(package).__path__)):
        yield from import_module(f"{package}.{module}").RECORDS


def with_option(kind: str, name: str, factory: Callable[..., T], option: str) -> Callable[..., T]:
    """Return the factory called `name` for ``name:option``: with `option` set where it takes one.

    Raises UserError for an option where it takes none; `kind` is the noun of the message.
    """
    if "option" in inspect.signature(factory).parameters:
        return functools.partial(factory, option=option)
    if option:
        raise UserError(f"{kind} '{name}' takes no option, got '{option}': valid: {name}")
    return factory
