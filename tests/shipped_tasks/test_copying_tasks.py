"""Induction and copying of colors: pairs against templates written again here, splits compared."""

import re
from collections import Counter
from itertools import combinations

import pytest

from basisbench.errors import UserError
from basisbench.shipped_tasks.copy_color import COPY_COLOR, COPY_COLOR_WORD
from basisbench.shipped_tasks.induction import HELDOUT_WORDS, INDUCTION, WORDS
from basisbench.tasks.pair import Pair
from basisbench.tasks.task import Task
from basisbench.values import Split
from toys.models import only

TASKS: list[Task] = [INDUCTION, COPY_COLOR, COPY_COLOR_WORD]
SHARED: tuple[Split, ...] = ("discovery", "evaluation")
# The templates written again, by whether they are held out.
CHOICES = ("choice_a", "choice_b", "choice_c", "choice_d")
A, B, C, D = (rf"(?P<{name}>[a-z]+)" for name in CHOICES)
OBJECT, COLOR, AGAIN = r"(?P<object>[a-z]+)", r"(?P<color>[a-z]+)", r"(?P=object)"
QUESTIONS = {
    ("copy_color", False): rf"A {OBJECT} is {COLOR}\. What color is the {AGAIN}\?\n"
    rf"A\. {A}\nB\. {B}\nC\. {C}\nD\. {D}\nAnswer:",
    ("copy_color", True): rf"Question: The {OBJECT} that I saw was {COLOR}\. Which color did it have\?\n"
    rf"A\) {A}\nB\) {B}\nC\) {C}\nD\) {D}\nThe letter of the right answer is",
    ("copy_color/word", False): rf"Question: The {OBJECT} that I saw was {COLOR}\. Which color did it have: "
    rf"{A}, {B}, {C} or {D}\?\nAnswer: The color of the {AGAIN} was",
    ("copy_color/word", True): rf"A {OBJECT} is {COLOR}\. What color is the {AGAIN}: {A}, {B}, {C} or {D}\? "
    rf"The {AGAIN} is",
}
each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
each_split = pytest.mark.parametrize(
    ("task", "split"), [(task, split) for task in TASKS for split in task.splits], ids=lambda x: getattr(x, "name", x)
)
each_color_split = pytest.mark.parametrize("split", COPY_COLOR.splits)


def pairs(task: Task, split: Split, n: int, seed: int) -> list[Pair]:
    return list(task.pairs(split, n, seed))


def read(task: Task, split: Split, prompt: str) -> re.Match[str]:
    match = re.fullmatch(QUESTIONS[task.name, split == "heldout_templates"], prompt)
    assert match is not None
    return match


def check_color_spans(pair: Pair, side: str, match: re.Match[str]) -> None:
    names = ("object", "color", *CHOICES)
    assert getattr(pair, f"{side}_spans") == tuple((n, match.start(n), match.end(n)) for n in names)


@pytest.mark.parametrize("split", INDUCTION.splits)
def test_induction_repeats_and_the_corrupt_prompt_swaps_what_followed(split: Split) -> None:
    apart: Counter[int] = Counter()
    for pair in pairs(INDUCTION, split, 200, seed=3):
        followers = {}
        spans: dict[str, dict[str, tuple[int, str]]] = {}
        for side in ("clean", "corrupt"):
            words = getattr(pair, side).split(" ")
            first, again = words[:10], words[10:]
            assert len(set(first)) == 10
            assert again == first[: len(again)]
            assert 3 <= len(again) <= 6
            assert pair.case == f"repeated_{len(again)}"
            followers[side] = f" {first[first.index(again[-1]) + 1]}"
            # by name: which of the words the span is, and the word
            spans[side] = {
                name: (getattr(pair, side)[:start].count(" "), getattr(pair, side)[start:end])
                for name, start, end in getattr(pair, f"{side}_spans")
            }
            assert list(spans[side]) == ["earlier", "earlier_answer", "swapped", "last"]
            assert spans[side]["earlier"] == (len(again) - 1, again[-1])
            assert spans[side]["last"] == (len(words) - 1, again[-1])
            assert spans[side]["earlier_answer"] == (len(again), followers[side][1:])
        assert followers == {"clean": only(pair.answers), "corrupt": only(pair.foils)}
        assert spans["clean"]["swapped"][1] == only(pair.foils)[1:]
        assert spans["corrupt"]["swapped"][1] == only(pair.answers)[1:]
        clean, corrupt = pair.clean.split(" "), pair.corrupt.split(" ")
        changed = [place for place in range(len(clean)) if clean[place] != corrupt[place]]
        assert changed == [spans["clean"][name][0] for name in ("earlier_answer", "swapped")]
        assert Counter(clean) == Counter(corrupt)
        assert clean.count(only(pair.answers)[1:]) == clean.count(only(pair.foils)[1:]) == 1
        assert pair.candidates == tuple(f" {word}" for word in clean[:10])
        apart[changed[1] - changed[0]] += 1
    assert len(apart) == 6


def test_induction_has_many_words() -> None:
    assert len(WORDS) == len(set(WORDS)) >= 200
    assert len(HELDOUT_WORDS) == len(set(HELDOUT_WORDS)) >= 50
    assert not set(WORDS) & set(HELDOUT_WORDS)
    used = {word for pair in pairs(INDUCTION, "evaluation", 400, 0) for word in pair.clean.split()}
    assert used == set(WORDS)


