"""Greater-than and arithmetic: pairs against templates written again here, numbers recomputed, splits compared."""

import re
from collections import Counter
from itertools import combinations

import pytest

from basisbench.errors import UserError
from basisbench.shipped_tasks.arithmetic import ADDITION, SUBTRACTION
from basisbench.shipped_tasks.greater_than import GREATER_THAN
from basisbench.tasks.pair import Pair
from basisbench.tasks.task import Task
from basisbench.values import SPLITS, Split
from toys.models import only

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
each_split = pytest.mark.parametrize("split", SPLITS)


def pairs(task: Task, split: Split, n: int, seed: int) -> list[Pair]:
    return list(task.pairs(split, n, seed))


def shapes(task: Task, split: Split) -> list[str]:
    heldout = split == "heldout_templates"
    return SPAN_OF_YEARS[heldout] if task is GREATER_THAN else SUMS[task.name, heldout]


def read(patterns: list[str], prompt: str) -> re.Match[str]:
    [match] = [found for found in (re.fullmatch(pattern, prompt) for pattern in patterns) if found]
    return match


def check_spans(pair: Pair, side: str, match: re.Match[str], names: set[str]) -> None:
    expected = sorted((match.start(name), match.end(name), name) for name in names)
    assert [(span.start, span.end, span.name) for span in getattr(pair, f"{side}_spans")] == expected


@each_split
def test_greater_than_asks_for_digits_above_the_start(split: Split) -> None:
    for pair in pairs(GREATER_THAN, split, 160, seed=3):
        clean, corrupt = (read(shapes(GREATER_THAN, split), getattr(pair, side)) for side in ("clean", "corrupt"))
        for side, match in (("clean", clean), ("corrupt", corrupt)):
            check_spans(pair, side, match, {"noun", "century", "start"})
            assert match["century"] == match["end"]
        assert clean.groupdict() | {"start": "01"} == corrupt.groupdict()
        continuations = sorted(pair.answers + pair.foils)
        assert continuations == [f"{i}{j}" for i in range(10) for j in range(10)] == list(pair.candidates)
        assert all(int(year) > int(clean["start"]) for year in pair.answers)
        assert all(int(year) <= int(clean["start"]) for year in pair.foils)
        assert pair.case == f"start_{clean['start'][0]}"


@each_split
def test_greater_than_means_something_digit_by_digit(split: Split) -> None:
    for pair in pairs(GREATER_THAN, split, 160, seed=4):
        start = read(shapes(GREATER_THAN, split), pair.clean)["start"]
        right, wrong = ({year[0] for year in getattr(pair, name)} for name in ("answers", "foils"))
        assert right - wrong == {str(digit) for digit in range(int(start[0]) + 1, 10)} != set()
        assert wrong - right >= {str(digit) for digit in range(int(start[0]))} != set()


@each_arithmetic
@each_split
def test_results_are_right_and_corrupt_ones_other_numbers_of_the_same_length(task: Task, split: Split) -> None:
    for pair in pairs(task, split, 200, seed=3):
        numbers = {}
        for side, result in (("clean", "answers"), ("corrupt", "foils")):
            match = read(shapes(task, split), getattr(pair, side))
            check_spans(pair, side, match, {"a", "b"})
            a, b = int(match["a"]), int(match["b"])
            value = a + b if task is ADDITION else a - b
            assert value > 0
            assert only(getattr(pair, result)) == f" {value}"
            numbers[side] = (a, b, value)
        assert all(one != other for one, other in zip(numbers["clean"], numbers["corrupt"], strict=True))
        lengths = [[len(str(number)) for number in numbers[side]] for side in ("clean", "corrupt")]
        assert lengths[0] == lengths[1]
        assert pair.case == "digits_" + "_".join(map(str, lengths[0]))


@each_arithmetic
def test_answers_and_foils_often_differ_in_their_first_digit(task: Task) -> None:
    drawn = [pair for pair in pairs(task, "evaluation", 400, 0) if len(only(pair.answers)) == 3]
    assert sum(only(pair.answers)[1] != only(pair.foils)[1] for pair in drawn) > len(drawn) / 2


@each_arithmetic
def test_operands_of_a_pair_are_in_one_of_discovery_and_evaluation_in_either_order(task: Task) -> None:
    both = [
        {
            frozenset(map(int, read(shapes(task, split), pair.clean).group("a", "b")))
            for pair in pairs(task, split, 10**6, seed=0)
        }
        for split in SHARED
    ]
    assert not both[0] & both[1]
    assert min(map(len, both)) > 300


@each_arithmetic
@each_split
def test_no_prompt_is_asked_twice(task: Task, split: Split) -> None:
    prompts = [pair.clean for pair in pairs(task, split, 10**6, seed=0)]
    assert len(prompts) == len(set(prompts)) > 300


@each_task
def test_no_prompt_stands_in_two_splits_whatever_the_seeds(task: Task) -> None:
    drawn = {split: [pair for seed in range(3) for pair in pairs(task, split, 600, seed)] for split in SPLITS}
    for one, other in combinations(SPLITS, 2):
        prompts = [{text for pair in drawn[split] for text in (pair.clean, pair.corrupt)} for split in (one, other)]
        assert not prompts[0] & prompts[1]


@each_task
def test_heldout_shares_no_content_word(task: Task) -> None:
    def words(split: Split, names: tuple[str, ...]) -> set[str]:
        drawn = pairs(task, split, 2000, 0)
        return {read(shapes(task, split), pair.clean)[name] for pair in drawn for name in names}

    for names in [("noun",), ("century",), ("start",)] if task is GREATER_THAN else [("a", "b")]:
        heldout = words("heldout", names)
        shared = words("discovery", names) | words("evaluation", names)
        assert len(heldout) >= 3
        assert not heldout & shared
    if task is not GREATER_THAN:
        [example] = {pair.clean.rpartition("\n")[0] for pair in pairs(task, "heldout", 50, 0)}
        assert not set(re.findall(r"\d+", example)) & (heldout | shared)


@each_task
@each_split
def test_pairs_are_a_prefix_of_the_order_of_the_seed(task: Task, split: Split) -> None:
    longer = pairs(task, split, 150, seed=7)
    assert len(longer) == 150
    assert pairs(task, split, 61, seed=7) == longer[:61]
    assert pairs(task, split, 150, seed=8) != longer


@each_task
@each_split
def test_every_prefix_is_balanced(task: Task, split: Split) -> None:
    templates = shapes(task, split)
    drawn = [
        (pair.case, next(pattern for pattern in templates if re.fullmatch(pattern, pair.clean)))
        for pair in pairs(task, split, 150, seed=1)
    ]
    combined = len(templates) * {"greater_than": 8, "arithmetic/addition": 4, "arithmetic/subtraction": 3}[task.name]
    assert len(set(drawn)) == combined
    for stop in range(combined, len(drawn) + 1):
        counts = Counter(drawn[:stop]).values()
        assert len(counts) == combined
        assert max(counts) - min(counts) <= 1


@each_task
def test_unknown_split_names_the_valid_ones(task: Task) -> None:
    assert tuple(task.splits) == SPLITS
    with pytest.raises(UserError, match=r"'evaluate': did you mean 'evaluation'\? valid: discovery, eval"):
        task.pairs("evaluate", 1, 0)  # type: ignore[arg-type]
