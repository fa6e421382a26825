"""What `check-task` says of a sound task, against explicit counts and passes, and of tasks broken on purpose."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from basisbench.checks.findings import Finding
from basisbench.checks.task import TaskReport, check_task, task_check_table
from basisbench.checks.task_pairs import Drawn, draw_pairs
from basisbench.checks.task_samples import template
from basisbench.cli import app
from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.tasks.pair import Pair
from basisbench.tasks.task import TASKS
from basisbench.values import Split
from toys.models import altered, pair_rows, write_task

Make = Callable[[str], Model]
Rows = dict[str, list[dict[str, Any]]]
N, SEEDS = 20, 3
NAMES = (
    *("pairs", "spans", "order", "balance", "leaks", "held-out words", "held-out templates", "answers"),
    *("tokens", "candidates", "baseline"),
)


def prompt(pattern: str, word: str) -> tuple[str, list[tuple[str, int, int]]]:
    start = pattern.index("*")
    return pattern.replace("*", word), [("subject", start, start + len(word))]


def row(pattern: str, clean: int, corrupt: int, **other: Any) -> dict[str, Any]:
    """The fields of a pair: after the word w10 comes w30, and so on."""
    sides = [prompt(pattern, f"w{word}") for word in (clean, corrupt)]
    return {
        "clean": sides[0][0],
        "corrupt": sides[1][0],
        "answers": f" w{clean + 20}",
        "foils": f" w{corrupt + 20}",
        "case": pattern,
        "clean_spans": sides[0][1],
        "corrupt_spans": sides[1][1],
        "candidates": [f" w{word}" for word in range(30, 50)],
    } | other


def rows_of(pattern: str, words: Sequence[int]) -> list[dict[str, Any]]:
    return [row(pattern, clean, corrupt) for clean, corrupt in permutations(words, 2)]


def sound() -> Rows:
    """The fields of twenty pairs or more a split."""
    return {
        "discovery": rows_of("w3 * w4", range(10, 15)),
        "evaluation": rows_of("w3 * w4", range(15, 20)),
        "heldout": rows_of("w3 * w4", range(20, 25)),
        "heldout_templates": rows_of("w5 * w6", range(10, 20)),
    }


@dataclass
class Fake:
    """Pairs of a split in the order of a seed, made when they are asked for."""

    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    name: str = "fake"
    family: str = "fake"
    description: str = "a task of made-up words"

    @property
    def splits(self) -> tuple[Split, ...]:
        return tuple(self.rows)  # type: ignore[arg-type]

    def rng(self, n: int, seed: int) -> np.random.Generator:
        return np.random.default_rng(seed)

    def pairs(self, split: str, n: int, seed: int) -> list[Pair]:
        if split not in self.rows:
            raise UserError(f"no split {split}")
        order = self.rng(n, seed).permutation(len(self.rows[split]))[:n]
        return [Pair(**self.rows[split][i]) for i in order]


def checked(task: object, model: Model | None = None, **asked: int) -> TaskReport:
    return check_task(task, model, **({"n": N, "seeds": SEEDS} | asked))  # type: ignore[arg-type]


def finding(report: TaskReport, name: str) -> Finding:
    (found,) = (found for found in report.findings if found.check == name)
    return found


def not_ok(report: TaskReport) -> dict[str, str]:
    return {found.check: found.verdict for found in report.findings if found.verdict != "ok"}


# -- a sound task --------------------------------------------------------------------------------------


def test_a_sound_task_passes(tiny: Make) -> None:
    report = checked(Fake(sound()), tiny("llama"))
    assert [found.check for found in report.findings] == list(NAMES)
    # a random model cannot do it
    assert not_ok(report) == {"baseline": "warning"}
    assert not report.failed
    assert "20 of discovery, 20 of evaluation" in finding(report, "pairs").words
    assert finding(report, "spans").words.endswith(" of a case: subject")
    assert finding(report, "leaks").words.startswith("none of 25 pairs")
    assert finding(report, "answers").words.startswith("no answer of 25 prompts")
    assert finding(report, "tokens").words == "every pair usable; prompts of 3 to 3 tokens"
    assert finding(report, "candidates").words.startswith("each of 80 pairs")


def test_a_task_needs_no_held_out_splits_and_no_spans() -> None:
    rows = {split: sound()[split] for split in ("discovery", "evaluation")}
    for some in rows.values():
        for one in some:
            del one["candidates"]
            one.update(clean_spans=[], corrupt_spans=[], answers=[one["answers"]], foils=[one["foils"]])
    report = checked(Fake(rows))
    assert not_ok(report) == {}
    assert [found.check for found in report.findings] == list(NAMES[:8])
    assert finding(report, "spans").words == "the task names none"
    assert finding(report, "held-out words").words == "the task has no heldout"


def test_the_baseline_is_that_of_a_plain_pass(tiny: Make) -> None:
    model = tiny("llama")
    rows = sound()["evaluation"]
    right, differences = [], []
    for one in rows:
        tokens = torch.tensor([model.tokenizer(one["clean"])["input_ids"]])
        with torch.no_grad():
            logits = model.logits(model.forward(tokens, torch.tensor([tokens.shape[1] - 1])))[0]
        difference = float(logits[int(one["answers"][2:])] - logits[int(one["foils"][2:])])
        right.append(difference > 0)
        differences.append(difference)
    words = finding(checked(Fake(sound()), model), "baseline").words
    assert f"evaluation, 20 pairs: accuracy {sum(right) / 20:.2f} [" in words
    assert f"logit difference {sum(differences) / 20:z.2f} [" in words


def test_shares_are_those_of_the_first_n_rows() -> None:
    """A share over n rows of the first seed, counted from what the task gives."""
    rows = {split: sound()[split] for split in ("discovery", "evaluation")}
    for one in rows["discovery"]:
        one["case"] = one["clean"]
    del rows["evaluation"][1:]
    rows["evaluation"] += [row("w3 * w4", clean, 15) for clean in range(16, 29)]
    for number, one in enumerate(rows["evaluation"]):
        one["case"] = str(number)
    task = Fake(rows)
    answers = [pair.answers for pair in task.pairs("discovery", 10, 0)]
    count, kinds = max(map(answers.count, answers)), len(set(answers))
    assert 0.2 < count / 10 <= 0.4
    words = finding(checked(task, n=10), "balance").words
    assert f" in {count / 10:.0%} of the pairs of discovery ({kinds} answers); most frequent case " in words


# -- pairs, spans, order -------------------------------------------------------------------------------


class ByN(Fake):
    def rng(self, n: int, seed: int) -> np.random.Generator:
        return np.random.default_rng([seed, n])


class NoSeed(Fake):
    def rng(self, n: int, seed: int) -> np.random.Generator:
        return np.random.default_rng(0)


class Moving(Fake):
    def rng(self, n: int, seed: int) -> np.random.Generator:
        return np.random.default_rng()


class Raises(Fake):
    def pairs(self, split: str, n: int, seed: int) -> list[Pair]:
        if split == "heldout":
            raise KeyError("gone\n\x1b[31mfor good")
        return super().pairs(split, n, seed)


class Drawing(Fake):
    def pairs(self, split: str, n: int, seed: int) -> list[Pair]:
        return (pair for pair in super().pairs(split, n, seed))  # type: ignore[return-value]


class Dicts(Fake):
    def pairs(self, split: str, n: int, seed: int) -> list[Pair]:
        return self.rows[split][:n]  # type: ignore[return-value]


class TooMany(Fake):
    def pairs(self, split: str, n: int, seed: int) -> list[Pair]:
        return super().pairs(split, n + 1, seed)


class Generous(Fake):
    def pairs(self, split: str, n: int, seed: int) -> list[Pair]:
        return super().pairs("discovery" if split == "heldout" else split, n, seed)


class KeyErrors(Fake):
    def pairs(self, split: str, n: int, seed: int) -> list[Pair]:
        return super().pairs(split if self.rows[split] else "", n, seed)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (ByN, "5 pairs of a seed are not the beginning of its 10 pairs"),
        (NoSeed, "discovery: another seed gives the same pairs in the same order"),
        (Moving, "discovery: the same seed gives other pairs the second time"),
    ],
)
def test_an_order_that_is_not_the_seeds_is_named(kind: type[Fake], expected: str) -> None:
    report = checked(kind(sound()), n=5)
    assert finding(report, "order").verdict == "broken"
    assert expected in finding(report, "order").words
    assert report.failed


@pytest.mark.parametrize("count", [1, 3])
def test_few_rows_may_come_in_the_same_order(count: int) -> None:
    rows = {split: some[:count] for split, some in sound().items()}
    found = finding(checked(NoSeed(rows)), "order")
    assert found.verdict == "ok"
    assert found.words.endswith("a seed repeats its pairs; too few pairs or seeds to compare the order of seeds")


def test_one_seed_has_no_other_to_compare_with() -> None:
    assert "too few pairs or seeds" in finding(checked(NoSeed(sound()), seeds=1), "order").words


def without(*splits: str) -> Rows:
    return {split: rows for split, rows in sound().items() if split not in splits}


def with_row(split: str, **changes: Any) -> Rows:
    rows = sound()
    rows[split][3] |= changes
    return rows


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (Fake, "the task is the class Fake: valid: register an instance of it"),
        (Fake(sound(), description="two\nlines"), "description must be one line of text"),
        (Fake(sound(), family="made up"), "family must be one word"),
        (Fake(without("evaluation")), "splits lack evaluation"),
        (Fake(sound() | {"held-out": []}), "unknown split 'held-out': did you mean 'heldout'?"),
        (Fake(sound() | {"heldout": []}), "heldout: pairs gives 0 pairs where 40 are asked for"),
        (Raises(sound()), "heldout: KeyError: 'gone\\n\\x1b[31mfor good'"),
        (Drawing(sound()), "discovery: pairs gives a generator: valid: a list of basisbench.Pair"),
        (Dicts(sound()), "discovery: pair 1 is a dict: valid: a basisbench.Pair"),
        (TooMany({split: rows * 3 for split, rows in sound().items()}), "pairs gives 41 pairs where 40 are asked for"),
        (Generous(without("heldout")), "it gives pairs of heldout, which is not in its splits: valid: UserError"),
        (KeyErrors(without("heldout")), "heldout, a split that it lacks, raises KeyError: valid: UserError"),
        (Fake(with_row("evaluation", foils=" w35", answers=" w35")), "evaluation: foils: ' w35' is an answer too"),
        (
            Fake(with_row("evaluation", corrupt="w3 w9", clean="w3 w9", clean_spans=[], corrupt_spans=[])),
            "must differ from the clean prompt",
        ),
        (Fake(with_row("evaluation", answers="")), "evaluation: answers: valid is a text that is not empty, got ''"),
        (Fake(with_row("heldout", clean=None)), "heldout: clean: valid is a text that is not empty, got None"),
        (Fake(with_row("heldout", answers=" w9")), "heldout: candidates: the answer ' w9' is not among them"),
        (Fake(with_row("heldout", clean_spans=[("a", 3, 6)])), "heldout: corrupt_spans: valid are the names of clean"),
    ],
)
def test_rows_that_are_not_as_promised_are_named_and_nothing_else_is_asked(task: object, expected: str) -> None:
    report = checked(task)
    (found,) = report.findings
    assert (found.check, found.verdict) == ("pairs", "broken")
    assert expected in found.words
    assert found.words.isprintable()
    assert "the rest was not checked" in " ".join(printed(report).split())


def test_a_repeated_row_is_a_warning() -> None:
    rows = sound()
    rows["discovery"][5] = rows["discovery"][4]
    found = finding(checked(Fake(rows)), "pairs")
    assert found.verdict == "warning"
    assert "discovery: pair" in found.words


def test_spans_that_differ_within_a_case_are_a_warning() -> None:
    both = [("subject", 3, 6), ("last", 7, 9)]
    found = finding(checked(Fake(with_row("evaluation", clean_spans=both, corrupt_spans=both))), "spans")
    assert found.verdict == "warning"
    assert re.fullmatch(
        r"evaluation: pair \d+ has the spans (subject, last|subject), another of its case (subject, last|subject)",
        found.words,
    )
    other = with_row("evaluation", clean_spans=both, corrupt_spans=both, case="another")
    assert finding(checked(Fake(other)), "spans").words == "the same in all pairs of a case: subject, last"
    without = finding(checked(Fake(with_row("evaluation", clean_spans=[], corrupt_spans=[]))), "spans")
    assert "none" in without.words


# -- balance, leaks, held-out splits, answers ----------------------------------------------------------


def test_answers_out_of_balance_are_named() -> None:
    rows = sound()
    rows["evaluation"] = [row("w3 * w4", 15, corrupt) for corrupt in range(16, 25)]
    rows["evaluation"] += [row("w3 * w4", clean, 15) for clean in (16, 17, 18)]
    report = checked(Fake(rows))
    assert finding(report, "balance").verdict == "warning"
    assert (
        finding(report, "balance").words == "not balanced: answer ' w35' in 75% of the pairs of evaluation (4 answers)"
    )
    # 75 % of two is no more than 1.5 times their even share
    assert finding(checked(Fake(rows | {"evaluation": two_answers(15, 5)})), "balance").verdict == "ok"
    assert finding(checked(Fake(rows | {"evaluation": two_answers(16, 4)})), "balance").verdict == "warning"
    assert "(1 answer)" in finding(checked(Fake(rows | {"evaluation": two_answers(9, 0)})), "balance").words


def two_answers(one: int, other: int) -> list[dict[str, Any]]:
    rows = [row("w3 * w4", 15, 16, case=str(i)) for i in range(one)]
    return rows + [row("w3 * w4", 16, 15, case=str(i)) for i in range(other)]


def test_cases_out_of_balance_are_named() -> None:
    rows = sound()
    for index, one in enumerate(rows["heldout"]):
        one["case"] = "rare" if index < 3 else "common"
    found = finding(checked(Fake(rows)), "balance")
    assert found.words == "not balanced: case 'common' in 85% of the pairs of heldout (2 cases)"


def test_a_row_in_two_splits_is_named() -> None:
    rows = sound()
    rows["evaluation"] += [one for one in rows["discovery"] if one["clean"] in ("w3 w10 w4", "w3 w11 w4")]
    report = checked(Fake(rows))
    found = finding(report, "leaks")
    assert found.verdict == "broken"
    assert found.words.startswith("2 pairs of discovery stand in evaluation too: 'w3 w10 w4' with ' w30'; ")
    assert report.failed


def test_a_leak_of_another_seed_is_found() -> None:
    rows = sound()
    rows["evaluation"] = rows["evaluation"] * 20 + rows["discovery"][:1]

    def words(seeds: int) -> str:
        return finding(checked(Fake(rows), n=100, seeds=seeds), "leaks").words

    at = [next(i for i in range(401) if np.random.default_rng(s).permutation(401)[i] == 400) for s in range(6)]
    first = next(seed for seed, place in enumerate(at) if place < 200)
    assert first > 0, "the leak must not be in the first seed's rows"
    assert "stand in evaluation too" not in words(first)
    assert "stand in evaluation too" in words(first + 1)


def test_a_corrupt_prompt_of_one_split_that_another_asks_is_a_warning() -> None:
    rows = sound()
    rows["evaluation"] += [row("w3 * w4", 15, 10)]
    found = finding(checked(Fake(rows)), "leaks")
    assert found.verdict == "warning"
    assert found.words == "1 corrupt prompts of evaluation are clean ones of discovery: 'w3 w10 w4'"


@pytest.mark.parametrize("split", ["discovery", "evaluation"])
def test_a_held_out_word_in_another_split_is_named(split: str) -> None:
    rows = sound()
    rows[split] += [row("w3 * w4", 15 if split == "evaluation" else 10, 22)]
    found = finding(checked(Fake(rows)), "held-out words")
    assert found.verdict == "broken"
    assert found.words == "heldout shares what spans hold with discovery or evaluation: 'w22'"


def test_a_held_out_word_in_a_span_of_another_name_or_a_part_is_a_warning() -> None:
    rows = sound()
    for one in rows["heldout"]:
        one["clean_spans"], one["corrupt_spans"] = [("other", 3, 6)], [("other", 3, 6)]
    assert not_ok(checked(Fake(rows))) == {}
    for changes in ({"clean": "w3 w22 w4"}, {"clean": "w3 w11 w22 w4", "clean_spans": [("subject", 3, 10)]}):
        one = dict(rows["discovery"][0]) | changes
        found = finding(checked(Fake(rows | {"discovery": [*rows["discovery"][1:], one]})), "held-out words")
        assert found.verdict == "warning"
        assert found.words.endswith(": 'w22'")


def test_what_stands_in_every_prompt_is_the_templates() -> None:
    rows = {split: some for split, some in sound().items() if split != "heldout_templates"}
    for some in rows.values():
        for one in some:
            for spans in (one["clean_spans"], one["corrupt_spans"]):
                spans.insert(0, ("first", 0, 2))
    assert finding(checked(Fake(rows)), "held-out words").verdict == "ok"
    changed = row("w7 * w4", 20, 21)
    changed["clean_spans"].insert(0, ("first", 0, 2))
    changed["corrupt_spans"].insert(0, ("first", 0, 2))
    rows["heldout"].append(changed)
    found = finding(checked(Fake(rows)), "held-out words")
    assert found.words.endswith(": 'w3'")


def test_without_spans_shared_words_are_a_warning() -> None:
    rows = sound()
    for some in rows.values():
        for one in some:
            one.update(clean_spans=[], corrupt_spans=[])
    report = checked(Fake(rows))
    assert finding(report, "held-out words").verdict == "ok"
    assert finding(report, "held-out templates").verdict == "warning"
    rows["heldout"].append(row("w3 * w4", 10, 11, clean_spans=[], corrupt_spans=[]))
    found = finding(checked(Fake(rows)), "held-out words")
    assert found.verdict == "warning"
    assert "shares words with discovery or evaluation: 'w10', 'w11' (spans would tell" in found.words


@pytest.mark.parametrize("split", ["discovery", "heldout"])
def test_a_held_out_template_in_another_split_is_named(split: str) -> None:
    rows = sound()
    rows[split].append(row("w5 * w6", *((10, 11) if split == "discovery" else (20, 21)), answers=" w49", candidates=[]))
    found = finding(checked(Fake(rows)), "held-out templates")
    assert found.verdict == "broken"
    assert found.words == f"heldout_templates shares 1 with {split}: 'w5 … w6'"


def test_a_template_is_blank_wherever_its_span_is_repeated() -> None:
    text = "In 1142 the war began, the war of 11"
    spans = (("century", 3, 5), ("start", 5, 7), ("noun", 12, 15))
    pair = Pair(text, text.lower(), " 43", " 42", clean_spans=spans, corrupt_spans=spans)
    assert template(pair) == "In …… the … began, the … of …"


def test_an_answer_that_is_a_foil_of_the_same_prompt_is_named() -> None:
    rows = sound()
    rows["discovery"].append(row("w3 * w4", 10, 11, answers=" w31", foils=" w30"))
    report = checked(Fake(rows))
    found = finding(report, "answers")
    assert found.verdict == "broken"
    assert found.words == (
        "1 of 25 prompts have an answer that is a foil in another pair: 'w3 w10 w4' with ' w30', ' w31'"
    )
    # another right answer is none: agreement asks for several verbs after one prompt
    rows["discovery"][-1] |= {"answers": " w40", "foils": " w41"}
    assert finding(checked(Fake(rows)), "answers").verdict == "ok"


# -- on a model ----------------------------------------------------------------------------------------


def test_rows_that_cannot_be_used_are_counted_by_reason(tiny: Make) -> None:
    rows = sound()
    for one in rows["heldout"][:8]:
        one.update(corrupt=one["corrupt"] + " w7")
    report = checked(Fake(rows), tiny("llama"))
    assert finding(report, "tokens").verdict == "ok"
    assert "heldout: 12 of 20 pairs usable (8 clean and corrupt prompts differ in length)" in (
        finding(report, "tokens").words
    )
    for one in rows["heldout"][8:11]:
        one.update(clean=one["clean"] + " w7 w7")
    found = finding(checked(Fake(rows), tiny("llama")), "tokens")
    assert found.verdict == "warning"
    assert found.words.startswith("heldout: 9 of 20 pairs usable (11 clean")


def test_a_task_of_which_nothing_can_be_used_is_broken(tiny: Make) -> None:
    rows = sound()
    for one in rows["evaluation"]:
        one.update(corrupt=one["corrupt"] + " w7")
    report = checked(Fake(rows), tiny("llama"))
    assert report.failed
    assert finding(report, "tokens").words.startswith("evaluation: 0 of 20 pairs usable (20 clean and corrupt")
    assert finding(report, "baseline").words.startswith("not measured: task 'fake' has no usable pair in 'evaluation'")


def test_candidates_that_begin_like_the_answer_are_counted(tiny: Make) -> None:
    rows = sound()
    for one in rows["evaluation"][:7]:
        one["candidates"] = [*one["candidates"], one["answers"] + " w9"]
    found = finding(checked(Fake(rows), tiny("llama")), "candidates")
    assert found.verdict == "warning"
    assert found.words.startswith("in 7 of 80 pairs another candidate begins with the answer's token: ' w3")


def test_candidates_are_compared_where_answer_and_foil_part(tiny: Make) -> None:
    """Of w30 w31 and w30 w32 the second words are scored; w33 is ruled out and w30 w31 w9 not told apart."""

    def report(other: str) -> Finding:
        rows = {split: sound()[split] for split in ("discovery", "evaluation")}
        for some in rows.values():
            for one in some:
                one.update(answers=" w30 w31", foils=" w30 w32", candidates=[" w30 w31", " w30 w32", other])
        return finding(checked(Fake(rows), tiny("llama")), "candidates")

    assert report(" w33").verdict == "ok"
    assert report(" w30 w33").verdict == "ok"
    assert report(" w30 w31 w9").words.startswith("in 40 of 40 pairs")


# -- the table, the command ----------------------------------------------------------------------------


def printed(report: TaskReport, width: int = 80) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(task_check_table(report))
    return console.export_text()


def test_the_table_has_a_row_a_check(tiny: Make) -> None:
    rows = sound()
    for answer, foil in ((" [red]w9", " w9"), (" w9", " [red]w9")):
        rows["heldout"].append(row("w3 * w4", 20, 21, answers=answer, foils=foil, candidates=[]))
    text = printed(checked(Fake(rows), tiny("llama")))
    assert max(map(len, text.splitlines())) <= 80
    for name in NAMES:
        assert any(line.strip().startswith(name) for line in text.splitlines())
    assert "[red]" in text
    end = "task 'fake' must not be used as it is on 'llama' (20 pairs a split, 3 seeds): 9 ok, 1 warning, 1 broken"
    assert end in " ".join(text.split())


def run(*arguments: object) -> tuple[int, str]:
    try:
        result = CliRunner().invoke(
            app, ["check-task", *map(str, arguments)], standalone_mode=False, catch_exceptions=False
        )
    except UserError as error:
        return 2, str(error)
    return result.exit_code or int(result.return_value or 0), " ".join(result.output.split())


def test_the_command(tiny_folder: Path, task_folder: Path, tmp_path: Path) -> None:
    on = ("--model", tiny_folder, "--device", "cpu", "--n-rows", 10, "--n-seeds", 2)
    status, output = run(task_folder, *on)
    assert (status, "task 'words' keeps the contract on" in output) == (0, True)
    assert "tiny-llama' (10 pairs a split, 2 seeds): 9 ok, 2 warning" in output
    rows = pair_rows(6)
    rows[1] = altered(rows[0], answers=rows[0].foils, foils=rows[0].answers)
    broken = write_task(tmp_path / "broken", discovery=rows, evaluation=pair_rows(6, seed=1))
    status, output = run(broken, *on)
    assert (status, "have an answer that is a foil in another pair" in output) == (1, True)
    assert "must not be used as it is" in output


def test_wrong_arguments_are_named_in_a_line(tmp_path: Path) -> None:
    assert run("sva/simpel")[1].startswith("unknown task 'sva/simpel': did you mean 'sva/simple'?")
    assert run("sva/simple", "--n-seeds", 0) == (
        2,
        "setting n_seeds: Input should be greater than or equal to 1, got '0'",
    )
    assert run(tmp_path / "none.yaml")[1].startswith("cannot read")
    (tmp_path / "empty").mkdir()
    status, message = run(tmp_path / "empty")
    assert (status, "\n" in message) == (2, False)
    assert message.startswith("no file")


# -- the tasks that ship -------------------------------------------------------------------------------

SHIPPED = sorted(
    point.name
    for point in entry_points(group="basisbench.tasks")
    if point.value.startswith("basisbench.shipped_tasks.")
    and not point.value.startswith("basisbench.shipped_tasks.presets:")
)


def test_shipped_tasks_are_found() -> None:
    assert {"sva/rc", "ioi", "greater_than"} <= set(SHIPPED)
    assert not [name for name in SHIPPED if name.startswith(("mib/", "marks/"))]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_task_passes(name: str) -> None:
    report = check_task(TASKS.get(name), n=50, seeds=4)
    assert not report.failed, printed(report)
    assert [found.check for found in report.findings] == list(NAMES[:8])


def test_rows_are_drawn_under_every_seed() -> None:
    drawn, _ = draw_pairs(Fake(sound()), 5, 4)
    assert isinstance(drawn, Drawn)
    assert len({tuple(rows) for rows in drawn.pairs["discovery"]}) == 4
    assert [len(rows) for rows in drawn.pairs["discovery"]] == [10] * 4
    assert len(drawn.first("discovery")) == 5
