"""Subject-verb agreement: pairs against templates written again here, splits against brute force."""

import hashlib
import re
from collections import Counter
from itertools import combinations

import pytest

from basisbench.errors import UserError
from basisbench.shipped_tasks.lexicon import ANSWERS, HELDOUT, SHARED, Lexicon, Word
from basisbench.shipped_tasks.patterns import WORD_SPLITS
from basisbench.shipped_tasks.sva import NOUNPP, RC, SIMPLE, WITHIN_RC
from basisbench.tasks.pair import Pair
from basisbench.tasks.task import Task
from basisbench.values import Split
from toys.models import only

TASKS: list[Task] = [SIMPLE, NOUNPP, RC, WITHIN_RC]
SPLITS = WORD_SPLITS
ALL = 10**6
FUNCTION_WORDS = {"The", "the", "that"}
AGREES = {"is": "singular", "has": "singular", "does": "singular", "goes": "singular"} | {
    "are": "plural",
    "have": "plural",
    "do": "plural",
    "go": "plural",
}
# The templates written again, independently of the patterns: the words of a prompt by span name.
SHAPES = {
    "sva/simple": r"The (?P<subject>\w+)",
    "sva/nounpp": r"The (?P<subject>\w+) (?P<preposition>\w+) the (?P<attractor>\w+)",
    "sva/rc": r"The (?P<subject>\w+) (?P<relative>that) the (?P<attractor>\w+) (?P<embedded_verb>\w+)",
    "sva/within_rc": r"The (?P<attractor>\w+) (?P<relative>that) the (?P<subject>\w+)",
}
each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)


def pairs(task: Task, split: Split, n: int, seed: int) -> list[Pair]:
    return list(task.pairs(split, n, seed))


def numbers(lexicon: Lexicon, word_class: str) -> dict[str, tuple[Word, str]]:
    """Return each form of a word class with its word and number."""
    singular = {word.singular: (word, "singular") for word in lexicon[word_class]}
    return singular | {word.plural: (word, "plural") for word in lexicon[word_class]}


@each_task
@pytest.mark.parametrize("split", SPLITS)
def test_pairs_agree_and_differ_in_the_controller_only(task: Task, split: Split) -> None:
    lexicon = HELDOUT if split == "heldout" else SHARED
    nouns, verbs = numbers(lexicon, "nouns"), numbers(lexicon, "verbs")
    for pair in pairs(task, split, 300, seed=3):
        words = {}
        for side in ("clean", "corrupt"):
            match = re.fullmatch(SHAPES[task.name], getattr(pair, side))
            assert match is not None
            words[side] = match.groupdict()
            expected = [(name, match.start(name), match.end(name)) for name in words[side]]
            assert list(getattr(pair, f"{side}_spans")) == expected
        clean, corrupt = words["clean"], words["corrupt"]
        assert {name for name in clean if clean[name] != corrupt[name]} == {"subject"}
        clean_noun, clean_number = nouns[clean["subject"]]
        corrupt_noun, corrupt_number = nouns[corrupt["subject"]]
        assert clean_noun == corrupt_noun
        assert clean_number != corrupt_number
        assert AGREES[only(pair.answers).removeprefix(" ")] == clean_number
        assert AGREES[only(pair.foils).removeprefix(" ")] == corrupt_number
        assert (
            Word(*sorted((only(pair.answers)[1:], only(pair.foils)[1:]), key=AGREES.__getitem__, reverse=True))
            in ANSWERS
        )
        case = [task.name.removeprefix("sva/"), clean_number]
        if "attractor" in clean:
            attractor, attractor_number = nouns[clean["attractor"]]
            assert attractor != clean_noun
            case.append(attractor_number)
            if "embedded_verb" in clean:
                assert verbs[clean["embedded_verb"]][1] == attractor_number
        assert pair.case == "_".join(case)


@each_task
def test_no_prompt_stands_in_two_splits_whatever_the_seeds(task: Task) -> None:
    drawn = {split: [pair for seed in range(4) for pair in pairs(task, split, 800, seed)] for split in SPLITS}
    for one, other in combinations(SPLITS, 2):
        answered = [{(pair.clean, only(pair.answers)) for pair in drawn[split]} for split in (one, other)]
        assert not answered[0] & answered[1]
        prompts = [{text for pair in drawn[split] for text in (pair.clean, pair.corrupt)} for split in (one, other)]
        assert not prompts[0] & prompts[1]


