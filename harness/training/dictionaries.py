"""What is trained: one dictionary a layer, several layers side by side, and its finished form on disk.

BatchTopK (Bussmann et al. 2024, arXiv 2412.06410): in training the k largest activations per token, counted
over the batch, are kept; at inference a fixed threshold, the running mean of the smallest kept, takes their
place, so the finished dictionary is a JumpReLU one. Dead latents are revived by an auxiliary loss on the
residual (Gao et al. 2024, arXiv 2406.04093, appendix A.2).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from basisbench.bases.packing import Dictionary, Kind

RATE = 0.05  # of a running mean: short runs move fast, and the decay of the learning rate makes the end steady
TOKENS_FOR_CUT = 256


@dataclass(frozen=True)
class Moments:
    """Mean [layers, width] of an activation, and the root mean square of a coordinate about it, [layers]."""

    mean: Tensor
    scale: Tensor

    def of_layers(self, start: int, end: int) -> Moments:
        """The moments of some layers."""
        return Moments(self.mean[start:end], self.scale[start:end])

    @staticmethod
    def of(activations: Iterable[Tensor]) -> Moments:
        """Moments over batches of [layers, tokens, width]."""
        n, total, squares = 0, torch.zeros(()), torch.zeros(())
        for x in activations:
            n += x.shape[1]
            total = total.to(x.device) + x.double().sum(1)
            squares = squares.to(x.device) + x.double().square().sum(1)
        mean = total / n
        scale = (squares / n - mean.square()).mean(-1).clamp(min=1e-16).sqrt()
        return Moments(mean.float(), scale.float())


class Stack(nn.Module):
    """Dictionaries of one kind for `layers`, trained by batched products on activations centred and scaled.

    In these units an output coordinate has mean square 1, so the squared error is the unexplained fraction.
    """

    def __init__(self, kind: Kind, layers: Sequence[int], width: int, read: Moments, write: Moments, seed: int) -> None:
        super().__init__()
        self.kind = kind
        self.layers = tuple(layers)
        d_in, d_out = read.mean.shape[-1], write.mean.shape[-1]
        decoders, encoders = [], []
        for layer in layers:  # a generator each: the weights do not depend on which layers share a stack
            generator = torch.Generator().manual_seed((seed * 2 + (kind == "sae")) * 1000 + layer)
            decoder = nn.functional.normalize(torch.randn(width, d_out, generator=generator), dim=-1)
            other = nn.functional.normalize(torch.randn(d_in, width, generator=generator), dim=0)
            decoders.append(decoder)
            encoders.append(decoder.T if kind == "sae" else other)
        device = read.mean.device
        self.w_enc = nn.Parameter(torch.stack(encoders).to(device))
        self.w_dec = nn.Parameter(torch.stack(decoders).to(device))
        self.b_enc = nn.Parameter(torch.zeros(len(layers), 1, width, device=device))
        self.b_dec = nn.Parameter(torch.zeros(len(layers), 1, d_out, device=device))
        self.register_buffer("mean_in", read.mean[:, None].clone())
        self.register_buffer("scale_in", read.scale[:, None, None].clone())
        self.register_buffer("mean_out", write.mean[:, None].clone())
        self.register_buffer("scale_out", write.scale[:, None, None].clone())
        self.register_buffer("threshold", torch.full((len(layers), 1, 1), math.nan, device=device))
        self.register_buffer("unexplained", torch.full((len(layers),), math.nan, device=device))
        self.register_buffer("idle", torch.zeros(len(layers), width, dtype=torch.int64, device=device))

    mean_in: Tensor
    scale_in: Tensor
    mean_out: Tensor
    scale_out: Tensor
    threshold: Tensor
    unexplained: Tensor
    idle: Tensor

    def loss(self, x: Tensor, y: Tensor, k: int, dead_after: int, auxiliary: float) -> Tensor:
        """Loss to minimise (a scalar, the sum over layers) from raw activations x, y [layers, tokens, width].

        Updates the thresholds, the running mean of each layer's unexplained fraction, and the count of tokens
        since each latent last fired; one idle for more than `dead_after` tokens is dead.
        """
        x, y = (x - self.mean_in) / self.scale_in, (y - self.mean_out) / self.scale_out
        z = torch.baddbmm(self.b_enc, x, self.w_enc)
        cut = self._cut(z.detach(), k)
        kept = z > cut
        f = z * kept
        missing = y - torch.baddbmm(self.b_dec, f, self.w_dec)
        unexplained = missing.square().mean((1, 2))
        with torch.no_grad():
            self.idle.add_(x.shape[1]).masked_fill_(kept.any(1), 0)
            _follow(self.threshold, cut)
            _follow(self.unexplained, unexplained)
        dead = self.idle > dead_after
        if n_dead := int(dead.sum(1).max()):
            return unexplained.sum() + auxiliary * self._revival(z, missing.detach(), dead, n_dead)
        return unexplained.sum()

    @staticmethod
    def _cut(z: Tensor, k: int) -> Tensor:
        """The activation that k per token exceed, [layers, 1, 1], at least 0.

        Over at least 256 tokens spread over the batch: exact for up to 511, an estimate at a tenth of the cost
        beyond.
        """
        sample = z[:, :: max(1, z.shape[1] // TOKENS_FOR_CUT)]
        n_kept = k * sample.shape[1]
        sample = sample.relu().flatten(1)
        if n_kept >= sample.shape[1]:
            return z.new_zeros(len(z), 1, 1)
        return sample.kthvalue(sample.shape[1] - n_kept, dim=1).values[:, None, None]

    def _revival(self, z: Tensor, missing: Tensor, dead: Tensor, n_dead: int) -> Tensor:
        """How badly the dead latents alone, the strongest half-width of them, account for what is missing."""
        order = dead.int().topk(n_dead, dim=1).indices  # layers with fewer dead ones are filled up, then masked
        chosen = order[:, None].expand(-1, z.shape[1], -1)
        g = z.gather(2, chosen).relu() * dead.gather(1, order)[:, None]
        if n_dead > (most := missing.shape[-1] // 2):
            g = g * (g >= g.topk(most, dim=2).values[..., -1:])
        rows = self.w_dec.gather(1, order[..., None].expand(-1, -1, self.w_dec.shape[-1]))
        error = (missing - torch.bmm(g, rows)).square().mean((1, 2))
        relative = error / missing.square().mean((1, 2)).clamp(min=1e-8)
        return (relative * dead.any(1)).sum()

    @torch.no_grad()
    def normalise(self) -> None:
        """Scale the decoder's rows back to norm 1."""
        self.w_dec.div_(self.w_dec.norm(dim=-1, keepdim=True).clamp(min=1e-8))

    @torch.no_grad()
    def finished(self) -> dict[int, Dictionary]:
        """The dictionaries by layer, with centring and scales folded into the weights."""
        gain = self.scale_out / self.scale_in
        w_enc = self.w_enc * gain
        b_enc = self.b_enc * self.scale_out - torch.bmm(self.mean_in, w_enc)
        b_dec = self.b_dec * self.scale_out + self.mean_out
        threshold = (self.threshold * self.scale_out).expand_as(b_enc)
        parts = zip(w_enc, b_enc[:, 0], self.w_dec.detach(), b_dec[:, 0], threshold[:, 0], strict=True)
        return {layer: Dictionary(*part) for layer, part in zip(self.layers, parts, strict=True)}


def _follow(mean: Tensor, value: Tensor) -> None:
    """Move a running mean, not a number before its first value, towards `value`."""
    value = value.to(mean.dtype)
    mean.copy_(torch.where(mean.isnan(), value, torch.lerp(mean, value, RATE)))
