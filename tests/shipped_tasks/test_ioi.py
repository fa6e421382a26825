"""Indirect object identification: pairs against templates written again here, splits against each other."""

import hashlib
import re
from collections import Counter
from itertools import combinations

import pytest

from basisbench.errors import UserError
from basisbench.shipped_tasks.ioi import IOI, REPLACED, IoiTask
from basisbench.tasks.pair import Pair
from basisbench.values import SPLITS, Split
from toys.models import only

both = pytest.mark.parametrize("task", [IOI, REPLACED], ids=lambda task: task.name)
each_split = pytest.mark.parametrize("split", SPLITS)
A, B, C = (rf"(?P<{name}>[A-Z][a-z]+)" for name in "abc")
PLACE, OBJECT = r"(?P<place>[a-z]+)", r"(?P<object>[a-z]+)"
# The templates written again: two people, then one of them or, in a corrupt prompt, somebody.
SHAPES = [
    f"When {A} and {B} went to the {PLACE}, {C} gave a {OBJECT} to",
    f"After {A} and {B} had met at the {PLACE}, {C} handed a {OBJECT} to",
    f"While {A} and {B} were waiting near the {PLACE}, {C} offered a {OBJECT} to",
    f"Last week {A} and {B} drove to the {PLACE}, and {C} showed a {OBJECT} to",
    rf"Then {A} and {B} left the {PLACE} together\. Later {C} sent a {OBJECT} to",
]
HELDOUT_SHAPES = [
    f"As soon as {A} and {B} reached the {PLACE}, {C} passed a {OBJECT} to",
    rf"In June {A} and {B} had a good time at the {PLACE}\. There {C} decided to give a {OBJECT} to",
    f"Because {A} and {B} often walked past the {PLACE}, {C} once lent a {OBJECT} to",
]


def pairs(task: IoiTask, split: Split, n: int, seed: int) -> list[Pair]:
    return list(task.pairs(split, n, seed))


def parsed(prompt: str, shapes: list[str]) -> tuple[int, re.Match[str]]:
    """The template of a prompt and what stands in its slots; exactly one template fits."""
    ((shape, match),) = [(i, match) for i, shape in enumerate(shapes) if (match := re.fullmatch(shape, prompt))]
    return shape, match


@both
@each_split
def test_pairs_follow_the_definition(task: IoiTask, split: Split) -> None:
    shapes = HELDOUT_SHAPES if split == "heldout_templates" else SHAPES
    used = set()
    for pair in pairs(task, split, 300, seed=3):
        shape, clean = parsed(pair.clean, shapes)
        other, corrupt = parsed(pair.corrupt, shapes)
        assert shape == other
        used.add(shape)
        # in ABBA the second one acts, in BABA the first
        assert clean["c"] == (clean["b"] if pair.case == "ABBA" else clean["a"])
        io, subject = (clean["a"], clean["b"]) if pair.case == "ABBA" else (clean["b"], clean["a"])
        assert io != subject
        assert (only(pair.answers), only(pair.foils)) == (f" {io}", f" {subject}")
        assert (clean["place"], clean["object"]) == (corrupt["place"], corrupt["object"])
        if task is IOI:
            assert corrupt.group("a", "b") == clean.group("a", "b")
            assert corrupt["c"] == io
        else:
            assert len({io, subject, *corrupt.group("a", "b", "c")}) == 5
        names = {"a": "io", "b": "s1"} if pair.case == "ABBA" else {"a": "s1", "b": "io"}
        names |= {"c": "s2", "place": "place", "object": "object"}
        for side, match in (("clean", clean), ("corrupt", corrupt)):
            spans = [(names[group], match.start(group), match.end(group)) for group in names]
            assert getattr(pair, f"{side}_spans") == tuple(sorted(spans, key=lambda span: span[1]))
        assert {only(pair.answers), only(pair.foils)} < set(pair.candidates)
        assert len(pair.candidates) == len(set(pair.candidates))
    assert used == set(range(len(shapes)))


def test_swapped_answer_flips() -> None:
    # The corrupt prompt of a swapped pair is the clean prompt of the other case with the two people exchanged.
    for pair in pairs(IOI, "evaluation", 200, seed=0):
        _, clean = parsed(pair.clean, SHAPES)
        _, corrupt = parsed(pair.corrupt, SHAPES)
        remaining = {corrupt["a"], corrupt["b"]} - {corrupt["c"]}
        assert remaining == {only(pair.foils).strip()} == {clean["c"]}


@both
def test_no_frame_stands_in_two_splits_whatever_the_seeds(task: IoiTask) -> None:
    drawn = {split: [pair for seed in range(4) for pair in pairs(task, split, 800, seed)] for split in SPLITS}
    for one, other in combinations(SPLITS, 2):
        answered = [{(pair.clean, only(pair.answers)) for pair in drawn[split]} for split in (one, other)]
        assert not answered[0] & answered[1]
        clean, corrupt = (
            [{getattr(pair, side) for pair in drawn[s]} for s in (one, other)] for side in ("clean", "corrupt")
        )
        assert not clean[0] & corrupt[1]
        assert not corrupt[0] & clean[1]
    for split in ("discovery", "evaluation"):
        for pair in drawn[split]:
            start, end = parsed(pair.clean, SHAPES)[1].span("c")
            frame = pair.clean[:start] + pair.clean[end:]
            assert (hashlib.sha256(frame.encode()).digest()[0] < 128) == (split == "discovery")


@both
def test_heldout_has_its_own_names_places_and_objects(task: IoiTask) -> None:
    groups = ("a", "b", "c", "place", "object")
    shapes = SHAPES + HELDOUT_SHAPES
    lots: dict[bool, set[str]] = {True: set(), False: set()}
    for split in SPLITS:
        for pair in pairs(task, split, 800, seed=0):
            for side in ("clean", "corrupt"):
                lots[split == "heldout"] |= set(parsed(getattr(pair, side), shapes)[1].group(*groups))
            lots[split == "heldout"] |= {name.strip() for name in pair.candidates}
    assert len(lots[True]) == 32 + 8 + 8
    assert len(lots[False]) == 80 + 12 + 12
    assert not lots[True] & lots[False]


@both
@each_split
def test_pairs_are_a_prefix_of_the_order_of_the_seed(task: IoiTask, split: Split) -> None:
    longer = pairs(task, split, 200, seed=7)
    assert len(longer) == 200
    assert pairs(task, split, 61, seed=7) == longer[:61]
    assert pairs(task, split, 200, seed=8) != longer
    assert len({(pair.clean, only(pair.answers)) for pair in longer}) == 200


@both
@each_split
def test_every_prefix_is_balanced(task: IoiTask, split: Split) -> None:
    drawn = [(pair.case, only(pair.answers)) for pair in pairs(task, split, 300, seed=1)]
    n_names = 32 if split == "heldout" else 80
    for stop in range(1, len(drawn) + 1):
        cases = Counter(case for case, _ in drawn[:stop])
        assert abs(cases["ABBA"] - cases["BABA"]) <= 1
        for case, count in cases.items():
            answers = Counter(answer for found, answer in drawn[:stop] if found == case)
            assert max(answers.values()) == -(-count // n_names)
            assert min(answers.values()) >= count // n_names or count < n_names


@both
def test_unknown_split_names_the_valid_ones(task: IoiTask) -> None:
    with pytest.raises(UserError, match=r"'held': did you mean 'heldout'\? valid: discovery, eval"):
        task.pairs("held", 1, 0)  # type: ignore[arg-type]
