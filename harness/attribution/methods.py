"""The one interface of attribution methods, and their registry.

A method turns discovery prompts into scores for any number of bases at once, so that what the bases share
(passes, recordings, gradient fields) is computed once.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from basisbench.bases.basis import Basis
from basisbench.circuits.scores import Scores
from basisbench.errors import UserError, unknown_name
from basisbench.models.adapter import Model
from basisbench.progress import Progress
from basisbench.prompts.prompt_set import PromptSet
from basisbench.registry import Registry


class Method(Protocol):
    """Scores several bases over one set of prompts.

    `is_control` is True where its ranking shows what chance or magnitude alone gives: it is never the best of a board.
    """

    @property
    def is_control(self) -> bool:
        """Whether it is a control."""

    def __call__(
        self, model: Model, prompts: PromptSet, bases: Sequence[Basis], *, seed: int, progress: Progress
    ) -> dict[str, Scores]:
        """Return the scores of each basis by its name."""


MethodFactory = Callable[[str], Method]
METHODS: Registry[MethodFactory] = Registry("method", "basisbench.methods")


def load_method(name: str) -> Method:
    """Return the method called `name`, or `name:option`; raises UserError for an unknown name or option."""
    base, _, option = name.partition(":")
    if base not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS.get(base)(option)


def no_option(name: str, method: Method, description: str | None) -> MethodFactory:
    """A factory for a method that takes no option; the first line of `description` is what lists say of it."""

    def make(option: str) -> Method:
        if option:
            raise UserError(f"method '{name}' takes no option, got '{option}': valid: {name}")
        return method

    make.__doc__ = description
    return make
