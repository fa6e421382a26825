"""Where the forward pass is read and written. A kind of site is one record: all that the engine knows of it.

A new kind is a `SiteKind` under its name in `SITES`, from the package's entry point in the group ``basisbench.sites``
or by ``SITES.register``: bases can then read and write it, and nothing else has to be told.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from basisbench.registry import Registry


class Widths(Protocol):
    """A model or its shape: the widths that activations have."""

    @property
    def d_model(self) -> int:
        """Of the residual stream."""

    @property
    def d_mlp(self) -> int:
        """Of the MLP's neurons."""

    @property
    def d_heads(self) -> int:
        """Of all attention heads' outputs, side by side."""


def _d_model(widths: Widths) -> int:
    return widths.d_model


@dataclass(frozen=True)
class SiteKind:
    """A kind of site, the same in every layer; its activation has shape [batch, position, width].

    - `hook`: its hook point in a block, as TransformerBridge calls it; heads are taken side by side;
    - `width`: of the activation; a recorded token takes 4 bytes a coordinate in float32;
    - `in_stream`: it is the residual stream, or what is added to it;
    - `summand`: whether the stream after the block is this plus what does not depend on it, so that a pass with another
      value here can start behind the block; ``parallel``: where attention and MLP read the same stream;
    - `read_only`: an edit there would not be seen by all that reads the activation;
    - `feeds`: the kind of site that it becomes by the linear map `through`, a module of the block, or, where that is
      empty, by itself unless a norm stands between. A gradient there gives the gradient here (`attribution.fields`);
    - `unnormed`: for what a module gives to the stream, the hook point that `hook` is where no norm follows the module;
    - `aliases`, `hf_aliases`: what dictionaries call it, as hook points of TransformerLens and as Hugging Face modules.
    """

    name: str
    hook: str
    description: str
    width: Callable[[Widths], int] = _d_model
    in_stream: bool = False
    summand: Literal["always", "parallel", "never"] = "never"
    read_only: bool = False
    feeds: str = ""
    through: str = ""
    unnormed: str = ""
    aliases: tuple[str, ...] = ()
    hf_aliases: tuple[str, ...] = ()


SITES: Registry[SiteKind] = Registry("kind of site", "basisbench.sites")
_SHIPPED = (
    SiteKind(
        "resid_pre", "hook_in", "The residual stream before the block.", in_stream=True, aliases=("hook_resid_pre",)
    ),
    SiteKind(
        "resid_mid",
        "ln2.hook_in",
        "The input of the norm before the MLP, to be read only: the stream has branched off before it.",
        in_stream=True,
        read_only=True,
        aliases=("hook_resid_mid", "ln2.hook_in", "hook_mlp_in", "ln2.hook_normalized"),
    ),
    SiteKind(
        "resid_post",
        "hook_resid_post",
        "The residual stream after the block.",
        in_stream=True,
        summand="always",
        aliases=("hook_resid_post",),
        hf_aliases=("output",),
    ),
    SiteKind(
        "attn_z",
        "attn.o.hook_in",
        "Attention heads' outputs side by side, the input of the output projection.",
        width=lambda widths: widths.d_heads,
        feeds="attn_proj",
        through="attn.o",
        aliases=("attn.hook_z",),
        hf_aliases=("self_attn.o_proj.input",),
    ),
    SiteKind(
        "attn_proj",
        "attn.o.hook_out",
        "The output of attention's output projection, before any post-norm.",
        feeds="attn_out",
    ),
    SiteKind(
        "attn_out",
        "hook_attn_out",
        "What attention adds to the residual stream, after a post-norm if there is one.",
        in_stream=True,
        summand="parallel",
        unnormed="attn.hook_out",
        aliases=("hook_attn_out",),
    ),
    SiteKind(
        "mlp_in",
        "mlp.hook_in",
        "The MLP's input, after its norm.",
        aliases=("ln2.hook_out", "mlp.hook_in"),
        hf_aliases=("pre_feedforward_layernorm.output",),
    ),
    SiteKind(
        "mlp_post",
        "mlp.out.hook_in",
        "The neurons: the input of the down projection.",
        width=lambda widths: widths.d_mlp,
        feeds="mlp_proj",
        through="mlp.out",
        aliases=("mlp.hook_post",),
    ),
    SiteKind(
        "mlp_proj",
        "mlp.out.hook_out",
        "The output of the down projection, before any post-norm.",
        feeds="mlp_out",
        aliases=("mlp.hook_out",),
    ),
    SiteKind(
        "mlp_out",
        "hook_mlp_out",
        "What the MLP adds to the residual stream, after a post-norm if there is one.",
        in_stream=True,
        summand="always",
        unnormed="mlp.hook_out",
        aliases=("hook_mlp_out",),
        hf_aliases=("post_feedforward_layernorm.output",),
    ),
)
for _kind in _SHIPPED:
    SITES.register(_kind.name)(_kind)


@dataclass(frozen=True, order=True)
class Site:
    """A place in one layer, `kind` by its name in `SITES`. Raises UserError for an unknown kind."""

    layer: int
    kind: str

    def __post_init__(self) -> None:
        SITES.get(self.kind)

    def __str__(self) -> str:
        return f"{self.kind}[{self.layer}]"

    @property
    def spec(self) -> SiteKind:
        """What its kind says of it."""
        return SITES.get(self.kind)


def layer_ranges(layers: Iterable[int]) -> str:
    """Write ascending layers as runs: 0, 3 to 5."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][1] + 1:
            runs[-1][1] = layer
        else:
            runs.append([layer, layer])
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in runs)
