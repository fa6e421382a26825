"""What a prompt's MLP outputs are made of: kept units, other units, errors and constants, where passes are cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from basisbench.attribution.fields import field_site
from basisbench.bases.basis import Basis
from basisbench.circuits.ablation import layer_written
from basisbench.models.adapter import Model
from basisbench.models.recording import record
from basisbench.models.sites import Site
from basisbench.tracing.nodes import Units


@dataclass(frozen=True)
class Sources:
    """One prompt's sources, as seen at the places where MLP outputs are cut.

    `leaf` by layer [S, d_model] is the value there, `constant` the part that is the same for every prompt. `directions`
    by (units' layer, written layer) [n in layer, d_model]. `written` by the same [S, d_model]: all the layer's units
    together. `errors` by layer [S, d_model]. `activation` [n] is the units', `embedding` [S, d_model] the tokens'.
    """

    units: Units
    activation: Tensor
    embedding: Tensor
    leaf: Mapping[int, Tensor]
    leaf_site: Mapping[int, Site]
    constant: Mapping[int, Tensor]
    directions: Mapping[tuple[int, int], Tensor]
    written: Mapping[tuple[int, int], Tensor]
    errors: Mapping[int, Tensor]


def find_sources(model: Model, basis: Basis, tokens: Tensor, units: Units) -> Sources:
    """Split every layer's MLP output at `tokens` [S] into kept units, other units, error and constants.

    Memory law: ``4 S d_model`` bytes for each pair of a layer with units and a site they write.
    """
    places = {site: field_site(model, site) for layer in basis.layers() for site in basis.writes(layer)}
    leaf_site = {layer: Site(layer, "mlp_out") for layer in range(model.n_layers)}
    leaf_site |= {site.layer: place for site, (place, _) in places.items()}
    reads = {basis.read(layer) for layer in basis.layers()}
    with torch.no_grad():
        last = torch.tensor([len(tokens) - 1], device=tokens.device)
        wanted = {Site(0, "resid_pre"), *leaf_site.values(), *reads}
        stored = {site: x[0] for site, x in record(model, tokens[None], last, wanted)[0].items()}
        leaf = {layer: stored[site] for layer, site in leaf_site.items()}
        constant = {layer: torch.zeros(model.d_model, dtype=x.dtype, device=x.device) for layer, x in leaf.items()}
        errors = {site.layer: leaf[site.layer] for site in places}
        activation = torch.zeros(len(units.layer), dtype=leaf[0].dtype, device=tokens.device)
        directions, written = {}, {}
        for layer in basis.layers():
            x = stored[basis.read(layer)]
            index = units.in_layer(layer)
            columns, column = units.unit[index].unique(return_inverse=True)
            f = basis.encode(layer, x, columns)
            activation[index] = f[units.position[index], column]
            all_written = layer_written(basis, layer, x, basis.writes(layer))
            for site in basis.writes(layer):
                _, weight = places[site]
                rows = basis.lift(layer, site, torch.eye(len(columns), dtype=x.dtype, device=x.device), columns)
                directions[layer, site.layer] = _at_leaf(rows, weight)[column]
                written[layer, site.layer] = _at_leaf(all_written[site], weight)
                errors[site.layer] = errors[site.layer] - written[layer, site.layer]
                offset = basis.offset(layer, site, torch.zeros_like(x[0]))
                if offset is not None:
                    constant[site.layer] = constant[site.layer] + _at_leaf(offset, weight)
        for site in places:
            bias = model.bias("mlp_post", site.layer) if site.kind == "mlp_post" else None
            if bias is not None:
                constant[site.layer] = constant[site.layer] + bias
        errors = {layer: error - constant[layer] for layer, error in errors.items()} if basis.has_error else {}
    return Sources(
        units, activation, stored[Site(0, "resid_pre")], leaf, leaf_site, constant, directions, written, errors
    )


def _at_leaf(x: Tensor, weight: Tensor | None) -> Tensor:
    return x if weight is None else x @ weight
