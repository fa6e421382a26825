"""The shape of a model, known without its weights: what outlines of bases and sizes of downloads need.

1. A registered model and those of a small table: facts that their publishers state in ``config.json``.
2. A local folder: its ``config.json``.
3. A hub name: the ``config.json`` in the local hub cache, if it is there; the network is not asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache

PLAIN_MLPS = ("gpt2", "gpt_neo", "gpt_neox", "gptj", "opt", "phi", "bloom", "falcon")
"""Kinds of model (`model_type`) whose MLPs have two maps; those of all others have a gate too."""


@dataclass(frozen=True)
class Shape:
    """What decides a model's widths and the number of its weights; `itemsize` is bytes a weight as published."""

    n_layers: int
    d_model: int
    d_mlp: int
    n_heads: int
    n_kv_heads: int
    d_head: int
    vocabulary: int
    gated: bool = True
    tied: bool = True
    itemsize: int = 2

    @property
    def d_heads(self) -> int:
        """Width of all attention heads' outputs, side by side."""
        return self.n_heads * self.d_head

    @property
    def n_weights(self) -> int:
        """Weights of the model's linear maps and embeddings, without norms, biases and learnt positions."""
        attention = 2 * self.d_model * self.d_head * (self.n_heads + self.n_kv_heads)
        mlp = (3 if self.gated else 2) * self.d_model * self.d_mlp
        return self.n_layers * (attention + mlp) + (1 if self.tied else 2) * self.vocabulary * self.d_model


TABLE: Mapping[str, Shape] = {
    "smollm2-135m": Shape(30, 576, 1536, 9, 3, 64, 49152),
    "meta-llama/Llama-3.1-8B": Shape(32, 4096, 14336, 32, 8, 128, 128256, tied=False),
    "google/gemma-2-2b": Shape(26, 2304, 9216, 8, 4, 256, 256000, itemsize=4),
    "google/gemma-3-270m": Shape(18, 640, 2048, 4, 1, 256, 262144),
    "google/gemma-3-1b-pt": Shape(26, 1152, 6912, 4, 1, 256, 262144),
    "google/gemma-3-4b-pt": Shape(34, 2560, 10240, 8, 4, 256, 262208),
    "openai-community/gpt2": Shape(12, 768, 3072, 12, 12, 64, 50257, gated=False, itemsize=4),
    "EleutherAI/pythia-70m-deduped": Shape(6, 512, 2048, 8, 8, 64, 50304, gated=False, tied=False),
    "Qwen/Qwen3-0.6B": Shape(28, 1024, 3072, 16, 8, 128, 151936),
    "Qwen/Qwen3-1.7B": Shape(28, 2048, 6144, 16, 8, 128, 151936),
    "Qwen/Qwen3-4B": Shape(36, 2560, 9728, 32, 8, 128, 151936),
    "Qwen/Qwen3-8B": Shape(36, 4096, 12288, 32, 8, 128, 151936, tied=False),
}


def find_shape(name: str) -> Shape | None:
    """The shape of the model called `name`, None where nothing here knows it."""
    repo, _, revision = name.partition("@")
    known = TABLE.get(repo.replace("/Meta-Llama-", "/Llama-"))
    if known and not Path(name).is_dir():
        return known
    try:
        file = Path(name).expanduser() / "config.json"
        if not file.is_file():
            cached = try_to_load_from_cache(repo, "config.json", revision=revision or None)
            if not isinstance(cached, str):
                return None
            file = Path(cached)
        return shape_of(json.loads(file.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):  # no such place, or no such content
        return None


def shape_of(config: Mapping[str, Any]) -> Shape:
    """The shape that the content of a ``config.json`` states; raises KeyError or ValueError where it states none."""
    # a model of text and images keeps the text's in a part of its own
    text: Mapping[str, Any] = config.get("text_config") or config

    def number(*names: str) -> int:
        return int(next(text[name] for name in names if text.get(name) is not None))

    def number_or(default: int, name: str) -> int:
        return int(text[name]) if text.get(name) is not None else default

    try:
        d_model, n_heads = number("hidden_size", "n_embd"), number("num_attention_heads", "n_head")
        kind = str(text.get("model_type") or config.get("model_type"))
        n_inner = text.get("intermediate_size", text.get("n_inner"))
        return Shape(
            n_layers=number("num_hidden_layers", "n_layer"),
            d_model=d_model,
            d_mlp=int(n_inner) if n_inner is not None else 4 * d_model,
            n_heads=n_heads,
            n_kv_heads=number_or(n_heads, "num_key_value_heads"),
            d_head=number_or(d_model // n_heads, "head_dim"),
            vocabulary=number("vocab_size"),
            gated=kind not in PLAIN_MLPS,
            tied=bool(text.get("tie_word_embeddings", config.get("tie_word_embeddings", kind == "gpt2"))),
            itemsize=4 if (config.get("dtype") or config.get("torch_dtype")) == "float32" else 2,
        )
    except (StopIteration, ZeroDivisionError) as error:
        raise ValueError("no shape of a language model") from error
