"""Chunks of prompts, run clean and corrupt: what methods and bases read of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from torch import Tensor

from basisbench.bases.basis import Basis
from basisbench.models.adapter import Model, Prefix
from basisbench.models.recording import record
from basisbench.models.sites import Site
from basisbench.prompts.prompt_set import PromptSet

MEMORY_BUDGET = 2 * 2**30
_limit: ContextVar[int | None] = ContextVar("limit", default=None)


@contextmanager
def memory_limit(n_bytes: int) -> Iterator[None]:
    """Let `chunks` hold so many bytes, instead of MEMORY_BUDGET, while the block runs; of 1, a prompt at a time."""
    token = _limit.set(n_bytes)
    try:
        yield
    finally:
        _limit.reset(token)


@dataclass(frozen=True)
class Chunk:
    """Some of the prompts, run clean and corrupt: all that methods and bases read of them.

    Only the positions after the prompts' unchanged leading tokens are held: before them nothing differs, so every
    delta is zero. `prompts` holds the rest; `clean` and `corrupt` are activations by site, [rows, position, width].
    """

    prompts: PromptSet
    prefix: Prefix | None
    clean: dict[Site, Tensor]
    corrupt: dict[Site, Tensor]

    def delta(self, site: Site) -> Tensor:
        """Corrupt minus clean activation at a site."""
        return self.corrupt[site] - self.clean[site]

    def unit_delta(self, basis: Basis, layer: int, units: Tensor | None = None) -> Tensor:
        """Corrupt minus clean activation of units, [rows, position, k]."""
        site = basis.read(layer)
        return basis.encode(layer, self.corrupt[site], units) - basis.encode(layer, self.clean[site], units)

    def clean_error(self, basis: Basis, site: Site) -> Tensor:
        """Clean error of a basis at one of its written sites, [rows, position, width]."""
        error = self.clean[site]
        for source in basis.layers():
            if site in basis.writes(source):
                error = error - basis.lift(source, site, basis.encode(source, self.clean[basis.read(source)]))
        return error

    def error_delta(self, basis: Basis, layer: int, site: Site) -> Tensor:
        """Corrupt minus clean error of a basis at one of its written sites, [rows, position, width]."""
        delta = self.delta(site)
        for source in basis.layers():
            if site in basis.writes(source):
                delta = delta - basis.lift(source, site, self.unit_delta(basis, source))
        return delta


def chunks(model: Model, prompts: PromptSet, sites: set[Site], *, all_positions: bool = False) -> Iterator[Chunk]:
    """Yield the prompts in chunks whose recordings fit the memory budget.

    With `all_positions` the unchanged leading tokens are held too.

    Memory law: a prompt of S changed positions costs ``4 S (2 sum of site widths + 24 L d_model)`` bytes: the clean and
    corrupt recordings, and the graph of one backward pass over L layers (12 activations of d_model and as much
    again for the MLP). A chunk takes as many prompts as MEMORY_BUDGET (or `memory_limit`) holds, at least one.
    """
    length = 0 if all_positions else prompts.unchanged
    positions = prompts.clean.shape[1] - length
    widths = 2 * sum(model.width(site.kind) for site in sites) + 24 * model.n_layers * model.d_model
    rows = max(1, int((_limit.get() or MEMORY_BUDGET) / (4 * positions * widths)))
    for begin in range(0, prompts.n_prompts, rows):
        part = prompts.rows(begin, begin + rows)
        prefix = _prefix(model, part, length)
        part = part.after(length)
        clean, _ = record(model, part.clean, part.last, sites, prefix)
        corrupt, _ = record(model, part.corrupt, part.last, sites, prefix)
        yield Chunk(part, prefix, clean, corrupt)


def _prefix(model: Model, prompts: PromptSet, length: int) -> Prefix | None:
    if not length:
        return None
    leading = prompts.clean[:, :length]
    return model.prefix(leading[:1] if (leading == leading[:1]).all() else leading)
