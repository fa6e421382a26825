"""What `basisbench steer` is asked to do, checked before anything is computed."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from basisbench.errors import UserError
from basisbench.settings.common import (
    BASES,
    METHOD,
    N_DISCOVERY,
    N_EVALUATION,
    POSITIONS,
    RANK,
    REQUIRE_CORRECT,
    SEED,
    SPLIT,
    TASK,
    ModelConfig,
    Name,
    Names,
    Sizes,
    split_line,
)
from basisbench.settings.setting import Setting
from basisbench.values import Count, Positions, Rank, Size, Split

DOSES = (-4.0, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
DRAWS = 5
Finite = Annotated[float, Field(allow_inf_nan=False)]
Doses = Annotated[
    list[Finite], Field(min_length=1), BeforeValidator(split_line), AfterValidator(lambda doses: sorted(set(doses)))
]


class SteerConfig(ModelConfig):
    """How nodes are chosen, what is done to them, and on which prompts.

    `nodes` is a number (the first of the ranking of `method` on the discovery pairs) or a list as
    `basisbench.steering.nodes.parse_nodes` reads it; `groups` is ``trace.json#NAME`` instead. `values` are set in place
    of `multipliers`. With `positions` pooled, units are steered at every position.
    """

    task: Annotated[Name, TASK] = "capitals/two_hop"
    bases: Annotated[Names, BASES] = Field(default=["neurons"])
    nodes: Annotated[
        Name, Setting("Nodes to steer", valid="how many of the ranking, or LAYER:UNIT@SLOT,LAYER:UNIT,...")
    ] = "50"
    groups: Annotated[Name | None, Setting("A group of a trace instead", valid="trace.json#NAME")] = None
    multipliers: Annotated[Doses, Setting("Factors", valid="numbers; --multipliers=-1,0 if the first is negative")] = (
        Field(default=list(DOSES))
    )
    values: Annotated[Doses | None, Setting("Values to set, instead of factors")] = None
    swap: Annotated[bool, Setting("Put each prompt's activations into each other prompt too")] = False
    swaps: Annotated[Size | None, Setting("Ordered pairs to swap, at most", default="all; on a board 100")] = None
    board: Annotated[bool, Setting("Compare the bases by the nodes that steering takes")] = False
    sizes: Annotated[Sizes, Setting("Numbers of nodes on the board")] = Field(default=list(SIZES))
    positions: Annotated[Positions, POSITIONS] = "kept"
    rank: Annotated[Rank, RANK] = "abs"
    method: Annotated[Name, METHOD] = "relp"
    split: Annotated[Split, SPLIT] = "evaluation"
    require_correct: Annotated[bool, REQUIRE_CORRECT] = False
    n_discovery: Annotated[Size, N_DISCOVERY] = 32
    n_evaluation: Annotated[Size, N_EVALUATION] = 20
    draws: Annotated[Size, Setting("Control sets of each kind")] = DRAWS
    seed: Annotated[Count, SEED] = 0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.counted and len(self.bases) > 1:
            raise UserError("nodes are of one basis, and several are named: valid is one basis, or a number of nodes")
        if self.board and not self.counted:
            raise UserError("a board takes the first nodes of a ranking: valid is a number of nodes, and no group")
        return self

    @property
    def counted(self) -> bool:
        """Whether nodes are the first of a ranking."""
        return self.groups is None and self.nodes.isdecimal()
