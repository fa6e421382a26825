"""A steering experiment from settings to a document, as `basisbench steer` runs it.

1. Load the model, the bases, discovery pairs (if nodes are ranked) and the pairs to steer, in the same slots.
2. Choose each basis' nodes; all bases are scored in one go.
3. Dose-response of the nodes and of their controls, with the side effect of every dose; on request the swap.
4. On request the board: the first k nodes of each basis' ranking for growing k.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from basisbench.attribution import Request, ask_scores, load_method
from basisbench.bases.basis import Basis
from basisbench.bases.load import bind_basis, find_basis
from basisbench.circuits.ranking import Ranking, rank_nodes
from basisbench.errors import UserError
from basisbench.measures.resampling import resampled
from basisbench.models.adapter import Model
from basisbench.models.loading import load_model
from basisbench.progress import Progress, Say, say_nothing, silent
from basisbench.prompts.prompt_set import PromptSet
from basisbench.prompts.selection import Filter, load_prompts
from basisbench.results.files import describe_environment
from basisbench.results.schema import PairCounts
from basisbench.settings.steer import SteerConfig
from basisbench.steering.board import SWAPS, Steerability, order, steerability
from basisbench.steering.controls import KINDS, Controls, activities, has_others, matched_controls
from basisbench.steering.document import (
    BasisRecord,
    ControlRecord,
    DoseRecord,
    SteerDocument,
    SwapRecord,
    asked_of,
    band_record,
    board_record,
    config_hash,
    interval,
    number,
    table,
)
from basisbench.steering.donors import constant_values, donor_values
from basisbench.steering.dose import dose_responses, effects
from basisbench.steering.intervene import Multiply, Operation, Set
from basisbench.steering.nodes import Nodes, group_nodes, parse_nodes, top_nodes
from basisbench.steering.outcomes import Outcomes, outcomes_of
from basisbench.steering.side_effects import donor_effect, side_effect
from basisbench.steering.swap import difference_band, swap
from basisbench.tasks.load import load_task
from basisbench.tasks.task import Task
from basisbench.text.sample import TEXT, Sample
from basisbench.tracing.document import read_trace


@dataclass(frozen=True)
class Setting:
    """What all bases of an experiment share."""

    config: SteerConfig
    model: Model
    task: Task
    prompts: PromptSet
    outcomes: Outcomes
    sample: Sample
    progress: Progress


def steer(config: SteerConfig, *, say: Say = say_nothing, progress: Progress = silent) -> SteerDocument:
    """Run the experiment; raises UserError for names and nodes there are not, and for a task without usable pairs."""
    began = time.perf_counter()
    task, method = load_task(config.task), load_method(config.method)
    factories = {name: find_basis(name) for name in config.bases}
    model, model_hash = load_model(config.model, config.dtype, config.device, say)
    bases = [bind_basis(name, factory, model) for name, factory in factories.items()]
    wanted = Filter(require_correct=config.require_correct)
    rankings: dict[str, Ranking] = {}
    slot_names: tuple[str, ...] = ()
    digests = ""
    if config.counted:
        discovery = load_prompts(task, "discovery", config.n_discovery, config.seed, model, wanted)
        slot_names, digests = discovery.slot_names, discovery.digest
        scores = ask_scores(method, Request(model, discovery, bases, config.seed, progress=progress))
        rankings = {
            basis.name: rank_nodes(
                scores[basis.name], basis, rank=config.rank, positions=config.positions, error="remove"
            )
            for basis in bases
        }
    prompts = load_prompts(task, config.split, config.n_evaluation, config.seed, model, wanted, slot_names)
    say(f"{task.name}: {prompts.usage}")
    setting = Setting(
        config, model, task, prompts, outcomes_of(model, prompts, task), Sample.of(model, [TEXT]), progress
    )
    records = [_basis_record(setting, basis, rankings.get(basis.name)) for basis in bases]
    board = [_board_row(setting, basis, rankings[basis.name]) for basis in bases] if config.board else []
    data_hash = digests + prompts.digest
    usage = prompts.usage
    return SteerDocument(
        asked=asked_of(config),
        config_hash=config_hash(asked_of(config), model_hash, data_hash),
        pairs=PairCounts(usable=usage.usable, unusable=dict(usage.unusable), shared=usage.shared),
        bases=records,
        board=[board_record(row) for row in order(board)],
        environment=describe_environment(
            str(model.device), config.dtype, torch.get_num_threads(), model_hash, data_hash
        ),
        seconds=time.perf_counter() - began,
    )


def choose_nodes(setting: Setting, basis: Basis, ranking: Ranking | None) -> tuple[Nodes, str]:
    """The nodes that the settings name, and in words how they were chosen."""
    config, names = setting.config, setting.prompts.slot_names
    if ranking is not None:
        nodes = top_nodes(ranking, int(config.nodes))
        return nodes, f"the first {len(nodes)} by {config.method}, on {config.n_discovery} discovery pairs"
    everywhere = config.positions == "pooled"
    if config.groups is not None:
        path, _, name = config.groups.rpartition("#")
        if not path:
            raise UserError(f"groups '{config.groups}': valid is trace.json#NAME")
        trace = read_trace(Path(path))
        if trace.basis != basis.name:
            raise UserError(f"{path} is a trace in basis '{trace.basis}': valid is --basis {trace.basis}")
        nodes = group_nodes(trace, name, setting.model, setting.prompts, everywhere=everywhere)
        return nodes, f"group {name} of a trace"
    nodes = parse_nodes(config.nodes, names)
    return nodes.everywhere() if everywhere else nodes, "named"


def _basis_record(setting: Setting, basis: Basis, ranking: Ranking | None) -> BasisRecord:
    nodes, chosen = choose_nodes(setting, basis, ranking)
    controls = _controls(setting, basis, nodes)
    return BasisRecord(
        basis=basis.name,
        chosen=chosen,
        nodes=nodes.words(setting.prompts.slot_names),
        dose=_dose_record(setting, basis, nodes, controls),
        swap=_swap_record(setting, basis, nodes, controls) if setting.config.swap else None,
    )


def _controls(setting: Setting, basis: Basis, nodes: Nodes) -> list[Controls]:
    """Controls of each kind; none where the nodes leave too few other units."""
    model, prompts, config = setting.model, setting.prompts, setting.config
    nodes.check(basis, prompts.n_slots)
    if not has_others(nodes, basis):
        return []
    activity = activities(model, prompts, basis, nodes)
    return [
        matched_controls(model, prompts, basis, nodes, k, draws=config.draws, seed=config.seed, activity=activity)
        for k in KINDS
    ]


def _dose_record(setting: Setting, basis: Basis, nodes: Nodes, controls: Sequence[Controls]) -> DoseRecord:
    config, model, prompts = setting.config, setting.model, setting.prompts
    operation: Callable[[float], Operation] = Multiply if config.values is None else Set
    doses = config.multipliers if config.values is None else config.values
    sets = [nodes, *(some for found in controls for some in found.sets)]
    own, *others = dose_responses(
        model,
        prompts,
        basis,
        sets,
        doses,
        outcomes=setting.outcomes,
        operation=operation,
        progress=setting.progress,
    )
    even = np.full((1, prompts.n_pairs), 1 / prompts.n_pairs)
    control = iter(effects(o.logit_difference, o.clean, o.corrupt, even)[:, 0] for o in others)
    kl = side_effect(model, basis, nodes, [operation(d) for d in doses], setting.sample, progress=setting.progress)
    return DoseRecord(
        operation="multiply" if config.values is None else "set",
        doses=doses,
        bands={name: band_record(band) for name, band in own.bands(config.seed).items()},
        kl_text=band_record(kl.band(config.seed)),
        controls=[
            ControlRecord(
                kind=found.kind,
                activity=number(found.activity),
                effect=table(np.stack([next(control) for _ in found.sets], axis=1)),
            )
            for found in controls
        ],
        probability={name: table(values) for name, values in own.probability.items()},
        logit_difference=table(own.logit_difference),
    )


def _swap_record(setting: Setting, basis: Basis, nodes: Nodes, controls: Sequence[Controls]) -> SwapRecord:
    config, model, prompts = setting.config, setting.model, setting.prompts
    active = [some for found in controls if found.kind == "active" for some in found.sets]
    own, *others = [
        swap(model, prompts, basis, some, most=config.swaps, seed=config.seed, progress=setting.progress)
        for some in (nodes, *active)
    ]
    values = constant_values(donor_values(model, prompts, basis, nodes), nodes)
    text = donor_effect(model, basis, nodes, values, setting.sample, progress=setting.progress).kl.mean((0, 2))
    kl = resampled(lambda weights: {"": text @ weights.T}, len(text), config.seed)[""]
    bands = own.bands(config.seed)
    corrected = difference_band(own, others, "success", config.seed) if others else None
    return SwapRecord(
        n_pairs=len(own.recipient),
        reached=float(own.reached.mean()),
        unsteered=float(own.unsteered.mean()),
        bands={name: interval(band.estimate()) for name, band in bands.items()},
        corrected=interval(corrected.estimate()) if corrected else None,
        controls=[float(other.outcome["success"].mean()) for other in others],
        kl_text=interval(kl.estimate()),
        recipient=own.recipient.tolist(),
        donor=own.donor.tolist(),
        success=own.outcome["success"].astype(bool).tolist(),
    )


def _board_row(setting: Setting, basis: Basis, ranking: Ranking) -> Steerability:
    config = setting.config
    return steerability(
        setting.model,
        setting.prompts,
        basis,
        top_nodes(ranking, max(config.sizes)),
        config.sizes,
        draws=config.draws,
        swaps=config.swaps or SWAPS,
        sample=setting.sample,
        seed=config.seed,
        progress=setting.progress,
    )
