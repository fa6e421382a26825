"""A dictionary's weights and its activation function, whole or for some units only.

The arithmetic is that of sae-lens' inference classes, written so that columns can be taken out of it; the tests hold
each architecture against sae-lens' own `encode` and `forward`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from basisbench.errors import UserError

if TYPE_CHECKING:
    from sae_lens import SAE

# from x @ encoder [..., n] and the units' own parameters (each [n]) to activations [..., n]
Activation = Callable[[Tensor, Mapping[str, Tensor]], Tensor]


def relu(pre: Tensor, unit: Mapping[str, Tensor]) -> Tensor:
    """Bricken et al. 2023, "Towards Monosemanticity"."""
    return (pre + unit["b_enc"]).relu()


def jumprelu(pre: Tensor, unit: Mapping[str, Tensor]) -> Tensor:
    """Rajamanoharan et al. 2024, arXiv 2407.14435."""
    pre = pre + unit["b_enc"]
    return pre.relu() * (pre > unit["threshold"])


def _gated(pre: Tensor, unit: Mapping[str, Tensor]) -> Tensor:
    """Rajamanoharan et al. 2024, arXiv 2404.16014: one map decides whether a unit is on, and how much it is."""
    return (pre * unit["r_mag"].exp() + unit["b_mag"]).relu() * (pre + unit["b_gate"] > 0)


def _topk(pre: Tensor, unit: Mapping[str, Tensor], k: int, signed: bool) -> Tensor:
    """The k largest (by magnitude, if signed) of a token's units. Gao et al. 2024, arXiv 2406.04093."""
    pre = (pre + unit["b_enc"]) * unit["norm"]
    chosen = (pre.abs() if signed else pre).topk(k, sorted=False).indices
    values = pre.gather(-1, chosen)
    return torch.zeros_like(pre).scatter(-1, chosen, values if signed else values.relu())


ELEMENTWISE: Mapping[str, tuple[Activation, tuple[str, ...]]] = {
    "standard": (relu, ("b_enc",)),
    "gated": (_gated, ("b_gate", "b_mag", "r_mag")),
    "jumprelu": (jumprelu, ("b_enc", "threshold")),
    "transcoder": (relu, ("b_enc",)),
    "skip_transcoder": (relu, ("b_enc",)),
    "jumprelu_transcoder": (jumprelu, ("b_enc", "threshold")),
    "jumprelu_skip_transcoder": (jumprelu, ("b_enc", "threshold")),
}
"""Architectures whose units do not see each other, with the parameters each unit has of its own."""
ACROSS_UNITS = ("topk", "abstopk")
"""Architectures whose units compete: any unit needs every unit's pre-activation."""
NORMALISATIONS = ("none", "layer_norm", "constant_norm_rescale")


@dataclass(frozen=True)
class Encoder:
    """What turns an input into activations of n units: `weight` [d_in, n] and by name `unit`, each [n].

    `shift` [d_in] is taken from the (normalised) input. Where a decoder's output is scaled back by the token's own
    norm, `scales_back`, that factor goes into the activations, so that directions stay fixed.
    """

    weight: Tensor
    unit: Mapping[str, Tensor]
    activation: Activation
    shift: Tensor | None = None
    normalisation: str = "none"
    scales_back: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.weight.nbytes + sum(values.nbytes for values in self.unit.values())

    def columns(self, units: Tensor) -> Encoder:
        """The encoder of `units` [k] alone."""
        unit = {name: values.index_select(0, units) for name, values in self.unit.items()}
        return replace(self, weight=self.weight.index_select(1, units), unit=unit)

    def encode(self, x: Tensor) -> Tensor:
        """Activations [..., n] from the input x [..., d_in]."""
        x, scale = _normalised(x.to(self.weight.dtype), self.normalisation)
        if self.shift is not None:
            x = x - self.shift
        f = self.activation(x @ self.weight, self.unit)
        return f * scale if self.scales_back and scale is not None else f


