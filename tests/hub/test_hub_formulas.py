"""Published layouts against formulas written from what their authors say of them, on the model without any of our code.

Each set's encoder and decoder are written out from its publication, over the files' own tensors; activations are read
and replaced by hooks on the plain Hugging Face model, and the logits that come out are compared with a curve's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

import basisbench
from basisbench.attribution import Scores
from basisbench.bases.basis import Basis
from basisbench.bases.load import load_basis
from basisbench.circuits.curves import evaluate
from basisbench.circuits.ranking import rank_nodes
from basisbench.models.sites import Site
from basisbench.prompts.prompt_set import PromptSet
from hub.dictionaries import LLAMA_SCOPE_THRESHOLD, OPENAI_K, Weights, cross_layer, publish, random_weights
from hub.models import LAYERS, WIDTH, add_model
from hub.server import Hub
from toys.dictionaries import Variant, save_dictionary
from toys.models import pair_rows, prompt_set

GEMMA, GEMMA_3, LLAMA = "google/gemma-2-2b", "google/gemma-3-270m", "meta-llama/Llama-3.1-8B"
GPT2, PYTHIA, QWEN = "openai-community/gpt2", "EleutherAI/pythia-70m-deduped", "Qwen/Qwen3-0.6B"

Place = Callable[[PreTrainedModel, int], tuple[nn.Module, str]]
"""From a model and a layer to a module, and whether its input or its output is meant."""
Formula = Callable[[Weights, Tensor, float], tuple[Tensor, Tensor]]
"""From weights, input [..., d_in] and scale to activations [..., n] and what 1 of each writes [..., n, d_out]."""


@dataclass(frozen=True)
class Described:
    """A set, its model, where it reads and writes, its units, and the rest of its output from an input."""

    basis: str
    model: str
    read: Place
    write: Place
    units: Formula
    rest: Callable[[Weights, Tensor, float], Tensor]


# -- where ---------------------------------------------------------------------------------------------


def block(hf: PreTrainedModel, layer: int) -> Any:
    body: Any = hf.base_model
    return (body.h if hasattr(body, "h") else body.layers)[layer]


def stream(hf: PreTrainedModel, layer: int) -> tuple[nn.Module, str]:
    """After the block."""
    return block(hf, layer), "output"


def mlp(hf: PreTrainedModel, layer: int) -> tuple[nn.Module, str]:
    """What the MLP adds to the stream: in Gemma, after a norm."""
    found = block(hf, layer)
    return getattr(found, "post_feedforward_layernorm", found.mlp), "output"


def attention(hf: PreTrainedModel, layer: int) -> tuple[nn.Module, str]:
    """What attention adds to the stream, in Pythia."""
    return block(hf, layer).attention, "output"


def mlp_input(hf: PreTrainedModel, layer: int) -> tuple[nn.Module, str]:
    """What the MLP is given, in Gemma and Qwen."""
    found = block(hf, layer)
    return getattr(found, "pre_feedforward_layernorm", found.post_attention_layernorm), "output"


def before_norm(hf: PreTrainedModel, layer: int) -> tuple[nn.Module, str]:
    """What the norm before the MLP is given, in Gemma."""
    return block(hf, layer).pre_feedforward_layernorm, "input"


# -- what: from the publications -----------------------------------------------------------------------


def directions(decoder: Tensor, x: Tensor, factor: Tensor | float = 1.0) -> Tensor:
    """The decoder's rows for each token, times a factor [..., 1]."""
    rows = decoder.expand(*x.shape[:-1], *decoder.shape)
    return rows * (factor[..., None] if isinstance(factor, Tensor) else factor)


def gemma_scope(w: Weights, x: Tensor, _: float) -> tuple[Tensor, Tensor]:
    """Rajamanoharan et al. 2024, equation 3, as in Gemma Scope: z * H(z - threshold), z = x W_enc + b_enc."""
    assert w.threshold is not None
    z = x @ w.w_enc + w.b_enc
    return torch.where(z > w.threshold, z, torch.zeros(())), directions(w.w_dec, x)


