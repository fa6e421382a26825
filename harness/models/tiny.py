"""A tiny random model: enough of one to check code on, without weights to fetch."""

from __future__ import annotations

from typing import Any

import torch

from basisbench.models.adapter import Model

VOCABULARY = 64
SCALE = 4.0
"""Of weights as they are initialised: small ones would leave what MLPs do in the rounding."""


def tiny_model(seed: int = 0, n_layers: int = 4) -> Model:
    """A Llama of random weights, the same for a seed, in float32 on the CPU; its words are w0, w1, ..."""
    import tokenizers
    import transformers

    config = transformers.LlamaConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=n_layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=VOCABULARY,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        hf: Any = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").float()
        for parameter in hf.parameters():
            if parameter.dim() > 1:
                parameter.mul_(SCALE)
    words = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({f"w{number}": number for number in range(VOCABULARY)}, unk_token="w0")
    )
    words.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w0", pad_token="w0")
    return Model("tiny", hf, tokenizer)
