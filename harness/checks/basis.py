"""Checking a basis before it is trusted: whether it keeps the contract and explains this model's activations.

1. Look at each layer with activations of a text: what `Basis` promises, the splice with nothing ablated, gradients.
2. Measure how much the layer explains, and what it costs the loss to put that in the activation's place.
3. Judge the layers against each other; for those that explain little, look for a site that they explain better.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from torch import Tensor

from basisbench.bases.basis import Basis
from basisbench.bases.user_file import broken_promise
from basisbench.checks.contract import entry, splice_change, stopped_gradient
from basisbench.checks.findings import Problem, Verdict, broken, warning, worst
from basisbench.checks.fit import Explained, Fit, explains_better, fit
from basisbench.errors import UserError
from basisbench.models.adapter import Model, Start
from basisbench.models.names import same_model
from basisbench.models.sites import Site, layer_ranges
from basisbench.progress import Progress, silent
from basisbench.text.sample import TEXT, Sample

MEMORY_BUDGET = 2 * 2**30
TOLERANCE = 1e-4
HALF_TOLERANCE = 0.05
SPLICED_ROWS, SPLICED_TOKENS = 2, 16
WORSE_THAN_MEAN, POOR, FAR_WORSE = 1.01, 0.5, 3.0
ELSEWHERE_ROWS, ELSEWHERE_LAYERS = 4, 3


@dataclass(frozen=True)
class LayerCheck:
    """One layer. `logits` and `gradient`: see `checks.contract.splice_change`; None, as `fit`, where not measured."""

    layer: int
    read: Site
    writes: tuple[Site, ...]
    n_units: int
    logits: float | None = None
    gradient: float | None = None
    fit: Fit | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst of its problems."""
        return worst(self.problems)

    def failing(self, words: str) -> LayerCheck:
        """The same with one more thing that breaks the contract."""
        return replace(self, problems=(*self.problems, broken(words)))

    def warning(self, words: str) -> LayerCheck:
        """The same with one more thing to know."""
        return replace(self, problems=(*self.problems, warning(words)))


@dataclass(frozen=True)
class CheckReport:
    """A basis on a model and a text of `n_tokens` measured tokens, layer by layer."""

    basis: str
    model: str
    n_tokens: int
    layers: tuple[LayerCheck, ...]

    @property
    def failed(self) -> bool:
        """Whether a layer breaks the contract."""
        return any(layer.verdict == "broken" for layer in self.layers)


def check_basis(
    model: Model,
    basis: Basis,
    texts: Sequence[str] = (TEXT,),
    *,
    layers: Sequence[int] | None = None,
    progress: Progress = silent,
) -> CheckReport:
    """Check `layers` of a basis (None: all it has) on `texts`, of which the first 2,048 tokens are used.

    Raises UserError for a layer without units and for too short a text; what the basis itself does wrong, an
    exception in its code included, is in the report.

    Memory law: activations of as many layers as fit MEMORY_BUDGET (at least one), UNITS_AT_ONCE activations of units,
    and the residual streams of a backward pass over 32 tokens.
    """
    for layer in layers or ():
        if layer not in basis.layers():
            raise UserError(
                f"basis '{basis.name}' has no units in layer {layer}: valid: {layer_ranges(basis.layers())}"
            )
    chosen = [layer for layer in basis.layers() if layers is None or layer in layers]
    sample = Sample.of(model, texts)
    explained = Explained()
    own = {basis.writes(layer)[0]: layer for layer in chosen}
    # a site is all explained only with the units of every layer that writes there
    needed = [layer for layer in basis.layers() if any(site in own for site in basis.writes(layer))]
    looked_at: list[LayerCheck] = []
    for some in _groups(sample, basis, needed):
        streams = {Site(entry(basis, layer), "resid_pre") for layer in some}
        activations = sample.record(streams | {s for i in some for s in (basis.read(i), basis.writes(i)[0])})
        for layer in some:
            progress(f"layer {layer} of {basis.name}", needed.index(layer), len(needed))
            found = _look(sample, basis, layer, activations, explained, own)
            if layer in chosen:
                looked_at.append(found)
    judged = tuple(_judged(sample, basis, looked_at))
    return CheckReport(basis.name, model.name, sample.n_measured, judged)


