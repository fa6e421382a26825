"""The model's own coordinates: MLP neurons, MLP and attention outputs, the residual stream."""

from collections.abc import Callable

from torch import Tensor

from basisbench.bases.basis import LinearBasis
from basisbench.models.adapter import Model
from basisbench.models.sites import Site, SiteKind


def at_every_layer(
    model: Model, name: str, kind: SiteKind, directions: Callable[[int], Tensor] | None = None
) -> LinearBasis:
    """The basis `name` at one kind of site in all layers: its axes, or other orthonormal `directions`."""
    for layer in range(model.n_layers):
        model.require_site(Site(layer, kind))
    return LinearBasis(name, [Site(layer, kind) for layer in range(model.n_layers)], model.width(kind), directions)


def neurons(model: Model) -> LinearBasis:
    """MLP neurons after the activation: the input of the down projection."""
    return at_every_layer(model, "neurons", "mlp_post")


def mlp_out(model: Model) -> LinearBasis:
    """Coordinates of what the MLP adds to the residual stream."""
    return at_every_layer(model, "mlp_out", "mlp_out")


def resid_post(model: Model) -> LinearBasis:
    """Coordinates of the residual stream after each block."""
    return at_every_layer(model, "resid_post", "resid_post")


def attn_out(model: Model) -> LinearBasis:
    """Coordinates of what attention adds to the residual stream."""
    return at_every_layer(model, "attn_out", "attn_out")


def attn_z(model: Model) -> LinearBasis:
    """Coordinates of the attention heads' outputs, before the output projection."""
    return at_every_layer(model, "attn_z", "attn_z")
