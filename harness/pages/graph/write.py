"""What a trace leaves: a folder of files, and a summary for the terminal."""

from __future__ import annotations

import json
import re
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from basisbench.cache import write_atomically
from basisbench.errors import printable
from basisbench.pages.graph import trace_page
from basisbench.reading.evidence import unit_key
from basisbench.tracing.document import TraceDocument
from basisbench.tracing.export import graphml, node_label, viewer_json

SHOWN_NODES = 15


def write_trace(document: TraceDocument, folder: Path, page: Path | None = None) -> dict[str, Path]:
    """Write the trace, its exports and its page, and return their paths by what they are.

    Raises UserError where a file cannot be written.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", document.title.lower()).strip("-")[:60] or "trace"
    page = page or folder / "graph.html"
    written = {
        "trace": folder / "trace.json",
        "viewer": folder / "viewer.json",
        "graphml": folder / "graph.graphml",
        "page": page,
    }
    write_atomically(written["trace"], document.model_dump_json().encode() + b"\n")
    write_atomically(written["viewer"], json.dumps(viewer_json(document, slug), allow_nan=False).encode() + b"\n")
    write_atomically(written["graphml"], graphml(document))
    write_atomically(page, trace_page(document).encode())
    return written


def summary(document: TraceDocument) -> RenderableType:
    """The nodes of most influence, the groups, and what is kept, for the terminal."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name, justify in (("layer", "right"), ("at", "left"), ("unit", "right"), ("share", "right"), ("", "left")):
        table.add_column(name, justify="right" if justify == "right" else "left", no_wrap=name != "")
    units = [node for node in document.nodes if node.kind in ("unit", "error")]
    metric = document.asked.metric
    for node in sorted(units, key=lambda node: -abs(node.attribution))[:SHOWN_NODES]:
        evidence = document.evidence.get(unit_key(node.layer, node.unit)) if node.kind == "unit" else None
        about = f"{evidence.label} ({evidence.rests_on})" if evidence else node_label(document, node)
        table.add_row(
            str(node.layer),
            Text(printable(document.tokens[node.position])),
            str(node.unit) if node.kind == "unit" else "error",
            f"{node.attribution / metric:.1%}" if metric else "-",
            Text(printable(about)),
        )
    kinds = [node.kind for node in document.nodes]
    counts = f"{kinds.count('unit')} units of {document.traced} traced, {kinds.count('error')} errors"
    edges = f"{len(document.edges.source):,} edges keep {document.kept:.0%} of the influence"
    lines = [
        f"{document.chosen}; {counts} and {edges}",
        f"{document.asked.metric_name} {document.asked.metric:.3f}; units and embeddings bring "
        f"{document.explained:.0%} of what enters the traced nodes, errors and other units the rest",
    ]
    groups = document.groups
    if groups:
        lines.append(f"groups ({groups.criterion}; stability {groups.stability:.2f}):")
        lines += [
            f"  {len(group.nodes)} nodes, {group.attribution:+.2f}, stability {group.stability:.2f}: {group.name}"
            for group in groups.groups
        ]
    return Group(table, *(Text(printable(line)) for line in lines))
