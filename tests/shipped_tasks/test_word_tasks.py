"""Tasks that ask for one fact: every pair against templates written again here, splits against each other."""

import hashlib
import importlib
import re
import tomllib
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from basisbench.errors import UserError
from basisbench.shipped_tasks.antonyms import CHINESE, ENGLISH, FRENCH
from basisbench.shipped_tasks.capitals import CITY_STATE, COUNTRY, STATE_CAPITAL, TWO_HOP
from basisbench.shipped_tasks.facts import FactTask
from basisbench.shipped_tasks.gender_pronoun import GENDER_PRONOUN
from basisbench.shipped_tasks.ioi import IOI, REPLACED
from basisbench.shipped_tasks.names import HELDOUT_MEN, HELDOUT_WOMEN, MEN, WOMEN
from basisbench.tasks.pair import Pair
from basisbench.tasks.task import Task
from basisbench.values import SPLITS, Split
from toys.models import only

FACT_TASKS = [TWO_HOP, CITY_STATE, STATE_CAPITAL, COUNTRY, GENDER_PRONOUN, ENGLISH, FRENCH, CHINESE]
EVERY_TASK: list[Task] = [*FACT_TASKS, IOI, REPLACED]
each_task = pytest.mark.parametrize("task", FACT_TASKS, ids=lambda task: task.name)
MANY = 2000

# The templates written again, exemplars and all: a prompt by task and case; and whether an answer has a blank.
PLACE = r"[A-Z][\w.]*(?: [A-Z]\w*)*"
WORD = r"\w+"
SHAPES: dict[str, dict[str, str]] = {
    "capitals/two_hop": {
        "few_shot": r"City: Miami\. State capital: Tallahassee\nCity: Los Angeles\. State capital: Sacramento\n"
        rf"City: Baltimore\. State capital: Annapolis\nCity: (?P<city>{PLACE})\. State capital:",
        "fact": rf"Fact: the capital of the state containing (?P<city>{PLACE}) is",
        "located": r"The capital of the state where Chicago is located is Springfield\n"
        r"The capital of the state where Charlotte is located is Raleigh\n"
        rf"The capital of the state where (?P<city>{PLACE}) is located is",
    },
    "capitals/city_state": {
        "few_shot": r"The city of Miami is in the state of Florida\n"
        r"The city of Los Angeles is in the state of California\n"
        rf"The city of (?P<city>{PLACE}) is in the state of",
        "plain": rf"The city of (?P<city>{PLACE}) is in the state of",
        "listed": r"City: Chicago\. State: Illinois\nCity: Charlotte\. State: North Carolina\n"
        rf"City: (?P<city>{PLACE})\. State:",
    },
    "capitals/state_capital": {
        "few_shot": r"State: California\. Capital: Sacramento\nState: Florida\. Capital: Tallahassee\n"
        rf"State: Maryland\. Capital: Annapolis\nState: (?P<state>{PLACE})\. Capital:",
        "plain": rf"The capital of the state of (?P<state>{PLACE}) is",
        "called": rf"The capital city of (?P<state>{PLACE}) is called",
    },
    "capitals/country": {
        "few_shot": r"Country: Italy\. Capital: Rome\nCountry: Peru\. Capital: Lima\nCountry: Egypt\. Capital: Cairo\n"
        rf"Country: (?P<country>{PLACE})\. Capital:",
        "plain": rf"The capital of (?P<country>{PLACE}) is",
        "called": rf"The capital city of (?P<country>{PLACE}) is called",
    },
    "gender_pronoun": {
        "friend": rf"So (?P<name>{WORD}) is a really great friend, isn't",
        "late": rf"I think (?P<name>{WORD}) will be late again, won't",
        "worked": rf"As you know, (?P<name>{WORD}) worked very hard last year, didn't",
        "trust": rf"People trust (?P<name>{WORD}) because",
        "can": rf"I am sure that (?P<name>{WORD}) can swim, can't",
        "tired": rf"Yesterday (?P<name>{WORD}) went home early because",
        "waited": rf"We waited for (?P<name>{WORD}) until",
    },
    "antonyms/english": {
        "few_shot": r"The opposite of hot is cold\nThe opposite of win is lose\n"
        rf"The opposite of (?P<word>{WORD}) is",
        "antonym": rf"An antonym of (?P<word>{WORD}) is",
        "quoted": rf'The opposite of "(?P<word>{WORD})" is "',
    },
    "antonyms/french": {
        "few_shot": r"Le contraire du mot jour est nuit\nLe contraire du mot riche est pauvre\n"
        rf"Le contraire du mot monter est descendre\nLe contraire du mot (?P<word>{WORD}) est",
        "plain": rf"Le mot (?P<word>{WORD}) veut dire le contraire de",
        "quoted": r'Le contraire de "jour" est "nuit"\nLe contraire de "riche" est "pauvre"\n'
        rf'Le contraire de "(?P<word>{WORD})" est "',
    },
    "antonyms/chinese": {
        "few_shot": r"大——小\n黑——白\n买——卖\n(?P<word>\w)——",
        "plain": r"(?P<word>\w)的反义词是",
        "quoted": r"“大”的反义词是“小”\n“黑”的反义词是“白”\n“(?P<word>\w)”的反义词是“",
    },
}
HELDOUT_CASES = {
    "capitals/two_hop": {"fact", "located"},
    "capitals/city_state": {"plain", "listed"},
    "capitals/state_capital": {"plain", "called"},
    "capitals/country": {"plain", "called"},
    "gender_pronoun": {"can", "tired", "waited"},
    "antonyms/english": {"antonym", "quoted"},
    "antonyms/french": {"plain", "quoted"},
    "antonyms/chinese": {"plain", "quoted"},
}


