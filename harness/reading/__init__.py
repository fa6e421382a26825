"""Reading a node: what drives a unit, what it does to the logits directly, which tasks it serves, and a name for it.

1. Look at the units on a text (`contexts`): contexts of each sign, how often active, scales of norms.
2. Follow the direct path to the vocabulary (`direct`).
3. Score all units on the tasks asked (`serves`), and apply the rule for units that are always on (`always_on`).
4. Make a name of it (`labels`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import torch

from basisbench.bases.basis import Basis
from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.models.sites import layer_ranges
from basisbench.progress import Progress, Say, say_nothing, silent
from basisbench.reading.always_on import always_on_units, why_always_on
from basisbench.reading.contexts import LayerReading, contexts_at, read_text
from basisbench.reading.direct import Direct, direct_effects, norms_on_the_way
from basisbench.reading.evidence import Context, Evidence, TokenScore, unit_key
from basisbench.reading.labels import Side, make_label
from basisbench.reading.rows import Rows, rows_of, token_text
from basisbench.reading.serves import TaskScores, score_tasks
from basisbench.text.named import Source, default_texts, named_texts

__all__ = ["always_on_units", "default_texts", "named_texts", "read_units"]

COUNT = 10
"""Tokens and contexts that are kept of each kind."""
Unit = tuple[int, int]
"""Layer and unit."""


def read_units(
    model: Model,
    basis: Basis,
    units: Sequence[Unit],
    texts: Iterable[Source],
    tasks: Sequence[str] = (),
    signs: Mapping[Unit, int] = MappingProxyType({}),
    *,
    limit: int | None = None,
    say: Say = say_nothing,
    progress: Progress = silent,
) -> dict[str, Evidence]:
    """The evidence on `units`, keyed by ``layer:unit``, from `texts` (or `limit` tokens of them) and from `tasks`.

    The label is of the sign in `signs`, 1 or -1; of a unit that has none there, of the sign of its largest
    |activation|. Tasks without a usable pair are skipped, and `say` told so. Raises UserError for a unit that the basis
    has not, an unknown task, text without tokens, and units that have no direct path to the logits.
    """
    if not units:
        return {}
    by_layer = {layer: torch.tensor(numbers, device=model.device) for layer, numbers in _checked(basis, units).items()}
    norms = norms_on_the_way(model, basis, list(by_layer))
    scores = score_tasks(model, basis, tasks, say=say, progress=progress)
    rows = rows_of(model, texts, limit)
    reading = read_text(model, basis, by_layer, rows, norms, COUNT, progress)
    found: dict[str, Evidence] = {}
    for layer, numbers in by_layer.items():
        direct = direct_effects(model, basis, layer, numbers, reading.scales, COUNT)
        for column, unit in enumerate(numbers.tolist()):
            sign = signs.get((layer, unit), 0)
            seen = reading.layers[layer]
            found[unit_key(layer, unit)] = _evidence(model, rows, seen, direct, column, layer, sign, scores)
    return {unit_key(*unit): found[unit_key(*unit)] for unit in units}


def _checked(basis: Basis, units: Sequence[Unit]) -> dict[int, list[int]]:
    """The distinct units by layer; raises UserError for one that the basis has not."""
    layers = basis.layers()
    by_layer: dict[int, list[int]] = {}
    for layer, unit in dict.fromkeys(units):
        if layer not in layers:
            raise UserError(f"no layer {layer} in basis '{basis.name}': valid: {layer_ranges(layers)}")
        if not 0 <= unit < basis.n_units(layer):
            raise UserError(
                f"no unit {unit} in layer {layer} of '{basis.name}': valid: 0 to {basis.n_units(layer) - 1}"
            )
        by_layer.setdefault(layer, []).append(unit)
    return by_layer


def _evidence(
    model: Model,
    rows: Rows,
    seen: LayerReading,
    direct: Direct,
    column: int,
    layer: int,
    sign: int,
    scores: Sequence[TaskScores],
) -> Evidence:
    """The evidence on unit number `column` of a layer's reading; sign 0: that of its largest |activation|."""
    unit = int(seen.units[column])
    contexts = {s: contexts_at(model, rows, peaks, column, s) for s, peaks in ((1, seen.highest), (-1, seen.lowest))}
    raised = _tokens(model, direct.raised[column].tolist(), direct.raised_by[column].tolist())
    lowered = _tokens(model, direct.lowered[column].tolist(), direct.lowered_by[column].tolist())
    if not sign:
        sign = 1 if seen.highest.value[column].max() >= seen.lowest.value[column].max() else -1
    serves = [use for use in (score.use(layer, unit) for score in scores) if use.share > 0]
    serves.sort(key=lambda use: -use.share)
    active_share = float(seen.active_share[column])
    why = why_always_on(active_share, scores, layer, unit)
    label = make_label(unit_key(layer, unit), _side(sign, contexts[sign], raised, lowered, direct, column), why, serves)
    return Evidence(
        promotes=raised,
        suppresses=lowered,
        contexts=contexts[1],
        negative_contexts=contexts[-1],
        active_share=active_share,
        always_on=bool(why),
        serves=serves,
        label=label.text,
        rests_on=label.rests_on,
    )


def _tokens(model: Model, ids: Sequence[int], scores: Sequence[float]) -> list[TokenScore]:
    return [TokenScore(token=token_text(model, i), score=score) for i, score in zip(ids, scores, strict=True)]


def _side(
    sign: int,
    contexts: Sequence[Context],
    raised: Sequence[TokenScore],
    lowered: Sequence[TokenScore],
    direct: Direct,
    column: int,
) -> Side:
    """What the unit does when driven with this sign: driven below zero, it raises what it lowers else."""
    up = ([score.token for score in raised], float(direct.raised_z[column]))
    down = ([score.token for score in lowered], float(direct.lowered_z[column]))
    return Side(contexts, *up, *down) if sign > 0 else Side(contexts, *down, *up)
