"""Controls that need no gradient: what a ranking is worth that knows less, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from basisbench.attribution.activations import Chunk, chunks
from basisbench.attribution.methods import METHODS, no_option
from basisbench.bases.basis import Basis, sites_of
from basisbench.circuits.scores import Scores
from basisbench.models.adapter import Model
from basisbench.progress import Progress
from basisbench.prompts.prompt_set import PromptSet

Measure = Callable[[Chunk, Basis, int], Tensor]


def _delta(chunk: Chunk, basis: Basis, layer: int) -> Tensor:
    """|corrupt - clean| of each unit, and the length of the error's difference, [rows, position, nodes]."""
    units = chunk.unit_delta(basis, layer).abs()
    if not basis.has_error:
        return units
    error = chunk.error_delta(basis, layer, basis.writes(layer)[0])
    return torch.cat([units, error.norm(dim=-1, keepdim=True)], -1)


def _activation(chunk: Chunk, basis: Basis, layer: int) -> Tensor:
    """|activation| of each unit on the clean prompt, and the length of the error, [rows, position, nodes]."""
    units = basis.encode(layer, chunk.clean[basis.read(layer)])
    if not basis.has_error:
        return units.abs()
    site = basis.writes(layer)[0]
    error = chunk.clean[site]
    for source in basis.layers():
        if site in basis.writes(source):
            error = error - basis.lift(source, site, basis.encode(source, chunk.clean[basis.read(source)]))
    return torch.cat([units.abs(), error.norm(dim=-1, keepdim=True)], -1)


class _Measured:
    """Scores by a measure of activations alone."""

    is_control = True

    def __init__(self, name: str, measure: Measure) -> None:
        self.name = name
        self.measure = measure

    def __call__(
        self, model: Model, prompts: PromptSet, bases: Sequence[Basis], *, seed: int, progress: Progress
    ) -> dict[str, Scores]:
        totals: dict[str, dict[int, Tensor]] = {basis.name: {} for basis in bases}
        done = 0
        with torch.no_grad():
            for chunk in chunks(model, prompts, sites_of(bases), all_positions=True):
                weight = chunk.prompts.weight[:, None, None]
                for basis in bases:
                    sums = totals[basis.name]
                    for layer in basis.layers():
                        measured = self.measure(chunk, basis, layer) * weight / prompts.n_pairs
                        scores = chunk.prompts.slot_sum(measured)
                        sums[layer] = sums[layer] + scores if layer in sums else scores
                done += chunk.prompts.n_prompts
                progress(self.name, done, prompts.n_prompts)
        return {name: Scores(name, sums) for name, sums in totals.items()}


class _Random:
    """Scores drawn at random: circuits of the same sizes that know nothing."""

    is_control = True

    def __call__(
        self, model: Model, prompts: PromptSet, bases: Sequence[Basis], *, seed: int, progress: Progress
    ) -> dict[str, Scores]:
        result = {}
        for basis in bases:
            generator = torch.Generator().manual_seed(seed)
            result[basis.name] = Scores(
                basis.name,
                {
                    layer: torch.rand(prompts.n_slots, basis.n_units(layer) + basis.has_error, generator=generator).to(
                        model.device
                    )
                    for layer in basis.layers()
                },
            )
        progress("random", 1, 1)
        return result


METHODS.register("delta")(no_option("delta", _Measured("delta", _delta), "Control: |corrupt - clean| of each unit."))
METHODS.register("activation")(
    no_option("activation", _Measured("activation", _activation), "Control: |activation| of each unit when clean.")
)
METHODS.register("random")(no_option("random", _Random(), "Control: scores drawn at random."))
