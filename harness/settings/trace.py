"""What `basisbench trace` is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Self

from pydantic import Field, model_validator

from basisbench.errors import UserError
from basisbench.settings.common import (
    BASIS,
    METHOD,
    N_DISCOVERY,
    REQUIRE_CORRECT,
    SEED,
    SERVES,
    TASK,
    TEXT,
    TEXT_TOKENS,
    ModelConfig,
    Name,
    Names,
)
from basisbench.settings.setting import Setting
from basisbench.values import Count, Size

MOST_NODES = 2_000
DEFAULT_NODES = 200
Part = Annotated[float, Field(gt=0, le=1)]
PART = "above 0, at most 1"


class TraceConfig(ModelConfig):
    """What is traced, and how: a prompt, with answer and foil or the top token, or a task's discovery pairs.

    Nodes are the first `nodes` of the ranking, or all whose |share| is at least `threshold` of the metric (at most
    MOST_NODES). `keep` is the share of influence that pruning leaves. `apart` leaves always-on units out of the choice.
    `text` names what contexts are looked for in, at most `text_tokens` of it; `serves` the tasks whose use of a unit is
    measured.
    """

    prompt: Annotated[str | None, Setting("The text to explain the next token of")] = None
    answer: Annotated[str | None, Setting("Its next word", default="the model's top token")] = None
    foil: Annotated[str | None, Setting("The word that the answer is compared with")] = None
    task: Annotated[Name | None, replace(TASK, help="A task instead of a prompt")] = None
    basis: Annotated[Name, BASIS] = "neurons"
    method: Annotated[Name, replace(METHOD, valid="relp, atp; of a task any method")] = "relp"
    nodes: Annotated[Size | None, Setting("Trace so many units", default=str(DEFAULT_NODES))] = None
    threshold: Annotated[Part | None, Setting("Trace units with this share of the metric, or more", valid=PART)] = None
    keep: Annotated[Part, Setting("Share of influence that pruning leaves", valid=PART)] = 0.8
    n_discovery: Annotated[Size, replace(N_DISCOVERY, help="Discovery pairs of a task")] = 16
    seed: Annotated[Count, SEED] = 0
    require_correct: Annotated[bool, REQUIRE_CORRECT] = False
    apart: Annotated[bool, Setting("Choose no units that are always on")] = False
    evidence: Annotated[bool, Setting("Read units, and label them")] = True
    text: Annotated[Names | None, replace(TEXT, default="what ships with the program")] = None
    text_tokens: Annotated[Size, TEXT_TOKENS] = 20_000
    serves: Annotated[Names | None, replace(SERVES, default="the task traced")] = None

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        if (self.prompt is None) == (self.task is None):
            raise UserError('what to trace? valid: basisbench trace "PROMPT", or --task NAME')
        if self.task is not None and (self.answer is not None or self.foil is not None):
            raise UserError("a task brings its own answers: valid: --answer and --foil with a prompt")
        if self.nodes is not None and self.threshold is not None:
            raise UserError("--nodes and --threshold both choose nodes: valid is one of them")
        return self
