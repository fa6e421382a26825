"""Direct effects between nodes: what flows from each source into each target of one prompt.

Every MLP output is cut out of the pass and put back as a constant, so that between two nodes there is the residual
stream and attention alone, with patterns and norm scales fixed (`basisbench.tracing.frozen`): an affine map. A target
reads that map linearly: through its own layer's norm and, where its basis reads neurons or the MLP's output, through
its own layer's MLP under RelP's rules; then through its own encoder at its tangent. For an active unit of a ReLU,
JumpReLU or TopK dictionary that is its pre-activation with the gate held fixed; an inactive unit has no inputs. So for
each target

    value = sum over units f_i * (direction_i . g) + sum over errors (e . g) + sum over embeddings (x . g) + bias

where g is the target's gradient at the place where the source writes, and the sums run over all layers and positions.

1. Record the prompt's patterns, norm scales and activations, and split each layer's MLP output into kept units, other
   units, error and constants (`basisbench.tracing.sources`).
2. Run the affine map once, cut at each layer's start, at the MLP's input and at the MLP's output.
3. Linearise targets: the gradient of each at the site it reads, with scales of norms inside encoders fixed.
4. Sweep down the layers. In each, one batched vector-Jacobian product carries this layer's targets from the sites they
   read to the stream, and one carries all targets from here and above through attention; what they leave at the
   layer's MLP output is projected on directions of kept units only. So an L-layer model takes 2 L backward passes
   however many targets there are, and no layer above a target is touched.
5. Run the affine map at zero: what it then gives a target are the biases.

The definition is that of attribution graphs (Ameisen et al. 2025, transformer-circuits.pub/2025/attribution-graphs)
for any basis; the rules are RelP's (Jafari et al. 2025, arXiv 2508.21258).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from basisbench.attribution.activations import MEMORY_BUDGET
from basisbench.bases.basis import Basis
from basisbench.models.adapter import Edit, Model
from basisbench.models.sites import Site
from basisbench.tracing.frozen import Frozen, freeze
from basisbench.tracing.nodes import Units
from basisbench.tracing.sources import Sources, find_sources

Outputs = Callable[[Tensor], Tensor]
"""What is explained: values [k] from the last token's hidden state [1, d_model]."""


@dataclass(frozen=True)
class Flows:
    """What flows into T targets of a prompt of S tokens in a model of L layers.

    `units` [T, n], `errors` and `others` [T, L, S], `embeddings` [T, S], `bias` [T]; they sum to `value` [T]. Targets
    are the n units, then the outputs.
    """

    units: Tensor
    errors: Tensor
    others: Tensor
    embeddings: Tensor
    bias: Tensor
    value: Tensor

    @staticmethod
    def zeros(n_targets: int, sources: Sources, n_layers: int, value: Tensor) -> Flows:
        """Flows of targets with `value` [T], to be filled."""
        like, n = sources.embedding, len(sources.embedding)
        return Flows(
            like.new_zeros(n_targets, len(sources.activation)),
            like.new_zeros(n_targets, n_layers, n),
            like.new_zeros(n_targets, n_layers, n),
            like.new_zeros(n_targets, n),
            like.new_zeros(n_targets),
            value.to(like.dtype),
        )

    def total(self) -> Tensor:
        """All that flows into each target, [T]: equal to `value` but for rounding."""
        over_layers = (self.errors + self.others).sum((1, 2))
        return self.units.sum(1) + over_layers + self.embeddings.sum(1) + self.bias


@dataclass
class _Pass:
    """Tensors of one pass of the affine map: at the cuts (before and behind them) and at the sites that units read."""

    stream_in: dict[int, Tensor] = field(default_factory=dict)
    stream_out: dict[int, Tensor] = field(default_factory=dict)
    mid_out: dict[int, Tensor] = field(default_factory=dict)
    mid_in: dict[int, Tensor] = field(default_factory=dict)
    leaf: dict[int, Tensor] = field(default_factory=dict)
    read: dict[int, Tensor] = field(default_factory=dict)
    hidden: Tensor = field(default_factory=lambda: torch.empty(0))


@dataclass(frozen=True)
class _Targets:
    """Linear readings of the units, then the outputs: gradients at the read site, by index, and intercepts [T]."""

    gradient: Mapping[int, Tensor]
    intercept: Tensor
    value: Tensor
    layer: Tensor


