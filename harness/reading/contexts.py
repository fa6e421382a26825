"""Where in a text units are driven most, and how often they are active.

1. Run the text some rows at a time (`basisbench.reading.rows`), encode the asked units only.
2. Of each row keep a unit's most positive and its most negative activation, and of all rows so far the first few: so
   the contexts of a unit come from different rows.
3. Keep all magnitudes until the largest is known: then the share of tokens at which a unit is active is counted.
4. On the way, average the inverse scales of norms, which the direct path needs (`basisbench.reading.direct`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from basisbench.bases.basis import Basis
from basisbench.errors import UserError, printable
from basisbench.models.adapter import Edit, Model, Norm
from basisbench.progress import Progress
from basisbench.reading.evidence import Context
from basisbench.reading.rows import Rows, passes, token_text

ACTIVE = 0.1
"""A unit is active where |activation| is at least this part of its largest."""
BEFORE, AFTER = 16, 8
"""Tokens of a context before and after the one that counts."""
MOST_BYTES = 2**30


@dataclass(frozen=True)
class Peaks:
    """The largest positive activations of k units, at most one a row, largest first: [k, count] each.

    `value` float32, 0 where there are no more; `row` and `at` int64.
    """

    value: Tensor
    row: Tensor
    at: Tensor

    @staticmethod
    def of(f: Tensor, counted: Tensor, first_row: int, count: int) -> Peaks:
        """Those of f [rows, length, k] at counted tokens [rows, length]."""
        value, at = f.masked_fill(~counted[..., None], 0).clamp(min=0).max(1)
        row = first_row + torch.arange(len(f), device=f.device)[:, None].expand_as(at)
        return Peaks(value.T, row.T, at.T).first(count)

    def first(self, count: int) -> Peaks:
        """The `count` largest; of equal ones the earlier."""
        value, order = self.value.sort(dim=1, descending=True, stable=True)
        order = order[:, :count]
        return Peaks(value[:, :count], self.row.gather(1, order), self.at.gather(1, order))

    def with_others(self, later: Peaks, count: int) -> Peaks:
        """The `count` largest of both."""
        both = zip(vars(self).values(), vars(later).values(), strict=True)
        return Peaks(*(torch.cat(columns, 1) for columns in both)).first(count)


@dataclass(frozen=True)
class LayerReading:
    """A layer's asked units on a text: peaks of the activations, and of their negatives; [k] each the others.

    `largest` is the largest |activation|, `active_share` the share of tokens at which |activation| is at least ACTIVE
    of it, 0 for a unit that is never active.
    """

    units: Tensor
    highest: Peaks
    lowest: Peaks
    largest: Tensor
    active_share: Tensor


@dataclass(frozen=True)
class TextReading:
    """What one reading of a text gave: by layer the units', and each norm's mean inverse scale by its name."""

    rows: Rows
    layers: Mapping[int, LayerReading]
    scales: Mapping[str, float]


class _Scales:
    """Sums up inverse scales of norms over counted tokens."""

    def __init__(self, norms: Sequence[Norm]) -> None:
        self._norms = norms
        self.sums = {norm.name: 0.0 for norm in norms}

    def hooks(self, counted: Tensor) -> list[tuple[str, Edit]]:
        """Hooks for a pass over rows with these counted tokens."""

        def add(norm: Norm) -> Edit:
            def edit(x: Tensor) -> None:
                x = x[counted].double()
                x = x - x.mean(-1, keepdim=True) if norm.centred else x
                self.sums[norm.name] += float(torch.rsqrt(x.pow(2).mean(-1) + norm.eps).sum())

            return edit

        return [(f"{norm.name}.hook_in", add(norm)) for norm in self._norms]


def read_text(
    model: Model,
    basis: Basis,
    units: Mapping[int, Tensor],
    rows: Rows,
    norms: Sequence[Norm],
    count: int,
    progress: Progress,
) -> TextReading:
    """Look at `units` (by layer, int64 [k]) on `rows`: their `count` first peaks of each sign, and how often active.

    Memory law: ``4 T k`` bytes for T counted tokens and k units in all, at most MOST_BYTES, besides a pass.
    Raises UserError for more units than that, and for activations that are not finite.
    """
    asked = sum(map(len, units.values()))
    if 4 * asked * rows.n_counted > MOST_BYTES:
        most = MOST_BYTES // (4 * rows.n_counted)
        raise UserError(f"{asked:,} units are too many to read on {rows.n_counted:,} tokens: valid: up to {most:,}")
    peaks: dict[tuple[int, int], Peaks] = {}
    magnitudes: dict[int, list[Tensor]] = {layer: [] for layer in units}
    scales = _Scales(norms)
    sites = {basis.read(layer) for layer in units}
    for part in passes(model, rows, sites, scales.hooks, "reading text", progress):
        for layer, columns in units.items():
            f = basis.encode(layer, part.stored[basis.read(layer)], columns).float()
            magnitude = f[part.counted].abs()
            if not magnitude.isfinite().all():
                raise UserError(f"activations of layer {layer} hold NaN or infinity: try --dtype float32")
            magnitudes[layer].append(magnitude)
            for sign in (1, -1):
                found = Peaks.of(sign * f, part.counted, part.first_row, count)
                earlier = peaks.get((layer, sign))
                peaks[layer, sign] = earlier.with_others(found, count) if earlier else found
    readings = {}
    for layer, columns in units.items():
        magnitude = torch.cat(magnitudes.pop(layer))
        largest = magnitude.amax(0)
        active = ((magnitude >= ACTIVE * largest) & (largest > 0)).float().mean(0)
        readings[layer] = LayerReading(columns, peaks[layer, 1], peaks[layer, -1], largest, active)
    return TextReading(rows, readings, {name: total / rows.n_counted for name, total in scales.sums.items()})


def contexts_at(model: Model, rows: Rows, peaks: Peaks, column: int, sign: int) -> list[Context]:
    """The contexts of unit number `column`, most extreme first; activations get their `sign` back."""
    found = []
    places = zip(*(part[column].tolist() for part in vars(peaks).values()), strict=True)
    for value, row, at in places:
        if value <= 0:
            break
        begin, end = max(0, at - BEFORE), min(int(rows.length[row]), at + 1 + AFTER)
        tokens = [token_text(model, token) for token in rows.tokens[row, begin:end].tolist()]
        source = printable(rows.source[row])[:500]
        found.append(Context(tokens=tokens, at=at - begin, activation=sign * value, source=source))
    return found
