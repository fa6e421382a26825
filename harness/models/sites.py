"""Where the forward pass is read and written."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from basisbench.errors import unknown_name

SiteKind = Literal[
    "resid_pre",
    "resid_mid",
    "resid_post",
    "attn_z",
    "attn_proj",
    "attn_out",
    "mlp_in",
    "mlp_post",
    "mlp_proj",
    "mlp_out",
]
SITE_KINDS: tuple[SiteKind, ...] = get_args(SiteKind)


@dataclass(frozen=True, order=True)
class Site:
    """A place in one layer; its activation has shape [batch, position, width]. Raises UserError for an unknown kind.

    - ``resid_pre``, ``resid_post``: the residual stream before and after the block;
    - ``resid_mid``: the input of the norm before the MLP, to be read only: the stream has branched off before it;
    - ``attn_z``: attention heads' outputs side by side, the input of the output projection;
    - ``attn_proj``, ``mlp_proj``: the output of the output (down) projection, before any post-norm;
    - ``attn_out``, ``mlp_out``: what is added to the residual stream, after a post-norm if there is one;
    - ``mlp_in``: the MLP's input, after its norm; ``mlp_post``: the neurons, the input of the down projection.
    """

    layer: int
    kind: SiteKind

    def __post_init__(self) -> None:
        if self.kind not in SITE_KINDS:
            raise unknown_name("kind of site", self.kind, SITE_KINDS)

    def __str__(self) -> str:
        return f"{self.kind}[{self.layer}]"


def layer_ranges(layers: Iterable[int]) -> str:
    """Write ascending layers as runs: 0, 3 to 5."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][1] + 1:
            runs[-1][1] = layer
        else:
            runs.append([layer, layer])
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in runs)
