"""Gradient fields dm/dx and the scores projected from them.

1. For each chunk of prompts, record clean and corrupt activations at every site that a basis reads or writes.
2. Compute dm/dx once for each *field site*: sites joined by a linear map share one field, carried over by the
   map's weights (neurons and MLP output, attention heads and attention output), as their records say (`models.sites`).
3. For each basis, score(unit) = projection of the field on the unit x (corrupt - clean activation), summed over
   prompts at each slot, divided by the number of pairs; the same with what is left over for the error.

Every decoder is affine, so the straight path from clean to corrupt in units is the straight path in the activation and
one field serves all bases (integrated gradients: Sundararajan et al. 2017, arXiv 1703.01365; per-site use: Marks et al.
2025, arXiv 2403.19647, section 3).
"""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor
from typing_extensions import override

from basisbench.attribution.activations import MEMORY_BUDGET, Chunk, chunks
from basisbench.attribution.methods import Method, Passes, Request, add_up
from basisbench.attribution.relp import relp_hooks
from basisbench.bases.basis import Basis, sites_of
from basisbench.circuits.scores import Scores
from basisbench.errors import UserError
from basisbench.models.adapter import Edit, Model, Start
from basisbench.models.recording import keeping
from basisbench.models.sites import Site
from basisbench.prompts.scoring import objective

STEPS = 10
RECORDED = Passes(forward=2)
"""Clean and corrupt activations of all prompts."""


def field_site(model: Model, site: Site) -> tuple[Site, Tensor | None]:
    """The site whose field serves `site`, and the weights W [width, its width] with field(site) = field @ W.T."""
    if not site.spec.feeds:
        return site, None
    fed = Site(site.layer, site.spec.feeds)
    if not site.spec.through:
        return (site, None) if model.post_norm(fed) else field_site(model, fed)
    found, further = field_site(model, fed)
    weight = model.projection(site.kind, site.layer)
    return found, weight if further is None else weight @ further


# -- gradients ------------------------------------------------------------------------------------------


def _gradients(
    model: Model, chunk: Chunk, sites: Sequence[Site], inputs: Tensor, *, rules: bool = False
) -> Iterator[tuple[Site, Tensor]]:
    """dm/dx at all sites from one forward and one backward pass, the input to layer 0 set to `inputs`."""
    stored: dict[Site, Tensor] = {}

    with torch.enable_grad():
        hidden = model.forward(
            chunk.prompts.clean,
            chunk.prompts.last,
            edits=keeping(stored, sites),
            hooks=relp_hooks(model) if rules else (),
            start=Start(0, inputs.detach().requires_grad_()),
            prefix=chunk.prefix,
        )
        m = objective(model, hidden, chunk.prompts, cap_as_gain=rules)
        gradients = torch.autograd.grad(m, [stored[site] for site in sites], allow_unused=True)
    for site, gradient in zip(sites, gradients, strict=True):
        yield site, torch.zeros_like(stored[site]) if gradient is None else gradient


def _step_gradients(model: Model, chunk: Chunk, site: Site, delta: Tensor, fractions: Tensor) -> Tensor:
    """Sum over `fractions` of dm/dx with `site` at clean + fraction * delta; all of them in one pass."""
    steps = len(fractions)
    prompts = chunk.prompts
    # a pass can start behind the block where the stream there holds the site's value as a summand
    is_summand = model.is_summand(site)
    base = chunk.clean[Site(site.layer, "resid_post") if is_summand else site]
    moved = (base + fractions.to(base.dtype)[:, None, None, None] * delta).flatten(0, 1)
    with torch.enable_grad():
        moved.requires_grad_()
        if is_summand:
            start, edits = Start(site.layer + 1, moved), []
        else:
            before = chunk.clean[Site(site.layer, "resid_pre")].repeat(steps, 1, 1)
            start, edits = Start(site.layer, before), [(site, _constant(moved))]
        hidden = model.forward(
            prompts.clean.repeat(steps, 1),
            prompts.last.repeat(steps),
            edits=edits,
            start=start,
            prefix=chunk.prefix.tiled(steps) if chunk.prefix else None,
        )
        (gradient,) = torch.autograd.grad(objective(model, hidden, prompts), [moved])
    total: Tensor = gradient.unflatten(0, (steps, -1)).sum(0)
    return total


def _constant(value: Tensor) -> Edit:
    return lambda _: value


# -- from fields to scores -----------------------------------------------------------------------------


class FieldMethod(Method):
    """An attribution method given by its gradient field: one a site serves all bases that write there."""

    @abstractmethod
    def field(self, model: Model, chunk: Chunk, sites: Sequence[Site]) -> Iterator[tuple[Site, Tensor]]:
        """Yield dm/dx [rows, position, width], m summed over the chunk's pairs, for each of `sites`, in any order."""

    @override
    def score(self, request: Request) -> Mapping[str, Scores]:
        """Project the field on every unit's difference; `seed` has no effect."""
        return add_up(self._parts(request))

    def _parts(self, request: Request) -> Iterator[tuple[str, int, Tensor]]:
        model, prompts = request.model, request.prompts
        users: dict[Site, list[tuple[Basis, int, Site]]] = defaultdict(list)
        for basis in request.bases:
            for layer in basis.layers():
                for site in basis.writes(layer):
                    users[field_site(model, site)[0]].append((basis, layer, site))
        fields = sorted(users)
        needed = sites_of(request.bases) | set(fields) | _starts(model, fields)
        done = 0
        for chunk in chunks(model, prompts, needed):
            for site, gradient in self.field(model, chunk, fields):
                if not torch.isfinite(gradient).all():
                    raise UserError(f"the gradient at {site} holds NaN or infinity: try --dtype float32")
                for basis, layer, written in users[site]:
                    yield basis.name, layer, _project(model, chunk, basis, layer, written, gradient) / prompts.n_pairs
                done += chunk.prompts.n_prompts
                request.progress(f"{self.name} fields", done, prompts.n_prompts * len(fields))


