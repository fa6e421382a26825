"""Recording activations at sites during a pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from basisbench.models.adapter import Edit, Model, Prefix, Start
from basisbench.models.sites import Site


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


def next_token_loss(
    model: Model, tokens: Tensor, edits: Sequence[tuple[Site, Edit]], start: Start | None = None
) -> float:
    """Sum of the next-token losses of `tokens` [rows, length], in nats."""
    hidden: list[Tensor] = []
    model.forward(tokens, _last(tokens), edits=edits, hooks=[("unembed.hook_in", hidden.append)], start=start)
    logits = model.logits(hidden[0][:, :-1])
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="sum").item()


def _last(tokens: Tensor) -> Tensor:
    return torch.full((len(tokens),), tokens.shape[1] - 1, device=tokens.device)
