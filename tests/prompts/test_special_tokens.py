"""Pairs under tokenizers that add special tokens, and pairs longer than the model's context."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.models.loading import load_model
from basisbench.prompts.prompt_set import PLAIN, PromptSet, Scoring, encode, usable_pairs
from basisbench.prompts.selection import load_prompts
from basisbench.prompts.tokens import LONG
from basisbench.tasks.folder import folder_task
from basisbench.tasks.pair import Pair
from basisbench.text.sample import Sample
from basisbench.tracing.asking import ask
from toys.models import altered, one_line, pair_rows, prompt_set, random_hf, write_task
from toys.tokenizers import BOS, EOS, TEMPLATES, tokenizer_of


@pytest.fixture
def both_added(tmp_path: Path) -> Model:
    """A model whose tokenizer puts a start token before a text and an end token after it, loaded from a folder."""
    random_hf("llama").save_pretrained(tmp_path / "model")
    tokenizer_of("<bos> $A <eos>", tmp_path / "model")
    return load_model(str(tmp_path / "model"), device="cpu")[0]


@pytest.mark.parametrize("template", TEMPLATES)
def test_pairs_are_those_of_a_plain_tokenizer_after_the_start_tokens(
    template: str, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model = Model("llama", random_hf("llama"), tokenizer_of(template, tmp_path))
    n = len(TEMPLATES[template])
    for scoring in (PLAIN, Scoring(answers="whole")):
        plain = prompt_set(Model("llama", random_hf("llama"), tokenizer), pair_rows(5), scoring)
        prompts = prompt_set(model, pair_rows(5), scoring)
        for side, expected in ((prompts.clean, plain.clean), (prompts.corrupt, plain.corrupt)):
            assert side.tolist() == [[BOS] * n + line for line in expected.tolist()]
        assert prompts.last.tolist() == (plain.last + n).tolist()
        assert prompts.slot_names[n:] == plain.slot_names
        assert prompts.answer.tokens.tolist() == plain.answer.tokens.tolist()


def with_start(pair: Pair) -> Pair:
    """The pair with the start token in its data."""
    lead = "<bos> "
    spans = [[(s.name, s.start + len(lead), s.end + len(lead)) for s in side] for side in _sides(pair)]
    sides = {"clean": lead + pair.clean, "corrupt": lead + pair.corrupt}
    return altered(pair, **sides, clean_spans=spans[0], corrupt_spans=spans[1])


def _sides(pair: Pair) -> tuple[Any, Any]:
    return pair.clean_spans, pair.corrupt_spans


def test_a_start_token_in_the_data_changes_nothing(both_added: Model) -> None:
    plain, marked = prompt_set(both_added, pair_rows(5)), prompt_set(both_added, list(map(with_start, pair_rows(5))))
    assert marked.digest == plain.digest
    assert marked.clean.tolist() == plain.clean.tolist()


def test_texts_and_questions_have_no_end_token(both_added: Model) -> None:
    sample = Sample.of(both_added, [" ".join(f"w{3 + i % 40}" for i in range(200))])
    assert set(sample.tokens[:, 0].tolist()) == {BOS}
    assert EOS not in sample.tokens
    asked = ask(both_added, "w3 w4", "w5", "w6")
    assert (asked.tokens.tolist(), asked.answer, asked.foil) == ([BOS, 3, 4], 5, 6)
    assert ask(both_added, "<bos> w3 w4", " w5").tokens.tolist() == [BOS, 3, 4]


# -- the context ---------------------------------------------------------------------------------------


def test_the_context_is_the_configurations(tiny: Callable[[str], Model]) -> None:
    assert {name: tiny(name).context for name in ("llama", "gpt2", "neox")} == {"llama": 64, "gpt2": 64, "neox": 64}


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_pairs_longer_than_the_context_are_set_aside_and_counted(
    architecture: str, tiny: Callable[[str], Model]
) -> None:
    model = tiny(architecture)
    pairs = [*pair_rows(3, (64,)), *pair_rows(2, (65,)), *pair_rows(4, (100,)), *pair_rows(1, (5,))]
    usable, unusable = usable_pairs(pairs, model, PLAIN)
    prompts = encode(usable, unusable, model, PLAIN)
    assert (prompts.usage.usable, prompts.usage.unusable) == (4, {LONG: 6})
    assert int(prompts.last.max()) == 63
    model.forward(prompts.clean, prompts.last)


@pytest.mark.parametrize(("answers", "lengths"), [("first", {62, 63}), ("whole", {62})])
def test_answers_count_as_far_as_they_are_read(answers: Any, lengths: set[int], tiny: Callable[[str], Model]) -> None:
    """Before the second token of an answer its first is read; one scored whole is read but for its last token."""
    shared = {"answers": " w7 w8 w9", "foils": " w7 w10 w11"}
    pairs = [altered(pair_rows(1, (n,))[0], **shared) for n in (62, 63, 64)]
    scoring = Scoring(answers=answers)
    usable, unusable = usable_pairs(pairs, tiny("gpt2"), scoring)
    assert unusable == {LONG: 3 - len(lengths)}
    assert {len(pair.prompt.clean) - pair.n_shared for pair in usable} == lengths
    prompts: PromptSet = encode(usable, unusable, tiny("gpt2"), scoring)
    assert int(prompts.last.max()) == 63
    tiny("gpt2").forward(prompts.clean, prompts.last)


def test_a_task_of_long_prompts_alone_says_so(tiny: Callable[[str], Model], tmp_path: Path) -> None:
    folder = write_task(tmp_path / "long", discovery=pair_rows(3, (100,)), evaluation=pair_rows(3, (90,)))
    with pytest.raises(UserError) as error:
        load_prompts(folder_task(folder), "discovery", 3, 0, tiny("gpt2"))
    assert one_line(error).endswith(f"3 {LONG}")
    with pytest.raises(UserError, match="the prompt has 65 tokens: valid are 64, the model's context, or fewer"):
        ask(tiny("gpt2"), pair_rows(1, (65,))[0].clean)
