"""Recording activations at sites during a pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from harness.bases import Basis
from harness.models.adapter import Edit, Model, Prefix
from harness.sites import Site


def keeping(stored: dict[Site, Tensor], sites: Iterable[Site]) -> list[tuple[Site, Edit]]:
    """Edits that put each site's activation into `stored` and change nothing."""

    def keep(site: Site) -> Edit:
        return lambda x: stored.update({site: x})

    return [(site, keep(site)) for site in sites]


def record(
    model: Model,
    tokens: Tensor,
    last: Tensor,
    sites: Iterable[Site],
    prefix: Prefix | None = None,
    *,
    edits: Sequence[tuple[Site, Edit]] = (),
    mlps: Mapping[int, Callable[[Tensor], Tensor]] = MappingProxyType({}),
) -> tuple[dict[Site, Tensor], Tensor]:
    """Run once without gradient, with `edits` and `mlps` as in `Model.forward`.

    Returns activations [batch, position, width] by site (before they are edited), and the last hidden state.
    """
    stored: dict[Site, Tensor] = {}
    with torch.no_grad():
        hidden = model.forward(tokens, last, edits=[*keeping(stored, set(sites)), *edits], mlps=mlps, prefix=prefix)
    return stored, hidden


def sites_of(bases: Sequence[Basis]) -> set[Site]:
    """Every site that the bases read or write."""
    return {s for b in bases for layer in b.layers() for s in (b.read(layer), *b.writes(layer))}
