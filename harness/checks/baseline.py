"""What a model can do: accuracy and logit difference of each task before any circuit is looked for."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict
from rich.box import SIMPLE_HEAD
from rich.table import Table

from basisbench.errors import UserError
from basisbench.measures.metrics import ACCURACY, CANDIDATE_ACCURACY, LOGIT_DIFFERENCE, Metric
from basisbench.measures.statistics import Estimate, resampled
from basisbench.models.adapter import Model
from basisbench.progress import Say
from basisbench.prompts.prompt_set import PromptSet, Scoring
from basisbench.prompts.scoring import outcome
from basisbench.prompts.selection import Filter, is_right, load_prompts
from basisbench.results.schema import Interval
from basisbench.results.tables import interval_text
from basisbench.settings.check import BaselineConfig
from basisbench.tasks.load import load_task, tasks_at_hand
from basisbench.tasks.task import Task
from basisbench.values import Count, Line
from basisbench.writing import markdown_table

LEAST_ACCURACY = 0.75
LEAST_PAIRS = 20
TOKENS_AT_ONCE = 4096


class TaskBaseline(BaseModel):
    """How one model does one task, on `usable` pairs; `unusable` counts those set aside, by reason.

    `tokens` are the shortest and the longest prompt. `can` holds where the model prefers the answer to the foil in at
    least 75 % of 20 pairs or more, and surely in more than half; `why_not` says what lacks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Line
    usable: Count
    unusable: dict[Line, Count]
    shared: Count
    right: Count
    tokens: tuple[Count, Count]
    candidates: Count
    accuracy: Interval
    candidate_accuracy: Interval
    logit_difference: Interval
    can: bool
    why_not: Line


class Baseline(BaseModel):
    """The report: what was asked, the model's hash, and a row a task; `failed` are tasks without a number, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    config: BaselineConfig
    model_hash: Line
    tasks: list[TaskBaseline]
    failed: dict[Line, Line]


def measure_baseline(config: BaselineConfig, model: Model, model_hash: str, say: Say) -> Baseline:
    """Return the report; a task that cannot be measured is listed with its reason and the others go on.

    Raises UserError for a task that is not known.
    """
    tasks = [load_task(name) for name in config.tasks or tasks_at_hand()]
    found, failed = [], {}
    for number, task in enumerate(tasks, start=1):
        say(f"{number}/{len(tasks)} {task.name}")
        try:
            found.append(measure_task(task, config, model))
        except UserError as error:
            failed[task.name] = str(error)[:500]
    return Baseline(config=config, model_hash=model_hash, tasks=found, failed=failed)


def measure_task(task: Task, config: BaselineConfig, model: Model) -> TaskBaseline:
    """How `model` does one task; raises UserError if no pair can be used."""
    wanted = Filter(Scoring(answers=config.answers, chat=config.chat))
    prompts = load_prompts(task, config.split, config.n_evaluation, config.seed, model, wanted)
    with torch.no_grad():
        rows = max(1, TOKENS_AT_ONCE // prompts.clean.shape[1])
        batches = zip(prompts.clean.split(rows), prompts.last.split(rows), strict=True)
        hidden = torch.cat([model.forward(clean, last) for clean, last in batches])
    said = outcome(model, hidden, prompts)
    metrics = (ACCURACY, CANDIDATE_ACCURACY, LOGIT_DIFFERENCE)
    bands = resampled(lambda w: {m.name: m.compute(said) @ w.T for m in metrics}, prompts.n_pairs, config.seed)

    def interval(metric: Metric) -> Interval:
        estimate: Estimate = bands[metric.name].estimate()
        return Interval(**vars(estimate))

    accuracy = interval(ACCURACY)
    why_not = _why_not(prompts, accuracy)
    return TaskBaseline(
        task=task.name,
        **vars(prompts.usage),
        right=sum(is_right(said, prompts)),
        tokens=(int(prompts.last.min()) + 1, int(prompts.last.max()) + 1),
        candidates=prompts.candidates.shape[1],
        accuracy=accuracy,
        candidate_accuracy=interval(CANDIDATE_ACCURACY),
        logit_difference=interval(LOGIT_DIFFERENCE),
        can=not why_not,
        why_not=why_not,
    )


def _why_not(prompts: PromptSet, accuracy: Interval) -> str:
    """What lacks for a task to count as one that the model can do, in words; empty if nothing."""
    if prompts.n_pairs < LEAST_PAIRS:
        return f"only {prompts.n_pairs} pairs can be used, {LEAST_PAIRS} are needed"
    if (accuracy.value or 0) < LEAST_ACCURACY:
        return f"right in less than {LEAST_ACCURACY:.0%} of pairs"
    if (accuracy.low or 0) <= 0.5:
        return "not surely better than chance"
    return ""


HEADER = ("task", "pairs", "right", "accuracy", "first of candidates", "logit difference", "tokens", "can do it")


def _rows(baseline: Baseline) -> list[list[str]]:
    rows = []
    for row in baseline.tasks:
        low, high = row.tokens
        drawn = row.usable + sum(row.unusable.values())
        rows.append(
            [
                row.task,
                f"{row.usable} of {drawn}",
                str(row.right),
                interval_text(row.accuracy),
                interval_text(row.candidate_accuracy) + (f" of {row.candidates + 1}" if row.candidates else " of all"),
                interval_text(row.logit_difference),
                str(low) if low == high else f"{low} to {high}",
                "yes" if row.can else f"no: {row.why_not}",
            ]
        )
    rows += [[task, "-", "-", "-", "-", "-", "-", f"no: {reason}"] for task, reason in baseline.failed.items()]
    return rows


def baseline_table(baseline: Baseline) -> Table:
    """The report for the terminal."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in HEADER:
        table.add_column(name, overflow="fold", no_wrap=name in ("task", "tokens", "accuracy"))
    for row in _rows(baseline):
        table.add_row(*row)
    return table


def baseline_markdown(baseline: Baseline) -> str:
    """The report as a Markdown table."""
    return markdown_table(HEADER, _rows(baseline))
