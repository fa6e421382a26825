"""Tokenizers of one token a word that put special tokens around a text, as published ones do."""

from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from toys.models import VOCABULARY

EOS, BOS = 1, 2
TEMPLATES = {"$A": (), "<bos> $A": (BOS,), "$A <eos>": (), "<bos> $A <eos>": (BOS,), "<bos> <bos> $A": (BOS, BOS)}
"""What stands around a text, and the tokens before it."""


def word_tokenizer() -> Tokenizer:
    """One token a word: w3 to w49; <unk>, <eos>, <bos> are 0, 1, 2."""
    words = {"<unk>": 0, "<eos>": EOS, "<bos>": BOS} | {f"w{i}": i for i in range(3, VOCABULARY)}
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return inner


def tokenizer_of(template: str, folder: Path) -> PreTrainedTokenizerFast:
    """A word tokenizer that puts around a text what `template` says, saved in a folder and loaded."""
    inner = word_tokenizer()
    inner.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[("<bos>", BOS), ("<eos>", EOS)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", eos_token="<eos>", bos_token="<bos>", pad_token="<eos>"
    ).save_pretrained(folder)
    loaded = PreTrainedTokenizerFast.from_pretrained(folder)
    assert isinstance(loaded, PreTrainedTokenizerFast)
    return loaded
