"""Greater-than and arithmetic: rows against templates written again here, numbers recomputed, splits compared."""

import re
from collections import Counter
from itertools import combinations
from typing import Any

import pytest

from basisbench.errors import UserError
from basisbench.shipped_tasks.arithmetic import ADDITION, SUBTRACTION
from basisbench.shipped_tasks.greater_than import GREATER_THAN
from basisbench.shipped_tasks.patterns import ALL_SPLITS
from basisbench.tasks.task import Task
from basisbench.values import Split

TASKS: list[Task] = [GREATER_THAN, ADDITION, SUBTRACTION]
SHARED: tuple[Split, ...] = ("discovery", "evaluation")
# The templates written again, by whether they are held out.
SPAN_OF_YEARS = {
    False: [r"The (?P<noun>[a-z]+) lasted from the year (?P<century>\d\d)(?P<start>\d\d) to the year (?P<end>\d\d)"],
    True: [
        r"The (?P<noun>[a-z]+) began in the year (?P<century>\d\d)(?P<start>\d\d) and ended in the year (?P<end>\d\d)",
        r"In (?P<century>\d\d)(?P<start>\d\d) we saw the start of the (?P<noun>[a-z]+),"
        r" and its end came in (?P<end>\d\d)",
    ],
}
A, B = r"(?P<a>\d\d?)", r"(?P<b>\d\d?)"
SUMS = {
    ("arithmetic/addition", False): [rf"20 \+ 5 = 25\n61 \+ 30 = 91\n{A} \+ {B} ="],
    ("arithmetic/addition", True): [rf"{A} \+ {B} =", rf"Question: What is {A} plus {B}\?\nAnswer:"],
    ("arithmetic/subtraction", False): [rf"20 - 5 = 15\n61 - 30 = 31\n{A} - {B} ="],
    ("arithmetic/subtraction", True): [rf"{A} - {B} =", rf"Question: What is {A} minus {B}\?\nAnswer:"],
}
each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
each_arithmetic = pytest.mark.parametrize("task", [ADDITION, SUBTRACTION], ids=lambda task: task.name)
each_split = pytest.mark.parametrize("split", ALL_SPLITS)


def rows(task: Task, split: Split, n: int, seed: int) -> list[dict[str, Any]]:
    return list(task.pairs(split, n, seed))


def shapes(task: Task, split: Split) -> list[str]:
    heldout = split == "heldout_templates"
    return SPAN_OF_YEARS[heldout] if task is GREATER_THAN else SUMS[task.name, heldout]


def read(patterns: list[str], prompt: str) -> re.Match[str]:
    [match] = [found for found in (re.fullmatch(pattern, prompt) for pattern in patterns) if found]
    return match


def check_spans(row: dict[str, Any], side: str, match: re.Match[str], names: set[str]) -> None:
    expected = sorted((match.start(name), match.end(name), name) for name in names)
    assert [(span["start"], span["end"], span["name"]) for span in row[f"{side}_spans"]] == expected


@each_split
def test_greater_than_asks_for_digits_above_the_start(split: Split) -> None:
    for row in rows(GREATER_THAN, split, 160, seed=3):
        clean, corrupt = (read(shapes(GREATER_THAN, split), row[side]) for side in ("clean", "corrupt"))
        for side, match in (("clean", clean), ("corrupt", corrupt)):
            check_spans(row, side, match, {"noun", "century", "start"})
            assert match["century"] == match["end"]
        assert clean.groupdict() | {"start": "01"} == corrupt.groupdict()
        continuations = sorted(row["answer"] + row["foil"])
        assert continuations == [f"{i}{j}" for i in range(10) for j in range(10)] == row["candidates"]
        assert all(int(year) > int(clean["start"]) for year in row["answer"])
        assert all(int(year) <= int(clean["start"]) for year in row["foil"])
        assert row["case"] == f"start_{clean['start'][0]}"


@each_split
def test_greater_than_means_something_digit_by_digit(split: Split) -> None:
    for row in rows(GREATER_THAN, split, 160, seed=4):
        start = read(shapes(GREATER_THAN, split), row["clean"])["start"]
        right, wrong = ({year[0] for year in row[name]} for name in ("answer", "foil"))
        assert right - wrong == {str(digit) for digit in range(int(start[0]) + 1, 10)} != set()
        assert wrong - right >= {str(digit) for digit in range(int(start[0]))} != set()


