"""A trace on disk: one JSON document that holds a graph, what it was traced from, and the evidence on its nodes.

It is what the page draws, what `basisbench trace` writes as ``trace.json``, and what the exports are made from. A file
found on disk is untrusted: its schema is checked, its size is limited, and no text in it is more than a text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from basisbench.errors import UserError, first_fault, printable
from basisbench.reading.evidence import Evidence, Share, Text, Token, UnitKey
from basisbench.results.schema import Environment
from basisbench.tracing.nodes import NodeKind
from basisbench.values import Count, Line, Record, Size

MAX_BYTES = 256 * 2**20
Index = Annotated[int, Field(ge=-1, le=2**53)]


class GroupRecord(Record):
    """Nodes whose attributions rise and fall together over prompts: `nodes` are indices into the trace's nodes.

    `stability` is the mean Jaccard overlap of the group with its best match over resampled prompts. `rests_on` says
    what the name was made of.
    """

    name: Line
    nodes: list[Count]
    stability: Share
    attribution: float
    rests_on: Line


class Groups(Record):
    """How nodes were grouped, in a line, and the groups."""

    criterion: Line
    stability: Share
    groups: list[GroupRecord]


class NodeRecord(Record):
    """A node of the graph (`basisbench.tracing.nodes.Node`, `basisbench.tracing.graph.Graph`).

    `position` is an index into the trace's `tokens`, -1 for the bias and for a task's logit. `attribution` is the
    node's share of the metric, in the metric's unit; `influence` is direct and indirect, of all that enters the logits.
    """

    kind: NodeKind
    layer: Index
    position: Index
    unit: Index
    activation: float
    attribution: float
    influence: float
    direct: float


class EdgeColumns(Record):
    """Edges as columns of one length: indices into the nodes, and `basisbench.tracing.graph.Edges`' numbers."""

    source: list[Count]
    target: list[Count]
    weight: list[float]
    attribution: list[float]
    share: list[Share]

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if len({len(column) for column in (self.source, self.target, self.weight, self.attribution, self.share)}) > 1:
            raise ValueError("edges: columns of one length")
        return self


class Asked(Record):
    """What the graph explains: of a prompt, answer and foil with the model's probabilities; of a task, its metric."""

    prompt: Text | None
    task: Line | None
    n_pairs: Size
    answer: Token | None
    foil: Token | None
    answer_probability: Share | None
    foil_probability: Share | None
    metric_name: Line
    metric: float


class TraceDocument(Record):
    """The whole document. `tokens` are a prompt's tokens, or a task's slots.

    `chosen` says in words how nodes were chosen, `traced` how many units were traced. `explained` is the share of what
    enters the traced nodes, weighted by their influence, that units and embeddings bring (`influence.explained`);
    `kept` the share of the traced graph's influence that pruning left. `evidence` is keyed by ``layer:unit``;
    `evidence_text` names the text that contexts were looked for in.
    """

    schema_version: Literal[1] = 1
    title: Line
    model: Line
    n_layers: Size
    basis: Line
    method: Line
    asked: Asked
    tokens: list[Token]
    chosen: Line
    traced: Count
    explained: Share
    kept: Share
    gap: float
    nodes: list[NodeRecord]
    edges: EdgeColumns
    groups: Groups | None
    evidence: dict[UnitKey, Evidence]
    evidence_text: Line
    environment: Environment

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(node.position >= len(self.tokens) or node.layer > self.n_layers for node in self.nodes):
            raise ValueError("nodes: positions below the number of tokens, layers up to the model's")
        indices = [*self.edges.source, *self.edges.target]
        indices += [index for group in (self.groups.groups if self.groups else []) for index in group.nodes]
        if max(indices, default=-1) >= len(self.nodes):
            raise ValueError("edges and groups: indices of nodes")
        return self


def read_trace(path: Path) -> TraceDocument:
    """Return the trace in a JSON file; raises UserError, one line, for anything else."""
    try:
        if not path.is_file():
            raise UserError(f"no file {path}: valid is the trace.json that `basisbench trace` wrote")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise UserError(f"{path} has {size:,} bytes: valid is at most {MAX_BYTES:,}")
        return TraceDocument.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        raise UserError(printable(f"{path} is not a trace: {first_fault(error)}")) from error