def pairs(task: Task, split: Split, n: int, seed: int) -> list[Pair]:
    return list(task.pairs(split, n, seed))


def blank(task: Task, case: str) -> str:
    return "" if "chinese" in task.name or case == "quoted" else " "


def words_of(task: Task, text: str) -> set[str]:
    return set(text) if task is CHINESE else set(re.findall(r"\w+", text.lower()))


def asked_in(task: Task, pair: Pair, side: str) -> str:
    (span,) = getattr(pair, f"{side}_spans")
    asked: str = getattr(pair, side)[span.start : span.end]
    return asked


@each_task
@pytest.mark.parametrize("split", SPLITS)
def test_pairs_fit_the_templates_and_differ_in_the_word_asked(task: FactTask, split: Split) -> None:
    facts = {fact.asked: fact.answer for fact in (*task.shared, *task.heldout)}
    everything = set(facts.values())
    seen = set()
    for pair in pairs(task, split, 400, seed=3):
        lead = blank(task, pair.case)
        for side, answer in (("clean", "answers"), ("corrupt", "foils")):
            match = re.fullmatch(SHAPES[task.name][pair.case], getattr(pair, side))
            assert match is not None, getattr(pair, side)
            ((name, asked),) = match.groupdict().items()
            assert getattr(pair, f"{side}_spans") == ((name, match.start(name), match.end(name)),)
            assert only(getattr(pair, answer)) == lead + facts[asked]
            # an exemplar is never the thing asked, nor its answer
            exemplars = words_of(task, getattr(pair, side).rpartition("\n")[0] if "\n" in getattr(pair, side) else "")
            assert not exemplars & {asked.lower(), facts[asked].lower()}
        assert only(pair.answers) != only(pair.foils)
        assert asked_in(task, pair, "corrupt") != only(pair.answers).strip()
        assert len(pair.candidates) == len(everything)
        assert set(pair.candidates) == {lead + answer for answer in everything}
        seen.add(pair.case)
    held = HELDOUT_CASES[task.name]
    assert seen == (held if split == "heldout_templates" else set(SHAPES[task.name]) - held)


@each_task
def test_no_prompt_stands_in_two_splits_whatever_the_seeds(task: FactTask) -> None:
    drawn = {split: [pair for seed in range(3) for pair in pairs(task, split, 500, seed)] for split in SPLITS}
    for one, other in combinations(SPLITS, 2):
        answered = [{(pair.clean, only(pair.answers)) for pair in drawn[split]} for split in (one, other)]
        assert not answered[0] & answered[1]
        prompts = [{text for pair in drawn[split] for text in (pair.clean, pair.corrupt)} for split in (one, other)]
        assert not prompts[0] & prompts[1]
    for split in ("discovery", "evaluation"):
        first = {hashlib.sha256(pair.clean.encode()).digest()[0] < 128 for pair in drawn[split]}
        assert first == {split == "discovery"}


@each_task
def test_heldout_shares_no_content_word(task: FactTask) -> None:
    elsewhere = {
        word
        for split in SPLITS
        if split != "heldout"
        for pair in pairs(task, split, MANY, 0)
        for text in (pair.clean, pair.corrupt, *pair.answers, *pair.foils)
        for word in words_of(task, text)
    }
    pronouns = {"he", "she"} if task is GENDER_PRONOUN else set()
    held = set()
    for pair in pairs(task, "heldout", MANY, 0):
        for text in (
            asked_in(task, pair, "clean"),
            asked_in(task, pair, "corrupt"),
            only(pair.answers),
            only(pair.foils),
        ):
            held |= words_of(task, text) - {" "}
    assert len(held) > 20
    assert held & elsewhere == pronouns


