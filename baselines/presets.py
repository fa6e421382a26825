"""Published dictionaries for well-known models, under the names that `--basis` takes.

Each has one dictionary for every layer of its model, and resolves offline in sae-lens' registry.
"""

from dataclasses import dataclass

GEMMA_2_2B = ("google/gemma-2-2b",)
LLAMA_3_1_8B = ("meta-llama/Llama-3.1-8B", "meta-llama/Meta-Llama-3.1-8B")
GPT2 = ("openai-community/gpt2", "gpt2-small")
PYTHIA_70M = ("EleutherAI/pythia-70m-deduped",)


@dataclass(frozen=True)
class Preset:
    """A published set: the `basis` to ask for, the models it was made for (hub names and aliases), what it is."""

    basis: str
    models: tuple[str, ...]
    n_layers: int
    about: str


def _gemma_scope_2(size: str, model: str, n_layers: int) -> tuple[Preset, ...]:
    release = f"gemma-scope-2-{size}-pt"
    models = (f"google/{model}",)
    pattern = "layer_{layer}_width_16k_l0_small"
    return (
        Preset(f"sae:{release}-mlp-all/{pattern}", models, n_layers, "Gemma Scope 2: MLP output, 16k"),
        Preset(f"sae:{release}-res-all/{pattern}", models, n_layers, "Gemma Scope 2: residual stream, 16k"),
        Preset(f"sae:{release}-att-all/{pattern}", models, n_layers, "Gemma Scope 2: attention heads, 16k"),
        Preset(f"transcoder:{release}-transcoders-all/{pattern}", models, n_layers, "Gemma Scope 2: MLP, 16k"),
        Preset(
            f"transcoder:{release}-transcoders-all/{pattern}_affine",
            models,
            n_layers,
            "Gemma Scope 2: MLP with a skip path, 16k",
        ),
    )


def _llama_scope(factor: int, width: str) -> tuple[Preset, ...]:
    places = {"lxm": "MLP output", "lxr": "residual stream", "lxa": "attention output"}
    return tuple(
        Preset(f"sae:llama_scope_{place}_{factor}x", LLAMA_3_1_8B, 32, f"Llama Scope: {what}, {width}")
        for place, what in places.items()
    )


def _qwen3(size: str, suffix: str, n_layers: int) -> Preset:
    release = f"transcoder:mwhanna-qwen3-{size}-transcoders{suffix}"
    return Preset(release, (f"Qwen/Qwen3-{size.upper()}",), n_layers, "Hanna's transcoders: MLP, ReLU")


PRESETS: tuple[Preset, ...] = (
    Preset("sae:gemma-scope-2b-pt-mlp-canonical/layer_{layer}/width_16k/canonical", GEMMA_2_2B, 26,
           "Gemma Scope: MLP output, 16k, L0 near 100"),
    Preset("sae:gemma-scope-2b-pt-mlp-canonical/layer_{layer}/width_65k/canonical", GEMMA_2_2B, 26,
           "Gemma Scope: MLP output, 65k, L0 near 100"),
    Preset("sae:gemma-scope-2b-pt-res-canonical/layer_{layer}/width_16k/canonical", GEMMA_2_2B, 26,
           "Gemma Scope: residual stream, 16k, L0 near 100"),
    Preset("sae:gemma-scope-2b-pt-res-canonical/layer_{layer}/width_65k/canonical", GEMMA_2_2B, 26,
           "Gemma Scope: residual stream, 65k, L0 near 100"),
    Preset("sae:gemma-scope-2b-pt-att-canonical/layer_{layer}/width_16k/canonical", GEMMA_2_2B, 26,
           "Gemma Scope: attention heads, 16k, L0 near 100"),
    Preset("transcoder:gemma-scope-2b-pt-transcoders", GEMMA_2_2B, 26, "Gemma Scope: MLP, 16k"),
    *_llama_scope(8, "32k"),
    *_llama_scope(32, "131k"),
    Preset("sae:gpt2-small-mlp-out-v5-32k", GPT2, 12, "OpenAI: MLP output, TopK, 32k"),
    Preset("sae:gpt2-small-mlp-out-v5-128k", GPT2, 12, "OpenAI: MLP output, TopK, 131k"),
    Preset("sae:gpt2-small-resid-post-v5-32k", GPT2, 12, "OpenAI: residual stream, TopK, 32k"),
    Preset("sae:gpt2-small-attn-out-v5-32k", GPT2, 12, "OpenAI: attention output, TopK, 32k"),
    Preset("sae:gpt2-small-res-jb", GPT2, 12, "Bloom: residual stream, 25k"),
    Preset("sae:gpt2-small-hook-z-kk", GPT2, 12, "Kissane: attention heads, 25k to 49k"),
    Preset("sae:pythia-70m-deduped-mlp-sm", PYTHIA_70M, 6, "Marks: MLP output, 33k"),
    Preset("sae:pythia-70m-deduped-res-sm", PYTHIA_70M, 6, "Marks: residual stream, 33k"),
    Preset("sae:pythia-70m-deduped-att-sm", PYTHIA_70M, 6, "Marks: attention output, 33k"),
    *_gemma_scope_2("270m", "gemma-3-270m", 18),
    *_gemma_scope_2("1b", "gemma-3-1b-pt", 26),
    *_gemma_scope_2("4b", "gemma-3-4b-pt", 34),
    _qwen3("0.6b", "-lowl0", 28),
    _qwen3("1.7b", "-lowl0", 28),
    _qwen3("4b", "", 36),
    _qwen3("8b", "", 36),
)  # fmt: skip


def presets_for(model_name: str) -> list[Preset]:
    """The presets made for a model, by hub name (with or without organisation or revision), folder or alias."""
    wanted = _short(model_name.partition("@")[0])
    return [preset for preset in PRESETS if wanted in {_short(name) for name in preset.models}]


def _short(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2].lower()
