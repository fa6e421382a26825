"""Helpers for tests of steering."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from basisbench import load_basis
from basisbench.baselines.cross_layer import clt
from basisbench.bases.basis import Basis
from basisbench.models.adapter import Model
from basisbench.prompts.prompt_set import PromptSet
from basisbench.steering import (
    EVERYWHERE,
    Nodes,
)
from toys.cross_layer import activations, save_clt
from toys.dictionaries import Variant, basis_of, peer
from toys.models import LAYERS, random_hf

Make = Callable[[str], Model]
Target = Callable[[float, int, int, int], float]
"""f' from f, layer, position and unit."""


class Hand:
    """A basis as its files define it, on a Llama of its own, edited with torch hooks."""

    def __init__(self, kind: str, folder: Path, weights: dict[str, Tensor] | None = None) -> None:
        self.kind, self.folder, self.weights = kind, folder, weights
        self.hf: Any = random_hf("llama")
        self.layers: Any = self.hf.model.layers

    def units(self, layer: int, x: Tensor) -> Tensor:
        """Activations [S, units] from what the layer reads [S, width]."""
        if self.kind in ("neurons", "resid_post"):
            return x
        if self.weights is not None:
            return activations(self.weights, layer, x)
        found: Tensor = peer(self.folder, layer).encode(x)
        return found

    def direction(self, layer: int, unit: int, target: int) -> Tensor:
        """What a unit adds to the output of `target`'s MLP for each 1 of activation."""
        if self.weights is not None:
            return self.weights[f"W_dec_{layer}"][unit, target - layer]
        decoder: Tensor = peer(self.folder, layer).W_dec[unit]
        return decoder

    def logits(self, tokens: Sequence[int], rows: Sequence[tuple[int, int, int]], target: Target) -> Tensor:
        """Logits [S, vocabulary] with the unit of each (layer, position, unit) set to its target."""
        with torch.no_grad(), self._edited(rows, target):
            logits: Tensor = self.hf(torch.tensor([list(tokens)])).logits[0]
        return logits

    @contextmanager
    def _edited(self, rows: Sequence[tuple[int, int, int]], target: Target) -> Iterator[None]:
        deltas: dict[int, Tensor] = {}
        handles = []

        def own(layer: int) -> list[tuple[int, int]]:
            return [(position, unit) for i, position, unit in rows if i == layer]

        def coordinates(layer: int, x: Tensor) -> Tensor:
            y = x.clone()
            for position, unit in own(layer):
                y[0, position, unit] = target(float(x[0, position, unit]), layer, position, unit)
            return y

        def read(layer: int, x: Tensor) -> None:
            f = self.units(layer, x[0])
            for position, unit in own(layer):
                moved = target(float(f[position, unit]), layer, position, unit) - f[position, unit]
                for later in range(layer, LAYERS) if self.weights is not None else [layer]:
                    delta = deltas.setdefault(later, torch.zeros(x.shape[1], 24))
                    delta[position] += moved * self.direction(layer, unit, later)

        def write(layer: int, y: Tensor) -> Tensor:
            if self.kind in ("sae", "topk"):
                read(layer, y)
            return y + deltas.pop(layer, torch.zeros(24))

        def before(layer: int) -> Callable[..., tuple[Tensor]]:
            return lambda _module, args: (coordinates(layer, args[0]),)

        def after(layer: int) -> Callable[..., Any]:
            def edit(_module: object, _args: object, out: Any) -> Any:
                if isinstance(out, tuple):
                    return coordinates(layer, out[0]), *out[1:]
                return coordinates(layer, out)

            return edit

        for i, block in enumerate(self.layers):
            if self.kind == "neurons":
                handles.append(block.mlp.down_proj.register_forward_pre_hook(before(i)))
            elif self.kind == "resid_post":
                handles.append(block.register_forward_hook(after(i)))
            else:
                if self.kind in ("transcoder", "clt"):
                    module = block.mlp if self.kind == "transcoder" else block.post_attention_layernorm
                    handles.append(module.register_forward_pre_hook(lambda _m, args, i=i: read(i, args[0])))
                handles.append(block.mlp.register_forward_hook(lambda _m, _a, out, i=i: write(i, out)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


VARIANTS = {
    "sae": Variant("standard"),
    "topk": Variant("topk", settings={"k": 5}),
    "transcoder": Variant("transcoder", "mlp.hook_in"),
}


def both(kind: str, model: Model, folder: Path) -> tuple[Basis, Hand]:
    if kind == "clt":
        weights = save_clt(folder)
        return clt(model, str(folder)), Hand(kind, folder, weights)
    if kind in VARIANTS:
        return basis_of(VARIANTS[kind], model, folder), Hand(kind, folder)
    return load_basis(kind, model), Hand(kind, folder)


def some_nodes(basis: Basis, prompts: PromptSet, count: int = 8, seed: int = 0) -> Nodes:
    """Nodes in all layers and several slots, two of one unit, and one at every position."""
    generator = torch.Generator().manual_seed(seed)

    def draw(high: int) -> int:
        return int(torch.randint(high, (1,), generator=generator))

    rows = {(draw(LAYERS), draw(prompts.n_slots), draw(basis.n_units(0))) for _ in range(count)}
    subject = prompts.slot_names.index("subject")
    return Nodes.of(sorted(rows | {(0, subject, 3), (1, subject, 3), (1, subject + 1, 3), (0, EVERYWHERE, 5)}))


def tokens_of(prompts: PromptSet, row: int) -> list[int]:
    found: list[int] = prompts.clean[row, : int(prompts.last[row]) + 1].tolist()
    return found
