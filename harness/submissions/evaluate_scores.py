"""A curve and a row for a ranking made by anyone's method.

1. Settle the settings: what the options say, else what the scores file says of itself, else the defaults.
2. Load the model, bind the basis, tokenise the pairs that the scores were made with and those to evaluate on.
3. Rank the nodes, and go on as with a built-in method: the curve, its statistics, a result called ``scores:NAME``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from basisbench.bases.basis import Basis
from basisbench.bases.load import basis_file, bind_basis, find_basis
from basisbench.circuits.ablation import check_ablation
from basisbench.circuits.ranking import Ranking, rank_nodes
from basisbench.errors import UserError
from basisbench.grid.cells import Pairs, compute_cell, content_hash
from basisbench.measures.metrics import scoring_metric
from basisbench.models.adapter import Model
from basisbench.models.loading import load_model
from basisbench.progress import Progress, say_nothing, silent
from basisbench.prompts.prompt_set import PromptSet, Scoring
from basisbench.prompts.selection import Filter, load_prompts
from basisbench.results.schema import Cell, Result
from basisbench.settings import make_settings
from basisbench.submissions.ranking import is_pooled, scores_of
from basisbench.submissions.scores_file import METHOD, About, Floats, SubmittedScores
from basisbench.submissions.settings import EvaluateConfig
from basisbench.tasks.load import load_task
from basisbench.tasks.task import Task
from basisbench.values import Split

FROM_FILE = ("model", "task", "basis", "n_discovery", "seed")
"""Settings that a scores file can bring along."""


def settled(options: Mapping[str, Any], scores: SubmittedScores | None = None) -> EvaluateConfig:
    """Return the settings of `options` over those of a scores file; raises UserError for a missing or bad one."""
    settings: dict[str, Any] = {}
    if scores:
        said = scores.about.model_dump(exclude_none=True)
        settings = {name: said[name] for name in FROM_FILE if name in said}
        settings["positions"] = "pooled" if is_pooled(scores) else "kept"
        if "basis" not in options and "basis" in settings:
            refuse_code(settings["basis"])
    settings |= options
    for name in ("model", "task", "basis"):
        if name not in settings:
            raise UserError(f"which {name}? valid: --{name} NAME, or '{name}' in the metadata of a scores file")
    return make_settings(EvaluateConfig, settings)


def refuse_code(basis: str) -> None:
    """Raise UserError if a basis that a file of others names is a Python file, which would be run."""
    if basis_file(basis):
        raise UserError(
            f"basis '{basis}' is Python code that a file names: name it yourself to run it, --basis {basis}"
        )


@dataclass(frozen=True)
class Setting:
    """All that a cell is computed from but its scores."""

    config: EvaluateConfig
    model: Model
    model_hash: str
    basis: Basis
    content: Mapping[str, str]
    task: Task
    discovery: PromptSet


def prepare(config: EvaluateConfig, say: Callable[[str], None] = say_nothing) -> Setting:
    """Load what `config` names; raises UserError for what cannot be had."""
    task = load_task(config.task)
    check_ablation(config.ablation)
    content = content_hash(config.basis)
    factory = find_basis(config.basis)
    model, model_hash = load_model(config.model, config.dtype, config.device, say)
    basis = bind_basis(config.basis, factory, model)
    if basis.content:
        content = content | {"content": basis.content}
    discovery = _prompts(config, task, model, "discovery")
    return Setting(config, model, model_hash, basis, content, task, discovery)


def _prompts(config: EvaluateConfig, task: Task, model: Model, split: Split, slots: tuple[str, ...] = ()) -> PromptSet:
    wanted = config.n_discovery if split == "discovery" else config.n_evaluation
    scoring = Scoring(scoring_metric(config.metric), config.answers, config.chat)
    return load_prompts(task, split, wanted, config.seed, model, Filter(scoring, config.require_correct), slots)


def template_of(setting: Setting) -> tuple[About, dict[int, Floats]]:
    """Return an empty scores file for a setting: zeros [slots, nodes] by layer, and its metadata."""
    basis, config = setting.basis, setting.config
    about = About(
        model=config.model,
        task=setting.task.name,
        basis=basis.name,
        n_discovery=config.n_discovery,
        seed=config.seed,
        slot_names=list(setting.discovery.slot_names),
    )
    slots = setting.discovery.n_slots
    widths = {layer: basis.n_units(layer) + basis.has_error for layer in basis.layers()}
    return about, {layer: np.zeros((slots, width), np.float32) for layer, width in widths.items()}


def evaluate_scores(
    setting: Setting, scores: SubmittedScores, name: str | None = None, progress: Progress = silent
) -> tuple[Result, bytes]:
    """Return the result of submitted scores and its arrays, packed.

    `name` is the method's, the file's own if None. Raises UserError for scores that are not of this basis and task.
    """
    config, basis = setting.config, setting.basis
    name = name or scores.about.name
    if not name:
        raise UserError("which method? valid: --name NAME, or 'name' in the metadata of the scores file")
    for what, theirs, ours in (
        ("task", scores.about.task, setting.task.name),
        ("basis", scores.about.basis, basis.name),
    ):
        if theirs is not None and theirs != ours:
            raise UserError(f"these are scores of {what} '{theirs}', not of '{ours}': valid: --{what} {theirs}")
    if config.positions == "kept" and is_pooled(scores):
        raise UserError("the scores are of nodes at every position (position -1): valid is --positions pooled")
    ranking = rank_nodes(
        scores_of(scores, basis, setting.discovery.slot_names),
        basis,
        rank=config.rank,
        positions=config.positions,
        error=config.error,
        limit=max(config.sizes),
    )
    cell = _cell(setting, f"{METHOD}{name}", scores)
    return _computed(setting, cell, ranking, progress)


def _cell(setting: Setting, method: str, scores: SubmittedScores) -> Cell:
    config, basis = setting.config, setting.basis
    return config.cell(
        model=config.model,
        task=setting.task.name,
        basis=basis.name,
        method=method,
        ablation=config.ablation,
        error=config.error if basis.has_error else "score",
        seed=config.seed,
        n_resamples=config.n_resamples,
        options={**setting.content, "scores_sha256": scores.sha256},
    )


def _computed(setting: Setting, cell: Cell, ranking: Ranking, progress: Progress) -> tuple[Result, bytes]:
    model = setting.model
    evaluation = _prompts(setting.config, setting.task, model, cell.split, setting.discovery.slot_names)
    pairs = Pairs(setting.discovery, evaluation)
    return compute_cell(cell, model, setting.model_hash, setting.basis, ranking, pairs, progress=progress)
