"""Controls: the same activations along randomly rotated axes, so none of them is privileged."""

import torch
from torch import Tensor

from basisbench.baselines.coordinates import at_every_layer
from basisbench.bases.basis import LinearBasis
from basisbench.models.adapter import Model
from basisbench.models.sites import SiteKind

SEED = 0


def rotation(size: int, seed: int = SEED) -> Tensor:
    """A rotation [size, size] drawn from the uniform (Haar) measure on orthogonal matrices.

    QR of a Gaussian matrix with the signs of R's diagonal taken out (Mezzadri 2007, arXiv math-ph/0609050).
    """
    gaussian = torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    q, r = torch.linalg.qr(gaussian)
    signed: Tensor = q * r.diagonal().sign()
    return signed.float()


def _rotated(model: Model, name: str, kind: SiteKind) -> LinearBasis:
    directions = rotation(model.width(kind)).to(model.device)
    return at_every_layer(model, name, kind, lambda layer: directions)


def rotated_neurons(model: Model) -> LinearBasis:
    """The neurons' span, randomly rotated."""
    return _rotated(model, "rotated_neurons", "mlp_post")


def rotated_mlp_out(model: Model) -> LinearBasis:
    """The MLP output's span, randomly rotated."""
    return _rotated(model, "rotated_mlp_out", "mlp_out")