def test_induction_ends() -> None:
    assert 1500 < len(pairs(INDUCTION, "discovery", 10**6, 0)) < 2500
    assert len(pairs(INDUCTION, "heldout", 10**6, 0)) == 4000


@each_color_split
def test_letter_is_that_of_the_color_and_the_corrupt_prompt_swaps_two_choices(split: Split) -> None:
    for pair in pairs(COPY_COLOR, split, 150, seed=3):
        clean, corrupt = (read(COPY_COLOR, split, getattr(pair, side)) for side in ("clean", "corrupt"))
        for side, match, right in (("clean", clean, "answers"), ("corrupt", corrupt, "foils")):
            check_color_spans(pair, side, match)
            assert len(set(match.group(*CHOICES))) == 4
            assert match[f"choice_{only(getattr(pair, right))[1].lower()}"] == match["color"]
            assert only(getattr(pair, right)) in (" A", " B", " C", " D")
        assert clean.group("object", "color") == corrupt.group("object", "color")
        assert sorted(clean.group(*CHOICES)) == sorted(corrupt.group(*CHOICES))
        assert sum(clean[name] != corrupt[name] for name in CHOICES) == 2
        assert pair.candidates == (" A", " B", " C", " D")
        assert pair.case == f"{only(pair.answers)[1]}_{only(pair.foils)[1]}"


@each_color_split
def test_word_is_the_color_and_the_corrupt_prompt_has_another_color(split: Split) -> None:
    for pair in pairs(COPY_COLOR_WORD, split, 150, seed=3):
        clean, corrupt = (read(COPY_COLOR_WORD, split, getattr(pair, side)) for side in ("clean", "corrupt"))
        for side, match, right in (("clean", clean, "answers"), ("corrupt", corrupt, "foils")):
            check_color_spans(pair, side, match)
            assert only(getattr(pair, right)) == f" {match['color']}"
        assert clean.groupdict() | {"color": corrupt["color"]} == corrupt.groupdict()
        assert only(pair.answers) != only(pair.foils)
        assert pair.candidates == tuple(f" {color}" for color in clean.group(*CHOICES))
        assert len(set(pair.candidates)) == 4
        letters = ["ABCD"[pair.candidates.index(only(getattr(pair, right)))] for right in ("answers", "foils")]
        assert pair.case == "_".join(letters)


@each_task
def test_no_prompt_stands_in_two_splits_whatever_the_seeds(task: Task) -> None:
    drawn = {split: [pair for seed in range(3) for pair in pairs(task, split, 600, seed)] for split in task.splits}
    for one, other in combinations(task.splits, 2):
        prompts = [{text for pair in drawn[split] for text in (pair.clean, pair.corrupt)} for split in (one, other)]
        assert not prompts[0] & prompts[1]


@pytest.mark.parametrize("task", [COPY_COLOR, COPY_COLOR_WORD], ids=lambda task: task.name)
def test_no_object_has_the_same_choices_in_discovery_and_evaluation(task: Task) -> None:
    both = [
        {
            (match["object"], frozenset(match.group(*CHOICES)))
            for pair in pairs(task, split, 3000, seed=0)
            for match in [read(task, split, pair.clean)]
        }
        for split in SHARED
    ]
    assert not both[0] & both[1]
    # All of them, in two halves: 53 objects and 70 fours of 8 colors.
    assert sum(map(len, both)) > 0.7 * 53 * 70


@each_task
def test_heldout_shares_no_content_word(task: Task) -> None:
    def words(split: Split) -> set[str]:
        drawn = pairs(task, split, 2000, 0)
        if task is INDUCTION:
            return {word for pair in drawn for word in pair.clean.split()}
        return {word for pair in drawn for word in read(task, split, pair.clean).groups()}

    heldout = words("heldout")
    assert len(heldout) > 20
    assert not heldout & (words("discovery") | words("evaluation"))


@each_split
def test_pairs_are_a_prefix_of_the_order_of_the_seed(task: Task, split: Split) -> None:
    longer = pairs(task, split, 150, seed=7)
    assert pairs(task, split, 61, seed=7) == longer[:61]
    assert pairs(task, split, 150, seed=8) != longer
    assert len({(pair.clean, only(pair.answers)) for pair in longer}) == 150


@each_split
def test_every_prefix_is_balanced(task: Task, split: Split) -> None:
    drawn = [pair.case for pair in pairs(task, split, 100, seed=1)]
    cases = 4 if task is INDUCTION else 12
    assert len(set(drawn)) == cases
    for stop in range(cases, len(drawn) + 1):
        counts = Counter(drawn[:stop]).values()
        assert len(counts) == cases
        assert max(counts) - min(counts) <= 1


@each_task
def test_wrong_split_names_the_valid_ones(task: Task) -> None:
    with pytest.raises(UserError, match=r"'evaluate': did you mean 'evaluation'\? valid: discovery, eval"):
        task.pairs("evaluate", 1, 0)  # type: ignore[arg-type]


def test_induction_has_no_held_out_templates() -> None:
    with pytest.raises(UserError, match=r"valid: discovery, evaluation, heldout$"):
        INDUCTION.pairs("heldout_templates", 1, 0)