def _groups(sample: Sample, basis: Basis, layers: Sequence[int]) -> Iterator[list[int]]:
    """Layers in runs whose recordings fit the memory budget."""
    model = sample.model
    group: list[int] = []
    held = 0
    for layer in layers:
        widths = [model.width(s.kind) for s in (basis.read(layer), basis.writes(layer)[0])] + [model.d_model]
        size = sample.tokens.numel() * sum(widths) * 4
        if group and held + size > MEMORY_BUDGET:
            yield group
            group, held = [], 0
        group.append(layer)
        held += size
    yield group


def _look(
    sample: Sample,
    basis: Basis,
    layer: int,
    activations: Mapping[Site, Tensor],
    explained: Explained,
    own: Mapping[Site, int],
) -> LayerCheck:
    """Everything about one layer that needs no other; it adds what the layer writes to `explained`."""
    model, writes = sample.model, tuple(basis.writes(layer))
    check = LayerCheck(layer, basis.read(layer), writes, basis.n_units(layer))
    x = activations[basis.read(layer)][:, 1:]
    lacking = set(explained.lacks)
    explained.lacks.update(writes)  # until this layer's part is in
    try:
        if words := broken_promise(basis, model, layer, x.flatten(0, 1)[:6].unflatten(0, (2, 3))):
            return check.failing(words)
        if words := stopped_gradient(basis, layer, x.flatten(0, 1)[:SPLICED_TOKENS]):
            check = check.failing(words)
        tokens = sample.tokens[:SPLICED_ROWS, :SPLICED_TOKENS]
        logits, gradient = splice_change(model, basis, layer, tokens)
        check = _identity(replace(check, logits=logits, gradient=gradient), basis, model.dtype)
        activity = explained.add(basis, layer, x, [site for site in writes if site in own])
        explained.lacks.difference_update(set(writes) - lacking)
        if own.get(writes[0]) != layer:
            return check
        if writes[0] in lacking:
            return check.warning(f"not measured: another layer that writes {writes[0]} is broken")
        y = activations[writes[0]][:, 1:]
        begin = entry(basis, layer)
        start = Start(begin, activations[Site(begin, "resid_pre")])
        check = replace(check, fit=fit(sample, explained, writes[0], y, start, activity))
        del explained.written[writes[0]]
    except UserError as error:
        return check.failing(str(error))
    except Exception as error:  # a basis may be anyone's code: whatever it raises is what they came to see
        return check.failing(f"{type(error).__name__}: {' '.join(str(error).split())}")
    return check


def _identity(check: LayerCheck, basis: Basis, dtype: torch.dtype) -> LayerCheck:
    tolerance = TOLERANCE if dtype in (torch.float32, torch.float64) else HALF_TOLERANCE
    if check.logits is not None and not check.logits <= tolerance:
        lost = "" if basis.has_error else "; has_error is False, so what the units leave (a bias, a skip path) is lost"
        return check.failing(
            f"with nothing ablated the splice changes logits by {check.logits:.1g} of their size "
            f"(valid: below {tolerance:g}){lost}"
        )
    if check.gradient is not None and not check.gradient <= tolerance:
        return check.failing(
            f"with nothing ablated the splice changes upstream gradients by {check.gradient:.1g} of their size (valid: "
            f"below {tolerance:g}): the error is detached, or encode or lift cuts the gradient with `units` or without"
        )
    return check


def _judged(sample: Sample, basis: Basis, checks: Sequence[LayerCheck]) -> Iterator[LayerCheck]:
    """Add what the fits say, each beside the other layers'."""
    shares = {c.layer: c.fit.unexplained for c in checks if c.fit and c.fit.unexplained is not None}
    poor = {layer: share for layer, share in shares.items() if _is_poor(layer, shares)}
    asked = dict(list(poor.items())[:ELSEWHERE_LAYERS])
    elsewhere = explains_better(replace(sample, tokens=sample.tokens[:ELSEWHERE_ROWS]), basis, asked) if asked else {}
    for check in checks:
        made_for = basis.made_for(check.layer)
        if made_for is not None and not same_model(made_for, sample.model.name):
            check = check.warning(f"made for model '{made_for}', as its files say, not for '{sample.model.name}'")
        if check.fit is not None:
            check = _judged_alone(check, check.fit)
        if check.layer in poor:
            share, site, cause = poor[check.layer], check.writes[0], _cause(check.layer, elsewhere, asked)
            if share <= WORSE_THAN_MEAN:
                others = statistics.median(other for layer, other in shares.items() if layer != check.layer)
                check = check.warning(f"FVU {share:.2f}, far worse than the other layers' {others:.2f}: {cause}")
            else:
                check = check.failing(f"explains {site} worse than its mean does (FVU {share:.3g}): {cause}")
        yield check


