"""Controls that need no gradient: what a ranking is worth that knows less, or nothing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor
from typing_extensions import override

from basisbench.attribution.activations import Chunk, chunks
from basisbench.attribution.methods import Method, Passes, Request, add_up
from basisbench.bases.basis import Basis, sites_of
from basisbench.circuits.scores import Scores


class _Measured(Method):
    """Scores by a measure of activations alone."""

    is_control = True

    @abstractmethod
    def measure(self, chunk: Chunk, basis: Basis, layer: int) -> Tensor:
        """The measure of a layer's nodes in each row, [rows, position, nodes]."""

    @override
    def score(self, request: Request) -> Mapping[str, Scores]:
        with torch.no_grad():
            return add_up(self._parts(request))

    def _parts(self, request: Request) -> Iterator[tuple[str, int, Tensor]]:
        prompts, done = request.prompts, 0
        for chunk in chunks(request.model, prompts, sites_of(request.bases), all_positions=True):
            weight = chunk.prompts.weight[:, None, None]
            for basis in request.bases:
                for layer in basis.layers():
                    measured = self.measure(chunk, basis, layer) * weight / prompts.n_pairs
                    yield basis.name, layer, chunk.prompts.slot_sum(measured)
            done += chunk.prompts.n_prompts
            request.progress(self.name, done, prompts.n_prompts)


class Delta(_Measured):
    """How far nodes move."""

    description = "Control: |corrupt - clean| of each unit, and the length of the error's difference."
    passes: Sequence[Passes] = (Passes(forward=2),)

    @override
    def measure(self, chunk: Chunk, basis: Basis, layer: int) -> Tensor:
        units = chunk.unit_delta(basis, layer).abs()
        if not basis.has_error:
            return units
        error = chunk.error_delta(basis, layer, basis.writes(layer)[0])
        return torch.cat([units, error.norm(dim=-1, keepdim=True)], -1)


class Activation(_Measured):
    """How large nodes are."""

    description = "Control: |activation| of each unit on the clean prompt, and the length of the error."
    passes: Sequence[Passes] = (Passes(forward=2),)

    @override
    def measure(self, chunk: Chunk, basis: Basis, layer: int) -> Tensor:
        units = basis.encode(layer, chunk.clean[basis.read(layer)]).abs()
        if not basis.has_error:
            return units
        return torch.cat([units, chunk.clean_error(basis, basis.writes(layer)[0]).norm(dim=-1, keepdim=True)], -1)


class Random(Method):
    """Nothing known."""

    description = "Control: scores drawn at random, from the seed."
    is_control = True

    @override
    def score(self, request: Request) -> Mapping[str, Scores]:
        """Return circuits of the same sizes that know nothing."""
        return {basis.name: Scores(basis.name, dict(self._drawn(basis, request))) for basis in request.bases}

    def _drawn(self, basis: Basis, request: Request) -> Iterator[tuple[int, Tensor]]:
        generator = torch.Generator().manual_seed(request.seed)
        for layer in basis.layers():
            width = basis.n_units(layer) + basis.has_error
            yield layer, torch.rand(request.prompts.n_slots, width, generator=generator).to(request.model.device)
