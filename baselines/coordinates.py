"""The model's own coordinates: MLP neurons, MLP and attention outputs, the residual stream."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from basisbench.bases.basis import LinearBasis
from basisbench.bases.outlines import Outline, whole_site
from basisbench.models.adapter import Model
from basisbench.models.shapes import Shape
from basisbench.models.sites import Site


def at_every_layer(
    model: Model, name: str, kind: str, directions: Callable[[int], Tensor] | None = None
) -> LinearBasis:
    """The basis `name` at one kind of site in all layers: its axes, or other orthonormal `directions`."""
    for layer in range(model.n_layers):
        model.require_site(Site(layer, kind))
    return LinearBasis(name, [Site(layer, kind) for layer in range(model.n_layers)], model.width(kind), directions)


@dataclass(frozen=True)
class Coordinates:
    """The basis `name` of a model: the coordinates of one kind of site in all layers."""

    name: str
    kind: str
    description: str

    def __call__(self, model: Model) -> LinearBasis:
        """The basis of a model; raises UserError where it has no such site."""
        return at_every_layer(model, self.name, self.kind)

    def outline(self, model: str, shape: Shape | None, option: str) -> Outline:
        """As many units a layer as the site is wide, and no weights."""
        return whole_site(self.kind, shape)


neurons = Coordinates("neurons", "mlp_post", "MLP neurons after the activation: the input of the down projection.")
mlp_out = Coordinates("mlp_out", "mlp_out", "Coordinates of what the MLP adds to the residual stream.")
resid_post = Coordinates("resid_post", "resid_post", "Coordinates of the residual stream after each block.")
attn_out = Coordinates("attn_out", "attn_out", "Coordinates of what attention adds to the residual stream.")
attn_z = Coordinates("attn_z", "attn_z", "Coordinates of the attention heads' outputs, before the output projection.")
