"""The one module that knows TransformerLens: a bridge seen as sites, tokens, logits and gradients.

A forward pass can start at any layer from a given residual stream (earlier blocks are passed over), can reuse
the keys and values of leading tokens, and returns the last position's input to the unembedding, so that
only the logits asked for are ever computed.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from basisbench.errors import UserError
from basisbench.models.sites import SITES, Site
from basisbench.models.text_tokenizer import TextTokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Edit = Callable[[Tensor], Tensor | None]
LOGIT_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Prefix:
    """Keys and values of leading tokens, one [rows, heads, length, width] pair a layer; one row serves all."""

    length: int
    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    def tiled(self, times: int) -> Prefix:
        """Return the prefix for a batch that repeats this one's rows `times` times over."""
        if self.keys[0].shape[0] == 1:
            return self
        return Prefix(
            self.length,
            tuple(k.repeat(times, 1, 1, 1) for k in self.keys),
            tuple(v.repeat(times, 1, 1, 1) for v in self.values),
        )


@dataclass(frozen=True)
class Start:
    """Begin at `layer` with the residual stream `resid` [batch, position, d_model]; n_layers: the final norm."""

    layer: int
    resid: Tensor


@dataclass(frozen=True)
class Norm:
    """A norm's hook prefix, whether it takes out the mean (LayerNorm), its epsilon and its gain [d_model]."""

    name: str
    centred: bool
    eps: float
    gain: Tensor


