"""What `basisbench steer` is asked to do, checked before anything is computed."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from basisbench.errors import UserError
from basisbench.settings import EMBEDDED, Dtype, Name, Names, split_line
from basisbench.steering.board import SIZES
from basisbench.steering.controls import DRAWS
from basisbench.steering.dose import DOSES
from basisbench.values import Count, Positions, Rank, Size

Finite = Annotated[float, Field(allow_inf_nan=False)]
Doses = Annotated[
    list[Finite], Field(min_length=1), BeforeValidator(split_line), AfterValidator(lambda doses: sorted(set(doses)))
]
Sizes = Annotated[
    list[Size], Field(min_length=1), BeforeValidator(split_line), AfterValidator(lambda sizes: sorted(set(sizes)))
]


class SteerConfig(BaseModel):
    """How nodes are chosen, what is done to them, and on which prompts.

    `nodes` is a number (the first of the ranking of `method` on the discovery pairs) or a list as
    `basisbench.steering.nodes.parse_nodes` reads it; `groups` is ``trace.json#NAME`` instead. `values` are set in place
    of `multipliers`. With `positions` pooled, units are steered at every position.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Name = EMBEDDED
    task: Name = "capitals/two_hop"
    bases: Names = ["neurons"]
    nodes: Name = "50"
    groups: Name | None = None
    multipliers: Doses = list(DOSES)
    values: Doses | None = None
    swap: bool = False
    board: bool = False
    sizes: Sizes = list(SIZES)
    positions: Positions = "kept"
    rank: Rank = "abs"
    method: Name = "relp"
    split: Literal["discovery", "evaluation", "heldout", "heldout_templates"] = "evaluation"
    require_correct: bool = False
    n_discovery: Size = 32
    pairs: Size = 20
    swaps: Size | None = None
    draws: Size = DRAWS
    seed: Count = 0
    dtype: Dtype = "float32"
    device: str = "auto"

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
