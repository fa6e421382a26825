"""How much of the activations in a text a basis explains: reconstruction, activity, loss, speed."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from basisbench.bases.basis import Basis
from basisbench.circuits.ablation import UNITS_AT_ONCE
from basisbench.models.adapter import Start
from basisbench.models.sites import SITES, Site
from basisbench.text.sample import Sample

NOTHING_LEFT = 1e-6
FITS = 0.8
"""A layer fits another site if this share of what it leaves unexplained at its own, or less, is left there."""


@dataclass(frozen=True)
class Activity:
    """Of a layer's units: mean active units a token (L0), units that never fire, seconds to encode 1,000 tokens."""

    active: float
    silent: int
    seconds: float


@dataclass(frozen=True)
class Fit:
    """One layer on a text.

    `unexplained`: squared error over variance, each summed over tokens and coordinates, of the layer's site; None
    where the site does not vary. What counts as explained is units and offsets; without offsets the error's mean is
    taken for one. `recovered`: (ablated - spliced) / (ablated - clean) in the next-token loss, where the site is set
    to its mean or to what is explained; None where the ablation does no harm.
    """

    activity: Activity
    unexplained: float | None
    recovered: float | None


@dataclass(frozen=True)
class Explained:
    """What layers write to sites, added up as the layers are gone through: float32 [rows, positions, width] by site.

    `has_offset`: sites to which some layer adds an offset of its own. `lacks`: sites where a layer's part is missing.
    """

    written: dict[Site, Tensor] = field(default_factory=dict)
    has_offset: set[Site] = field(default_factory=set)
    lacks: set[Site] = field(default_factory=set)

    @torch.no_grad()
    def add(self, basis: Basis, layer: int, x: Tensor, sites: Collection[Site]) -> Activity:
        """Add what a layer writes to `sites` when it reads x [rows, positions, width]; some tokens at a time."""
        tokens = x.flatten(0, -2)
        count = torch.zeros(basis.n_units(layer), dtype=torch.long, device=x.device)
        pieces: dict[Site, list[Tensor]] = {site: [] for site in sites}
        seconds = 0.0
        basis.encode(layer, tokens[:1])  # weights are loaded now
        for piece in tokens.split(max(1, UNITS_AT_ONCE // basis.n_units(layer))):
            _wait(x.device)
            began = time.perf_counter()
            f = basis.encode(layer, piece)
            _wait(x.device)
            seconds += time.perf_counter() - began
            count += (f != 0).sum(0)
            for site in sites:
                written = basis.lift(layer, site, f).float()
                offset = basis.offset(layer, site, piece)
                if offset is not None:
                    self.has_offset.add(site)
                    written = written + offset.float()
                pieces[site].append(written)
        for site, parts in pieces.items():
            whole = torch.cat(parts).unflatten(0, x.shape[:-1])
            self.written[site] = self.written[site] + whole if site in self.written else whole
        n_tokens = len(tokens)
        return Activity(count.sum().item() / n_tokens, int((count == 0).sum()), seconds * 1000 / n_tokens)

    def error(self, site: Site, y: Tensor) -> Tensor:
        """What is left of the activation y [rows, positions, width] at `site`."""
        error = y.float() - self.written[site]
        return error if site in self.has_offset else error - error.mean((0, 1))


def unexplained(y: Tensor, error: Tensor) -> float | None:
    """Fraction of variance unexplained; None where y does not vary."""
    about_mean = (y.double() - y.double().mean((0, 1))).square().sum()
    # of a constant, rounding is left
    if about_mean <= 1e-10 * y.double().square().sum():
        return None
    return (error.double().square().sum() / about_mean).item()


def fit(sample: Sample, explained: Explained, site: Site, y: Tensor, start: Start, activity: Activity) -> Fit:
    """The fit of a layer whose site is all `explained`; y [rows, positions, width] is the activation there."""
    error = explained.error(site, y)
    share = unexplained(y, error)
    if share is not None and share < NOTHING_LEFT:
        return Fit(activity, share, 1.0)
    ablated = sample.loss_with(site, y.float().mean((0, 1)).expand_as(y), start)
    spliced = sample.loss_with(site, y.float() - error, start)
    harm = ablated - sample.loss
    return Fit(activity, share, (ablated - spliced) / harm if harm > 0 else None)


def explains_better(sample: Sample, basis: Basis, shares: Mapping[int, float]) -> dict[int, tuple[Site, float]]:
    """For each layer the site that its units explain best, if better than their own, whose `shares` are given.

    Looked for among the same sites of other layers, and other sites of its own layer where it writes what it reads.
    """
    model = sample.model
    places: dict[int, list[tuple[Site, Site]]] = {}
    for layer in shares:
        read, (write, *others) = basis.read(layer), basis.writes(layer)
        if others:
            continue
        pairs = [(Site(i, read.kind), Site(i, write.kind)) for i in range(model.n_layers)]
        if read == write:
            pairs += [(Site(read.layer, kind),) * 2 for kind in SITES]
        there = [pair for pair in pairs if pair[1] != write and all(map(model.has_site, pair))]
        places[layer] = [pair for pair in there if model.width(pair[0].kind) == model.width(read.kind)]
    read_at = sample.record({site for pairs in places.values() for pair in pairs for site in pair})
    found: dict[int, tuple[Site, float]] = {}
    for layer, pairs in places.items():
        (own,) = basis.writes(layer)
        for read, write in pairs:
            explained = Explained()
            explained.add(basis, layer, read_at[read][:, 1:], [own])
            y = read_at[write][:, 1:]
            share = unexplained(y, explained.error(own, y))
            best = found[layer][1] if layer in found else FITS * min(1.0, shares[layer])
            if share is not None and share < best:
                found[layer] = (write, share)
    return found


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
