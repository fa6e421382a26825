"""A ranking made by anyone's method gets its curve and its row: a run of one cell whose method is a file.

The settings are what the options say, else what the scores file says of itself, else the defaults of a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from basisbench.bases.load import load_basis
from basisbench.errors import UserError
from basisbench.grid.config import RunConfig, make_config
from basisbench.grid.run import run
from basisbench.measures.metrics import scoring_metric
from basisbench.models.loading import load_model
from basisbench.progress import Report, Say, quiet, say_nothing
from basisbench.prompts.prompt_set import Scoring
from basisbench.prompts.selection import Filter, load_prompts
from basisbench.results.schema import Result
from basisbench.submissions.handed_in import HandedIn
from basisbench.submissions.ranking import is_pooled
from basisbench.submissions.scores_file import About, Floats, SubmittedScores
from basisbench.tasks.load import load_task
from basisbench.user_code import file_and_name

FROM_FILE = ("model", "task", "basis", "n_discovery", "seed")
"""Settings that a scores file can bring along."""
OF_A_RUN = {"task": "tasks", "basis": "bases", "method": "methods"}
"""What a run calls lists of these."""
LISTS = ("model", "task", "basis", "method", "ablation", "error", "seed")
"""Settings of which a run takes several, and a cell has one."""


def settled(options: Mapping[str, Any], scores: SubmittedScores | None = None) -> dict[str, Any]:
    """Return the settings of `options` over those of a scores file; raises UserError for one that is missing."""
    settings: dict[str, Any] = {}
    if scores:
        said = scores.about.model_dump(exclude_none=True)
        settings = {name: said[name] for name in FROM_FILE if name in said}
        settings["positions"] = "pooled" if is_pooled(scores) else "kept"
        if "basis" not in options and "basis" in settings:
            refuse_code("basis", settings["basis"])
    settings |= options
    for name in ("model", "task", "basis"):
        if name not in settings:
            raise UserError(f"which {name}? valid: --{name} NAME, or '{name}' in the metadata of a scores file")
    return settings


def one_cell(settings: Mapping[str, Any]) -> RunConfig:
    """The run of one cell with these settings, named as a cell names them; raises UserError for a wrong one."""
    # lists: a name may hold a comma
    return make_config(
        {OF_A_RUN.get(name, name): [value] if name in LISTS else value for name, value in settings.items()}
    )


def refuse_code(kind: str, name: str) -> None:
    """Raise UserError if a basis or a method that a file of others names is a Python file, which would be run."""
    if file_and_name(kind, name):
        raise UserError(
            f"{kind} '{name}' is Python code that a file names: name it yourself to run it, --{kind} {name}"
        )


def evaluate_scores(
    scores: SubmittedScores,
    settings: Mapping[str, Any],
    name: str | None = None,
    *,
    report: Report = quiet,
    say: Say = say_nothing,
) -> Result:
    """Return the result of submitted scores, which is then in the folder that the settings name.

    `name` is the method's, the file's own if None. Raises UserError for settings that are wrong and for scores that
    are not of this basis and task.
    """
    method = HandedIn(scores, name)
    config = one_cell({**settings, "method": method.name, "retry": True})
    done = run(config, report=report, say=say, methods={method.name: method})
    if done.failures:
        raise UserError(done.failures[0].reason)
    return done.results[0]


def template(settings: Mapping[str, Any], say: Say = say_nothing) -> tuple[About, dict[int, Floats]]:
    """Return an empty scores file for a cell: its metadata, and zeros [slots, nodes] by layer.

    Raises UserError for settings that are wrong, and for names that cannot be had.
    """
    config = one_cell(settings)
    (name,), (basis_name,), (seed,) = config.model, config.bases, config.seed
    task = load_task(config.tasks[0])
    model, _ = load_model(name, config.dtype, config.device, say)
    basis = load_basis(basis_name, model)
    scoring = Scoring(scoring_metric(config.metric), config.answers, config.chat)
    wanted = Filter(scoring, config.require_correct)
    prompts = load_prompts(task, "discovery", config.n_discovery, seed, model, wanted)
    about = About(
        model=name,
        task=task.name,
        basis=basis.name,
        n_discovery=config.n_discovery,
        seed=seed,
        slot_names=list(prompts.slot_names),
    )
    widths = {layer: basis.n_units(layer) + basis.has_error for layer in basis.layers()}
    return about, {layer: np.zeros((prompts.n_slots, width), np.float32) for layer, width in widths.items()}