class Model:
    """A causal language model whose activations can be read, replaced and differentiated by site.

    Weights take no gradient. Attributes: `name`, `n_layers`, `d_model`, `device`, `dtype`, `tokenizer`.
    """

    def __init__(self, name: str, hf: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        """Wrap a loaded Hugging Face model.

        Raises UserError for an architecture that TransformerLens does not know, and where logits are not finite or
        differ when wrapped.
        """
        torch.nn.Module.eval(hf)
        hf.requires_grad_(False)
        hf.config.architectures = hf.config.architectures or [type(hf).__name__]
        probe = torch.arange(3, 9, device=hf.device)[None] % hf.config.get_text_config().vocab_size
        with torch.no_grad():
            expected = hf(probe).logits[:, -1].float()
        if not expected.isfinite().all():
            raise UserError(f"model '{name}' gives NaN or infinite logits: try dtype float32, or other weights")
        self.name = name
        self.tokenizer = tokenizer
        self.device = torch.device(hf.device)
        self.dtype: torch.dtype = hf.dtype
        self._bridge: Any = _bridge(name, hf)
        self._bridge.requires_grad_(False)
        # asked for once: the bridge puts this together anew, in milliseconds, each time
        self._points: Mapping[str, Any] = dict(self._bridge.hook_dict)
        self.n_layers: int = int(self._bridge.cfg.n_layers)
        self.d_model: int = int(self._bridge.cfg.d_model)
        self._block_returns_tuple = False
        self._check(probe, expected)
        self.computes_neurons = self._check_neurons(probe)

    def _check(self, probe: Tensor, expected: Tensor) -> None:
        """Learn what a block returns, and compare our logits with the unwrapped model's."""

        def observe(_module: object, _args: object, output: object) -> None:
            self._block_returns_tuple = isinstance(output, tuple)

        handle = self._bridge.blocks[0].register_forward_hook(observe)
        try:
            with torch.no_grad():
                hidden = self.forward(probe, torch.tensor([probe.shape[1] - 1], device=self.device))
                logits = self.logits(hidden)
        finally:
            handle.remove()
        error = (logits - expected).abs().max().item()
        scale = max(1.0, expected.abs().max().item())
        tolerance = LOGIT_TOLERANCE if self.dtype == torch.float32 else 0.05
        if not error <= tolerance * scale:
            raise UserError(
                f"model '{self.name}' is not supported: its logits behind TransformerLens differ from "
                f"the model's own by {error:.2g}"
            )

    def _check_neurons(self, probe: Tensor) -> bool:
        """Whether `neurons` gives this architecture's neurons; where not, passes run whole MLPs."""
        found: list[Tensor] = []
        last = torch.tensor([probe.shape[1] - 1], device=self.device)
        sites = [Site(0, "mlp_in"), Site(0, "mlp_post")]
        if not all(self.has_site(site) for site in sites):
            return False
        with torch.no_grad():
            self.forward(probe, last, edits=[(site, found.append) for site in sites])
            try:
                ours = self.neurons(0, found[0], torch.arange(found[1].shape[-1], device=self.device))
            except (AttributeError, UserError):  # an MLP put together in another way
                return False
        tolerance = 1e-4 if self.dtype == torch.float32 else 0.05
        return ours.shape == found[1].shape and torch.allclose(ours, found[1], atol=tolerance, rtol=tolerance)

    # -- weights ---------------------------------------------------------------------------------------

    @property
    def config(self) -> Any:
        """The Hugging Face configuration of the text model."""
        model: Any = self._bridge.original_model
        return model.config.get_text_config()

    @property
    def text_tokenizer(self) -> TextTokenizer:
        """The tokenizer as texts are read with it."""
        return TextTokenizer.of(self.tokenizer)

    @cached_property
    def context(self) -> int | None:
        """How many tokens it was made for, as its configuration says; None where that says nothing."""
        said = (getattr(self.config, name, None) for name in ("max_position_embeddings", "max_seq_len", "seq_length"))
        return next((length for length in said if isinstance(length, int) and length > 0), None)

    @cached_property
    def _unembedding(self) -> Tensor:
        weight: Tensor = self._bridge.unembed.original_component.weight.detach()
        return weight

    @cached_property
    def _unembedding_bias(self) -> Tensor:
        bias: Tensor = self._bridge.b_U.detach()
        return bias

    def projection(self, kind: str, layer: int) -> Tensor:
        """Weights [width in, width out] of the linear map that reads a kind of site (``mlp_post``, say) in `layer`."""
        module = self._reader(kind, layer)
        weight: Tensor = module.weight.detach()
        # torch.nn.Linear stores [out, in]; GPT-2's Conv1D stores [in, out]
        return weight.T if isinstance(module, torch.nn.Linear) else weight

    def _reader(self, kind: str, layer: int) -> Any:
        return attrgetter(SITES.get(kind).through)(self._bridge.blocks[layer]).original_component

    def bias(self, kind: str, layer: int) -> Tensor | None:
        """Bias [width out] of the linear map that reads a kind of site in `layer`, if it has one."""
        bias: Tensor | None = self._reader(kind, layer).bias
        return bias

    def neurons(self, layer: int, x: Tensor, units: Tensor) -> Tensor:
        """Neurons `units` [k] of `layer` from the MLP's input x [..., d_model], without computing the others."""
        mlp = self._bridge.blocks[layer].mlp

        def columns(module: Any) -> Tensor:
            weight: Tensor = module.weight.detach()
            weight = weight[units] if isinstance(module, torch.nn.Linear) else weight[:, units].T
            bias = None if module.bias is None else module.bias[units]
            return torch.nn.functional.linear(x, weight, bias)

        inner = columns(getattr(mlp, "in").original_component)
        if not self.hook_exists(f"blocks.{layer}.mlp.gate.hook_out"):
            return self.activation(inner)
        return self.activation(columns(mlp.gate.original_component)) * inner

    @cached_property
    def d_mlp(self) -> int:
        """Neurons of an MLP."""
        return self.projection("mlp_post", 0).shape[0]

    @cached_property
    def d_heads(self) -> int:
        """Width of all attention heads' outputs, side by side."""
        return self.projection("attn_z", 0).shape[0]

    def width(self, kind: str) -> int:
        """Width of the activation at a kind of site."""
        return SITES.get(kind).width(self)

    def has_site(self, site: Site) -> bool:
        """Whether the model has this hook point."""
        return self.hook_name(site) in self._points

    def require_site(self, site: Site) -> None:
        """Raise UserError if the model lacks the site."""
        if not 0 <= site.layer < self.n_layers:
            raise UserError(f"{site} is not in model '{self.name}': valid layers: 0 to {self.n_layers - 1}")
        if not self.has_site(site):
            valid = ", ".join(kind for kind in SITES if self.has_site(Site(site.layer, kind)))
            raise UserError(f"model '{self.name}' has no hook point {site.kind}: valid: {valid}")

    def post_norm(self, site: Site) -> str | None:
        """The norm, by name, that a module's output goes through before `site` (``mlp_out``, say), if there is one."""
        point = self._points[self.hook_name(site)].name
        if not site.spec.unnormed or point == f"blocks.{site.layer}.{site.spec.unnormed}":
            return None
        return str(point).removesuffix(".hook_out")

    def has_post_norm(self, kind: str) -> bool:
        """Whether the model has a norm between a module and this kind of site."""
        return self.post_norm(Site(0, kind)) is not None

    def is_summand(self, site: Site) -> bool:
        """Whether the residual stream after the block is what is at `site` plus what does not depend on it."""
        return site.spec.summand == "always" or (site.spec.summand == "parallel" and self.is_parallel)

    @cached_property
    def is_parallel(self) -> bool:
        """Whether attention and MLP both read the block's input (GPT-NeoX, GPT-J)."""
        return "blocks.0.hook_resid_mid" not in self._points

    def hook_name(self, site: Site) -> str:
        """The hook point of a site."""
        return f"blocks.{site.layer}.{site.spec.hook}"

    # -- what RelP's rules need ------------------------------------------------------------------------

    @cached_property
    def norms(self) -> tuple[Norm, ...]:
        """Every norm on the residual stream's way: before and after attention and MLP, and the final one."""
        names = [n for i in range(self.n_layers) for n in (f"blocks.{i}.ln1", f"blocks.{i}.ln2")]
        names += [f"{name}_post" for name in names] + ["ln_final"]
        offset = float(getattr(self._bridge.cfg, "rmsnorm_uses_offset", False))
        found = []
        for name in names:
            if f"{name}.hook_out" not in self._points:
                continue
            bridge = self._bridge.get_submodule(name)
            module = bridge.original_component
            eps = getattr(module, "eps", getattr(module, "variance_epsilon", None))
            if eps is None or not hasattr(module, "weight"):
                raise UserError(f"relp does not know the norm {type(module).__name__} of model '{self.name}'")
            found.append(Norm(name, not bridge.uses_rms_norm, float(eps), module.weight.detach() + offset))
        return tuple(found)

    def hook_exists(self, name: str) -> bool:
        """Whether the model has a hook point of this name."""
        return name in self._points

    @cached_property
    def activation(self) -> Callable[[Tensor], Tensor]:
        """The MLP's activation function."""
        from transformers.activations import ACT2FN

        config = self.config
        for key in ("hidden_activation", "hidden_act", "activation_function"):
            if isinstance(name := getattr(config, key, None), str):
                function: Callable[[Tensor], Tensor] = ACT2FN[name]
                return function
        raise UserError(f"relp does not know the activation function of model '{self.name}'")

    # -- running ---------------------------------------------------------------------------------------

    def forward(
        self,
        tokens: Tensor,
        last: Tensor,
        *,
        edits: Sequence[tuple[Site, Edit]] = (),
        hooks: Sequence[tuple[str, Edit]] = (),
        mlps: Mapping[int, Callable[[Tensor], Tensor]] = MappingProxyType({}),
        start: Start | None = None,
        prefix: Prefix | None = None,
    ) -> Tensor:
        """Run the model and return the unembedding's input at each row's last token, [batch, d_model].

        `tokens` [batch, position] are right-padded (a causal model's real positions never see the padding)
        and follow `prefix`; `last` [batch] are indices into them. An edit gets the activation at its site,
        [batch, position, width], and returns a replacement or None. `hooks` are the same by hook name, with
        the activation in the hook's own shape. `mlps` by layer stand in for whole MLPs: from an MLP's input
        to its output before any post-norm; edits within such an MLP are not made.
        """
        final: list[Tensor] = []
        rows = torch.arange(tokens.shape[0], device=tokens.device)

        def keep_last(hidden: Tensor) -> Tensor:
            final.append(hidden[rows, last])
            return final[0][:, None]

        named = [(name, _as_hook(edit)) for name, edit in hooks]
        for site, edit in edits:
            self.require_site(site)
            named.append((self.hook_name(site), _as_hook(edit, flat=True)))
        if start is not None:
            entry = "ln_final.hook_in" if start.layer == self.n_layers else f"blocks.{start.layer}.hook_in"
            resid = start.resid
            named.insert(0, (entry, _as_hook(lambda _: resid)))
        named.append(("unembed.hook_in", _as_hook(keep_last)))
        cache = None
        if prefix is not None and prefix.length:
            cache = _cache(prefix, tokens.shape[0])
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._passing_over(start.layer if start else 0))
            for layer, stand_in in mlps.items():
                stack.enter_context(_replaced(self._bridge.blocks[layer].mlp, stand_in))
            stack.enter_context(self._hooked(named))
            self._run_body(tokens, cache, use_cache=False)
        return final[0]

    @contextlib.contextmanager
    def _hooked(self, named: Sequence[tuple[str, Callable[..., Tensor | None]]]) -> Iterator[None]:
        """Attach hooks by name for a while, in this order."""
        try:
            for name, hook in named:
                self._points[name].add_hook(hook)
            yield
        finally:
            for name, _ in named:
                self._points[name].remove_hooks("fwd")

    @contextlib.contextmanager
    def _passing_over(self, n_blocks: int) -> Iterator[None]:
        """Make the first blocks return their input unchanged."""
        wrap = self._block_returns_tuple

        def identity(hidden: Tensor, *_: object, **__: object) -> Tensor | tuple[Tensor]:
            return (hidden,) if wrap else hidden

        with contextlib.ExitStack() as stack:
            for block in list(self._bridge.blocks)[:n_blocks]:
                stack.enter_context(_replaced(block, identity))
            yield

    def prefix(self, tokens: Tensor) -> Prefix:
        """Return the keys and values of `tokens` [rows, length], for passes that continue them.

        Raises RuntimeError where the installed transformers and transformer_lens do not fill a cache together.
        """
        from transformers import DynamicCache

        cache = DynamicCache()
        with torch.no_grad():
            self._run_body(tokens, cache, use_cache=True)
        layers: list[Any] = cache.layers
        # a cache left empty would drop the tokens without a word (transformers 5.24 renamed the argument)
        if len(layers) != self.n_layers or any(layer.keys.shape[2] != tokens.shape[1] for layer in layers):
            raise RuntimeError("the model's layers did not keep the keys and values of leading tokens")
        return Prefix(tokens.shape[1], tuple(layer.keys for layer in layers), tuple(layer.values for layer in layers))

    def _run_body(self, tokens: Tensor, cache: object, *, use_cache: bool) -> None:
        """Run all but the unembedding, which is left to `logits`: only what is asked for is computed."""
        model: Any = self._bridge.original_model
        with _replaced(self._bridge.unembed.original_component, lambda hidden: hidden):
            model(input_ids=tokens, past_key_values=cache, use_cache=use_cache)

    def logits(self, hidden: Tensor, *, cap_as_gain: bool = False) -> Tensor:
        """All logits, float32 [batch, vocabulary], from `forward`'s output; `cap_as_gain` as in `logits_of`."""
        logits = torch.nn.functional.linear(hidden, self._unembedding, self._unembedding_bias).float()
        return self._finish(logits, cap_as_gain)

    def logits_of(self, hidden: Tensor, tokens: Tensor, *, cap_as_gain: bool = False) -> Tensor:
        """Logits of `tokens` [batch, k] only, float32 [batch, k].

        With `cap_as_gain` a soft cap is differentiated as a fixed gain, as RelP treats activations.
        """
        weight = self._unembedding[tokens].float()
        bias = self._unembedding_bias[tokens].float()
        return self._finish(torch.einsum("bd,bkd->bk", hidden.float(), weight) + bias, cap_as_gain)

    def added_logits(self, hidden: Tensor) -> Tensor:
        """What `hidden` [k, d_model] adds to all logits, before a soft cap and without the bias: float32 [k, V]."""
        return self._scaled(torch.nn.functional.linear(hidden, self._unembedding).float())

    def _finish(self, logits: Tensor, cap_as_gain: bool = False) -> Tensor:
        """Apply what some architectures do to logits: Gemma-2's soft cap, Cohere's and Granite's scale."""
        logits = self._scaled(logits)
        if cap := getattr(self.config, "final_logit_softcapping", None):
            capped = torch.tanh(logits / cap) * cap
            # at 0, which half precision hits, the cap changes nothing
            gain = torch.where(logits == 0, 1.0, capped / logits)
            logits = logits * gain.detach() if cap_as_gain else capped
        return logits

    def _scaled(self, logits: Tensor) -> Tensor:
        if scale := getattr(self.config, "logit_scale", None):
            logits = logits * scale
        if scale := getattr(self.config, "logits_scaling", None):
            logits = logits / scale
        return logits


