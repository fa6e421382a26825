"""The command: `python -m studies.capitals --out results/capitals`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import harness
from harness.attribution import load_method, silent
from harness.bases import Basis, load_basis
from harness.circuits import Ranking, rank_nodes
from harness.models.adapter import Model
from harness.prompts import PromptSet
from harness.reading import default_texts, read_units
from harness.steering.controls import matched_controls
from harness.steering.nodes import Nodes, top_nodes
from studies.capitals import recordings, say_a_capital, steering, which_state
from studies.capitals.agreement import agreement
from studies.capitals.report import Study, write

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
    model, _ = harness.load_model()
    basis = load_basis("neurons", model)
    found = recordings.discovery(model, 32, seed)
    steered = recordings.evaluation(model, pairs, seed, found)
    recorded = recordings.record_prompts(model, basis)
    typer.echo(f"{len(recorded.states)} prompts about {len(set(recorded.states))} states")
    scores = load_method("relp")(model, found, [basis], seed=seed, progress=silent)["neurons"]
    ranking = rank_nodes(scores, basis, error="remove")
    city, last = (found.slot_names.index(name) for name in (recordings.CITY, recorded.last_slot))
    at_city = _at(ranking, city)
    typer.echo("which state")
    kept = which_state.with_others(recorded.state_numbers)
    group = np.unique(recorded.state_numbers[kept], return_inverse=True)[1]
    values = recorded.at_city[kept].double().numpy()
    circuit = at_city.first(CIRCUIT)
    tested = which_state.selectivity(which_state.columns(values, _units(circuit)), group, seed)
    controls = matched_controls(model, found, basis, circuit, "active", draws=DRAWS, seed=seed).sets
    control_tests = [which_state.selectivity(which_state.columns(values, _units(c)), group, seed) for c in controls]
    told = {k: which_state.accuracy(which_state.columns(values, _units(at_city.first(k))), group, seed) for k in SIZES}
    told_controls = {
        k: float(np.mean([which_state.told(which_state.columns(values, _units(c.first(k))), group) for c in controls]))
        for k in SIZES
    }
    told_all = which_state.accuracy(values.reshape(len(values), -1), group, seed)
    typer.echo("say a capital")
    spoken = say_a_capital.contributions(model, basis, steered, recorded.at_end)
    speakers = spoken.ranked()
    say = Nodes.of((layer, last, unit) for layer, unit, _ in speakers[:SAID])
    state = _chosen(circuit, tested.p < SIGNIFICANT)
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
    typer.echo("agreement")
    agreed = agreement(model, basis, circuits, silent)
    study = Study(
        n_prompts=len(recorded.states),
        n_states=len(set(recorded.states)),
        discovery=str(found.usage),
        evaluation=str(steered.usage),
        slots=_slots(ranking, found),
        city_nodes=len(circuit),
        eta2=np.sort(tested.eta2)[::-1].tolist(),
        eta2_null=float(tested.null.mean()),
        selective=int((tested.p < SIGNIFICANT).sum()),
        control_selective=float(np.mean([(test.p < SIGNIFICANT).sum() for test in control_tests])),
        told=told,
        told_controls=told_controls,
        told_all=told_all,
        half=spoken.half(),
        speakers=speakers[:SAID],
        doses=doses,
        swaps=swaps,
        agreement=agreed,
        labels=_labels(model, basis, {"which state": state.first(10), "say a capital": say.first(10)}),
        seconds=time.perf_counter() - began,
    )
    for path in write(study, out):
        typer.echo(f"written: {path}")


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
    """(layer:unit, label, what it rests on) of each set's units, read in the sign that they have in the prompts."""
    texts = default_texts()
    found = {}
    for name, nodes in sets.items():
        evidence = read_units(model, basis, _units(nodes), texts)
        found[name] = [(key, one.label, one.rests_on) for key, one in evidence.items()]
    return found


if __name__ == "__main__":
    typer.run(main)
