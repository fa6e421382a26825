"""Induction and copying of colors: rows against templates written again here, splits compared."""

import re
from collections import Counter
from itertools import combinations
from typing import Any

import pytest

from basisbench.errors import UserError
from basisbench.shipped_tasks.copy_color import COPY_COLOR, COPY_COLOR_WORD
from basisbench.shipped_tasks.induction import HELDOUT_WORDS, INDUCTION, WORDS
from basisbench.tasks.task import Task
from basisbench.values import Split

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


def rows(task: Task, split: Split, n: int, seed: int) -> list[dict[str, Any]]:
    return list(task.pairs(split, n, seed))


def read(task: Task, split: Split, prompt: str) -> re.Match[str]:
    match = re.fullmatch(QUESTIONS[task.name, split == "heldout_templates"], prompt)
    assert match is not None
    return match


def check_color_spans(row: dict[str, Any], side: str, match: re.Match[str]) -> None:
    names = ("object", "color", *CHOICES)
    assert row[f"{side}_spans"] == [{"name": n, "start": match.start(n), "end": match.end(n)} for n in names]


@pytest.mark.parametrize("split", INDUCTION.splits)
def test_induction_repeats_and_the_corrupt_prompt_swaps_what_followed(split: Split) -> None:
    apart: Counter[int] = Counter()
    for row in rows(INDUCTION, split, 200, seed=3):
        followers = {}
        spans: dict[str, dict[str, tuple[int, str]]] = {}
        for side in ("clean", "corrupt"):
            words = row[side].split(" ")
            first, again = words[:10], words[10:]
            assert len(set(first)) == 10
            assert again == first[: len(again)]
            assert 3 <= len(again) <= 6
            assert row["case"] == f"repeated_{len(again)}"
            followers[side] = f" {first[first.index(again[-1]) + 1]}"
            # by name: which of the words the span is, and the word
            spans[side] = {
                s["name"]: (row[side][: s["start"]].count(" "), row[side][s["start"] : s["end"]])
                for s in row[f"{side}_spans"]
            }
            assert list(spans[side]) == ["earlier", "earlier_answer", "swapped", "last"]
            assert spans[side]["earlier"] == (len(again) - 1, again[-1])
            assert spans[side]["last"] == (len(words) - 1, again[-1])
            assert spans[side]["earlier_answer"] == (len(again), followers[side][1:])
        assert followers == {"clean": row["answer"], "corrupt": row["foil"]}
        assert spans["clean"]["swapped"][1] == row["foil"][1:]
        assert spans["corrupt"]["swapped"][1] == row["answer"][1:]
        clean, corrupt = row["clean"].split(" "), row["corrupt"].split(" ")
        changed = [place for place in range(len(clean)) if clean[place] != corrupt[place]]
        assert changed == [spans["clean"][name][0] for name in ("earlier_answer", "swapped")]
        assert Counter(clean) == Counter(corrupt)
        assert clean.count(row["answer"][1:]) == clean.count(row["foil"][1:]) == 1
        assert row["candidates"] == [f" {word}" for word in clean[:10]]
        apart[changed[1] - changed[0]] += 1
    assert len(apart) == 6


def test_induction_has_many_words() -> None:
    assert len(WORDS) == len(set(WORDS)) >= 200
    assert len(HELDOUT_WORDS) == len(set(HELDOUT_WORDS)) >= 50
    assert not set(WORDS) & set(HELDOUT_WORDS)
    used = {word for row in rows(INDUCTION, "evaluation", 400, 0) for word in row["clean"].split()}
    assert used == set(WORDS)


def test_induction_ends() -> None:
    assert 1500 < len(rows(INDUCTION, "discovery", 10**6, 0)) < 2500
    assert len(rows(INDUCTION, "heldout", 10**6, 0)) == 4000


