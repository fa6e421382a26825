"""What `run --dry-run` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import prod

from basisbench.bases.outlines import Outline
from basisbench.grid.hours import Hours
from basisbench.grid.outlook import Bytes, ModelOutlook, Outlook
from basisbench.models.sites import layer_ranges

UNKNOWN = "?"
HEAD = ("model", "cells", "done", "failed", "left", "hours", "results", "downloads")
AXES = {"task": "tasks", "basis": "bases", "method": "methods", "ablation": "ablations", "error": "error treatments",
        "seed": "seeds"}  # fmt: skip


def lines(outlook: Outlook) -> Iterator[str]:
    """Cells, hours and bytes by model; then what is asked of each; then what that rests on and what is not known."""
    models = outlook.models
    rows = [HEAD, *(_row(outlook, model.model, [model]) for model in models)]
    if len(models) > 1:
        rows.append(_row(outlook, "in all", models))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]
        yield "  ".join(cells).rstrip()
    yield ""
    # models that are asked the same are described together
    for (axes, outlines), members in groupby(models, lambda model: (model.axes, model.outlines)):
        alike = list(members)
        counts = {axis: len(names) for axis, names in axes.items()}
        sizes = [f"{counts[axis]} {many if counts[axis] > 1 else axis}" for axis, many in AXES.items()]
        fewer = ", less what is excluded" if prod(counts.values()) > alike[0].cells else ""
        yield f"{', '.join(model.model for model in alike)}: {' x '.join(sizes)}{fewer}"
        for axis in ("task", "method"):
            yield f"  {AXES[axis]}: {', '.join(axes[axis])}"
        for name, outline in outlines.items():
            yield f"  {name}: {_made_of(outline)}"
    yield ""
    for model in models:
        if model.left:
            yield f"hours of {model.model}: {_rests_on(model.hours, len(model.left))}"
    for name in outlook.unread:
        yield f"{name}: not looked into, since its code would be run"
    if any(model.download.known for model in models):
        yield "downloads: dictionaries at 4 bytes a weight, even those that the hub cache holds; models as published"


def _row(outlook: Outlook, name: str, models: Sequence[ModelOutlook]) -> tuple[str, ...]:
    left = sum(len(model.left) for model in models)
    counts = [sum(getattr(model, axis) for model in models) for axis in ("cells", "done", "failed")]
    known = [model.hours.seconds for model in models if model.hours]
    more = "" if all(model.hours or not model.left for model in models) else "+"
    download = Bytes(sum(m.download.known for m in models), all(m.download.all for m in models))
    return (
        name,
        *(f"{count:,}" for count in (*counts, left)),
        hours(sum(known)) + more if known or not more else UNKNOWN,
        size(Bytes(left * outlook.result_bytes)),
        size(download),
    )


def _made_of(outline: Outline) -> str:
    """A basis in a few words."""
    layers = UNKNOWN if outline.layers is None else f"{len(outline.layers)} ({layer_ranges(outline.layers)})"
    units = UNKNOWN if outline.n_units is None else f"{outline.n_units:,}"
    sites = " to ".join(dict.fromkeys(site for site in (outline.reads, outline.writes) if site))
    weights = Bytes(outline.n_bytes or 0, all=outline.n_bytes is not None)
    about = f"layers {layers}, {units} units each, {sites or UNKNOWN}"
    return about if outline.n_bytes == 0 else f"{about}, {size(weights)} of weights"


def _rests_on(found: Hours | None, left: int) -> str:
    if found is None:
        return "no cell of these settings is done in the folder; --time-one computes one and multiplies"
    cells = "1 computed cell" if found.timed == 1 else f"{found.timed:,} computed cells"
    return (
        f"of one process, from {cells} ({'; '.join(found.devices)}); "
        f"{found.alike:,} of the {left:,} left have one of their method and basis among them"
    )


def hours(seconds: float) -> str:
    """Hours with the digits that such a number has."""
    taken = seconds / 3600
    return f"{taken:,.0f}" if taken >= 10 else f"{taken:.1f}" if taken >= 1 else f"{taken:.2f}"


def size(n: Bytes) -> str:
    """Bytes in the unit that reads best."""
    if not n.known:
        return "0 MB" if n.all else UNKNOWN
    if n.known >= 1e9:
        words = f"{n.known / 1e9:,.1f} GB"
    else:
        words = f"{n.known / 1e6:,.0f} MB" if n.known >= 1e6 else f"{n.known / 1e6:.2f} MB"
    return words if n.all else f"{words}+"
