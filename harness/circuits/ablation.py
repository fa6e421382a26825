"""Ablation values: what a node that is not kept is set to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor

from basisbench.bases.basis import Basis, sites_of
from basisbench.circuits.gates import LayerNodes
from basisbench.errors import unknown_name
from basisbench.models.adapter import Model, Prefix
from basisbench.models.recording import record
from basisbench.models.sites import Site
from basisbench.prompts.prompt_set import PromptSet
from basisbench.values import ErrorTreatment

Ablation = Literal["mean", "zero", "mean_clean", "resample", "counterfactual"]
ABLATIONS: tuple[Ablation, ...] = get_args(Ablation)
UNITS_AT_ONCE = 2**25
"""Activations of all of a layer's units that are in memory together: 128 MiB of float32."""


def check_ablation(name: str) -> Ablation:
    """Return the ablation called `name`; raises UserError if there is none."""
    if name not in ABLATIONS:
        raise unknown_name("ablation", name, ABLATIONS)
    return name


@dataclass(frozen=True)
class Reference:
    """Ablation values for some prompts.

    `written` by site [U, S, width]: the activation with everything ablated. `units` by layer [U, S, K]: the kept
    units' values. `lifted` by site [U, S, width]: what all units together write when ablated; only where an error is
    ever kept. `outputs` is filled as needed: outputs of linear maps that read an ablated site.
    """

    written: Mapping[Site, Tensor]
    units: Mapping[int, Tensor]
    lifted: Mapping[Site, Tensor]
    outputs: dict[Site, Tensor] = field(default_factory=dict)


def donors(prompts: PromptSet, seed: int) -> Tensor:
    """For each prompt the prompt whose corrupt run it gets under `resample`: a seeded permutation among prompts
    whose tokens have the same slots, int64 [U].
    """
    generator = torch.Generator().manual_seed(seed)
    result = torch.arange(prompts.n_prompts)
    _, group = prompts.slot.cpu().unique(dim=0, return_inverse=True)
    for number in range(int(group.max()) + 1):
        members = (group == number).nonzero()[:, 0]
        result[members] = members[torch.randperm(len(members), generator=generator)]
    return result.to(prompts.clean.device)


def layer_written(basis: Basis, layer: int, x: Tensor, sites: Collection[Site]) -> dict[Site, Tensor]:
    """What all units of a layer write to `sites` together, [..., width], from the activation x that they read.

    A piece of the tokens at a time: a wide dictionary's activations on all of them would fill the memory.
    """
    tokens = x.flatten(0, -2)
    pieces: dict[Site, list[Tensor]] = {site: [] for site in sites}
    for piece in tokens.split(max(1, UNITS_AT_ONCE // basis.n_units(layer))):
        f = basis.encode(layer, piece)
        for site in sites:
            pieces[site].append(basis.lift(layer, site, f))
    return {site: torch.cat(parts).unflatten(0, x.shape[:-1]) for site, parts in pieces.items()}


def units_written(basis: Basis, activations: Mapping[Site, Tensor], sites: Collection[Site]) -> dict[Site, Tensor]:
    """What all units of a basis write to each of `sites` together, from the activations they read."""
    total: dict[Site, Tensor] = {}
    for layer in basis.layers():
        wanted = [site for site in basis.writes(layer) if site in sites]
        if wanted:
            for site, written in layer_written(basis, layer, activations[basis.read(layer)], wanted).items():
                total[site] = total[site] + written if site in total else written
    return total


def _error_sites(basis: Basis, nodes: Mapping[int, LayerNodes], error: ErrorTreatment) -> set[Site]:
    """Where an error is ever kept, or taken out beside a circuit, so that it must be known apart."""
    if not basis.has_error:
        return set()
    if error != "score":
        return {site for layer in basis.layers() for site in basis.writes(layer)}
    return {basis.writes(layer)[0] for layer, held in nodes.items() if held.error}


def reference(
    model: Model,
    prompts: PromptSet,
    basis: Basis,
    nodes: Mapping[int, LayerNodes],
    ablation: Ablation,
    prefix: Prefix | None,
    seed: int,
    error: ErrorTreatment = "keep",
) -> Reference:
    """Compute ablation values for `prompts`.

    `mean`: the mean over the corrupt prompts at the same slot; `mean_clean`: over the clean prompts; `zero`;
    `resample`: another prompt's corrupt run (`donors`); `counterfactual`: the pair's own corrupt run. A unit's
    mean is the mean of its activations, not the activation at the mean.

    Under `score` what all units write is worked out only in layers whose error is among `nodes`, else in all.

    Memory law: ``4 U S (sum of written widths + K)`` bytes, U prompts of S tokens, K units that are ever kept, and
    UNITS_AT_ONCE activations; the recording it is made from holds the read widths as well.
    """
    tokens = prompts.clean if ablation == "mean_clean" else prompts.corrupt
    if ablation == "resample":
        tokens = tokens[donors(prompts, seed)]
    with torch.no_grad():
        activations, _ = record(model, tokens, prompts.last, sites_of([basis]), prefix)
        written = {s: activations[s] for layer in basis.layers() for s in basis.writes(layer)}
        units = {
            layer: basis.encode(layer, activations[basis.read(layer)], held.units) for layer, held in nodes.items()
        }
        lifted = units_written(basis, activations, _error_sites(basis, nodes, error))

        def value(x: Tensor) -> Tensor:
            if ablation == "zero":
                return torch.zeros_like(x)
            if ablation in ("mean", "mean_clean"):
                return prompts.at_slots(prompts.slot_mean(x)).to(x.dtype)
            return x

        return Reference(
            {site: value(x) for site, x in written.items()},
            {layer: value(f) for layer, f in units.items()},
            {site: value(x) for site, x in lifted.items()},
        )
