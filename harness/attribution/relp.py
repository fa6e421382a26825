"""RelP: rules that change the backward pass and leave the forward pass as it is.

Each rule replaces a hook's value y by ``sg(y) + gain * (x - sg(x))``: equal to y going forward, and in the
backward pass a linear map with the fixed gain (sg = stop-gradient).

1. Norm: y as a fixed gain on x (RMSNorm) or on the centred x (LayerNorm).
2. Attention pattern: a constant.
3. Activation: act(z) as the fixed gain act(z) / z.
4. Product of gate and up projection: half the gradient to each factor.

Source: Jafari et al. 2025, "RelP" (arXiv 2508.21258), after layer-wise relevance propagation for
transformers (Achtibat et al. 2024, arXiv 2402.05602).
"""

from __future__ import annotations

import torch
from torch import Tensor

from basisbench.errors import UserError
from basisbench.models.adapter import Edit, Model, Norm

TINY = 1e-6


def relp_hooks(model: Model) -> list[tuple[str, Edit]]:
    """Hooks by name that put the rules on a model; fresh for each pass, since they hand tensors to one another."""
    hooks: list[tuple[str, Edit]] = []
    for norm in model.norms:
        hooks += _norm_rule(norm)
    for layer in range(model.n_layers):
        pattern = f"blocks.{layer}.attn.hook_pattern"
        if not model.hook_exists(pattern):
            raise UserError(f"relp needs {pattern}, which model '{model.name}' does not have")
        hooks.append((pattern, Tensor.detach))
        hooks += _mlp_rule(model, layer)
    return hooks


def _linear(value: Tensor, x: Tensor, gain: Tensor) -> Tensor:
    """`value` going forward, `gain` times the gradient of x going back."""
    return value.detach() + (x - x.detach()) * gain.detach()


def _norm_rule(norm: Norm) -> list[tuple[str, Edit]]:
    inputs: list[Tensor] = []

    def replace(y: Tensor) -> Tensor:
        x = inputs.pop().float()
        if norm.centred:
            x = x - x.mean(-1, keepdim=True)
        gain = norm.gain.float() * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + norm.eps)
        return _linear(y, x, gain).to(y.dtype)

    return [(f"{norm.name}.hook_in", inputs.append), (f"{norm.name}.hook_out", replace)]


def _mlp_rule(model: Model, layer: int) -> list[tuple[str, Edit]]:
    mlp = f"blocks.{layer}.mlp"
    gated = model.hook_exists(f"{mlp}.gate.hook_out")
    names = [f"{mlp}.gate.hook_out", f"{mlp}.in.hook_out"] if gated else [f"{mlp}.in.hook_out"]
    for name in (*names, f"{mlp}.out.hook_in"):
        if not model.hook_exists(name):
            raise UserError(f"relp needs {name}, which model '{model.name}' does not have")
    inputs: dict[str, Tensor] = {}

    def replace(h: Tensor) -> Tensor:
        z = inputs.pop(names[0])
        nonzero = torch.where(z.abs() < TINY, TINY, z).detach()
        gain = model.activation(nonzero) / nonzero
        if not gated:
            return _linear(h, z, gain)
        up = inputs.pop(names[1])
        to_gate = _linear(h, z, gain * up)
        to_up = _linear(h, up, gain * z)
        return 0.5 * to_gate + 0.5 * to_up

    def keep(name: str) -> Edit:
        return lambda x: inputs.update({name: x})

    return [*((name, keep(name)) for name in names), (f"{mlp}.out.hook_in", replace)]
