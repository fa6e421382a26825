"""An estimate as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from math import prod

from basisbench.grid.estimate import Estimate, ModelEstimate

UNKNOWN = "?"
_AXES = {"task": "tasks", "basis": "bases", "method": "methods", "ablation": "ablations", "error": "error treatments",
         "seed": "seeds"}  # fmt: skip


def lines(estimate: Estimate) -> Iterator[str]:
    """What a run would do: cells by model, time, memory, bytes; then what that rests on."""
    models = estimate.models
    rows = [_HEAD, *(_row(estimate, model) for model in models)]
    if len(models) > 1:
        rows.append(_total(estimate))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]
        yield "  ".join(cells).rstrip()
    yield ""
    # models that are asked the same are described together
    for axes, members in groupby(models, lambda model: model.axes):
        alike = list(members)
        counts = {axis: len(names) for axis, names in axes.items()}
        sizes = [f"{counts[axis]} {many if counts[axis] > 1 else axis}" for axis, many in _AXES.items()]
        fewer = ", less what is excluded" if prod(counts.values()) > alike[0].cells else ""
        yield f"{', '.join(model.model for model in alike)}: {' x '.join(sizes)}{fewer}"
        for axis in ("task", "basis", "method"):
            yield f"  {_AXES[axis]}: {', '.join(axes[axis])}"
    yield ""
    yield "Estimates are of the cells that are left, without loading and downloading. They rest on:"
    for note in estimate.notes:
        yield f"- {note}"


_HEAD = ("model", "cells", "done", "failed", "left", "hours", "memory", "results", "downloads")


def _row(estimate: Estimate, model: ModelEstimate) -> tuple[str, ...]:
    seconds = estimate.seconds(model)
    known = model.taken
    return (
        model.model,
        *(f"{count:,}" for count in (model.cells, model.done, model.failed, model.left)),
        UNKNOWN if seconds is None else hours(seconds),
        size(known.memory) if known else UNKNOWN,
        size(model.left * estimate.result_bytes),
        size(known.download) if known else UNKNOWN,
    )


def _total(estimate: Estimate) -> tuple[str, ...]:
    models = estimate.models
    known = [model.taken for model in models if model.taken]
    more = "" if len(known) == len(models) else "+"
    seconds = sum(estimate.seconds(model) or 0.0 for model in models)
    left = sum(model.left for model in models)
    counts = [sum(getattr(model, name) for model in models) for name in ("cells", "done", "failed", "left")]
    return (
        "in all",
        *(f"{count:,}" for count in counts),
        hours(seconds) + more,
        size(max((taken.memory for taken in known), default=0)) + more,
        size(left * estimate.result_bytes),
        size(sum(taken.download for taken in known)) + more,
    )


def hours(seconds: float) -> str:
    """Hours with the digits that an estimate has."""
    taken = seconds / 3600
    return f"{taken:,.0f}" if taken >= 10 else f"{taken:.1f}" if taken >= 1 else f"{taken:.2f}"


def size(n_bytes: int) -> str:
    """Bytes in the unit that reads best."""
    if n_bytes >= 1e9:
        return f"{n_bytes / 1e9:,.1f} GB"
    return f"{n_bytes / 1e6:,.0f} MB" if n_bytes >= 1e6 or not n_bytes else f"{n_bytes / 1e6:.2f} MB"
