"""What is known of a unit: the records that tracing keeps and pages show."""

from typing import Annotated

from pydantic import Field, StringConstraints

from basisbench.values import Count, Line, Record

Text = Annotated[str, StringConstraints(max_length=100_000)]
Token = Annotated[str, StringConstraints(max_length=500)]
UnitKey = Annotated[str, StringConstraints(pattern=r"^\d{1,9}:\d{1,12}$")]
Share = Annotated[float, Field(ge=0, le=1)]


class TokenScore(Record):
    """A token of the vocabulary, and what a unit adds to its logit for each 1 of activation, on the direct path."""

    token: Token
    score: float


class Context(Record):
    """A stretch of text: `activation` is a unit's at token number `at` of `tokens`; `source` names the text."""

    tokens: list[Token]
    at: Count
    activation: float
    source: Line


class TaskUse(Record):
    """How much a unit serves a task: its |attribution| as a share of all units' there, and at which slot most."""

    task: Line
    share: Share
    slot: Line


class Evidence(Record):
    """What is known of a unit, and the label made of it.

    `promotes` and `suppresses`: tokens whose logits an activation of 1 raises and lowers most by the direct path.
    `contexts`: where the unit's activation is largest, `negative_contexts`: where it is most negative (empty for units
    that are never negative). `active_share`: the share of the text's tokens at which |activation| is at least a tenth
    of its largest. `label` is made of the evidence alone, and `rests_on` says of which part.
    """

    promotes: list[TokenScore]
    suppresses: list[TokenScore]
    contexts: list[Context]
    negative_contexts: list[Context]
    active_share: Share
    always_on: bool
    serves: list[TaskUse]
    label: Line
    rests_on: Line


def unit_key(layer: int, unit: int) -> str:
    """The key of a unit in `TraceDocument.evidence`."""
    return f"{layer}:{unit}"