class _FixedScales(TorchFunctionMode):
    """Within it the scales of norms take no gradient: whatever a norm is computed by, it ends in one of these."""

    SCALES = frozenset(
        {torch.rsqrt, Tensor.rsqrt, torch.sqrt, Tensor.sqrt, torch.std, Tensor.std, torch.norm, Tensor.norm}
    )

    def __torch_function__(
        self, func: Callable[..., object], types: object, args: tuple[object, ...] = (), kwargs: object = None
    ) -> object:
        result = func(*args, **(kwargs if isinstance(kwargs, dict) else {}))
        return result.detach() if func in self.SCALES and isinstance(result, Tensor) else result


# -- 2. and 5. the affine map --------------------------------------------------------------------------


def _run(
    frozen: Frozen, sources: Sources, basis: Basis, embedding: Tensor, leaves: Mapping[int, Tensor], *, cut: bool
) -> _Pass:
    """Run the affine map on an embedding [S, d_model] and MLP outputs by layer; with `cut`, in separate graphs."""
    model, seen = frozen.model, _Pass()

    def fresh(x: Tensor) -> Tensor:
        return x.detach().requires_grad_() if cut else x

    def enter(layer: int) -> Edit:
        def edit(x: Tensor) -> Tensor:
            seen.stream_out[layer - 1] = x
            seen.stream_in[layer] = fresh(x if layer else embedding[None])
            return seen.stream_in[layer]

        return edit

    def middle(layer: int) -> Edit:
        def edit(x: Tensor) -> Tensor:
            seen.mid_out[layer], seen.mid_in[layer] = x, fresh(x)
            return seen.mid_in[layer]

        return edit

    def read(layer: int) -> Edit:
        return lambda x: seen.read.update({layer: x})

    def leave(layer: int) -> Edit:
        def edit(x: Tensor) -> Tensor:
            seen.leaf[layer] = fresh(leaves[layer].expand_as(x))
            return seen.leaf[layer]

        return edit

    # cuts come before the norms' own hooks: what a norm sees must lie behind the cut
    cuts = [(model.hook_name(Site(layer, "resid_pre")), enter(layer)) for layer in range(model.n_layers)]
    cuts += [(model.hook_name(Site(layer, "resid_mid")), middle(layer)) for layer in range(model.n_layers)]
    cuts.append(("ln_final.hook_in", enter(model.n_layers)))
    edits = [(basis.read(layer), read(layer)) for layer in basis.layers()]
    edits += [(site, leave(layer)) for layer, site in sources.leaf_site.items()]
    n = len(sources.embedding)
    tokens = torch.zeros(1, n, dtype=torch.long, device=embedding.device)
    last = torch.tensor([n - 1], device=embedding.device)
    seen.hidden = model.forward(tokens, last, hooks=[*cuts, *frozen.hooks()], edits=edits)
    return seen


# -- 3. targets ----------------------------------------------------------------------------------------


def _linearise(basis: Basis, units: Units, seen: _Pass, outputs: Outputs, n_layers: int) -> _Targets:
    """Each target's gradient at what it reads, and its intercept there."""
    gradient: dict[int, Tensor] = {}
    n = len(units.layer)
    intercepts: dict[int, Tensor] = {}
    values: dict[int, Tensor] = {}
    for layer in basis.layers():
        index = units.in_layer(layer)
        if not len(index):
            continue
        columns, column = units.unit[index].unique(return_inverse=True)
        # a token at a time, whatever other targets stand there: each row's sum has that row's gradient alone
        x = seen.read[layer][0, units.position[index]].detach().requires_grad_()
        with _FixedScales():
            f = basis.encode(layer, x, columns).gather(1, column[:, None])[:, 0]
        (rows,) = torch.autograd.grad(f.sum(), x)
        for place, i in enumerate(index.tolist()):
            gradient[i], values[i] = rows[place], f[place].detach()
            intercepts[i] = values[i] - rows[place] @ x[place].detach()
    hidden = seen.hidden.detach().requires_grad_()
    value = outputs(hidden)
    for k in range(len(value)):
        (row,) = torch.autograd.grad(value[k], hidden, retain_graph=True)
        gradient[n + k], values[n + k] = row[0], value[k].detach()
        intercepts[n + k] = values[n + k] - (row[0] @ hidden[0].detach())
    order = range(n + len(value))
    layers = torch.cat([units.layer, torch.full((len(value),), n_layers, device=units.layer.device)])
    return _Targets(
        gradient, torch.stack([intercepts[i] for i in order]), torch.stack([values[i] for i in order]), layers
    )


# -- 4. the sweep --------------------------------------------------------------------------------------


