"""A prompt pair: two prompts that ask the same thing of other words, and what goes on after them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from basisbench.errors import UserError

ANSWER = "answer"
"""What the positions of an answer's own tokens are called."""

SHOWN = 60


class Span(NamedTuple):
    """A piece of a prompt: its name, its first character and the one after its last."""

    name: str
    start: int
    end: int


class PairError(UserError):
    """What is wrong with one field of a pair: the field's name, and the reason in one line."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True, init=False, slots=True)
class Pair:
    """A prompt pair, ``Pair("The keys", "The key", " are", " is")``.

    - `clean`, `corrupt`: the two prompts, which differ;
    - `answers`, `foils`: the continuations of the clean and of the corrupt prompt, of which any will do, with the
      space that stands before them where the language writes one; no text is both;
    - `case`: a label of the construction;
    - `candidates`: every continuation that could be asked for, the answers among them; or none;
    - `clean_spans`, `corrupt_spans`: named pieces of the prompts, apart and in reading order, the same names in both;
      by them positions are aligned. No name stands twice, and none is ANSWER.

    One text is taken for a tuple of it, and (name, start, end) for a `Span`. Raises PairError for whatever is not so.
    """

    clean: str
    corrupt: str
    answers: tuple[str, ...]
    foils: tuple[str, ...]
    case: str
    candidates: tuple[str, ...]
    clean_spans: tuple[Span, ...]
    corrupt_spans: tuple[Span, ...]

    def __init__(
        self,
        clean: str,
        corrupt: str,
        answers: str | Sequence[str],
        foils: str | Sequence[str],
        case: str = "",
        candidates: Sequence[str] = (),
        clean_spans: Iterable[tuple[str, int, int]] = (),
        corrupt_spans: Iterable[tuple[str, int, int]] = (),
    ) -> None:
        values = {
            "clean": _text("clean", clean),
            "corrupt": _text("corrupt", corrupt),
            "answers": _texts("answers", answers, 1),
            "foils": _texts("foils", foils, 1),
            "case": case,
            "candidates": _texts("candidates", candidates, 0),
            "clean_spans": _spans("clean_spans", clean_spans, clean),
            "corrupt_spans": _spans("corrupt_spans", corrupt_spans, corrupt),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        """Raise PairError unless the fields, each of them valid, go together."""
        if self.clean == self.corrupt:
            raise PairError("corrupt", f"must differ from the clean prompt, {_shown(self.clean)}")
        if both := set(self.answers) & set(self.foils):
            raise PairError("foils", f"{_shown(min(both))} is an answer too: valid: texts that are wrong there")
        if not isinstance(self.case, str):
            raise PairError("case", f"valid is a text, got {_shown(self.case)}")
        if self.candidates and (lacking := sorted(set(self.answers) - set(self.candidates))):
            raise PairError("candidates", f"the answer {_shown(lacking[0])} is not among them")
        names = [[span.name for span in spans] for spans in (self.clean_spans, self.corrupt_spans)]
        if names[0] != names[1]:
            raise PairError("corrupt_spans", f"valid are the names of clean_spans, {names[0]}, got {names[1]}")


def _shown(value: object) -> str:
    """A value in a message, on one line and not too long."""
    text = value if isinstance(value, str) else repr(value)
    text = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
    return repr(text) if isinstance(value, str) else text


def _text(field: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise PairError(field, f"valid is a text that is not empty, got {_shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise PairError(field, f"{_shown(value)} cannot be written as UTF-8: {error.reason}") from error
    return str(value)


def _texts(field: str, value: object, least: int) -> tuple[str, ...]:
    if isinstance(value, str):
        value = (value,)
    if not isinstance(value, Sequence) or len(value) < least:
        raise PairError(field, f"valid is a text or several, got {_shown(value)}")
    return tuple(_text(field, text) for text in value)


def _spans(field: str, value: object, prompt: str) -> tuple[Span, ...]:
    if not isinstance(value, Iterable):
        raise PairError(field, f"valid are several (name, start, end), got {_shown(value)}")
    spans: list[Span] = []
    for each in value:
        span = _span(field, each)
        if not 0 <= span.start < span.end <= len(prompt):
            words = f"{span.name!r} [{span.start}, {span.end}] is no piece of a prompt of {len(prompt)} characters"
            raise PairError(field, words)
        if spans and span.start < spans[-1].end:
            raise PairError(field, f"{span.name!r} begins before {spans[-1].name!r} ends: valid: reading order")
        if span.name in {other.name for other in spans}:
            raise PairError(field, f"the name {span.name!r} stands twice")
        spans.append(span)
    return tuple(spans)


def _span(field: str, value: object) -> Span:
    if not isinstance(value, Sequence) or [type(part) for part in value] != [str, int, int]:
        raise PairError(field, f"valid is (name, start, end), a text and two integers, got {_shown(value)}")
    name, start, end = value
    if not name or name == ANSWER:
        raise PairError(field, f"no span can be called {_shown(name)}: valid: another name")
    return Span(name, start, end)