@each_task
def test_heldout_shares_no_content_word(task: Task) -> None:
    shared = {
        word
        for split in ("discovery", "evaluation")
        for pair in pairs(task, split, 3000, 0)
        for word in pair.clean.split()
    }
    heldout = {word for pair in pairs(task, "heldout", 3000, 0) for word in pair.clean.split()}
    assert shared & heldout <= FUNCTION_WORDS
    assert shared - FUNCTION_WORDS
    assert heldout - FUNCTION_WORDS


@each_task
@pytest.mark.parametrize("split", SPLITS)
def test_pairs_are_a_prefix_of_the_order_of_the_seed(task: Task, split: Split) -> None:
    longer = pairs(task, split, 200, seed=7)
    assert len(longer) == 200
    assert pairs(task, split, 61, seed=7) == longer[:61]
    assert pairs(task, split, 200, seed=8) != longer
    assert len({(pair.clean, only(pair.answers)) for pair in longer}) == 200


@each_task
@pytest.mark.parametrize("split", SPLITS)
def test_every_prefix_is_balanced(task: Task, split: Split) -> None:
    drawn = [(pair.case, frozenset((only(pair.answers), only(pair.foils)))) for pair in pairs(task, split, 150, seed=1)]
    combined = 8 if task is SIMPLE else 16
    assert len(set(drawn)) == combined
    for stop in range(combined, len(drawn) + 1):
        counts = Counter(drawn[:stop]).values()
        assert len(counts) == combined
        assert max(counts) - min(counts) <= 1


def test_simple_is_exhausted_by_the_lexicon() -> None:
    found = {split: pairs(SIMPLE, split, ALL, seed=0) for split in SPLITS}
    for split in SPLITS:
        nouns = (HELDOUT if split == "heldout" else SHARED)["nouns"]
        if split != "heldout":
            # The rule of the division, computed again.
            first = {noun for noun in nouns if hashlib.sha256(f"The {noun.singular}".encode()).digest()[0] < 128}
            nouns = tuple(noun for noun in nouns if (noun in first) == (split == "discovery"))
        expected = {
            (f"The {getattr(noun, number)}", f" {getattr(verb, number)}")
            for noun in nouns
            for verb in ANSWERS
            for number in ("singular", "plural")
        }
        assert {(pair.clean, only(pair.answers)) for pair in found[split]} == expected
        assert len(found[split]) == len(expected)
    assert len(found["discovery"]) >= 32
    assert len(found["evaluation"]) >= 40


def test_exhausted_split_yields_every_frame_once() -> None:
    people, nouns = HELDOUT["people"], HELDOUT["nouns"]
    expected = {
        (f"The {attractor} that the {subject}", f" {answer}")
        for outer in nouns
        for inner in people
        if outer != inner
        for attractor in (outer.singular, outer.plural)
        for verb in ANSWERS
        for subject, answer in ((inner.singular, verb.singular), (inner.plural, verb.plural))
    }
    found = pairs(WITHIN_RC, "heldout", ALL, seed=0)
    assert {(pair.clean, only(pair.answers)) for pair in found} == expected
    assert len(found) == len(expected)


def test_lexicon_has_no_word_twice() -> None:
    forms: Counter[str] = Counter()
    for lexicon in (SHARED, HELDOUT):
        assert set(lexicon["people"]) < set(lexicon["nouns"])
        for word_class in ("nouns", "verbs"):
            forms.update(form for word in lexicon[word_class] for form in (word.singular, word.plural))
        forms.update(word.singular for word in lexicon["prepositions"])
    forms.update(form for verb in ANSWERS for form in (verb.singular, verb.plural))
    assert [form for form, count in forms.items() if count > 1] == []


def test_unknown_split_names_the_valid_ones() -> None:
    with pytest.raises(UserError, match=r"'evaluate': did you mean 'evaluation'\? valid: discovery, eval"):
        SIMPLE.pairs("evaluate", 1, 0)  # type: ignore[arg-type]


@pytest.mark.model
def test_every_word_is_one_token_of_the_embedded_model() -> None:
    from transformers import AutoTokenizer

    from basisbench.models.embedded import fetch_embedded

    tokenizer = AutoTokenizer.from_pretrained(fetch_embedded(print))
    words = [word for lexicon in (SHARED, HELDOUT) for pool in lexicon.values() for word in pool]
    forms = {form for word in (*words, *ANSWERS) for form in (word.singular, word.plural)}
    tokens = {form: tokenizer(f" {form}", add_special_tokens=False)["input_ids"] for form in forms}
    assert [form for form, ids in tokens.items() if len(ids) != 1] == []
