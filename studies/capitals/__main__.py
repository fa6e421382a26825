"""The command: `python -m studies.capitals --out results/capitals`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from torch import Tensor

import basisbench
from basisbench.attribution import Request, ask_scores, load_method
from basisbench.bases.basis import Basis
from basisbench.bases.load import load_basis
from basisbench.circuits.ranking import Ranking, rank_nodes
from basisbench.measures.metrics import Floats
from basisbench.models.adapter import Model
from basisbench.progress import silent
from basisbench.prompts.prompt_set import PromptSet
from basisbench.reading import default_texts, read_units
from basisbench.steering.controls import matched_controls
from basisbench.steering.nodes import Nodes, top_nodes
from studies.capitals import recordings, say_a_capital, steering, which_state
from studies.capitals.agreement import agreement
from studies.capitals.recordings import Recordings
from studies.capitals.report import Study, Told, write
from studies.capitals.steering import Swapped
from studies.capitals.which_state import Integers, Selectivity

SIZES = (1, 2, 5, 10, 20, 50, 100)
CIRCUIT = 100
SIGNIFICANT = 0.05
SAID = 20
DRAWS = 5


def main(
    out: Annotated[Path, typer.Option(help="Folder for the report, its figure and its numbers.")] = Path(
        "results/capitals"
    ),
    circuits: Annotated[Path, typer.Option(help="Results that hold the agreement circuits.")] = Path("results/sva"),
    pairs: Annotated[int, typer.Option(help="Pairs that are steered.")] = 30,
    seed: Annotated[int, typer.Option(help="Seed of pairs, controls and resamples.")] = 0,
) -> None:
    """Run the study on the embedded model and write its report."""
    began = time.perf_counter()
    typer.echo("loading the model")
    model, _ = basisbench.load_model()
    basis = load_basis("neurons", model)
    found = recordings.discovery(model, 32, seed)
    steered = recordings.evaluation(model, pairs, seed, found)
    recorded = recordings.record_prompts(model, basis)
    typer.echo(f"{len(recorded.states)} prompts about {len(set(recorded.states))} states")
    scores = ask_scores(load_method("relp"), Request(model, found, [basis], seed))["neurons"]
    ranking = rank_nodes(scores, basis, error="remove")
    city, last = (found.slot_names.index(name) for name in (recordings.CITY, recorded.last_slot))
    at_city, at_end = _at(ranking, city), _at(ranking, last)
    typer.echo("which state")
    told, tests = {}, []
    places = {"the city's last token": (at_city, recorded.at_city), "the prompt's end": (at_end, recorded.at_end)}
    for place, (nodes, activations) in places.items():
        tests.append(_selectivity(recorded, nodes.first(CIRCUIT), activations, seed))
        told[place] = _told(model, found, basis, recorded, nodes.first(CIRCUIT), activations, tests[-1], seed)
    typer.echo("say a capital")
    spoken = say_a_capital.contributions(model, basis, steered, recorded.at_end)
    speakers = spoken.ranked()
    say = Nodes.of((layer, last, unit) for layer, unit, _ in speakers[:SAID])
    state = _chosen(at_city.first(CIRCUIT), tests[0].p < SIGNIFICANT)
    sets = {
        f"which state ({len(state)} neurons at the city)": state,
        f"say a capital ({SAID} neurons at the end)": say,
        f"circuit ({CIRCUIT} nodes anywhere)": top_nodes(ranking, CIRCUIT),
    }
    doses, swaps = {}, {}
    for name, nodes in sets.items():
        typer.echo(f"steering: {name}")
        doses[name] = steering.doses(model, basis, steered, nodes, seed)
    swapped = {
        "which state": state,
        **{f"circuit, first {k} at the city": at_city.first(k) for k in (10, 100, 1000)},
        **{f"circuit, first {k} anywhere": top_nodes(ranking, k) for k in (100, 1000)},
    }
    for name, nodes in swapped.items():
        typer.echo(f"swapping: {name}")
        swaps[name] = steering.swaps(model, basis, steered, nodes, seed)
    everything = steering.everything_at(basis, city)
    swaps["every neuron at the city"] = steering.swaps(model, basis, steered, everything, seed, controlled=False)
    typer.echo("swapping states")
    one_hop, known = recordings.known_states(model)
    state_swaps = _state_swaps(model, basis, one_hop, known, seed)
    typer.echo("agreement")
    agreed = agreement(model, basis, circuits, silent)
    study = Study(
        n_prompts=len(recorded.states),
        n_states=len(set(recorded.states)),
        discovery=str(found.usage),
        evaluation=str(steered.usage),
        slots=_slots(ranking, found),
        told=told,
        half=spoken.half(),
        speakers=speakers[:SAID],
        doses=doses,
        swaps=swaps,
        n_known=known.n_prompts,
        state_swaps=state_swaps,
        agreement=agreed,
        labels=_labels(model, basis, {"which state": state.first(10), "say a capital": say.first(10)}),
        seconds=time.perf_counter() - began,
    )
    for path in write(study, out):
        typer.echo(f"written: {path}")


def _selectivity(recorded: Recordings, nodes: Nodes, activations: Tensor, seed: int) -> Selectivity:
    """Test the nodes on the states that have two cities or more."""
    values, group = _grouped(recorded, activations)
    return which_state.selectivity(which_state.columns(values, _units(nodes)), group, seed)


def _grouped(recorded: Recordings, activations: Tensor) -> tuple[Floats, Integers]:
    """The prompts about states that have another city: activations [P, layers, units] and the states' numbers [P]."""
    kept = which_state.with_others(recorded.state_numbers)
    group = np.unique(recorded.state_numbers[kept], return_inverse=True)[1].astype(np.int64)
    return activations[kept].double().numpy(), group


