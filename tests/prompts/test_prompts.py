"""Alignment of tokens, and pairs that cannot be used."""

from collections.abc import Callable

import pytest
import torch

from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.prompts.prompt_set import PLAIN, encode, usable_pairs
from basisbench.prompts.selection import load_prompts
from basisbench.prompts.tokens import BEGINS, LENGTHS, SAME_ANSWER, SAME_PROMPT, SPANS, UNSTABLE
from basisbench.tasks.pair import Pair
from basisbench.values import Split
from toys.models import altered, pair_rows, prompt_set


class ListTask:
    """A task over given pairs."""

    name = family = "listed"
    description = "pairs"
    splits: tuple[Split, ...] = ("discovery",)

    def __init__(self, pairs: list[Pair]) -> None:
        self.given = pairs

    def pairs(self, split: str, n: int, seed: int) -> list[Pair]:
        """Return the first pairs."""
        return self.given[:n]


def one(**values: object) -> Pair:
    return altered(pair_rows(1)[0], **values)


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (one(answers=" w7 w8", foils=" w7"), BEGINS),
        (one(answers="w7"), UNSTABLE),
        (one(corrupt="w3 w12 w13"), LENGTHS),
        (one(foils=f" {pair_rows(1)[0].answers[0]}"), SAME_ANSWER),
        (one(corrupt=f"{pair_rows(1)[0].clean} ", corrupt_spans=pair_rows(1)[0].clean_spans), SAME_PROMPT),
        (one(corrupt_spans=[("subject", 7, 9)]), SPANS),
    ],
)
def test_unusable_pairs_are_counted_by_reason(pair: Pair, reason: str, tiny: Callable[[str], Model]) -> None:
    usable, unusable = usable_pairs([*pair_rows(3), pair], tiny("llama"), PLAIN)
    prompts = encode(usable, unusable, tiny("llama"), PLAIN)
    assert (prompts.usage.usable, prompts.usage.unusable) == (3, {reason: 1})
    assert reason in str(prompts.usage)


def test_unusable_pairs_are_made_up_for(tiny: Callable[[str], Model]) -> None:
    pairs = [one(answers="w7"), *pair_rows(8)]
    prompts = load_prompts(ListTask(pairs), "discovery", 4, 0, tiny("llama"))
    assert (prompts.usage.usable, prompts.usage.unusable) == (4, {UNSTABLE: 1})
    everything = load_prompts(ListTask(pairs), "discovery", 100, 0, tiny("llama"))
    assert everything.usage.usable == 8


def test_a_split_without_a_usable_pair_says_why(tiny: Callable[[str], Model]) -> None:
    with pytest.raises(UserError, match=rf"no usable pair in 'discovery'.*2 {UNSTABLE}"):
        load_prompts(ListTask([one(answers="w7"), one(foils="w8")]), "discovery", 4, 0, tiny("llama"))


def test_slots_align_spans_across_lengths(tiny: Callable[[str], Model]) -> None:
    """Tokens have the slot of their segment and their offset from its end."""
    prompts = prompt_set(tiny("llama"), pair_rows(2, (5, 4)))
    names = [[prompts.slot_names[s] for s in row if s >= 0] for row in prompts.slot.tolist()]
    assert names[0] == ["start", "subject", "after subject-2", "after subject-1", "after subject"]
    assert names[1] == ["start", "subject", "after subject-1", "after subject"]
    assert prompts.slot[1, 4] == -1
    without = [altered(pair, clean_spans=(), corrupt_spans=()) for pair in pair_rows(2, (5, 4))]
    prompts = prompt_set(tiny("llama"), without)
    names = [[prompts.slot_names[s] for s in row if s >= 0] for row in prompts.slot.tolist()]
    assert names == [["end-4", "end-3", "end-2", "end-1", "end"], ["end-3", "end-2", "end-1", "end"]]


def test_shared_and_unchanged_leading_tokens(tiny: Callable[[str], Model]) -> None:
    model = tiny("llama")
    prompts = prompt_set(model, pair_rows(4))
    assert (prompts.unchanged, prompts.shared) == (1, 1)
    # from the end, the first words of prompts of two lengths are not one slot: their means differ
    without = [altered(pair, clean_spans=(), corrupt_spans=()) for pair in pair_rows(4, (5, 4))]
    prompts = prompt_set(model, without)
    assert (prompts.unchanged, prompts.shared) == (1, 0)


def test_slot_means_count_pairs_and_no_padding(tiny: Callable[[str], Model]) -> None:
    pairs = pair_rows(3, (5, 4))
    prompts = prompt_set(tiny("llama"), [*pairs, altered(pairs[1], answers=" w7", foils=" w8")])
    values = torch.randn(*prompts.slot.shape, 2)
    expected = []
    for slot in range(prompts.n_slots):
        found = [
            values[prompt, position]
            for prompt in prompts.pair_prompt.tolist()
            for position in range(prompts.slot.shape[1])
            if prompts.slot[prompt, position] == slot
        ]
        expected.append(torch.stack(found).mean(0))
    torch.testing.assert_close(prompts.slot_mean(values), torch.stack(expected))


def test_the_digest_is_of_what_is_computed_on(tiny: Callable[[str], Model]) -> None:
    model = tiny("llama")
    one, same, other = (prompt_set(model, pair_rows(3, seed=seed)).digest for seed in (0, 0, 1))
    assert one == same != other
