"""Start tokens stand once and end tokens not at all, whatever the tokenizer would put around a text."""

from pathlib import Path

import pytest

from basisbench.models.text_tokenizer import TextTokenizer
from toys.tokenizers import BOS, TEMPLATES, tokenizer_of


@pytest.mark.parametrize(("template", "start"), TEMPLATES.items())
def test_texts_begin_with_the_start_tokens_and_end_with_themselves(
    template: str, start: tuple[int, ...], tmp_path: Path
) -> None:
    read = TextTokenizer.of(tokenizer_of(template, tmp_path))
    assert read.start == start
    assert read.ids(["w3 w4", "w5"]) == [(*start, 3, 4), (*start, 5)]
    assert read.ids(["w3 w4"], start=False) == [(3, 4)]
    assert read.ids([]) == []
    assert read.ids([""]) == [start]
    tokens, offsets = read.located("w3 w41")
    assert tokens == (*start, 3, 41)
    assert offsets == (*((0, 0),) * len(start), (0, 2), (3, 6))
    assert read.located("w3 w41", start=False) == ((3, 41), ((0, 2), (3, 6)))


@pytest.mark.parametrize("template", ["<bos> $A", "<bos> $A <eos>"])
def test_a_start_token_in_the_data_is_not_doubled(template: str, tmp_path: Path) -> None:
    read = TextTokenizer.of(tokenizer_of(template, tmp_path / "adds"))
    assert read.ids(["<bos> w3", "<bos> <bos> w3", "w3 <bos>"]) == [(BOS, 3), (BOS, BOS, 3), (BOS, 3, BOS)]
    assert read.located("<bos> w3") == ((BOS, 3), ((0, 5), (6, 8)))
    # where none is added, it stands as in the data
    assert TextTokenizer.of(tokenizer_of("$A", tmp_path / "none")).ids(["<bos> w3"]) == [(BOS, 3)]