def trace_flows(
    model: Model, tokens: Tensor, basis: Basis, units: Units, outputs: Outputs, *, at_once: int | None = None
) -> tuple[Flows, Sources]:
    """Return what flows into every unit and output from every source, and the sources, for one prompt.

    `tokens` [S]; `outputs` are differentiated at their tangent. `at_once` targets share a sweep (None: as many as
    MEMORY_BUDGET holds at ``96 S d_model`` bytes a target, at least one).
    """
    frozen = freeze(model, tokens)
    sources = find_sources(model, basis, tokens, units)
    with torch.enable_grad():
        seen = _run(frozen, sources, basis, sources.embedding, sources.leaf, cut=True)
        targets = _linearise(basis, units, seen, outputs, model.n_layers)
        flows = Flows.zeros(len(targets.value), sources, model.n_layers, targets.value)
        at_once = at_once or max(1, MEMORY_BUDGET // (96 * len(tokens) * model.d_model))
        for rows in targets.layer.argsort(descending=True, stable=True).split(at_once):
            _sweep(model, sources, units, seen, targets, rows, flows)
    _biases(frozen, sources, basis, targets, units, flows)
    return flows, sources


def _sweep(
    model: Model, sources: Sources, units: Units, seen: _Pass, targets: _Targets, rows: Tensor, flows: Flows
) -> None:
    """Carry `rows` of targets, last layer first, down to the embeddings, and note what they meet."""
    n = len(sources.embedding)
    layers = targets.layer[rows]
    active = rows[layers == model.n_layers]
    gradient = sources.embedding.new_zeros(0, 1, n, model.d_model)
    if len(active):
        cotangents = torch.stack([targets.gradient[i] for i in active.tolist()])[:, None]
        gradient = _product([seen.hidden], [seen.stream_in[model.n_layers]], [cotangents])[0]
    for layer in range(int(layers.max().clamp(max=model.n_layers - 1)), -1, -1):
        here = rows[layers == layer]
        at_mid = sources.embedding.new_zeros(len(active) + len(here), 1, n, model.d_model)
        if len(here):
            read = seen.read[layer]
            cotangents = read.new_zeros(len(here), *read.shape)
            cotangents[torch.arange(len(here)), 0, units.position[here]] = torch.stack(
                [targets.gradient[i] for i in here.tolist()]
            )
            at_mid[len(active) :] = _product([read], [seen.mid_in[layer]], [cotangents])[0]
        gradient = torch.cat([gradient, gradient.new_zeros(len(here), *gradient.shape[1:])])
        active = torch.cat([active, here])
        gradient, at_leaf = _product(
            [seen.mid_out[layer], seen.stream_out[layer]],
            [seen.stream_in[layer], seen.leaf[layer]],
            [at_mid, gradient],
        )
        collect(sources, layer, at_leaf[:, 0], active, flows)
    flows.embeddings[active] = torch.einsum("tsd,sd->ts", gradient[:, 0], sources.embedding)


def _product(outputs: list[Tensor], inputs: list[Tensor], cotangents: list[Tensor]) -> tuple[Tensor, ...]:
    """Vector-Jacobian products of a batch of cotangents, [T, ...] for each input."""
    return torch.autograd.grad(
        outputs, inputs, cotangents, retain_graph=True, is_grads_batched=True, allow_unused=True, materialize_grads=True
    )


def collect(sources: Sources, layer: int, gradient: Tensor, rows: Tensor, flows: Flows) -> None:
    """Add to `flows` of targets `rows` what comes from `layer`'s MLP output, from their gradients [T, S, d_model]."""
    whole = True
    for (source, written), directions in sources.directions.items():
        if written != layer:
            continue
        whole = False
        index = sources.units.in_layer(source)
        at = sources.units.position[index]
        kept = torch.einsum("tnd,nd->tn", gradient[:, at], directions) * sources.activation[index]
        flows.units[rows[:, None], index] += kept
        rest = torch.einsum("tsd,sd->ts", gradient, sources.written[source, written])
        flows.others[rows, source] += rest.index_add(1, at, kept, alpha=-1)
    if layer in sources.errors:
        flows.errors[rows, layer] += torch.einsum("tsd,sd->ts", gradient, sources.errors[layer])
    if whole:
        flows.others[rows, layer] += torch.einsum("tsd,sd->ts", gradient, sources.leaf[layer])


def _biases(frozen: Frozen, sources: Sources, basis: Basis, targets: _Targets, units: Units, flows: Flows) -> None:
    """What targets read of the affine map at zero, plus their intercepts."""
    with torch.no_grad():
        seen = _run(frozen, sources, basis, torch.zeros_like(sources.embedding), sources.constant, cut=False)
        for row, layer in enumerate(targets.layer.tolist()):
            is_unit = layer < frozen.model.n_layers
            x = seen.read[layer][0, units.position[row]] if is_unit else seen.hidden[0]
            flows.bias[row] = targets.gradient[row] @ x + targets.intercept[row]
