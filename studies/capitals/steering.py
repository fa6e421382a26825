"""What steering sets of nodes does to the two-hop answer: doses, swaps, controls, side effects.

Probabilities are of the next token after the prompt: the answer's (the capital), the foil's, the state's and the
city's first token, and of any capital's and any state's first token together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from basisbench.bases.basis import Basis
from basisbench.measures.resampling import Band, resampled
from basisbench.models.adapter import Model
from basisbench.prompts.prompt_set import PromptSet
from basisbench.steering.controls import matched_controls
from basisbench.steering.intervene import Condition, Multiply, prepare, run
from basisbench.steering.nodes import Nodes
from basisbench.steering.outcomes import outcomes_of
from basisbench.steering.side_effects import side_effect
from basisbench.steering.swap import difference_band, swap
from basisbench.tasks.load import load_task
from studies.capitals.recordings import TASK
from studies.capitals.say_a_capital import name_tokens

DOSES = (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 4.0)
DRAWS = 5
SWAPS = 300


@dataclass(frozen=True)
class Doses:
    """Means over pairs at each dose with 95 % intervals: `bands` by what is measured, `controls` the same of the mean
    over DRAWS equally active sets, `kl` nats a token on unrelated text.
    """

    doses: tuple[float, ...]
    bands: Mapping[str, Band]
    controls: Mapping[str, Band]
    kl: Band


@dataclass(frozen=True)
class Swapped:
    """How often the donor's answer becomes the first of all capitals: of the nodes, of controls, and the difference."""

    n_nodes: int
    n_pairs: int
    success: Band
    kept: Band
    controls: float
    difference: Band


def doses(model: Model, basis: Basis, prompts: PromptSet, nodes: Nodes, seed: int) -> Doses:
    """Multiply the nodes, and as many equally active others, and follow the probabilities."""
    controls = matched_controls(model, prompts, basis, nodes, "active", draws=DRAWS, seed=seed)
    bench = prepare(model, prompts, basis, [nodes, *controls.sets])
    sets = (nodes, *controls.sets)
    hidden = run(bench, [Condition(some, Multiply(dose)) for some in sets for dose in DOSES])
    measured = _measured(model, prompts, hidden)
    own = {name: values[: len(DOSES)] for name, values in measured.items()}
    others = {name: values[len(DOSES) :].reshape(DRAWS, len(DOSES), -1).mean(0) for name, values in measured.items()}

    def bands(values: Mapping[str, np.ndarray]) -> dict[str, Band]:
        return resampled(
            lambda weights: {name: rows @ weights.T for name, rows in values.items()}, prompts.n_pairs, seed
        )

    kl = side_effect(model, basis, nodes, [Multiply(dose) for dose in DOSES])
    return Doses(DOSES, bands(own), bands(others), kl.band(seed))


def _measured(model: Model, prompts: PromptSet, hidden: Tensor) -> dict[str, np.ndarray]:
    """Probabilities [conditions, pairs] by name, from last hidden states [conditions, prompts, d_model]."""
    outcomes = outcomes_of(model, prompts, load_task(TASK))
    single = {"answer": prompts.first_answer[:, 0], "foil": prompts.foil.tokens[:, 0]}
    single |= {"state": outcomes["city_state"], "city": outcomes["city"]}
    capitals, states = name_tokens(model)
    found: dict[str, list[Tensor]] = {name: [] for name in (*single, "any capital", "any state", "answer over foil")}
    for point in hidden:
        with torch.no_grad():
            said = model.logits(point).softmax(-1)[prompts.pair_prompt]
        for name, tokens in single.items():
            found[name].append(said.gather(1, tokens.clamp(min=0)[:, None])[:, 0] * (tokens >= 0))
        found["any capital"].append(said[:, capitals].sum(1))
        found["any state"].append(said[:, states].sum(1))
        found["answer over foil"].append((found["answer"][-1] > found["foil"][-1]).float())
    return {name: torch.stack(values).double().numpy() for name, values in found.items()}


def swaps(
    model: Model,
    basis: Basis,
    prompts: PromptSet,
    nodes: Nodes,
    seed: int,
    most: int | None = SWAPS,
    *,
    controlled: bool = True,
) -> Swapped:
    """Transplant the nodes between prompts of different answers: all ordered pairs of them, or `most` drawn ones."""
    own = swap(model, prompts, basis, nodes, most=most, seed=seed)
    others = []
    if controlled:
        drawn: Sequence[Nodes] = matched_controls(model, prompts, basis, nodes, "active", draws=2, seed=seed).sets
        others = [swap(model, prompts, basis, some, most=most, seed=seed) for some in drawn]
    bands = own.bands(seed)
    return Swapped(
        len(nodes),
        len(own.recipient),
        bands["success"],
        bands["kept"],
        float(np.mean([other.outcome["success"].mean() for other in others])) if others else float("nan"),
        difference_band(own, others, "success", seed) if others else bands["success"],
    )


def everything_at(basis: Basis, slot: int) -> Nodes:
    """Every unit of the basis at one slot: the most that a swap there can do."""
    return Nodes.of((layer, slot, unit) for layer in basis.layers() for unit in range(basis.n_units(layer)))
