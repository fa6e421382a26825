"""What a method says of a basis' nodes: a score each, from which circuits of every size follow."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from basisbench.errors import UserError


@dataclass(frozen=True)
class Scores:
    """Scores of a basis' nodes: for each layer float32 [n_slots, units], with the error's score as a last
    column where the basis has an error. Averaged over discovery pairs; corrupt minus clean, so a negative score
    helps the clean answer.
    """

    basis: str
    by_layer: Mapping[int, Tensor]

    def __post_init__(self) -> None:
        for layer, scores in self.by_layer.items():
            if not torch.isfinite(scores).all():
                raise UserError(
                    f"scores of basis '{self.basis}' hold NaN or infinity in layer {layer}: "
                    "try --dtype float32, or another method"
                )