@each_arithmetic
@each_split
def test_results_are_right_and_corrupt_ones_other_numbers_of_the_same_length(task: Task, split: Split) -> None:
    for row in rows(task, split, 200, seed=3):
        numbers = {}
        for side, result in (("clean", "answer"), ("corrupt", "foil")):
            match = read(shapes(task, split), row[side])
            check_spans(row, side, match, {"a", "b"})
            a, b = int(match["a"]), int(match["b"])
            value = a + b if task is ADDITION else a - b
            assert value > 0
            assert row[result] == f" {value}"
            numbers[side] = (a, b, value)
        assert all(one != other for one, other in zip(numbers["clean"], numbers["corrupt"], strict=True))
        lengths = [[len(str(number)) for number in numbers[side]] for side in ("clean", "corrupt")]
        assert lengths[0] == lengths[1]
        assert row["case"] == "digits_" + "_".join(map(str, lengths[0]))


@each_arithmetic
def test_answers_and_foils_often_differ_in_their_first_digit(task: Task) -> None:
    drawn = [row for row in rows(task, "evaluation", 400, 0) if len(row["answer"]) == 3]
    assert sum(row["answer"][1] != row["foil"][1] for row in drawn) > len(drawn) / 2


@each_arithmetic
def test_operands_of_a_row_are_in_one_of_discovery_and_evaluation_in_either_order(task: Task) -> None:
    both = [
        {
            frozenset(map(int, read(shapes(task, split), row["clean"]).group("a", "b")))
            for row in rows(task, split, 10**6, seed=0)
        }
        for split in SHARED
    ]
    assert not both[0] & both[1]
    assert min(map(len, both)) > 300


@each_arithmetic
@each_split
def test_no_prompt_is_asked_twice(task: Task, split: Split) -> None:
    prompts = [row["clean"] for row in rows(task, split, 10**6, seed=0)]
    assert len(prompts) == len(set(prompts)) > 300


@each_task
def test_no_prompt_stands_in_two_splits_whatever_the_seeds(task: Task) -> None:
    drawn = {split: [row for seed in range(3) for row in rows(task, split, 600, seed)] for split in ALL_SPLITS}
    for one, other in combinations(ALL_SPLITS, 2):
        prompts = [{row[side] for row in drawn[split] for side in ("clean", "corrupt")} for split in (one, other)]
        assert not prompts[0] & prompts[1]


@each_task
def test_heldout_shares_no_content_word(task: Task) -> None:
    def words(split: Split, names: tuple[str, ...]) -> set[str]:
        drawn = rows(task, split, 2000, 0)
        return {read(shapes(task, split), row["clean"])[name] for row in drawn for name in names}

    for names in [("noun",), ("century",), ("start",)] if task is GREATER_THAN else [("a", "b")]:
        heldout = words("heldout", names)
        shared = words("discovery", names) | words("evaluation", names)
        assert len(heldout) >= 3
        assert not heldout & shared
    if task is not GREATER_THAN:
        [example] = {row["clean"].rpartition("\n")[0] for row in rows(task, "heldout", 50, 0)}
        assert not set(re.findall(r"\d+", example)) & (heldout | shared)


@each_task
@each_split
def test_rows_are_a_prefix_of_the_order_of_the_seed(task: Task, split: Split) -> None:
    longer = rows(task, split, 150, seed=7)
    assert len(longer) == 150
    assert rows(task, split, 61, seed=7) == longer[:61]
    assert rows(task, split, 150, seed=8) != longer


@each_task
@each_split
def test_every_prefix_is_balanced(task: Task, split: Split) -> None:
    templates = shapes(task, split)
    drawn = [
        (row["case"], next(pattern for pattern in templates if re.fullmatch(pattern, row["clean"])))
        for row in rows(task, split, 150, seed=1)
    ]
    combined = len(templates) * {"greater_than": 8, "arithmetic/addition": 4, "arithmetic/subtraction": 3}[task.name]
    assert len(set(drawn)) == combined
    for stop in range(combined, len(drawn) + 1):
        counts = Counter(drawn[:stop]).values()
        assert len(counts) == combined
        assert max(counts) - min(counts) <= 1


@each_task
def test_unknown_split_names_the_valid_ones(task: Task) -> None:
    assert tuple(task.splits) == ALL_SPLITS
    with pytest.raises(UserError, match=r"'evaluate': did you mean 'evaluation'\? valid: discovery, eval"):
        task.pairs("evaluate", 1, 0)  # type: ignore[arg-type]
