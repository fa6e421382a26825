"""A pair: what it takes, and what it refuses in one line."""

import pickle
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest

import basisbench
from basisbench.errors import UserError
from basisbench.tasks.pair import Pair, PairError, Span

KEYS = ("The keys", "The key", " are", " is")


def test_one_text_is_a_tuple_of_it_and_three_values_are_a_span() -> None:
    pair = Pair(
        "The keys", "The key", " are", [" is", " was"], clean_spans=[("noun", 4, 8)], corrupt_spans=[("noun", 4, 7)]
    )
    assert (pair.answers, pair.foils) == ((" are",), (" is", " was"))
    assert (pair.case, pair.candidates) == ("", ())
    (span,) = pair.clean_spans
    assert isinstance(span, Span)
    assert pair.clean[span.start : span.end] == "keys"
    assert pair.corrupt_spans == (Span("noun", 4, 7),)
    assert basisbench.Pair is Pair
    assert basisbench.Span is Span


def test_a_pair_is_a_value() -> None:
    pair = Pair(*KEYS, candidates=[" is", " are"])
    assert pair == Pair(*KEYS, candidates=(" is", " are"))
    assert len({pair, Pair(*KEYS, candidates=(" is", " are")), Pair(*KEYS)}) == 2
    assert pickle.loads(pickle.dumps(pair)) == pair
    with pytest.raises(FrozenInstanceError):
        pair.clean = "The dogs"  # type: ignore[misc]
    # a changed copy is checked as any other
    assert replace(pair, clean="The dogs").clean == "The dogs"
    with pytest.raises(PairError):
        replace(pair, clean="The key")


def test_texts_are_plain_texts() -> None:
    pair = Pair(np.array(["The keys"])[0], "The key", " are", " is")
    assert type(pair.clean) is str


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"clean": ""}, "clean", "valid is a text that is not empty, got ''"),
        ({"corrupt": 3}, "corrupt", "valid is a text that is not empty, got 3"),
        ({"clean": "x" * 999, "corrupt": "x" * 999}, "corrupt", f"must differ from the clean prompt, '{'x' * 60}..."),
        ({"clean": "half \ud83d"}, "clean", r"'half \ud83d' cannot be written as UTF-8: surrogates not allowed"),
        ({"answers": ()}, "answers", "valid is a text or several, got ()"),
        ({"answers": {" are"}}, "answers", "valid is a text or several, got {' are'}"),
        ({"answers": [" are", ""]}, "answers", "valid is a text that is not empty, got ''"),
        ({"foils": None}, "foils", "valid is a text or several, got None"),
        ({"foils": [" is", " are"]}, "foils", "' are' is an answer too: valid: texts that are wrong there"),
        ({"case": None}, "case", "valid is a text, got None"),
        ({"candidates": [" is"]}, "candidates", "the answer ' are' is not among them"),
        ({"candidates": [" are", 1]}, "candidates", "valid is a text that is not empty, got 1"),
        ({"clean_spans": 4}, "clean_spans", "valid are several (name, start, end), got 4"),
        ({"clean_spans": [{"name": "a"}]}, "clean_spans", "valid is (name, start, end), a text and two integers, got"),
        ({"clean_spans": [("a", 0, 2.0)]}, "clean_spans", "valid is (name, start, end), a text and two integers, got"),
        ({"clean_spans": [("a", False, True)]}, "clean_spans", "valid is (name, start, end), a text and two integers"),
        ({"clean_spans": [("", 0, 2)]}, "clean_spans", "no span can be called '': valid: another name"),
        ({"clean_spans": [("answer", 0, 2)]}, "clean_spans", "no span can be called 'answer': valid: another name"),
        ({"clean_spans": [("a", 0, 9)]}, "clean_spans", "'a' [0, 9] is no piece of a prompt of 8 characters"),
        ({"corrupt_spans": [("a", 0, 8)]}, "corrupt_spans", "'a' [0, 8] is no piece of a prompt of 7 characters"),
        ({"clean_spans": [("a", -1, 2)]}, "clean_spans", "'a' [-1, 2] is no piece of a prompt of 8 characters"),
        ({"clean_spans": [("a", 2, 2)]}, "clean_spans", "'a' [2, 2] is no piece of a prompt of 8 characters"),
        ({"clean_spans": [("a", 4, 6), ("b", 0, 2)]}, "clean_spans", "'b' begins before 'a' ends: valid: reading"),
        ({"clean_spans": [("a", 0, 5), ("b", 4, 8)]}, "clean_spans", "'b' begins before 'a' ends: valid: reading"),
        ({"clean_spans": [("a", 0, 2), ("a", 4, 8)]}, "clean_spans", "the name 'a' stands twice"),
        ({"clean_spans": [("a", 0, 2)]}, "corrupt_spans", "valid are the names of clean_spans, ['a'], got []"),
    ],
)  # fmt: skip
def test_what_is_no_pair_is_refused_in_a_line(changes: dict[str, Any], field: str, reason: str) -> None:
    fields = dict(zip(("clean", "corrupt", "answers", "foils"), KEYS, strict=True))
    with pytest.raises(UserError) as error:
        Pair(**(fields | changes))
    assert isinstance(error.value, PairError)
    assert error.value.field == field
    assert error.value.reason.startswith(reason)
    assert str(error.value) == f"{field}: {error.value.reason}"
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 200
