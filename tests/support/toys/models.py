"""Tiny random models of every architecture the adapter must know, and small prompt sets for them."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from transformers import PreTrainedModel

from basisbench.bases.basis import Basis
from basisbench.circuits.ablation import reference
from basisbench.circuits.gates import hard_gates, layer_nodes
from basisbench.circuits.ranking import Ranking
from basisbench.circuits.splice import Splice
from basisbench.errors import UserError
from basisbench.models.adapter import Model, Start
from basisbench.models.sites import Site
from basisbench.prompts.prompt_set import PLAIN, PromptSet, Scoring, encode, usable_pairs
from basisbench.tasks.pair import Pair, Span

VOCABULARY = 50


LAYERS = 3


_COMMON: dict[str, Any] = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 64,
}


_GROUPED: dict[str, Any] = {**_COMMON, "num_key_value_heads": 2}


CONFIGS: dict[str, Callable[[], transformers.PretrainedConfig]] = {
    "llama": lambda: transformers.LlamaConfig(**_GROUPED, tie_word_embeddings=True),
    "gpt2": lambda: transformers.GPT2Config(
        n_embd=24, n_layer=LAYERS, n_head=4, vocab_size=VOCABULARY, n_positions=64, bos_token_id=2, eos_token_id=1
    ),
    "neox": lambda: transformers.GPTNeoXConfig(**_COMMON),
    "gemma2": lambda: transformers.Gemma2Config(**_GROUPED, head_dim=6),
    "gemma3": lambda: transformers.Gemma3TextConfig(**_GROUPED, head_dim=6),
    "qwen2": lambda: transformers.Qwen2Config(**_GROUPED),
    "qwen3": lambda: transformers.Qwen3Config(**_GROUPED, head_dim=6),
}


ARCHITECTURES = tuple(CONFIGS)


def random_hf(architecture: str, seed: int = 0) -> PreTrainedModel:
    """A tiny random model with weights large enough that its units matter."""
    return randomised(CONFIGS[architecture](), seed)


def randomised(config: transformers.PretrainedConfig, seed: int = 0) -> PreTrainedModel:
    """A random model of a configuration, in float32, with weights large enough that its units matter."""
    torch.manual_seed(seed)
    hf = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    with torch.no_grad():
        for parameter in hf.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4.0)
            else:
                parameter.add_(0.1 * torch.randn_like(parameter))
    assert isinstance(hf, PreTrainedModel)
    return hf


def pair_rows(count: int = 6, lengths: tuple[int, ...] = (5,), seed: int = 0) -> list[Pair]:
    """Random pairs that differ in their second word, with a span over it; the first word is always w3."""
    draw = random.Random(seed)
    pairs = []
    for index in range(count):
        words = [f"w{draw.randrange(3, VOCABULARY)}" for _ in range(lengths[index % len(lengths)])]
        words[0] = "w3"
        other = [words[0], f"w{draw.randrange(3, VOCABULARY)}", *words[2:]]
        if other == words:
            other[1] = "w4" if words[1] != "w4" else "w5"
        answer, foil = draw.sample(range(3, VOCABULARY), 2)
        spans = [[Span("subject", 3, 3 + len(side[1]))] for side in (words, other)]
        pairs.append(Pair(" ".join(words), " ".join(other), f" w{answer}", f" w{foil}", "random", (), *spans))
    return pairs


def altered(pair: Pair, **values: Any) -> Pair:
    """The pair with other values in some fields."""
    return replace(pair, **values)


def only(texts: Sequence[str]) -> str:
    """The one text among answers or foils."""
    (text,) = texts
    return text


def write_task(folder: Path, **splits: Sequence[Pair]) -> Path:
    """Write pairs as a task folder, without their spans."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, pairs in splits.items():
        lines = [
            {"clean_prefix": p.clean, "patch_prefix": p.corrupt, "clean_answer": p.answers, "patch_answer": p.foils}
            for p in pairs
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return folder


def prompt_set(model: Model, pairs: Sequence[Pair], scoring: Scoring = PLAIN) -> PromptSet:
    """Encode pairs; all must be usable."""
    prompts = encode(*usable_pairs(pairs, model, scoring), model, scoring)
    assert prompts.n_pairs == len(pairs), prompts.usage
    return prompts


def ignore(line: str) -> None:
    """Take progress lines nobody looks at."""


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    """Return the message after checking that it is a single line."""
    message = str(error.value)
    assert message
    assert "\n" not in message
    return message


def assert_identity(model: Model, basis: Basis, prompts: PromptSet, ranking: Ranking) -> None:
    """With every node of `ranking` kept, or none ablated, logits and upstream gradients are the plain model's."""
    embeddings: list[Tensor] = []
    with torch.no_grad():
        model.forward(prompts.clean, prompts.last, edits=[(Site(0, "resid_pre"), embeddings.append)])
    everything = [ranking.circuit(ranking.total)]
    nodes = layer_nodes(everything, model.device)
    gates = hard_gates(everything, nodes, prompts.n_slots, model.device)
    values = reference(model, prompts, basis, nodes, "mean", None, 0)

    def logits_and_gradient(splice: Splice | None) -> tuple[Tensor, Tensor]:
        inputs = embeddings[0].clone().requires_grad_()
        edits, mlps = (splice.edits(0), splice.mlps(0)) if splice else ([], {})
        hidden = model.forward(prompts.clean, prompts.last, edits=edits, mlps=mlps, start=Start(0, inputs))
        logits = model.logits(hidden)
        (gradient,) = torch.autograd.grad(logits.pow(2).sum(), inputs)
        return logits.detach(), gradient

    plain, plain_gradient = logits_and_gradient(None)
    for some, complement in ((gates, False), ({}, True)):
        splice = Splice(model, basis, some, prompts.slot, values, complement=complement)
        logits, gradient = logits_and_gradient(splice)
        torch.testing.assert_close(logits, plain, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(gradient, plain_gradient, atol=1e-3, rtol=1e-3)
    # and the splice is not a way of doing nothing
    ablated = Splice(model, basis, {}, prompts.slot, values)
    with torch.no_grad():
        hidden = model.forward(prompts.clean, prompts.last, edits=ablated.edits(0), mlps=ablated.mlps(0))
        assert (model.logits(hidden) - plain).abs().max() > 1e-2
