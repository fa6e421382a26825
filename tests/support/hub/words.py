"""A tokenizer for the words of tasks: byte pairs that are merged as in the tasks' own texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from basisbench.tasks.load import load_task

START = "<bos>"


def texts_of(tasks: Iterable[str], n: int = 40) -> Iterator[str]:
    """Prompts with their answers, and the other candidates, of some pairs of each task."""
    for name in tasks:
        for split in ("discovery", "evaluation"):
            for pair in load_task(name).pairs(split, n, 0):
                yield from (f"{pair.clean}{text}" for text in (*pair.answers, *pair.foils, *pair.candidates))
                yield pair.corrupt


def tokenizer_of(texts: Iterable[str], folder: Path, starts: bool) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer trained on `texts`, digits apart; with `starts` it puts a start token before a text."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4000, special_tokens=["<unk>", "<eos>", START], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    inner.train_from_iterator(texts, trainer)
    if starts:
        inner.post_processor = processors.TemplateProcessing(
            single=f"{START} $A", special_tokens=[(START, inner.token_to_id(START))]
        )
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", eos_token="<eos>", bos_token=START, pad_token="<eos>"
    )
    made.save_pretrained(folder)
    loaded = PreTrainedTokenizerFast.from_pretrained(folder)
    assert isinstance(loaded, PreTrainedTokenizerFast)
    return loaded