@each_color_split
def test_letter_is_that_of_the_color_and_the_corrupt_prompt_swaps_two_choices(split: Split) -> None:
    for row in rows(COPY_COLOR, split, 150, seed=3):
        clean, corrupt = (read(COPY_COLOR, split, row[side]) for side in ("clean", "corrupt"))
        for side, match, right in (("clean", clean, "answer"), ("corrupt", corrupt, "foil")):
            check_color_spans(row, side, match)
            assert len(set(match.group(*CHOICES))) == 4
            assert match[f"choice_{row[right][1].lower()}"] == match["color"]
            assert row[right] in (" A", " B", " C", " D")
        assert clean.group("object", "color") == corrupt.group("object", "color")
        assert sorted(clean.group(*CHOICES)) == sorted(corrupt.group(*CHOICES))
        assert sum(clean[name] != corrupt[name] for name in CHOICES) == 2
        assert row["candidates"] == [" A", " B", " C", " D"]
        assert row["case"] == f"{row['answer'][1]}_{row['foil'][1]}"


@each_color_split
def test_word_is_the_color_and_the_corrupt_prompt_has_another_color(split: Split) -> None:
    for row in rows(COPY_COLOR_WORD, split, 150, seed=3):
        clean, corrupt = (read(COPY_COLOR_WORD, split, row[side]) for side in ("clean", "corrupt"))
        for side, match, right in (("clean", clean, "answer"), ("corrupt", corrupt, "foil")):
            check_color_spans(row, side, match)
            assert row[right] == f" {match['color']}"
        assert clean.groupdict() | {"color": corrupt["color"]} == corrupt.groupdict()
        assert row["answer"] != row["foil"]
        assert row["candidates"] == [f" {color}" for color in clean.group(*CHOICES)]
        assert len(set(row["candidates"])) == 4
        letters = ["ABCD"[row["candidates"].index(row[right])] for right in ("answer", "foil")]
        assert row["case"] == "_".join(letters)


@each_task
def test_no_prompt_stands_in_two_splits_whatever_the_seeds(task: Task) -> None:
    drawn = {split: [row for seed in range(3) for row in rows(task, split, 600, seed)] for split in task.splits}
    for one, other in combinations(task.splits, 2):
        prompts = [{row[side] for row in drawn[split] for side in ("clean", "corrupt")} for split in (one, other)]
        assert not prompts[0] & prompts[1]


@pytest.mark.parametrize("task", [COPY_COLOR, COPY_COLOR_WORD], ids=lambda task: task.name)
def test_no_object_has_the_same_choices_in_discovery_and_evaluation(task: Task) -> None:
    both = [
        {
            (match["object"], frozenset(match.group(*CHOICES)))
            for row in rows(task, split, 3000, seed=0)
            for match in [read(task, split, row["clean"])]
        }
        for split in SHARED
    ]
    assert not both[0] & both[1]
    # All of them, in two halves: 53 objects and 70 fours of 8 colors.
    assert sum(map(len, both)) > 0.7 * 53 * 70


@each_task
def test_heldout_shares_no_content_word(task: Task) -> None:
    def words(split: Split) -> set[str]:
        drawn = rows(task, split, 2000, 0)
        if task is INDUCTION:
            return {word for row in drawn for word in row["clean"].split()}
        return {word for row in drawn for word in read(task, split, row["clean"]).groups()}

    heldout = words("heldout")
    assert len(heldout) > 20
    assert not heldout & (words("discovery") | words("evaluation"))


@each_split
def test_rows_are_a_prefix_of_the_order_of_the_seed(task: Task, split: Split) -> None:
    longer = rows(task, split, 150, seed=7)
    assert rows(task, split, 61, seed=7) == longer[:61]
    assert rows(task, split, 150, seed=8) != longer
    assert len({(row["clean"], row["answer"]) for row in longer}) == 150


@each_split
def test_every_prefix_is_balanced(task: Task, split: Split) -> None:
    drawn = [row["case"] for row in rows(task, split, 100, seed=1)]
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
