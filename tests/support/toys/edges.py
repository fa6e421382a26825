"""Helpers for tests of edges."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from basisbench.baselines.cross_layer import clt
from basisbench.bases.basis import Basis
from basisbench.bases.load import load_basis
from basisbench.models.adapter import Edit, Model
from basisbench.models.sites import Site
from toys.cross_layer import save_clt
from toys.dictionaries import Variant, basis_of
from toys.models import LAYERS

ANSWER, FOIL = 11, 30
TOKENS = [3, 17, 8, 29, 41]


def named_basis(name: str, model: Model, folder: Path) -> Basis:
    """A built-in basis, or tiny random dictionaries."""
    if name == "clt":
        save_clt(folder)
        return clt(model, str(folder))
    variants = {
        "sae": Variant("jumprelu"),
        "topk": Variant("topk", settings={"k": 5}),
        "scaled": Variant("standard", settings={"normalize_activations": "constant_norm_rescale"}),
        "transcoder": Variant("transcoder", "mlp.hook_in"),
        "skip": Variant("jumprelu_skip_transcoder", "hook_resid_mid"),
        "normalised": Variant("jumprelu_transcoder", "ln2.hook_normalized"),
    }
    return basis_of(variants[name], model, folder) if name in variants else load_basis(name, model)


@dataclass(frozen=True)
class Patched:
    """What one run saw: at the MLPs' inputs, before and behind their norm, and logits before a cap."""

    mid: dict[int, Tensor]
    mlp_in: dict[int, Tensor]
    logits: Tensor


@dataclass
class Clean:
    """The plain run by hook name."""

    model: Model
    seen: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        points = [name for name in self.model._points if not name.startswith(("unembed", "embed", "hook_embed"))]
        self.run([(name, partial(self._keep, name)) for name in points])

    def _keep(self, name: str, x: object) -> None:
        if isinstance(x, Tensor):
            self.seen[name] = x

    def run(self, hooks: list[tuple[str, Edit]]) -> Tensor:
        with torch.no_grad():
            return self.model.forward(torch.tensor([TOKENS]), torch.tensor([len(TOKENS) - 1]), hooks=hooks)

    def scaled(self, name: str, x: Tensor) -> Tensor:
        """A norm with the clean run's scale, from its own weights."""
        module = self.model._bridge.get_submodule(name).original_component
        clean = self.seen[f"{name}.hook_in"]
        bias = getattr(module, "bias", None)
        if bias is not None:
            x, clean = x - x.mean(-1, keepdim=True), clean - clean.mean(-1, keepdim=True)
        eps = module.eps if hasattr(module, "eps") else module.variance_epsilon
        gain = module.weight + (1 if self.model.name == "gemma2" else 0)
        out: Tensor = x / (clean.pow(2).mean(-1, keepdim=True) + eps).sqrt() * gain + (0 if bias is None else bias)
        return out

    def patched(self, changes: dict[Site, Tensor]) -> Patched:
        """Run with `changes` added at sites of MLPs, every other MLP, pattern and norm scale as in the clean run."""
        mid: dict[int, Tensor] = {}
        mlp_in: dict[int, Tensor] = {}
        hooks: list[tuple[str, Edit]] = []
        before: dict[str, Tensor] = {}

        def normed(name: str, _: Tensor) -> Tensor:
            return self.scaled(name, before[name])

        def keep(into: dict[Any, Tensor], key: object, x: Tensor) -> None:
            into[key] = x

        def put(x: Tensor, _: Tensor) -> Tensor:
            return x

        for name in [norm.name for norm in self.model.norms]:
            hooks += [(f"{name}.hook_in", partial(keep, before, name)), (f"{name}.hook_out", partial(normed, name))]
        for layer in range(LAYERS):
            block = f"blocks.{layer}"
            pattern = f"{block}.attn.hook_pattern"
            hooks += [
                (pattern, partial(put, self.seen[pattern])),
                (f"{block}.ln2.hook_in", partial(keep, mid, layer)),
                (f"{block}.mlp.hook_in", partial(keep, mlp_in, layer)),
            ]
            hook = "mlp.out.hook_in" if Site(layer, "mlp_post") in changes else "hook_mlp_out"
            change = sum(x for site, x in changes.items() if site.layer == layer)
            hooks.append((f"{block}.{hook}", partial(put, self.seen[f"{block}.{hook}"] + change)))
        hidden = self.run(hooks)
        return Patched(mid, mlp_in, (hidden @ self.model._unembedding.T)[0])

    def neurons(self, layer: int, x: Tensor) -> Tensor:
        """Neurons from the MLP's input with the clean run's gains, half of a product to each factor."""
        mlp = self.model._bridge.blocks[layer].mlp
        inner = getattr(mlp, "in").original_component
        start = self.seen[f"blocks.{layer}.mlp.hook_in"]
        if not self.model.hook_exists(f"blocks.{layer}.mlp.gate.hook_out"):
            clean: Tensor = inner(start)
            neurons: Tensor = self.model.activation(clean) / clean * inner(x)
            return neurons
        gate = mlp.gate.original_component
        clean = gate(start)
        act = self.model.activation(clean)
        product: Tensor = 0.5 * act / clean * gate(x) * inner(start) + 0.5 * act * inner(x)
        return product

    def mlp(self, layer: int, x: Tensor) -> Tensor:
        out: Tensor = self.model._bridge.blocks[layer].mlp.out.original_component(self.neurons(layer, x))
        return self.scaled(f"blocks.{layer}.ln2_post", out) if self.model.name == "gemma2" else out
