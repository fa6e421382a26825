"""What an attribution method is: it says everything about itself, and scores nodes from discovery pairs.

A method is asked for any number of bases at once, so that what they share (passes, recordings, gradient fields) is
computed once. It answers for each with a score a node, from which circuits of every size follow, or with circuits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from torch import Tensor

from basisbench.bases.basis import Basis
from basisbench.circuits.ablation import Ablation
from basisbench.circuits.circuit import Circuits
from basisbench.circuits.ranking import count_nodes
from basisbench.circuits.scores import Scores
from basisbench.models.adapter import Model
from basisbench.progress import Progress, silent
from basisbench.prompts.prompt_set import PromptSet
from basisbench.registry import Registry
from basisbench.values import ErrorTreatment, Positions


@dataclass(frozen=True)
class Passes:
    """What a part of a method costs: forward and backward passes over the discovery pairs.

    `per` says how often: once for all bases together, for each field site (a layer of a kind of site, as a rule), each
    basis, or each node of a basis. A pass that begins at a later layer counts as the share that is left.
    """

    forward: float = 0.0
    backward: float = 0.0
    per: Literal["run", "site", "basis", "node"] = "run"


@dataclass(frozen=True)
class Request:
    """What is asked of a method: to score the nodes of some bases, knowing discovery pairs alone.

    `sizes` are those at which circuits will be measured, `positions` whether a node stands at one slot or at all.
    `ablation` and `error` are those of the evaluation, or None: a method that does not need them is asked once for
    all. `task` names the pairs' task where it is known.
    """

    model: Model
    prompts: PromptSet
    bases: Sequence[Basis]
    seed: int = 0
    sizes: Sequence[int] = ()
    positions: Positions = "kept"
    ablation: Ablation | None = None
    error: ErrorTreatment | None = None
    task: str = ""
    progress: Progress = silent

    def n_nodes(self, basis: Basis) -> int:
        """How many nodes of a basis there are to choose from."""
        return count_nodes(basis, self.prompts.n_slots, self.positions, self.error or "score")


class Method(ABC):
    """An attribution method, and all that others need to know of it.

    `name` is what results call it: the name it was asked for by, unless it gives itself one. `description` is a line.
    `is_control` marks one that shows what chance or magnitude alone gives: it is never the best of a board.
    `needs_ablation` is for one whose answer depends on the evaluation's ablation and treatment of errors: it is asked
    once for each. `passes` are its costs. `identity` holds hashes of what decides its scores beside its name; results
    record them.
    """

    name: str = ""
    description: str = ""
    is_control: bool = False
    needs_ablation: bool = False
    passes: Sequence[Passes] = ()
    identity: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def score(self, request: Request) -> Mapping[str, Scores | Circuits]:
        """Return for each basis, by name, the scores of all its nodes, or circuits for all sizes that are asked for.

        Only a method that `needs_ablation` may give circuits. Called through `attribution.ask`, which checks it.
        """


MethodFactory = Callable[..., Method]
"""Takes nothing; one that can be named ``name:option`` takes `option`."""
METHODS: Registry[MethodFactory] = Registry("method", "basisbench.methods")


def add_up(parts: Iterable[tuple[str, int, Tensor]]) -> dict[str, Scores]:
    """Scores from parts (basis, layer, [n_slots, nodes]), such as those of chunks of prompts: they are summed."""
    totals: dict[str, dict[int, Tensor]] = {}
    for basis, layer, part in parts:
        sums = totals.setdefault(basis, {})
        sums[layer] = sums[layer] + part if layer in sums else part
    return {name: Scores(name, dict(sorted(sums.items()))) for name, sums in totals.items()}
