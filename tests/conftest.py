"""Fixtures: a tokenizer of one token a word, tiny models and a small task folder."""

from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from basisbench.models.adapter import Model
from toys.models import pair_rows, random_hf, write_task
from toys.tokenizers import word_tokenizer

pytest_plugins = ["hub.fixtures"]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    """One token a word: w3 to w49; <unk>, <eos>, <bos> are 0, 1, 2."""
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(
        tokenizer_object=word_tokenizer(), unk_token="<unk>", eos_token="<eos>", bos_token="<bos>", pad_token="<eos>"
    ).save_pretrained(folder)
    loaded = PreTrainedTokenizerFast.from_pretrained(folder)
    assert isinstance(loaded, PreTrainedTokenizerFast)
    return loaded


@pytest.fixture(scope="session")
def tiny(tokenizer: PreTrainedTokenizerFast) -> Callable[[str], Model]:
    """A function from an architecture's name to a tiny model, made once."""
    made: dict[str, Model] = {}

    def make(architecture: str) -> Model:
        if architecture not in made:
            made[architecture] = Model(architecture, random_hf(architecture), tokenizer)
        return made[architecture]

    return make


@pytest.fixture(scope="session")
def tiny_folder(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local Hugging Face folder with a tiny Llama."""
    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    random_hf("llama").save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def task_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task of six pairs a split, called `words`."""
    rows = {split: pair_rows(6, seed=seed) for seed, split in enumerate(("discovery", "evaluation", "heldout"))}
    return write_task(tmp_path_factory.mktemp("tasks") / "words", **rows)
