"""How many operations, and how much memory, the parts of a run take: laws, and no measurement.

Operations are multiply-adds; the unit is a forward pass over some prompts (`Shape.pass_operations`).

1. Scores of a group: the clean and the corrupt recording, then the passes of the method (a backward pass costs as much
   as a forward one, since weights get no gradient), then a projection for each basis.
2. Integrated gradients: 9 further steps forward and backward for each site, from its layer on.
3. A curve: the plain, the ablated and the corrupt run, and for every size two passes of which CURVE_SHARE is left:
   a pass begins at the first layer that a circuit changes. A dictionary with an error is read whole at each layer.
4. Memory: weights, dictionaries, and the larger of what scoring and what a curve hold (the laws of
   `basisbench.attribution.activations.chunks` and of `basisbench.circuits.curves.evaluate`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from basisbench.attribution.activations import MEMORY_BUDGET
from basisbench.attribution.exact import MOST_NODES
from basisbench.attribution.fields import STEPS
from basisbench.bases.outlines import Outline, site_width
from basisbench.circuits.curves import TOKENS_AT_ONCE
from basisbench.models.shapes import Shape

CURVE_SHARE = 0.6
OTHER_PASSES = 4
"""Passes of a method that is not known here."""
PROCESS_BYTES = 7 * 10**8
"""A Python process with torch and nothing else."""
RESULT_BYTES = 10_000
"""A result's JSON and the head of its arrays, more or less."""
OUTCOME_PARTS = 5
"""Numbers kept for each pair and point: those of `basisbench.measures.metrics.Outcome`."""


@dataclass(frozen=True)
class Prompts:
    """Distinct prompts of a split, their tokens, and how many of the leading ones no pass has to repeat."""

    rows: int
    positions: int
    shared: int = 0

    @property
    def tokens(self) -> int:
        """Tokens that passes run over."""
        return self.rows * max(1, self.positions - self.shared)


def forward(shape: Shape, prompts: Prompts) -> int:
    """Operations of one pass over prompts whose shared leading tokens are run once."""
    return shape.pass_operations(prompts.rows, max(1, prompts.positions - prompts.shared))


def projection(basis: Outline, prompts: Prompts) -> int:
    """Operations of a basis' own share in scoring: encoding and lifting both runs, projecting the gradient."""
    products = 6 if basis.has_error else 3 if basis.dense else 1
    columns = basis.n_units if basis.dense else basis.width
    return prompts.tokens * len(basis.layers) * products * basis.width * columns


def scores(shape: Shape, method: str, bases: Sequence[Outline], prompts: Prompts) -> int:
    """Operations of a group's scores."""
    name, _, option = method.partition(":")
    if name == "random":
        return 0
    one = forward(shape, prompts)
    recorded = 2 * one + sum(projection(basis, prompts) for basis in bases)
    gradient = recorded + 2 * one
    if name in ("delta", "activation"):
        return recorded
    if name in ("atp", "relp"):
        return gradient
    if name == "ig_inputs":
        return recorded + 2 * STEPS * one
    if name == "ig":
        sites = {(layer, basis.field) for basis in bases for layer in basis.layers}
        later = sum(shape.n_layers - layer - 1 for layer, _ in sites) / shape.n_layers
        return gradient + int(2 * (STEPS - 1) * later * one)
    if name == "exact":
        nodes = (prompts.positions * len(basis.layers) * (basis.n_units + basis.has_error) for basis in bases)
        most = int(option) if option.isdecimal() else MOST_NODES
        return gradient + sum(min(most, MOST_NODES, count) for count in nodes) * one // 2
    return recorded + OTHER_PASSES * one


def curve(shape: Shape, basis: Outline, prompts: Prompts, n_sizes: int) -> int:
    """Operations of one cell's curve."""
    one = forward(shape, prompts)
    # an error is what encoding and lifting leave: both, in full
    error = 2 * prompts.tokens * len(basis.layers) * basis.width * basis.n_units if basis.has_error else 0
    return 3 * one + int(2 * n_sizes * CURVE_SHARE * (one + error))


def peak_memory(
    shape: Shape,
    methods: Sequence[str],
    bases: Sequence[Outline],
    discovery: Prompts,
    evaluation: Prompts,
    itemsize: int,
    kept: int,
) -> int:
    """Peak bytes of a process; `itemsize` is bytes a weight, `kept` the largest circuit."""
    widths = {basis.site: site_width(shape, basis.site) for basis in bases}
    recorded = 2 * (sum(widths.values()) + shape.d_model) * shape.n_layers + 24 * shape.n_layers * shape.d_model
    each = 4 * discovery.tokens // discovery.rows * recorded
    scoring = max(each, min(MEMORY_BUDGET, each * discovery.rows))
    if "ig" in methods:  # steps are batched: the graphs of as many as fit
        rows = max(1, min(discovery.rows, MEMORY_BUDGET // each))
        steps = rows * 4 * discovery.tokens // discovery.rows * 24 * shape.n_layers * shape.d_model
        scoring += max(steps, min(MEMORY_BUDGET, (STEPS - 1) * steps))
    scoring += sum(4 * discovery.positions * len(basis.layers) * basis.n_units for basis in bases)
    widest = max(basis.width for basis in bases)
    one_pass = 4 * TOKENS_AT_ONCE * (24 * shape.d_model + max(basis.n_units for basis in bases))
    drawn = 4 * evaluation.tokens * (2 * shape.n_layers * shape.d_model + shape.n_layers * widest + kept) + one_pass
    weights = shape.n_weights * itemsize
    return PROCESS_BYTES + weights + sum(basis.kept_bytes for basis in bases) + max(scoring, drawn)


def result_bytes(n_sizes: int, n_ranked: int, n_pairs: int) -> int:
    """Bytes of a cell's two files: the ranking kept (16 a node) and the outcomes (8 a part) of every pair and point."""
    return RESULT_BYTES + 16 * n_ranked + 8 * OUTCOME_PARTS * n_pairs * (2 * n_sizes + 2)