def normalised_gemma_scope(w: Weights, x: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Its transcoders read the input of the MLP's norm, normalised, without the norm's weight."""
    return gemma_scope(w, x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt(), scale)


def llama_scope(w: Weights, x: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """He et al. 2024: made for inputs of norm sqrt(d). As their library brings it to the model's own scale, the bias is
    divided by that factor, and the threshold holds for what comes out.
    """
    z = x @ w.w_enc + w.b_enc / scale
    return torch.where(z > LLAMA_SCOPE_THRESHOLD, z, torch.zeros(())), directions(w.w_dec, x)


def openai(w: Weights, x: Tensor, _: float) -> tuple[Tensor, Tensor]:
    """Gao et al. 2024: the input without its mean and by its deviation, the k largest, ReLU; by the deviation again."""
    deviation = x.std(-1, keepdim=True)
    z = ((x - x.mean(-1, keepdim=True)) / (deviation + 1e-5) - w.b_dec) @ w.w_enc + w.b_enc
    k = min(OPENAI_K, w.n_units // 2)
    least = z.sort(-1, descending=True).values[..., k - 1 : k]
    return torch.where(z >= least, z, torch.zeros(())).clamp(min=0), directions(w.w_dec, x, deviation)


def autoencoder(w: Weights, x: Tensor, _: float) -> tuple[Tensor, Tensor]:
    """Bricken et al. 2023: the decoder's bias is taken from the input first."""
    return ((x - w.b_dec) @ w.w_enc + w.b_enc).clamp(min=0), directions(w.w_dec, x)


def centred_autoencoder(w: Weights, x: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Bloom 2024: of a stream without its mean, which TransformerLens takes out where it is written."""
    return autoencoder(w, x - x.mean(-1, keepdim=True), scale)


def transcoder(w: Weights, x: Tensor, _: float) -> tuple[Tensor, Tensor]:
    """Dunefsky et al. 2024."""
    return (x @ w.w_enc + w.b_enc).clamp(min=0), directions(w.w_dec, x)


def bias(w: Weights, x: Tensor, _: float) -> Tensor:
    return w.b_dec.expand_as(x)


def scaled_bias(w: Weights, x: Tensor, scale: float) -> Tensor:
    return w.b_dec.expand_as(x) / scale


def restored(w: Weights, x: Tensor, _: float) -> Tensor:
    return w.b_dec * x.std(-1, keepdim=True) + x.mean(-1, keepdim=True)


def centred_bias(w: Weights, x: Tensor, _: float) -> Tensor:
    return w.b_dec + x.mean(-1, keepdim=True)


def affine(w: Weights, x: Tensor, _: float) -> Tensor:
    assert w.skip is not None
    return w.b_dec + x @ w.skip


SCOPE, SCOPE_2 = "gemma-scope-2b-pt", "gemma-scope-2-270m-pt"
CANONICAL, SMALL = "layer_{layer}/width_16k/canonical", "layer_{layer}_width_16k_l0_small"
SETS = [
    Described(f"sae:{SCOPE}-mlp-canonical/{CANONICAL}", GEMMA, mlp, mlp, gemma_scope, bias),
    Described(f"sae:{SCOPE}-res-canonical/{CANONICAL}", GEMMA, stream, stream, gemma_scope, bias),
    Described(f"transcoder:{SCOPE}-transcoders", GEMMA, before_norm, mlp, normalised_gemma_scope, bias),
    Described(f"sae:{SCOPE_2}-mlp-all/{SMALL}", GEMMA_3, mlp, mlp, gemma_scope, bias),
    Described(f"sae:{SCOPE_2}-res-all/{SMALL}", GEMMA_3, stream, stream, gemma_scope, bias),
    Described(f"transcoder:{SCOPE_2}-transcoders-all/{SMALL}", GEMMA_3, mlp_input, mlp, gemma_scope, bias),
    Described(f"transcoder:{SCOPE_2}-transcoders-all/{SMALL}_affine", GEMMA_3, mlp_input, mlp, gemma_scope, affine),
    Described("sae:llama_scope_lxm_8x", LLAMA, mlp, mlp, llama_scope, scaled_bias),
    Described("sae:llama_scope_lxr_8x", LLAMA, stream, stream, llama_scope, scaled_bias),
    Described("sae:gpt2-small-mlp-out-v5-32k", GPT2, mlp, mlp, openai, restored),
    Described("sae:gpt2-small-resid-post-v5-32k", GPT2, stream, stream, openai, restored),
    Described("sae:gpt2-small-res-jb", GPT2, stream, stream, centred_autoencoder, centred_bias),
    Described("sae:pythia-70m-deduped-mlp-sm", PYTHIA, mlp, mlp, autoencoder, bias),
    Described("sae:pythia-70m-deduped-att-sm", PYTHIA, attention, attention, autoencoder, bias),
    Described("sae:pythia-70m-deduped-res-sm", PYTHIA, stream, stream, autoencoder, bias),
    Described("transcoder:mwhanna-qwen3-0.6b-transcoders-lowl0", QWEN, mlp_input, mlp, transcoder, bias),
]


# -- the plain model -----------------------------------------------------------------------------------


@contextmanager
def seen(
    hf: PreTrainedModel, places: Mapping[tuple[str, int], tuple[nn.Module, str]], edit: Callable[..., Tensor | None]
) -> Iterator[None]:
    """Hand each activation to ``edit(key, x)`` while the block runs; what it returns takes its place."""

    def hook(key: tuple[str, int]) -> Any:
        def after(_module: nn.Module, _args: Any, output: Any) -> Any:
            x = output[0] if isinstance(output, tuple) else output
            new = edit(key, x)
            return output if new is None else (new, *output[1:]) if isinstance(output, tuple) else new

        def before(_module: nn.Module, args: Any) -> None:
            edit(key, args[0])

        module, side = places[key]
        return module.register_forward_hook(after) if side == "output" else module.register_forward_pre_hook(before)

    handles: list[Any] = [hook(key) for key in places]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def recorded(hf: PreTrainedModel, places: Any, tokens: Tensor) -> dict[tuple[str, int], Tensor]:
    found: dict[tuple[str, int], Tensor] = {}
    with seen(hf, places, lambda key, x: found.update({key: x})), torch.no_grad():
        hf(tokens)
    return found


def spliced_logits(
    hf: PreTrainedModel,
    prompts: PromptSet,
    places: Any,
    terms: Callable[[int, int, Tensor], Tensor],
    writes: Callable[[int], range],
    kept: Mapping[int, Tensor],
    complement: bool,
) -> Tensor:
    """Logits at the last token with all but `kept` [S, n] units of each layer at their mean over the corrupt prompts.

    ``terms(layer, written, x)`` are what each unit of a layer writes to a layer, [U, S, n, d], from what it reads.
    """
    corrupt = recorded(hf, places, prompts.corrupt)
    reads: dict[int, Tensor] = {}

    def edit(key: tuple[str, int], x: Tensor) -> Tensor | None:
        what, layer = key
        if what == "read":
            reads[layer] = x
            return None
        if what == "both":
            reads[layer] = x
        moved = torch.zeros_like(x)
        for source in (source for source in reads if layer in writes(source)):
            usual = terms(source, layer, corrupt["read" if ("read", source) in corrupt else "both", source]).mean(0)
            each = terms(source, layer, reads[source]) - usual
            moved = moved + (each * kept[source][None, :, :, None]).sum(2)
        return x - moved if complement else corrupt[key].mean(0) + moved

    with seen(hf, places, edit), torch.no_grad():
        logits: Tensor = hf(prompts.clean).logits[:, -1]
    return logits


def assert_curve(basis: Basis, model: Any, hf: PreTrainedModel, places: Any, terms: Any, writes: Any) -> None:
    """A curve of ours, of units kept at random, against logits of the plain model."""
    prompts = prompt_set(model, pair_rows(4))
    draw = torch.Generator().manual_seed(7)
    scores = {layer: torch.rand(prompts.n_slots, basis.n_units(layer) + 1, generator=draw) for layer in basis.layers()}
    for values in scores.values():
        values[:, -1] = 0  # errors come last: what they are is seen in the complement
    ranking = rank_nodes(Scores(basis.name, scores), basis)
    sizes = [3, 40, 200]
    curve = evaluate(model, prompts, basis, ranking, sizes)
    positions = prompts.slot[0]
    moved = 0.0
    for number, size in enumerate(sizes):
        kept = {layer: torch.zeros(prompts.n_slots, basis.n_units(layer)) for layer in basis.layers()}
        for layer, slot, unit in zip(*(part[:size].tolist() for part in (ranking.layer, ranking.slot, ranking.unit)),
                                     strict=True):  # fmt: skip
            kept[layer][slot, unit] = 1
        by_position = {layer: values[positions] for layer, values in kept.items()}
        for complement, found in ((False, curve.circuit), (True, curve.complement)):
            logits = spliced_logits(hf, prompts, places, terms, writes, by_position, complement)[prompts.pair_prompt]
            for tokens, ours in ((prompts.answer.tokens, found.answer), (prompts.foil.tokens, found.foil)):
                expected = logits.gather(1, tokens)[:, 0].numpy()
                assert ours[number] == pytest.approx(expected, abs=1e-4)
            moved = max(moved, abs(found.answer[number] - curve.empty.answer).max())
    assert moved > 1e-2


@pytest.mark.parametrize("described", SETS, ids=lambda described: described.basis)
def test_a_published_set_is_what_its_authors_describe(
    described: Described, hub: Hub, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    hf = add_model(hub, described.model, tokenizer)
    entry = publish(hub, described.basis, random_weights, monkeypatch, LAYERS)
    ids = {layer: next((i for i in entry.saes_map if str(layer) in i), "") for layer in range(LAYERS)}
    scales = {layer: entry.norm_scaling_factor.get(sae_id, 1.0) for layer, sae_id in ids.items()}
    model, _ = basisbench.load_model(described.model, device="cpu")
    basis = load_basis(described.basis, model)
    assert basis.layers() == tuple(range(LAYERS))

    draw = torch.Generator().manual_seed(0)
    for layer in range(LAYERS):
        weights = random_weights(layer)
        x = torch.randn(2, 5, WIDTH, generator=draw)
        f, rows = described.units(weights, x, scales[layer])
        assert 0.1 < (f > 0).float().mean() < 0.9
        (site,) = basis.writes(layer)
        ours = basis.encode(layer, x)
        assert torch.equal(ours > 0, f > 0)
        # what each unit writes: how that is shared out between activation and direction is nobody's business
        written = torch.stack([basis.lift(layer, site, ours[..., i : i + 1], torch.tensor([i])) for i in range(40)], -2)
        torch.testing.assert_close(written, f[..., None] * rows, atol=1e-5, rtol=1e-4)
        whole = (f[..., None] * rows).sum(-2) + described.rest(weights, x, scales[layer])
        offset = basis.offset(layer, site, x)
        assert offset is not None
        torch.testing.assert_close(basis.lift(layer, site, ours) + offset, whole, atol=1e-4, rtol=1e-4)

    places: dict[tuple[str, int], tuple[nn.Module, str]] = {}
    for layer in range(LAYERS):
        read, write = described.read(hf, layer), described.write(hf, layer)
        if read[0] is write[0]:
            places["both", layer] = write
        else:
            places |= {("read", layer): read, ("write", layer): write}

    def terms(layer: int, _: int, x: Tensor) -> Tensor:
        f, rows = described.units(random_weights(layer), x, scales[layer])
        return f[..., None] * rows

    assert_curve(basis, model, hf, places, terms, lambda layer: range(layer, layer + 1))


def test_a_cross_layer_transcoder_is_what_its_authors_describe(
    hub: Hub, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """Ameisen et al. 2025: a unit reads the stream before an MLP and writes to its output and to all later ones'."""
    hf = add_model(hub, GEMMA, tokenizer)

    def later(layer: int, written: int) -> Tensor:
        return 0.5 * random_weights(10 * layer + written).w_dec

    weights = [random_weights(layer) for layer in range(LAYERS)]
    for path, data in cross_layer(weights, later).items():
        (tmp_path / path).write_bytes(data)
    model, _ = basisbench.load_model(GEMMA, device="cpu")
    basis = load_basis(f"clt:{tmp_path}", model)
    places = {("read", layer): before_norm(hf, layer) for layer in range(LAYERS)}
    places |= {("write", layer): mlp(hf, layer) for layer in range(LAYERS)}

    def terms(layer: int, written: int, x: Tensor) -> Tensor:
        f, _ = gemma_scope(weights[layer], x, 1.0)
        decoder = weights[layer].w_dec if written == layer else later(layer, written)
        return f[..., None] * decoder

    assert_curve(basis, model, hf, places, terms, lambda layer: range(layer, LAYERS))


def test_skip_transcoders_in_a_repository_that_no_registry_knows(
    hub: Hub, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """Paulo et al. 2025: beside the units an affine map of the input, which is no unit and stays with the error."""
    hf = add_model(hub, QWEN, tokenizer)
    folders = [save_dictionary(tmp_path / "sets", Variant("skip_transcoder", "mlp.hook_in"), i) for i in range(LAYERS)]
    hub.add("org/skip-transcoders").commit_folder(tmp_path / "sets")
    model, _ = basisbench.load_model(QWEN, device="cpu")
    hub.requests.clear()
    basis = load_basis("transcoder:org/skip-transcoders/layer_{layer}", model)
    assert len(hub.asked("/api/models/org/skip-transcoders")) == 2  # which commit, and which folders it has
    assert basis.content.startswith(f"org/skip-transcoders@{hub.add('org/skip-transcoders').references['main']}, ")
    tensors = [load_file(folder / "sae_weights.safetensors") for folder in folders]
    x = torch.randn(2, 5, WIDTH, generator=torch.Generator().manual_seed(0))
    for layer, t in enumerate(tensors):
        f = (x @ t["W_enc"] + t["b_enc"]).clamp(min=0)
        torch.testing.assert_close(basis.encode(layer, x), f, atol=1e-5, rtol=1e-5)
        offset = basis.offset(layer, Site(layer, "mlp_out"), x)
        assert offset is not None
        torch.testing.assert_close(offset, t["b_dec"] + x @ t["W_skip"].T, atol=1e-5, rtol=1e-5)
    places = {("read", layer): mlp_input(hf, layer) for layer in range(LAYERS)}
    places |= {("write", layer): mlp(hf, layer) for layer in range(LAYERS)}

    def terms(layer: int, _: int, x: Tensor) -> Tensor:
        t = tensors[layer]
        return (x @ t["W_enc"] + t["b_enc"]).clamp(min=0)[..., None] * t["W_dec"]

    assert_curve(basis, model, hf, places, terms, lambda layer: range(layer, layer + 1))
    assert "org/skip-transcoders" not in get_pretrained_saes_directory()