@dataclass(frozen=True)
class Dictionary:
    """An encoder of n units and their directions, `decoder` [n, d_out].

    Output `bias` [d_out] and `skip` path [d_out, d_in] belong to the error; they are held by whole dictionaries only.
    """

    encoder: Encoder
    decoder: Tensor
    bias: Tensor | None = None
    skip: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        others = sum(tensor.nbytes for tensor in (self.bias, self.skip) if tensor is not None)
        return self.encoder.nbytes + self.decoder.nbytes + others

    def offset(self, x: Tensor) -> Tensor | None:
        """What sae-lens' output holds beside what the units write, [..., d_out], for the input x [..., d_in]."""
        if self.bias is None:
            return None
        x = x.to(self.bias.dtype)
        if self.skip is not None:
            return self.bias + x @ self.skip.T
        _, scale = _normalised(x, self.encoder.normalisation)
        if scale is None or not self.encoder.scales_back:
            return self.bias
        scaled = self.bias * scale
        return scaled + x.mean(-1, keepdim=True) if self.encoder.normalisation == "layer_norm" else scaled

    def columns(self, units: Tensor) -> Dictionary:
        """The dictionary of `units` [k] alone."""
        return Dictionary(self.encoder.columns(units), self.decoder.index_select(0, units))


def _normalised(x: Tensor, how: str) -> tuple[Tensor, Tensor | None]:
    """The input as the encoder wants it, and by how much the decoder's output is scaled back, [..., 1]."""
    if how == "constant_norm_rescale":
        scale = x.norm(dim=-1, keepdim=True) / x.shape[-1] ** 0.5
        return x / scale, scale
    if how == "layer_norm":
        x = x - x.mean(-1, keepdim=True)
        scale = x.std(-1, keepdim=True)
        return x / (scale + 1e-5), scale
    return x, None


def from_sae(sae: SAE, where: str) -> Dictionary:
    """Take the weights out of a loaded sae-lens object.

    `where` names the dictionary in messages. Raises UserError for an architecture or a normalisation that cannot be
    split into units with fixed directions, and for weights that are no numbers.
    """
    for name, values in sae.named_parameters():
        check_numbers(name, values, where)
    architecture = sae.cfg.architecture()
    check_architecture(architecture, where)
    normalisation = sae.cfg.normalize_activations
    if normalisation not in NORMALISATIONS:
        # sae-lens folds both of these into the weights where it knows the numbers; where it does not, it only warns
        raise UserError(
            f"{where}: its normalisation '{normalisation}' is not folded into the weights: "
            f"valid: {', '.join(NORMALISATIONS)}, or fold it with sae-lens first"
        )
    is_transcoder = is_transcoder_architecture(architecture)
    decoder = sae.W_dec.detach()
    if architecture in ELEMENTWISE:
        activation, names = ELEMENTWISE[architecture]
        unit = {name: getattr(sae, name).detach() for name in names}
    else:
        activation = partial(_topk, k=sae.cfg.k, signed=architecture == "abstopk")
        norm = decoder.norm(dim=-1) if sae.cfg.rescale_acts_by_decoder_norm else torch.ones_like(sae.b_enc)
        unit = {"b_enc": sae.b_enc.detach(), "norm": norm.detach()}
        decoder = decoder / unit["norm"][:, None]
    shift = sae.b_dec.detach() if sae.cfg.apply_b_dec_to_input and not is_transcoder else None
    encoder = Encoder(sae.W_enc.detach(), unit, activation, shift, normalisation, not is_transcoder)
    skip = sae.W_skip.detach() if hasattr(sae, "W_skip") else None
    return Dictionary(encoder, decoder, sae.b_dec.detach(), skip)


def check_numbers(name: str, values: Tensor, where: str) -> None:
    """Raise UserError where the weights called `name` are not all numbers."""
    # a unit may be switched off by a threshold that nothing reaches
    if (values.isnan() if name.startswith("threshold") else ~values.isfinite()).any():
        raise UserError(f"{where}: {name} holds values that are no numbers: valid: weights as they were published")


def check_architecture(name: str, where: str) -> None:
    """Raise UserError unless dictionaries of this sae-lens architecture can be bases."""
    valid = (*ELEMENTWISE, *ACROSS_UNITS)
    if name not in valid:
        raise UserError(f"{where}: architecture '{name}' cannot be a basis: valid: {', '.join(valid)}")


def is_transcoder_architecture(name: str) -> bool:
    """Whether dictionaries of this sae-lens architecture read one site and write another."""
    return "transcoder" in name
