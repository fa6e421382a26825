"""Named things that can be extended from outside: tasks, bases, attribution methods, models."""

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from basisbench.errors import UserError, unknown_name

T = TypeVar("T")


@dataclass(frozen=True)
class Registry(Generic[T]):
    """Names to values, from built-in registrations and from the entry points of installed packages.

    `kind` is the noun used in messages; `group` is the entry-point group, e.g. ``basisbench.bases``.
    """

    kind: str
    group: str
    entries: dict[str, T] = field(default_factory=dict)

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that stores the decorated value under `name`; a taken name raises ValueError."""

        def store(value: T) -> T:
            if name in self.entries:
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


def with_option(kind: str, name: str, factory: Callable[..., T], option: str) -> Callable[..., T]:
    """Return the factory called `name` for ``name:option``: with `option` set where it takes one.

    Raises UserError for an option where it takes none; `kind` is the noun of the message.
    """
    if "option" in inspect.signature(factory).parameters:
        return functools.partial(factory, option=option)
    if option:
        raise UserError(f"{kind} '{name}' takes no option, got '{option}': valid: {name}")
    return factory
