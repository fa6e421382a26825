"""What `check` says of sound bases, against sae-lens and explicit passes, and of bases broken on purpose."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from sae_lens import SAE
from sae_lens.registry import get_sae_class
from sae_lens.saes.sae import SAEMetadata
from safetensors.torch import save_file
from torch import Tensor
from typer.testing import CliRunner

from basisbench.baselines.cross_layer import clt
from basisbench.baselines.dictionaries import DictionaryBasis, dictionary_basis
from basisbench.bases.basis import BASES, Basis, LinearBasis
from basisbench.bases.load import load_basis
from basisbench.checks.basis import CheckReport, check_basis, check_table
from basisbench.circuits.splice import Splice
from basisbench.cli import app
from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.models.sites import Site, layer_ranges
from basisbench.text import sample
from basisbench.text.sample import CONTEXT, LOSS_ROWS, Sample
from toys.models import ARCHITECTURES, LAYERS, VOCABULARY

WIDTH, UNITS = 24, 40
ROWS = 7
Make = Callable[[str], Model]
SPOKEN: dict[str, str] = {}


def speech(model: Model) -> str:
    """Text that the model itself thinks likely, so that what spoils it costs loss: 7 rows of a sample, and a bit."""
    if model.name not in SPOKEN:
        generator = torch.Generator().manual_seed(0)
        tokens = torch.randint(3, VOCABULARY, (ROWS, 1), generator=generator)
        while tokens.shape[1] < CONTEXT:
            with torch.no_grad():
                last = torch.full((ROWS,), tokens.shape[1] - 1)
                shares = model.logits(model.forward(tokens, last))[:, 3:].softmax(-1)
            tokens = torch.cat([tokens, 3 + torch.multinomial(shares, 1, generator=generator)], 1)
        SPOKEN[model.name] = " ".join(f"w{i}" for i in tokens.flatten().tolist())
    return SPOKEN[model.name]


def words(count: int, seed: int = 0) -> str:
    draw = random.Random(seed)
    return " ".join(f"w{draw.randrange(3, VOCABULARY)}" for _ in range(count))


@dataclass(frozen=True)
class Variant:
    """An architecture, where it reads, and settings of its sae-lens configuration."""

    architecture: str
    hook: str = "hook_mlp_out"
    kind: str = "mlp_out"
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_transcoder(self) -> bool:
        return "transcoder" in self.architecture

    def written(self, layer: int) -> Site:
        return Site(layer, "mlp_out" if self.is_transcoder else self.kind)


VARIANTS = (
    Variant("standard"),
    Variant("standard", "hook_resid_post", "resid_post"),
    Variant("standard", settings={"normalize_activations": "layer_norm"}),
    Variant("jumprelu", "attn.hook_z", "attn_z"),
    Variant("topk", settings={"k": 20}),
    Variant("transcoder", "mlp.hook_in", "mlp_in"),
    Variant("skip_transcoder", "mlp.hook_in", "mlp_in"),
)
SAE_VARIANT, SKIP = VARIANTS[0], VARIANTS[6]
# one unit a token, so that it fits no other activations than those it was made for
CODES = Variant("topk", settings={"k": 1})
STREAM_CODES = Variant("topk", "hook_resid_post", "resid_post", {"k": 1})


def activations(model: Model, kind: str) -> list[Tensor]:
    """Activations [rows, positions, width] by layer, the first position left out, by a pass of the whole model."""
    read = Sample.of(model, [speech(model)]).record([Site(layer, kind) for layer in range(LAYERS)])
    return [read[Site(layer, kind)][:, 1:] for layer in range(LAYERS)]


def train(folder: Path, variant: Variant, model: Model, seen: Mapping[int, int] | None = None, **metadata: Any) -> Path:
    """Save dictionaries whose decoder, bias and skip path are the least-squares ones for the tiny model's activations.

    `seen`: for some layers the layer whose activations they are made for.
    """
    reads, writes = activations(model, variant.kind), activations(model, variant.written(0).kind)
    cls, config_cls = get_sae_class(variant.architecture)
    for layer in range(LAYERS):
        source = (seen or {}).get(layer, layer)
        x, y = (parts[source].flatten(0, 1) for parts in (reads, writes))
        settings = {"d_in": WIDTH, "d_sae": UNITS, "apply_b_dec_to_input": False, **variant.settings}
        stated = {"hook_name": f"blocks.{layer}.{variant.hook}", "model_name": model.name}
        if variant.is_transcoder:
            settings["d_out"] = WIDTH
            stated["hook_name_out"] = f"blocks.{layer}.hook_mlp_out"
        made = cls(config_cls(**settings, metadata=SAEMetadata(**(stated | metadata))))
        generator = torch.Generator().manual_seed(layer)
        with torch.no_grad():
            some = (x - x.mean(0))[torch.randperm(len(x), generator=generator)[:UNITS]]
            made.W_enc.copy_((some / some.norm(dim=-1, keepdim=True)).T)
            made.b_enc.copy_(0.1 * torch.randn(UNITS, generator=generator))
            if hasattr(made, "threshold"):
                made.threshold.fill_(0.1)
            f = made.encode(x)
            if variant.settings.get("normalize_activations") == "layer_norm":
                y = (y - y.mean(-1, keepdim=True)) / y.std(-1, keepdim=True)
            columns = [f, torch.ones(len(x), 1)] + ([x] if hasattr(made, "W_skip") else [])
            solution = torch.linalg.lstsq(torch.cat(columns, 1), y, driver="gelsd").solution
            made.W_dec.copy_(solution[:UNITS])
            made.b_dec.copy_(solution[UNITS])
            if hasattr(made, "W_skip"):
                made.W_skip.copy_(solution[UNITS + 1 :].T)
        made.save_model(folder / f"layer_{layer}")
    return folder


def trained(folder: Path, variant: Variant, model: Model, **changes: Any) -> DictionaryBasis:
    kind = "transcoder" if variant.is_transcoder else "sae"
    return dictionary_basis(kind, str(train(folder, variant, model, **changes)), model)  # type: ignore[arg-type]


def said(report: CheckReport) -> list[str]:
    return [f"{p.verdict} {check.layer}: {p.words}" for check in report.layers for p in check.problems]


def first_failure(report: CheckReport) -> str:
    assert report.failed
    return next(p.words for check in report.layers for p in check.problems if p.verdict == "broken")


# -- sound bases ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_models_own_bases_pass(architecture: str, tiny: Make) -> None:
    model = tiny(architecture)
    for name in BASES:
        if name.startswith(("sae", "transcoder", "clt")):
            continue
        report = check_basis(model, load_basis(name, model), [speech(model)], layers=[0, 2])
        assert not said(report)
        assert [check.layer for check in report.layers] == [0, 2]
        for check in report.layers:
            assert check.fit is not None
            assert check.fit.unexplained == pytest.approx(0, abs=1e-6)
            assert check.fit.recovered == 1
            assert max(check.logits or 0, check.gradient or 0) < 1e-5


def expected_fit(model: Model, variant: Variant, folder: Path, layer: int) -> tuple[float, float, int, float | None]:
    """FVU, L0, silent units and recovered loss by sae-lens' own forward and a pass of the whole model."""
    peer: Any = SAE.load_from_disk(folder / f"layer_{layer}")
    peer.turn_off_forward_pass_hook_z_reshaping()
    x, y = activations(model, variant.kind)[layer], activations(model, variant.written(0).kind)[layer]
    with torch.no_grad():
        f, out = peer.encode(x), peer(x)
    tokens = Sample.of(model, [speech(model)]).tokens[:LOSS_ROWS]

    def loss(values: Tensor | None) -> float:
        def edit(a: Tensor) -> Tensor | None:
            if values is None:
                return None
            a = a.clone()
            a[:, 1:] = values[:LOSS_ROWS]
            return a

        total = 0.0
        for place in range(tokens.shape[1] - 1):  # one position at a time
            last = torch.full((len(tokens),), place)
            with torch.no_grad():
                logits = model.logits(model.forward(tokens, last, edits=[(variant.written(layer), edit)]))
            total -= logits.log_softmax(-1).gather(1, tokens[:, place + 1, None]).sum().item()
        return total

    clean, spliced, ablated = loss(None), loss(out), loss(y.mean((0, 1)).expand_as(y))
    share = ((y - out) ** 2).sum() / ((y - y.mean((0, 1))) ** 2).sum()
    silent = int(((f != 0).sum((0, 1)) == 0).sum())
    recovered = (ablated - spliced) / (ablated - clean) if ablated > clean else None
    return share.item(), (f != 0).float().sum(-1).mean().item(), silent, recovered


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: f"{v.architecture}-{v.kind}-{len(v.settings)}")
def test_dictionaries_are_measured_as_sae_lens_has_them(variant: Variant, tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    report = check_basis(model, trained(tmp_path, variant, model), [speech(model)])
    assert not report.failed
    assert any(check.fit and check.fit.recovered is not None for check in report.layers)
    for check in report.layers:
        share, active, silent, recovered = expected_fit(model, variant, tmp_path, check.layer)
        assert check.fit is not None
        assert check.fit.unexplained == pytest.approx(share, abs=1e-4)
        assert share < 0.9
        assert check.fit.activity.active == pytest.approx(active)
        assert 1 < active < UNITS
        assert check.fit.activity.silent == silent
        assert check.fit.recovered == pytest.approx(recovered, abs=1e-3)
        assert check.fit.activity.seconds > 0
        assert max(check.logits or 0, check.gradient or 0) < 1e-4


def train_clt(folder: Path, model: Model) -> dict[str, Tensor]:
    """Cross-layer weights whose decoders and biases are the least-squares ones, target by target."""
    reads, writes = activations(model, "resid_mid"), activations(model, "mlp_out")
    weights: dict[str, Tensor] = {}
    active = []
    for layer in range(LAYERS):
        generator = torch.Generator().manual_seed(layer)
        weights[f"W_enc_{layer}"] = torch.randn(UNITS, WIDTH, generator=generator)
        weights[f"b_enc_{layer}"] = torch.randn(UNITS, generator=generator)
        weights[f"W_dec_{layer}"] = torch.zeros(UNITS, LAYERS - layer, WIDTH)
        x = reads[layer].flatten(0, 1)
        active.append((x @ weights[f"W_enc_{layer}"].T + weights[f"b_enc_{layer}"]).relu())
    for target in range(LAYERS):
        inputs = torch.cat([*active[: target + 1], torch.ones(len(active[0]), 1)], 1)
        found = torch.linalg.lstsq(inputs, writes[target].flatten(0, 1), driver="gelsd").solution
        for source in range(target + 1):
            weights[f"W_dec_{source}"][:, target - source] = found[source * UNITS : (source + 1) * UNITS]
        weights[f"b_dec_{target}"] = found[-1]
    for layer in range(LAYERS):
        for kind, names in (("enc", ("W_enc", "b_enc", "b_dec")), ("dec", ("W_dec",))):
            tensors = {f"{name}_{layer}": weights[f"{name}_{layer}"].contiguous() for name in names}
            save_file(tensors, folder / f"W_{kind}_{layer}.safetensors")
    return weights


def test_cross_layer_units_are_added_up(tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    weights = train_clt(tmp_path, model)
    basis = clt(model, str(tmp_path))
    report = check_basis(model, basis, [speech(model)])
    assert not said(report)
    reads, writes = activations(model, "resid_mid"), activations(model, "mlp_out")
    for check in report.layers:
        y = writes[check.layer]
        out = weights[f"b_dec_{check.layer}"].expand_as(y)
        for source in range(check.layer + 1):
            f = (reads[source] @ weights[f"W_enc_{source}"].T + weights[f"b_enc_{source}"]).relu()
            out = out + f @ weights[f"W_dec_{source}"][:, check.layer - source]
        expected = ((y - out) ** 2).sum() / ((y - y.mean((0, 1))) ** 2).sum()
        assert check.fit is not None
        assert check.fit.unexplained == pytest.approx(expected.item(), rel=1e-2)
        assert expected < 0.7
    (last,) = check_basis(model, basis, [speech(model)], layers=[2]).layers
    assert last.fit is not None
    assert report.layers[2].fit is not None
    assert last.fit.unexplained == pytest.approx(report.layers[2].fit.unexplained)


def test_a_broken_layer_spoils_only_the_sites_that_it_writes(tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    train_clt(tmp_path, model)
    basis = clt(model, str(tmp_path))
    encode = basis.encode

    def broken(layer: int, x: Tensor, units: Tensor | None = None) -> Tensor:
        return encode(layer, x, units).detach() + (1 / 0 if layer == 1 else 0)

    basis.encode = broken  # type: ignore[method-assign]
    report = check_basis(model, basis, [speech(model)])
    assert [check.fit is not None for check in report.layers] == [True, False, False]
    assert "broken 1: ZeroDivisionError: division by zero" in said(report)
    assert "warning 2: not measured: another layer that writes mlp_out[2] is broken" in said(report)


def test_recordings_in_several_groups_change_nothing(
    tiny: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny("llama")
    basis = trained(tmp_path, SKIP, model)
    whole = check_basis(model, basis, [speech(model)])
    monkeypatch.setattr("basisbench.checks.basis.MEMORY_BUDGET", 1)
    monkeypatch.setattr("basisbench.checks.fit.UNITS_AT_ONCE", 7 * UNITS)
    for one, other in zip(whole.layers, check_basis(model, basis, [speech(model)]).layers, strict=True):
        assert one.fit is not None
        assert other.fit is not None
        assert other.fit.unexplained == pytest.approx(one.fit.unexplained, rel=1e-4)
        assert other.fit.activity.active == one.fit.activity.active
        assert other.fit.recovered == pytest.approx(one.fit.recovered, abs=1e-4)


# -- broken ones ---------------------------------------------------------------------------------------


class Square(LinearBasis):
    """As many units as coordinates, in directions that are not orthogonal: a decoder can be transposed unnoticed."""

    def __init__(self, model: Model) -> None:
        self.decoder = torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(1))
        super().__init__("square", [Site(i, "mlp_out") for i in range(LAYERS)], WIDTH)
        self.has_error = True

    def encode(self, layer: int, x: Tensor, units: Tensor | None = None) -> Tensor:
        f = x @ self.decoder.inverse()
        return f if units is None else f[..., units]

    def lift(self, layer: int, site: Site, f: Tensor, units: Tensor | None = None) -> Tensor:
        return f @ (self.decoder if units is None else self.decoder[units])

    def project(self, layer: int, site: Site, g: Tensor, units: Tensor | None = None) -> Tensor:
        return g @ (self.decoder if units is None else self.decoder[units]).T


class TransposedProject(Square):
    def project(self, layer: int, site: Site, g: Tensor, units: Tensor | None = None) -> Tensor:
        projected = g @ self.decoder
        return projected if units is None else projected[..., units]


class TransposedDecoder(Square):
    """Transposed in lift and project alike, so that they agree."""

    def lift(self, layer: int, site: Site, f: Tensor, units: Tensor | None = None) -> Tensor:
        return f @ (self.decoder.T if units is None else self.decoder.T[units])

    def project(self, layer: int, site: Site, g: Tensor, units: Tensor | None = None) -> Tensor:
        return g @ (self.decoder if units is None else self.decoder[:, units])


class DetachedEncode(Square):
    def encode(self, layer: int, x: Tensor, units: Tensor | None = None) -> Tensor:
        return super().encode(layer, x, units).detach()


class DetachedScale(Square):
    """A part of the gradient is cut: activations are cubes, and their gradient is a third of what it should be."""

    def encode(self, layer: int, x: Tensor, units: Tensor | None = None) -> Tensor:
        f = super().encode(layer, x, units)
        return f * f.square().detach()


class DetachedLift(Square):
    def lift(self, layer: int, site: Site, f: Tensor, units: Tensor | None = None) -> Tensor:
        return super().lift(layer, site, f, units).detach()


class DetachedColumns(Square):
    """Cut where only some units are asked for, as kept units are, and not in the error."""

    def encode(self, layer: int, x: Tensor, units: Tensor | None = None) -> Tensor:
        f = super().encode(layer, x, units)
        return f if units is None else f.detach()


class ColumnsInOrder(Square):
    """Takes `units` for a set."""

    def encode(self, layer: int, x: Tensor, units: Tensor | None = None) -> Tensor:
        return super().encode(layer, x, None if units is None else units.sort().values)


class WithoutError(Square):
    """Says that nothing is left, where two units are missing."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.has_error = False

    def writes(self, layer: int) -> tuple[Site, ...]:
        return (Site(layer, "resid_post"),)


class BiasInLift(Square):
    def lift(self, layer: int, site: Site, f: Tensor, units: Tensor | None = None) -> Tensor:
        return super().lift(layer, site, f, units) + 1


class WrongWidth(Square):
    def encode(self, layer: int, x: Tensor, units: Tensor | None = None) -> Tensor:
        return x @ torch.zeros(WIDTH + 8, WIDTH)


class WrongUnits(Square):
    def n_units(self, layer: int) -> int:
        return WIDTH + 8


class WrongSite(Square):
    def read(self, layer: int) -> Site:
        return Site(layer + 5, "mlp_out")


class NotANumber(Square):
    """Sound on what is tried first, and not on all of the text."""

    def encode(self, layer: int, x: Tensor, units: Tensor | None = None) -> Tensor:
        f = super().encode(layer, x, units)
        return f / 0 * 0 if x.dim() == 2 and len(x) > 100 else f


def test_a_square_decoder_passes(tiny: Make) -> None:
    model = tiny("llama")
    assert not said(check_basis(model, Square(model), [speech(model)]))


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (TransposedProject, "project must be the transpose of lift"),
        (TransposedDecoder, "worse than its mean does"),
        (DetachedEncode, "encode cuts the gradient"),
        (DetachedScale, "encode's gradient is not that of its values (off by 6"),
        (DetachedLift, "lift to mlp_out[0] cuts the gradient"),
        (DetachedColumns, "changes upstream gradients by"),
        (ColumnsInOrder, "encode with `units` must give those columns of encode"),
        (WithoutError, "has_error is False, so what the units leave (a bias, a skip path) is lost"),
        (BiasInLift, "a bias is no unit's"),
        (WrongWidth, "RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
        (WrongUnits, "encode gave the shape [2, 3, 24] for [2, 3]: valid: [2, 3, 32]"),
        (NotANumber, "worse than its mean does (FVU nan)"),
    ],
)
def test_a_broken_basis_fails_with_words(broken: Callable[[Model], Basis], expected: str, tiny: Make) -> None:
    model = tiny("llama")
    report = check_basis(model, broken(model), [speech(model)], layers=[0])
    assert expected in first_failure(report)
    assert "\n" not in first_failure(report)


def test_a_site_that_the_model_lacks_is_named(tiny: Make) -> None:
    model = tiny("llama")
    with pytest.raises(UserError, match=r"mlp_out\[5\] is not in model 'llama'"):
        check_basis(model, WrongSite(model), [speech(model)], layers=[0])


def test_a_detached_error_in_the_engine_would_be_seen(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """No basis can detach the error, which the engine takes; so cut it there."""
    model = tiny("llama")
    written = Splice._writer

    def detached(self: Splice, site: Site) -> Callable[[Tensor], Tensor]:
        edit = written(self, site)
        return lambda x: edit(x.detach())  # type: ignore[return-value]

    monkeypatch.setattr(Splice, "_writer", detached)
    assert "the error is detached" in first_failure(check_basis(model, Square(model), [speech(model)], layers=[1]))


@pytest.mark.parametrize("variant", [CODES, STREAM_CODES, SKIP], ids=lambda v: f"{v.architecture}-{v.kind}")
def test_a_dictionary_of_another_layer_is_recognised(variant: Variant, tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    report = check_basis(model, trained(tmp_path, variant, model, seen={1: 2}), [speech(model)])
    assert report.failed
    (line,) = said(report)
    assert line.startswith("broken 1: explains")
    assert f"it fits {variant.written(2)} (FVU 0." in line


def test_a_dictionary_of_another_hook_point_is_recognised(tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    of_the_stream = Variant("topk", "hook_mlp_out", "resid_post", {"k": 1})
    report = check_basis(model, trained(tmp_path, of_the_stream, model), [speech(model)])
    for check in report.layers:
        assert check.verdict == "broken"
        assert f"it fits resid_post[{check.layer}] (FVU 0." in said(report)[check.layer]


def test_a_dictionary_that_is_far_worse_than_the_others_is_warned_about(tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    basis = trained(tmp_path, SKIP, model)
    noise = 0.7 * activations(model, "mlp_out")[1].std((0, 1)) * torch.randn(1000, WIDTH)

    class Noisy(DictionaryBasis):
        def offset(self, layer: int, site: Site, x: Tensor) -> Tensor | None:
            found = super().offset(layer, site, x)
            return found + noise[: len(x)] if layer == 1 and found is not None else found

    report = check_basis(model, Noisy("noisy", basis._layers), [speech(model)])
    assert not report.failed
    (line,) = said(report)
    assert line.startswith("warning 1: FVU 0.")
    assert "far worse than the other layers' 0." in line
    assert "its bias, scale or skip path is lost; no other layer fits" in line


def test_a_lost_skip_path_is_seen(tiny: Make, tmp_path: Path) -> None:
    """The engine's error holds the skip path whatever a basis says; one that forgets it cannot explain the site."""
    model = tiny("llama")
    basis = trained(tmp_path, SKIP, model)
    assert not check_basis(model, basis, [speech(model)]).failed

    class LostSkip(DictionaryBasis):
        def offset(self, layer: int, site: Site, x: Tensor) -> Tensor | None:
            return self._weights.get(layer).bias

    report = check_basis(model, LostSkip("lost", basis._layers), [speech(model)])
    for check in report.layers:
        whole = basis._weights.get(check.layer)
        x, y = (activations(model, kind)[check.layer] for kind in ("mlp_in", "mlp_out"))
        assert whole.bias is not None
        out = whole.encoder.encode(x) @ whole.decoder + whole.bias
        expected = ((y - out) ** 2).sum() / ((y - y.mean((0, 1))) ** 2).sum()
        assert check.fit is not None
        assert check.fit.unexplained == pytest.approx(expected.item(), rel=1e-3)
        assert (check.verdict == "broken") == (expected > 1.01)
    assert "worse than its mean" in first_failure(report)
    assert "skip path is lost" in first_failure(report)


def test_another_models_name_is_warned_about(tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    report = check_basis(model, trained(tmp_path, SAE_VARIANT, model, model_name="owner/other"), [speech(model)])
    assert not report.failed
    assert said(report) == [
        f"warning {layer}: made for model 'owner/other', as its files say, not for 'llama'" for layer in range(LAYERS)
    ]


def test_silent_units_and_constant_sites_are_warned_about(tiny: Make) -> None:
    model = tiny("llama")

    class Off(Square):
        def encode(self, layer: int, x: Tensor, units: Tensor | None = None) -> Tensor:
            return super().encode(layer, x, units) * 0

    report = check_basis(model, Off(model), [speech(model)], layers=[0])
    assert said(report) == ["warning 0: no unit is ever active on this text"]
    (check,) = report.layers
    assert check.fit is not None
    assert check.fit.activity.silent == WIDTH
    assert check.fit.unexplained == pytest.approx(1)  # the error's mean is all there is
    constant = check_basis(model, load_basis("mlp_out", model), ["w3 " * 100], layers=[0])
    assert said(constant) == ["warning 0: mlp_out[0] does not vary on this text: nothing can be said of the fit"]


# -- text, table, command --------------------------------------------------------------------------------


TEXT = words(500)


def test_a_sample_is_rows_of_the_text(tiny: Make) -> None:
    model = tiny("llama")
    ids = model.tokenizer(TEXT)["input_ids"]
    tokens = Sample.of(model, [TEXT]).tokens
    assert tokens.shape == (500 // CONTEXT, CONTEXT)
    assert tokens.flatten().tolist() == ids[: tokens.numel()]
    assert Sample.of(model, [words(40)]).tokens.shape == (1, 40)
    assert Sample.of(model, [words(9000)]).tokens.shape == (sample.MOST_TOKENS // CONTEXT, CONTEXT)
    with pytest.raises(UserError, match="the text has 31 tokens: valid: 32 or more"):
        Sample.of(model, [words(31)])


def test_a_start_token_leads_every_row(tiny: Make) -> None:
    from tokenizers.processors import TemplateProcessing

    model = tiny("llama")
    inner = model.tokenizer.backend_tokenizer
    inner.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    try:
        tokens = Sample.of(model, [TEXT]).tokens
        assert tokens.shape == (500 // (CONTEXT - 1), CONTEXT)
        assert (tokens[:, 0] == 2).all()
        assert tokens[:, 1:].flatten().tolist() == model.tokenizer(TEXT)["input_ids"][1 : 1 + tokens[:, 1:].numel()]
    finally:
        inner.post_processor = None


def test_layers_are_written_as_runs() -> None:
    assert layer_ranges([0, 3, 4, 5, 9]) == "0, 3 to 5, 9"
    assert layer_ranges([]) == ""


def printed(report: CheckReport, width: int = 80) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(check_table(report))
    return console.export_text()


def test_the_table_fits_a_terminal_and_joins_what_layers_share(tiny: Make, tmp_path: Path) -> None:
    model = tiny("llama")
    text = printed(check_basis(model, trained(tmp_path, SKIP, model, model_name="other"), [speech(model)]))
    assert max(map(len, text.splitlines())) <= 80
    lines = [line.split() for line in text.splitlines()]
    rows = [line for line in lines if line[1:2] == ["mlp_in>mlp_out"]]
    assert [row[0] for row in rows] == ["0", "1", "2"]
    assert all(row[2] == "40" and row[-1] == "warning" for row in rows)
    assert text.count("warning layers 0 to 2: made for model 'other'") == 1
    assert "keeps the contract on 'llama' (441 tokens): 3 warning" in " ".join(text.split())


def run(*arguments: str) -> tuple[int, str]:
    try:
        result = CliRunner().invoke(app, ["check", *arguments], standalone_mode=False, catch_exceptions=False)
    except UserError as error:
        return 2, str(error)
    return result.exit_code or int(result.return_value or 0), " ".join(result.output.split())


def test_the_command(tiny: Make, tiny_folder: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(speech(tiny("llama")))
    on = ("--model", str(tiny_folder), "--device", "cpu", "--text", str(text))
    status, output = run("mlp_out", *on, "--layers", "0,2")
    assert (status, "2 ok" in output) == (0, True)
    train(tmp_path / "good", SAE_VARIANT, tiny("llama"))
    status, output = run(f"sae:{tmp_path / 'good'}", *on)
    assert (status, "keeps the contract" in output) == (0, True)
    train(tmp_path / "wrong", CODES, tiny("llama"), seen={0: 1})
    status, output = run(f"sae:{tmp_path / 'wrong'}", *on)
    assert status == 1
    assert "broken layer 0: explains mlp_out[0] worse than its mean does" in output
    assert "must not be used as it is" in output
    assert run("mlp_out", *on, "--layers", "7") == (2, "basis 'mlp_out' has no units in layer 7: valid: 0 to 2")
    assert run("mlp_out", *on, "--layers", "a")[1].startswith("setting layers: Input should be a valid integer")
    assert run("mlp_out", *on[:-1], str(tmp_path / "no.txt"))[1].startswith(
        f"unknown text '{tmp_path / 'no.txt'}': valid: "
    )