def _bridge(name: str, hf: PreTrainedModel) -> Any:
    """The model behind TransformerLens' hooks, put together from what is loaded already.

    `boot_transformers` would fetch the tokenizer again, from whatever the hub holds by now, and for a model that reads
    images too an image processor, for which it has pip install packages.
    """
    from transformer_lens.model_bridge.sources import build_bridge_from_module
    from transformer_lens.model_bridge.sources.transformers import determine_architecture_from_hf_config

    try:
        architecture: str = determine_architecture_from_hf_config(hf.config)
    except ValueError as error:
        raise UserError(
            f"model '{name}' is a {type(hf).__name__}: valid: a causal language model that TransformerLens supports"
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the bridge warns of hooks we never use
        return build_bridge_from_module(hf, architecture, hf_config=hf.config, model_name=name)


def _as_hook(edit: Edit, flat: bool = False) -> Callable[..., Tensor | None]:
    """Turn an edit into a TransformerLens hook; `flat` joins the heads for the edit and parts them again."""

    def hook(tensor: Tensor, *, hook: object) -> Tensor | None:
        if not flat or tensor.dim() == 3:
            return edit(tensor)
        result = edit(tensor.flatten(-2))
        return None if result is None else result.unflatten(-1, tensor.shape[-2:])

    return hook


@contextlib.contextmanager
def _replaced(module: torch.nn.Module, forward: Callable[..., object]) -> Iterator[None]:
    """Give one module instance another forward for a while."""
    module.__dict__["forward"] = forward
    try:
        yield
    finally:
        del module.__dict__["forward"]


def _cache(prefix: Prefix, batch: int) -> object:
    from transformers import DynamicCache

    cache = DynamicCache()
    for layer, (keys, values) in enumerate(zip(prefix.keys, prefix.values, strict=True)):
        cache.update(keys.expand(batch, *keys.shape[1:]), values.expand(batch, *values.shape[1:]), layer)
    return cache