@each_task
@pytest.mark.parametrize("split", SPLITS)
def test_pairs_are_a_prefix_of_the_order_of_the_seed(task: FactTask, split: Split) -> None:
    longer = pairs(task, split, 100, seed=7)
    assert len(longer) == 100
    assert pairs(task, split, 41, seed=7) == longer[:41]
    assert pairs(task, split, 100, seed=8) != longer
    assert len({(pair.clean, pair.corrupt) for pair in longer}) == 100


@each_task
@pytest.mark.parametrize("split", ["discovery", "evaluation", "heldout"])
def test_every_prefix_is_balanced_over_answers(task: FactTask, split: Split) -> None:
    drawn = [only(pair.answers) for pair in pairs(task, split, MANY, seed=1)]
    total = Counter(drawn)
    for stop in range(1, 151):
        counts = Counter(drawn[:stop])
        most = max(counts.values())
        # only an answer without any pairs left may lag behind
        assert all(counts[answer] >= min(most - 1, total[answer]) for answer in total)
        assert most <= -(-stop // len(total)) or any(counts[answer] == total[answer] for answer in total)


@each_task
def test_every_prompt_of_an_answer_comes_once_before_one_comes_again(task: FactTask) -> None:
    prompts: dict[str, list[str]] = {}
    for pair in pairs(task, "evaluation", MANY, seed=0):
        prompts.setdefault(only(pair.answers), []).append(pair.clean)
    for asked in prompts.values():
        # a prompt with few partners may run out, but not before each has come once
        assert len(set(asked[: len(set(asked))])) == len(set(asked))


@each_task
def test_unknown_split_names_the_valid_ones(task: FactTask) -> None:
    with pytest.raises(UserError, match=r"'evaluate': did you mean 'evaluation'\? valid: .*heldout_templates"):
        task.pairs("evaluate", 1, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("task", [ENGLISH, FRENCH, CHINESE], ids=lambda task: task.name)
def test_antonyms_are_pairs_of_words_that_occur_once(task: FactTask) -> None:
    facts = (*task.shared, *task.heldout)
    opposite = {fact.asked: fact.answer for fact in facts}
    assert len(opposite) == len(facts)
    for word, other in opposite.items():
        assert word != other
        assert opposite[other] == word


def test_antonyms_are_those_of_the_language() -> None:
    known = [
        (ENGLISH, "small", "big"),
        (ENGLISH, "tall", "short"),
        (FRENCH, "petit", "grand"),
        (FRENCH, "hiver", "été"),
        (CHINESE, "小", "大"),
        (CHINESE, "新", "旧"),
    ]
    for task, word, other in known:
        assert {fact.answer for fact in (*task.shared, *task.heldout) if fact.asked == word} == {other}


def test_names_occur_once() -> None:
    names = Counter([*MEN, *WOMEN, *HELDOUT_MEN, *HELDOUT_WOMEN])
    assert [name for name, count in names.items() if count > 1] == []
    assert len(MEN) == len(WOMEN)
    assert len(HELDOUT_MEN) == len(HELDOUT_WOMEN)
    known = {"John": " he", "Mary": " she", "Karl": " he", "Lucy": " she"}
    for split in ("discovery", "heldout"):
        for pair in pairs(GENDER_PRONOUN, split, 300, 0):
            for side, answer in (("clean", "answers"), ("corrupt", "foils")):
                name = asked_in(GENDER_PRONOUN, pair, side)
                assert only(getattr(pair, answer)) == known.get(name, only(getattr(pair, answer)))
                assert (only(getattr(pair, answer)) == " he") == (name in (*MEN, *HELDOUT_MEN))


def test_tasks_are_registered_under_their_names() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    entries = project["project"]["entry-points"]["basisbench.tasks"]
    for task in EVERY_TASK:
        module, _, constant = entries[task.name].partition(":")
        assert getattr(importlib.import_module(module), constant) is task
        assert "\n" not in task.description


@pytest.mark.model
def test_most_pairs_align_in_the_embedded_model() -> None:
    from transformers import AutoTokenizer

    from basisbench.models.embedded import fetch_embedded
    from basisbench.models.text_tokenizer import TextTokenizer
    from basisbench.prompts.tokens import tokenise

    tokenizer = AutoTokenizer.from_pretrained(fetch_embedded(print))
    read = TextTokenizer.of(tokenizer)
    for task in EVERY_TASK:
        for split in task.splits:
            used = [not isinstance(tokenise(pair, read), str) for pair in pairs(task, split, 40, 0)]
            assert sum(used) / len(used) >= (0.95 if task in (IOI, REPLACED, GENDER_PRONOUN) else 0.7)
    names = (*MEN, *WOMEN, *HELDOUT_MEN, *HELDOUT_WOMEN)
    tokens = {name: tokenizer(f" {name}", add_special_tokens=False)["input_ids"] for name in names}
    assert [name for name, ids in tokens.items() if len(ids) != 1] == []
