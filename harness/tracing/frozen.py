"""A model as an affine map: one prompt's pass with patterns, norm scales and non-linearities held fixed.

1. `freeze` runs the model once and keeps the inputs and outputs of every norm and activation, and every pattern.
2. `Frozen.hooks` put the affine map into a later pass: y = y0 + gain * (x - x0), with (x0, y0) as kept.
3. At x = x0 the map gives the plain model's values and RelP's gradients (`attribution.relp`); at other inputs
   it is still the same map. So its value at zero is what biases alone make of a node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from basisbench.attribution.relp import TINY
from basisbench.errors import UserError
from basisbench.models.adapter import Edit, Model, Norm


@dataclass(frozen=True)
class Frozen:
    """One prompt's activations by hook name, [1, position, ...], and the rules that anchor a pass to them."""

    model: Model
    kept: Mapping[str, Tensor]

    def hooks(self) -> list[tuple[str, Edit]]:
        """Hooks by name; fresh for each pass, since they hand tensors to one another."""
        hooks: list[tuple[str, Edit]] = []
        for norm in self.model.norms:
            hooks += self._norm(norm)
        for layer in range(self.model.n_layers):
            hooks.append((_pattern(layer), self._constant(_pattern(layer))))
            hooks += self._mlp(layer)
        return hooks

    def _constant(self, name: str) -> Edit:
        return lambda _: self.kept[name]

    def _norm(self, norm: Norm) -> list[tuple[str, Edit]]:
        inputs: list[Tensor] = []
        before, after = self.kept[f"{norm.name}.hook_in"], self.kept[f"{norm.name}.hook_out"]

        def centred(x: Tensor) -> Tensor:
            return x - x.mean(-1, keepdim=True) if norm.centred else x

        scale = torch.rsqrt(centred(before.float()).pow(2).mean(-1, keepdim=True) + norm.eps)
        gain = (norm.gain.float() * scale).to(before.dtype)
        return [
            (f"{norm.name}.hook_in", inputs.append),
            (f"{norm.name}.hook_out", lambda _: after + gain * centred(inputs.pop() - before)),
        ]

    def _mlp(self, layer: int) -> list[tuple[str, Edit]]:
        *names, out = _mlp_names(self.model, layer)
        inputs: dict[str, Tensor] = {}
        z = self.kept[names[0]]
        nonzero = torch.where(z.abs() < TINY, TINY, z)
        gain = self.model.activation(nonzero) / nonzero
        up = self.kept[names[1]] if len(names) > 1 else None

        def replace(_: Tensor) -> Tensor:
            moved = gain * (inputs.pop(names[0]) - z)
            if up is not None:
                moved = 0.5 * up * moved + 0.5 * gain * z * (inputs.pop(names[1]) - up)
            return self.kept[out] + moved

        def keep(name: str) -> Edit:
            return lambda x: inputs.update({name: x})

        return [*((name, keep(name)) for name in names), (out, replace)]


def freeze(model: Model, tokens: Tensor) -> Frozen:
    """Run `tokens` [position] once and keep what the affine map is anchored to.

    Raises UserError for a model whose norms, patterns or MLPs have no hook points that are known.
    """
    names = [f"{norm.name}.hook_{side}" for norm in model.norms for side in ("in", "out")]
    for layer in range(model.n_layers):
        names += [_pattern(layer), *_mlp_names(model, layer)]
    for name in names:
        if not model.hook_exists(name):
            raise UserError(f"tracing needs {name}, which model '{model.name}' does not have")
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> Edit:
        return lambda x: kept.update({name: x.detach()})

    with torch.no_grad():
        last = torch.tensor([len(tokens) - 1], device=tokens.device)
        model.forward(tokens[None], last, hooks=[(name, keep(name)) for name in names])
    return Frozen(model, kept)


def _pattern(layer: int) -> str:
    return f"blocks.{layer}.attn.hook_pattern"


def _mlp_names(model: Model, layer: int) -> list[str]:
    """Hooks of what enters the activation function, of what it is multiplied with if anything, and of the neurons."""
    mlp = f"blocks.{layer}.mlp"
    gated = model.hook_exists(f"{mlp}.gate.hook_out")
    return [*([f"{mlp}.gate.hook_out"] if gated else []), f"{mlp}.in.hook_out", f"{mlp}.out.hook_in"]
