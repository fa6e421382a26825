"""Controls: the same activations along randomly rotated axes, so none of them is privileged."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from basisbench.baselines.coordinates import Coordinates, at_every_layer
from basisbench.bases.basis import LinearBasis
from basisbench.bases.outlines import Outline
from basisbench.models.adapter import Model
from basisbench.models.shapes import Shape

SEED = 0


def rotation(size: int, seed: int = SEED) -> Tensor:
    """A rotation [size, size] drawn from the uniform (Haar) measure on orthogonal matrices.

    QR of a Gaussian matrix with the signs of R's diagonal taken out (Mezzadri 2007, arXiv math-ph/0609050).
    """
    gaussian = torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    q, r = torch.linalg.qr(gaussian)
    signed: Tensor = q * r.diagonal().sign()
    return signed.float()


@dataclass(frozen=True)
class Rotated(Coordinates):
    """Orthonormal axes drawn at random, the same in all layers: a control."""

    def __call__(self, model: Model) -> LinearBasis:
        """The basis of a model; raises UserError where it has no such site."""
        directions = rotation(model.width(self.kind)).to(model.device)
        basis = at_every_layer(model, self.name, self.kind, lambda layer: directions)
        basis.is_control = True
        return basis

    def outline(self, model: str, shape: Shape | None, option: str) -> Outline:
        """As many units a layer as the site is wide, and one rotation."""
        found = super().outline(model, shape, option)
        return replace(found, n_bytes=4 * found.n_units**2 if found.n_units else None)


rotated_neurons = Rotated("rotated_neurons", "mlp_post", "Control: the neurons' span, randomly rotated.")
rotated_mlp_out = Rotated("rotated_mlp_out", "mlp_out", "Control: the MLP output's span, randomly rotated.")
