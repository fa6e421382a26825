"""Miniature models under the names of real ones: the architecture and, if asked for, the depth; all else is tiny."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hub.server import Hub
from toys.models import randomised

WIDTH, NEURONS, HEADS = 24, 40, 4
LAYERS = 3
Config = transformers.PretrainedConfig

_COMMON: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": NEURONS,
    "num_attention_heads": HEADS,
    "max_position_embeddings": 256,
}
_GROUPED: dict[str, Any] = {**_COMMON, "num_key_value_heads": 2}


def _gemma2(layers: int, vocabulary: int) -> Config:
    return transformers.Gemma2Config(**_GROUPED, head_dim=6, num_hidden_layers=layers, vocab_size=vocabulary)


def _gemma3(layers: int, vocabulary: int) -> Config:
    return transformers.Gemma3TextConfig(**_GROUPED, head_dim=6, num_hidden_layers=layers, vocab_size=vocabulary)


def _llama(layers: int, vocabulary: int) -> Config:
    return transformers.LlamaConfig(**_GROUPED, num_hidden_layers=layers, vocab_size=vocabulary)


def _qwen3(layers: int, vocabulary: int) -> Config:
    return transformers.Qwen3Config(
        **_GROUPED, head_dim=6, num_hidden_layers=layers, vocab_size=vocabulary, tie_word_embeddings=True
    )


def _gpt2(layers: int, vocabulary: int, activation: str = "gelu_new") -> Config:
    return transformers.GPT2Config(
        n_embd=WIDTH, n_inner=NEURONS, n_layer=layers, n_head=HEADS, vocab_size=vocabulary, n_positions=256,
        bos_token_id=2, eos_token_id=1, activation_function=activation,
    )  # fmt: skip


def _neox(layers: int, vocabulary: int) -> Config:
    return transformers.GPTNeoXConfig(**_COMMON, num_hidden_layers=layers, vocab_size=vocabulary)


PUBLISHED: Mapping[str, Callable[[int, int], Config]] = {
    "google/gemma-2-2b": _gemma2,
    "google/gemma-3-270m": _gemma3,
    "meta-llama/Llama-3.1-8B": _llama,
    "Qwen/Qwen3-0.6B": _qwen3,
    "openai-community/gpt2": _gpt2,
    "EleutherAI/pythia-70m-deduped": _neox,
}


def miniature(name: str, vocabulary: int, layers: int = LAYERS, seed: int = 0) -> PreTrainedModel:
    """A random model of the architecture that goes by this name; what a GPT-2 writes has no mean, as is usual to say
    of it: its norms take the mean out.
    """
    hf = randomised(PUBLISHED[name](layers, vocabulary), seed)
    if isinstance(hf, transformers.GPT2LMHeadModel):
        centre_writes(hf)
    return hf


def plain_relu(vocabulary: int, layers: int = LAYERS, seed: int = 0) -> PreTrainedModel:
    """A random model whose MLPs are relu(x @ W_in + b_in) @ W_out + b_out, so that a transcoder can be exact.

    They are strong, so that neurons matter. b_out is 0: of neurons set to zero it stays, and a transcoder has it in its
    error.
    """
    hf = randomised(_gpt2(layers, vocabulary, "relu"), seed)
    blocks: Any = hf.transformer
    with torch.no_grad():
        for block in blocks.h:
            block.mlp.c_fc.weight.mul_(3)
            block.mlp.c_proj.weight.mul_(3)
            block.mlp.c_proj.bias.zero_()
    return hf


@torch.no_grad()
def centre_writes(hf: transformers.GPT2LMHeadModel) -> None:
    """Take out the mean of all that is written to the residual stream."""
    body: Any = hf.transformer
    writes = [part.c_proj for block in body.h for part in (block.attn, block.mlp)]
    for tensor in (body.wte.weight, body.wpe.weight, *(t for write in writes for t in (write.weight, write.bias))):
        tensor.sub_(tensor.mean(-1, keepdim=True))


def model_files(hf: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, bytes]:
    """The files of a model and its tokenizer, as they lie in a repository."""
    with tempfile.TemporaryDirectory() as scratch:
        hf.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        return {path.name: path.read_bytes() for path in sorted(Path(scratch).iterdir())}


def add_model(
    hub: Hub, name: str, tokenizer: PreTrainedTokenizerBase, layers: int = LAYERS, seed: int = 0
) -> PreTrainedModel:
    """Put the miniature of a published model on the hub, as a new commit, and return it."""
    hf = miniature(name, len(tokenizer), layers, seed)
    hub.add(name).commit(model_files(hf, tokenizer))
    return hf