def _told(
    model: Model,
    found: PromptSet,
    basis: Basis,
    recorded: Recordings,
    nodes: Nodes,
    activations: Tensor,
    tested: Selectivity,
    seed: int,
) -> Told:
    values, group = _grouped(recorded, activations)

    def of(some: Nodes) -> Floats:
        return which_state.columns(values, _units(some))

    controls = matched_controls(model, found, basis, nodes, "active", draws=DRAWS, seed=seed).sets
    others = [_selectivity(recorded, some, activations, seed) for some in controls]
    return Told(
        tested=len(nodes),
        selective=int((tested.p < SIGNIFICANT).sum()),
        control_selective=float(np.mean([(test.p < SIGNIFICANT).sum() for test in others])),
        eta2=np.sort(tested.eta2)[::-1].tolist(),
        eta2_null=float(tested.null.mean()),
        by={k: which_state.accuracy(of(nodes.first(k)), group, seed) for k in SIZES},
        controls={k: float(np.mean([which_state.told(of(c.first(k)), group) for c in controls])) for k in SIZES},
        all=which_state.accuracy(values.reshape(len(values), -1), group, seed),
    )


def _state_swaps(model: Model, basis: Basis, found: PromptSet, known: PromptSet, seed: int) -> dict[str, Swapped]:
    """Swaps between all states that the model knows: nodes of the one-hop circuit, and all neurons at the state."""
    scores = ask_scores(load_method("relp"), Request(model, found, [basis], seed))["neurons"]
    ranking = rank_nodes(scores, basis, error="remove")
    swapped = {}
    for count in (100, 1000):
        nodes = top_nodes(ranking, count)
        swapped[f"circuit, first {count} anywhere"] = steering.swaps(model, basis, known, nodes, seed, None)
    everything = steering.everything_at(basis, known.slot_names.index("state"))
    swapped["every neuron at the state"] = steering.swaps(model, basis, known, everything, seed, None, controlled=False)
    return swapped


def _at(ranking: Ranking, slot: int) -> Nodes:
    """All ranked units of one slot, in their order."""
    here = (ranking.slot == slot) & ~ranking.is_error
    return Nodes(ranking.layer[here], ranking.slot[here], ranking.unit[here])


def _units(nodes: Nodes) -> list[tuple[int, int]]:
    return [(layer, unit) for layer, _, unit in nodes.rows]


def _chosen(nodes: Nodes, mask: np.ndarray) -> Nodes:
    return Nodes.of(row for row, chosen in zip(nodes.rows, mask.tolist(), strict=True) if chosen)


def _slots(ranking: Ranking, prompts: PromptSet) -> dict[str, int]:
    """How many of the first CIRCUIT nodes stand in each slot, the most first."""
    slots, counts = np.unique(ranking.slot[:CIRCUIT].numpy(), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {prompts.slot_names[slots[i]]: int(counts[i]) for i in order}


def _labels(model: Model, basis: Basis, sets: Mapping[str, Nodes]) -> dict[str, list[tuple[str, str, str]]]:
    """(layer:unit, label, what it rests on) of each set's units, in the sign of their largest |activation| in text."""
    texts = default_texts()
    found = {}
    for name, nodes in sets.items():
        evidence = read_units(model, basis, _units(nodes), texts)
        found[name] = [(key, one.label, one.rests_on) for key, one in evidence.items()]
    return found


if __name__ == "__main__":
    typer.run(main)
