"""How good dictionaries are on held-out text: what they leave unexplained, and what splicing them in costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from basisbench.bases.packing import Dictionary, Kind
from basisbench.models.adapter import Edit, Model, Start
from basisbench.models.recording import _last, next_token_loss
from basisbench.models.sites import Site
from basisbench.progress import Say

READS: Mapping[Kind, str] = {"sae": "mlp_out", "transcoder": "mlp_in"}
ROWS_A_PASS = 8
HELD_OUT_ROWS = 256
LOSS_ROWS = 16


@dataclass(frozen=True)
class Quality:
    """One dictionary on held-out text; the first position of each context is left out and left alone.

    `unexplained`: squared error over variance, each summed over tokens and coordinates. `l0`: mean active
    latents a token. `loss_recovered`: (ablated - spliced) / (ablated - clean) in the next-token loss, where the
    MLP's output is its mean or the reconstruction; None where the ablation does no harm. `dead`: latents that
    never fired.
    """

    kind: Kind
    layer: int
    unexplained: float
    l0: float
    loss_recovered: float | None
    dead: int


def mlp_activations(model: Model, tokens: Tensor, sites: Sequence[str]) -> dict[Site, Tensor]:
    """Activations [rows * (length - 1), d_model] in float32 at `sites` of every layer, first positions left out.

    `tokens` [rows, length].
    """
    read: dict[Site, Tensor] = {}

    def keep(site: Site) -> Edit:
        def edit(x: Tensor) -> None:
            read[site] = x.detach()[:, 1:].flatten(0, 1).float()

        return edit

    wanted = [Site(layer, kind) for layer in range(model.n_layers) for kind in dict.fromkeys(sites)]
    with torch.no_grad():
        model.forward(tokens, _last(tokens), edits=[(site, keep(site)) for site in wanted])
    return read


@torch.no_grad()
def evaluate(
    model: Model,
    dictionaries: Mapping[tuple[Kind, int], Dictionary],
    held_out: Tensor,
    say: Say,
) -> list[Quality]:
    """Measure each (kind, layer) on contexts [rows, length]: at most 256 rows, and 16 for the loss.

    The loss costs one pass from its layer on for each dictionary.
    """
    rows = held_out[:HELD_OUT_ROWS].to(model.device).long()
    say(f"evaluating {len(dictionaries)} dictionaries on {rows.shape[0] * (rows.shape[1] - 1):,} held-out tokens")
    sites = ["mlp_out", *(READS[kind] for kind, _ in dictionaries)]
    moments = {layer: _Sums() for _, layer in dictionaries}
    errors = {key: _Sums() for key in dictionaries}
    active = {key: _Sums() for key in dictionaries}
    for tokens in rows.split(ROWS_A_PASS):
        read = mlp_activations(model, tokens, sites)
        for layer, sums in moments.items():
            sums.add(read[Site(layer, "mlp_out")])
        for (kind, layer), dictionary in dictionaries.items():
            f = dictionary.encode(read[Site(layer, READS[kind])])
            errors[kind, layer].add(read[Site(layer, "mlp_out")] - dictionary.decode(f))
            active[kind, layer].add((f > 0).float())
    means = {layer: sums.mean().float() for layer, sums in moments.items()}
    recovered = _recovered(model, dictionaries, rows[:LOSS_ROWS], means)
    return [
        Quality(
            kind,
            layer,
            (errors[kind, layer].squares.sum() / moments[layer].about_mean().sum()).item(),
            active[kind, layer].mean().sum().item(),
            recovered[kind, layer],
            int((active[kind, layer].total == 0).sum()),
        )
        for kind, layer in dictionaries
    ]


class _Sums:
    """Count, sums and sums of squares of columns, in float64."""

    def __init__(self) -> None:
        self.n = 0
        self.total = self.squares = torch.zeros((), dtype=torch.float64)

    def add(self, x: Tensor) -> None:
        self.n += len(x)
        x = x.double()
        self.total = self.total.to(x.device) + x.sum(0)
        self.squares = self.squares.to(x.device) + x.square().sum(0)

    def mean(self) -> Tensor:
        return self.total / self.n

    def about_mean(self) -> Tensor:
        return self.squares - self.total.square() / self.n


def _recovered(
    model: Model, dictionaries: Mapping[tuple[Kind, int], Dictionary], rows: Tensor, means: Mapping[int, Tensor]
) -> dict[tuple[Kind, int], float | None]:
    """The share of the loss that an ablation to `means` adds and each dictionary takes back."""
    clean = 0.0
    ablated = dict.fromkeys(means, 0.0)
    spliced = dict.fromkeys(dictionaries, 0.0)
    for tokens in rows.split(ROWS_A_PASS):
        resid: dict[int, Tensor] = {}
        keep = [(Site(layer, "resid_pre"), partial(resid.__setitem__, layer)) for layer in means]
        clean += next_token_loss(model, tokens, keep)
        for layer, mean in means.items():
            start = Start(layer, resid[layer])
            ablated[layer] += next_token_loss(model, tokens, _splice(layer, "mlp_out", mean.expand_as), start)
            for (kind, its_layer), dictionary in dictionaries.items():
                if its_layer == layer:
                    edits = _splice(layer, READS[kind], dictionary.reconstruct)
                    spliced[kind, layer] += next_token_loss(model, tokens, edits, start)
    return {
        (kind, layer): (ablated[layer] - loss) / (ablated[layer] - clean) if ablated[layer] > clean else None
        for (kind, layer), loss in spliced.items()
    }


def _splice(layer: int, read: str, write: Callable[[Tensor], Tensor]) -> list[tuple[Site, Edit]]:
    """Edits that put `write` of what is read in place of the MLP's output, save at the first position."""
    seen: list[Tensor] = []

    def replace(y: Tensor) -> Tensor:
        return torch.cat([y[:, :1], write(seen.pop()[:, 1:].float()).to(y.dtype)], dim=1)

    return [(Site(layer, read), seen.append), (Site(layer, "mlp_out"), replace)]
