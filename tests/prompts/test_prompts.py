"""Alignment of tokens, and pairs that cannot be used."""

from collections.abc import Callable

import pytest
import torch
from datasets import Dataset

from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.prompts.prompt_set import PLAIN, encode, usable_rows
from basisbench.prompts.selection import load_prompts
from basisbench.prompts.tokens import BEGINS, LENGTHS, SAME_ANSWER, SAME_PROMPT, SPANS, UNSTABLE
from basisbench.values import Split
from toys.models import pair_rows, prompt_set


class ListTask:
    """A task over given rows."""

    name = "listed"
    description = "rows"
    splits: tuple[Split, ...] = ("discovery",)

    def __init__(self, rows: list[dict[str, object]]) -> None:
        self.rows = rows

    def pairs(self, split: str, n: int, seed: int) -> Dataset:
        """Return the first rows."""
        return Dataset.from_list(self.rows[:n])


def changed(**values: object) -> dict[str, object]:
    return {**pair_rows(1)[0], **values}


SPAN = [{"name": "subject", "start": 3, "end": 6}]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (changed(answer=" w7 w8", foil=" w7"), BEGINS),
        (changed(answer="w7"), UNSTABLE),
        (changed(corrupt="w3 w12 w13"), LENGTHS),
        (changed(foil=pair_rows(1)[0]["answer"]), SAME_ANSWER),
        (changed(corrupt=pair_rows(1)[0]["clean"], corrupt_spans=pair_rows(1)[0]["clean_spans"]), SAME_PROMPT),
        (changed(corrupt_spans=[{"name": "object", "start": 3, "end": 6}]), SPANS),
        (changed(corrupt_spans=[{"name": "subject", "start": 7, "end": 9}]), SPANS),
    ],
)
def test_unusable_pairs_are_counted_by_reason(
    row: dict[str, object], reason: str, tiny: Callable[[str], Model]
) -> None:
    rows, unusable = usable_rows(Dataset.from_list([*pair_rows(3), row]), tiny("llama"), PLAIN)
    prompts = encode(rows, unusable, tiny("llama"), PLAIN)
    assert (prompts.usage.usable, prompts.usage.unusable) == (3, {reason: 1})
    assert reason in str(prompts.usage)


def test_unusable_pairs_are_made_up_for(tiny: Callable[[str], Model]) -> None:
    rows = [changed(answer="w7"), *pair_rows(8)]
    prompts = load_prompts(ListTask(rows), "discovery", 4, 0, tiny("llama"))
    assert (prompts.usage.usable, prompts.usage.unusable) == (4, {UNSTABLE: 1})
    everything = load_prompts(ListTask(rows), "discovery", 100, 0, tiny("llama"))
    assert everything.usage.usable == 8


def test_a_split_without_a_usable_pair_says_why(tiny: Callable[[str], Model]) -> None:
    with pytest.raises(UserError, match=rf"no usable pair in 'discovery'.*2 {UNSTABLE}"):
        load_prompts(ListTask([changed(answer="w7"), changed(foil="w8")]), "discovery", 4, 0, tiny("llama"))


def test_slots_align_spans_across_lengths(tiny: Callable[[str], Model]) -> None:
    """Tokens have the slot of their segment and their offset from its end."""
    prompts = prompt_set(tiny("llama"), pair_rows(2, (5, 4)))
    names = [[prompts.slot_names[s] for s in row if s >= 0] for row in prompts.slot.tolist()]
    assert names[0] == ["start", "subject", "after subject-2", "after subject-1", "after subject"]
    assert names[1] == ["start", "subject", "after subject-1", "after subject"]
    assert prompts.slot[1, 4] == -1
    without = [{**row, "clean_spans": [], "corrupt_spans": []} for row in pair_rows(2, (5, 4))]
    prompts = prompt_set(tiny("llama"), without)
    names = [[prompts.slot_names[s] for s in row if s >= 0] for row in prompts.slot.tolist()]
    assert names == [["end-4", "end-3", "end-2", "end-1", "end"], ["end-3", "end-2", "end-1", "end"]]


def test_shared_and_unchanged_leading_tokens(tiny: Callable[[str], Model]) -> None:
    model = tiny("llama")
    prompts = prompt_set(model, pair_rows(4))
    assert (prompts.unchanged, prompts.shared) == (1, 1)
    # from the end, the first words of prompts of two lengths are not one slot: their means differ
    without = [{**row, "clean_spans": [], "corrupt_spans": []} for row in pair_rows(4, (5, 4))]
    prompts = prompt_set(model, without)
    assert (prompts.unchanged, prompts.shared) == (1, 0)


def test_slot_means_count_pairs_and_no_padding(tiny: Callable[[str], Model]) -> None:
    rows = pair_rows(3, (5, 4))
    prompts = prompt_set(tiny("llama"), [*rows, {**rows[1], "answer": " w7", "foil": " w8"}])
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