def _starts(model: Model, fields: Sequence[Site]) -> set[Site]:
    """Sites from which passes are started again."""
    sites = {Site(0, "resid_pre")}
    for site in fields:
        sites |= {Site(site.layer, "resid_pre"), Site(site.layer, "resid_post")}
    return sites


def _project(model: Model, chunk: Chunk, basis: Basis, layer: int, site: Site, gradient: Tensor) -> Tensor:
    """Scores [n_slots, units (+ error)] of a layer's units through one written site, summed over prompts."""
    _, weight = field_site(model, site)
    at_site = gradient if weight is None else gradient @ weight.T
    units = chunk.unit_delta(basis, layer)
    scores = chunk.prompts.slot_sum(basis.project(layer, site, at_site).float() * units.float())
    if not basis.has_error:
        return scores
    error = torch.zeros(chunk.prompts.n_slots, 1, device=scores.device)
    if site == basis.writes(layer)[0]:
        left = chunk.error_delta(basis, layer, site).float()
        error = chunk.prompts.slot_sum((at_site.float() * left).sum(-1, keepdim=True))
    return torch.cat([scores, error], -1)


# -- the four methods ----------------------------------------------------------------------------------


class Atp(FieldMethod):
    """Attribution patching (Nanda 2023; Syed et al. 2024, arXiv 2310.10348)."""

    description = "Attribution patching: the gradient on the clean run."
    passes: Sequence[Passes] = (RECORDED, Passes(forward=1, backward=1))

    @override
    def field(self, model: Model, chunk: Chunk, sites: Sequence[Site]) -> Iterator[tuple[Site, Tensor]]:
        return _gradients(model, chunk, sites, chunk.clean[Site(0, "resid_pre")])


class Relp(FieldMethod):
    """Relevance patching (see basisbench.attribution.relp)."""

    description = "Relevance patching: one backward pass under layer-wise relevance rules."
    passes: Sequence[Passes] = (RECORDED, Passes(forward=1, backward=1))

    @override
    def field(self, model: Model, chunk: Chunk, sites: Sequence[Site]) -> Iterator[tuple[Site, Tensor]]:
        return _gradients(model, chunk, sites, chunk.clean[Site(0, "resid_pre")], rules=True)


class IgInputs(FieldMethod):
    """Gradients at all sites, averaged over STEPS places of the embeddings between clean and corrupt."""

    description = "Gradients at all sites, averaged while the embeddings go from clean to corrupt in 10 steps."
    passes: Sequence[Passes] = (RECORDED, Passes(forward=STEPS, backward=STEPS))

    @override
    def field(self, model: Model, chunk: Chunk, sites: Sequence[Site]) -> Iterator[tuple[Site, Tensor]]:
        embedding = Site(0, "resid_pre")
        sums: dict[Site, Tensor] = {}
        for step in range(STEPS):
            inputs = chunk.clean[embedding] + step / STEPS * chunk.delta(embedding)
            for site, gradient in _gradients(model, chunk, sites, inputs):
                sums[site] = sums[site] + gradient if site in sums else gradient
        for site in sites:
            yield site, sums[site] / STEPS


class Ig(FieldMethod):
    """Integrated gradients of each site alone.

    The mean over s = 0..STEPS-1 of the gradient with the site set to (1 - s/STEPS) clean + (s/STEPS) corrupt.
    Step 0 is the clean gradient; the others run batched, from the site's layer on.
    """

    description = "Integrated gradients of each site alone, which goes from clean to corrupt in 10 steps."
    # the steps run over half the layers, on average
    passes: Sequence[Passes] = (
        RECORDED,
        Passes(forward=1, backward=1),
        Passes((STEPS - 1) / 2, (STEPS - 1) / 2, per="site"),
    )

    @override
    def field(self, model: Model, chunk: Chunk, sites: Sequence[Site]) -> Iterator[tuple[Site, Tensor]]:
        first = dict(_gradients(model, chunk, sites, chunk.clean[Site(0, "resid_pre")]))
        prompts = chunk.prompts
        positions = prompts.clean.shape[1]
        for site in sites:
            delta = chunk.delta(site)
            # memory law: one step's graph costs what `chunks` states for a prompt, over the layers still to run
            layers = model.n_layers - site.layer
            per_step = 4 * prompts.n_prompts * positions * 24 * layers * model.d_model
            at_once = max(1, min(STEPS - 1, MEMORY_BUDGET // per_step))
            total = first[site]
            fractions = torch.arange(1, STEPS, device=model.device) / STEPS
            for some in fractions.split(int(at_once)):
                total = total + _step_gradients(model, chunk, site, delta, some)
            yield site, total / STEPS