def _judged_alone(check: LayerCheck, fit: Fit) -> LayerCheck:
    if fit.unexplained is None:
        return check.warning(f"{check.writes[0]} does not vary on this text: nothing can be said of the fit")
    if fit.activity.active == 0:
        return check.warning("no unit is ever active on this text")
    if fit.unexplained <= WORSE_THAN_MEAN and fit.recovered is not None and fit.recovered < 0:
        return check.warning(f"the reconstruction costs more loss than the mean does ({fit.recovered:.2f} recovered)")
    return check


def _is_poor(layer: int, shares: Mapping[int, float]) -> bool:
    """Worse than the mean, or far worse than the other layers."""
    share, others = shares[layer], [other for i, other in shares.items() if i != layer]
    return not share <= WORSE_THAN_MEAN or (bool(others) and share > max(POOR, FAR_WORSE * statistics.median(others)))


def _cause(layer: int, elsewhere: Mapping[int, tuple[Site, float]], asked: Mapping[int, float]) -> str:
    if layer in elsewhere:
        site, share = elsewhere[layer]
        return f"it fits {site} (FVU {share:.2f}), so it is a dictionary of that place"
    none = "; no other layer fits" if layer in asked else ""
    return f"made for another model, layer or hook point, or its bias, scale or skip path is lost{none}"


CAPTION = (
    "FVU: fraction of variance unexplained. L0: active units a token. loss: recovered, against the mean in the "
    "activation's place. silent: units that never fire in this text (in a short one many do not). "
    "ms: to encode 1,000 tokens. splice: change of logits or upstream gradients with nothing ablated."
)


def check_table(report: CheckReport) -> RenderableType:
    """The layers as a table, then what is wrong with them in words, then the verdict in one line."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0, caption=CAPTION, caption_justify="left")
    for name in ("layer", "site", "units", "FVU", "L0", "loss", "silent", "ms", "splice", ""):
        table.add_column(name, justify="left" if name in ("site", "") else "right", no_wrap=True)
    for check in report.layers:
        table.add_row(*_cells(check))
    said: dict[Problem, list[int]] = {}
    for check in report.layers:
        for problem in check.problems:
            said.setdefault(problem, []).append(check.layer)
    lines = [
        Text(f"{problem.verdict} layer{'s' * (len(layers) > 1)} {layer_ranges(layers)}: {problem.words}")
        for problem, layers in said.items()
    ]
    count = Counter(check.verdict for check in report.layers)
    counted = ", ".join(f"{count[verdict]} {verdict}" for verdict in get_args(Verdict) if count[verdict])
    verdict = "must not be used as it is" if report.failed else "keeps the contract"
    end = f"basis '{report.basis}' {verdict} on '{report.model}' ({report.n_tokens:,} tokens): {counted}"
    return Group(table, *lines, Text(end))


def _cells(check: LayerCheck) -> list[str]:
    read, (write, *others) = check.read, check.writes
    site = (read.kind if read == write else f"{read.kind}>{write.kind}") + (f"+{len(others)}" if others else "")
    cells = [str(check.layer), site, f"{check.n_units:,}"]
    if check.fit is None:
        cells += ["-"] * 5
    else:
        activity = check.fit.activity
        shares = ["-" if share is None else f"{share:.3f}" for share in (check.fit.unexplained, check.fit.recovered)]
        cells += [shares[0], f"{activity.active:,.1f}", shares[1], f"{activity.silent / check.n_units:.0%}"]
        cells += [f"{1000 * activity.seconds:.3g}"]
    changes = [change for change in (check.logits, check.gradient) if change is not None]
    return [*cells, f"{max(changes):.0e}" if changes else "-", check.verdict]
