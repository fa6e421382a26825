"""Checking a task before it is trusted: its rows, its splits, and what a model makes of them.

1. Draw rows of every split under several seeds and look whether they are as promised (`basisbench.checks.task_rows`).
2. Look for leaks between splits, for answers that give themselves away, for ambiguity (`checks.task_samples`).
3. Tokenise the rows: how many can be used, and which candidates cannot be told apart.
4. Ask the model: how often, and by how much, it prefers the answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict
from rich.console import Group, RenderableType
from rich.text import Text

from basisbench.checks.baseline import BaselineConfig, measure_task
from basisbench.checks.findings import Finding, Problem, broken, counted, findings_table, shown, warning
from basisbench.checks.task_rows import Drawn, Pair, draw_rows
from basisbench.checks.task_samples import row_findings
from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.prompts.tokens import Row, tokenise
from basisbench.results.tables import interval_text
from basisbench.settings import Name
from basisbench.tasks.task import Task
from basisbench.values import Size, Split

LEAST_USABLE = 0.5


class TaskCheckConfig(BaseModel):
    """What a task is checked on: a model, `n` rows of each split, the seeds 0 to `seeds` - 1."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Name = "smollm2-135m"
    n: Size = 200
    seeds: Size = 3
    device: str = "auto"


@dataclass(frozen=True)
class TaskReport:
    """What was found of a task, a finding a check; `model` is empty where none was asked."""

    task: str
    model: str
    n: int
    seeds: int
    findings: tuple[Finding, ...]

    @property
    def failed(self) -> bool:
        """Whether something breaks the contract."""
        return any(finding.verdict == "broken" for finding in self.findings)


def check_task(task: Task, model: Model | None = None, *, n: int = 200, seeds: int = 3) -> TaskReport:
    """Check a task on a model, or its rows alone; `n` rows of each split count, of the seeds 0 to `seeds` - 1.

    What the task itself does wrong, an exception in its code included, is in the report.
    """
    drawn, findings = draw_rows(task, n, seeds)
    if drawn is not None:
        findings += row_findings(drawn)
        findings += _on_model(task, model, drawn) if model is not None else []
    name = getattr(task, "name", None)
    label = name if isinstance(name, str) else type(task).__name__
    return TaskReport(label, model.name if model else "", n, seeds, tuple(findings))


def _on_model(task: Task, model: Model, drawn: Drawn) -> list[Finding]:
    """The findings that need a model; the baseline only where there are rows to measure it on."""
    tokenised = {
        split: [(pair, tokenise(pair.record, model.tokenizer)) for pair in drawn.first(split)] for split in drawn.rows
    }
    usable = [(pair, row) for rows in tokenised.values() for pair, row in rows if isinstance(row, Row)]
    found = [_alignment(tokenised), _told_apart(usable, model)]
    return [*found, _baseline(task, model, drawn.n)]


def _alignment(tokenised: dict[Split, list[tuple[Pair, Row | str]]]) -> Finding:
    """Shares of rows that the definitions can use, by split, with the reasons why others cannot be."""
    problems: list[Problem] = []
    told, lengths = [], []
    for split, rows in tokenised.items():
        reasons = Counter(row for _, row in rows if isinstance(row, str))
        lengths += [len(row.reading.clean) for _, row in rows if isinstance(row, Row)]
        usable = len(rows) - sum(reasons.values())
        why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        words = f"{split}: {usable} of {len(rows)} rows usable" + (f" ({why})" if why else "")
        told += [words] if why else []
        if usable < LEAST_USABLE * len(rows):
            problems.append((warning if usable else broken)(words))
    sizes = f"prompts of {min(lengths)} to {max(lengths)} tokens" if lengths else ""
    words = "; ".join(filter(None, [*(told or ["every row usable"]), sizes]))
    return Finding("tokens", words, tuple(problems))


def _told_apart(usable: list[tuple[Pair, Row]], model: Model) -> Finding:
    """Rows in which another candidate begins, where answer and foil part, with the token of an answer."""
    asked = [(pair, row) for pair, row in usable if pair.candidates]
    if not asked:
        return Finding("candidates", "the task names none")
    continuations: dict[tuple[str, ...], dict[str, tuple[int, ...]]] = {}
    alike: list[tuple[str, str]] = []
    for pair, row in asked:
        if pair.candidates not in continuations:  # the same after other prompts: those that are not are left out
            continuations[pair.candidates] = dict(_continuations(pair, model.tokenizer))
        tokens = continuations[pair.candidates]
        beginning = row.reading.clean[len(row.reading.clean) - row.n_shared :]
        others = (text for text in pair.candidates if text not in pair.answers and text in tokens)
        same = (t for t in others if tokens[t][: row.n_shared] == beginning and tokens[t][row.n_shared :])
        found = next((text for text in same if tokens[text][row.n_shared] in row.first_answer), None)
        alike += [(pair.answers[0], found)] if found is not None else []
    if alike:
        one, other = alike[0]
        words = f"in {len(alike)} of {len(asked)} rows another candidate begins with the answer's token"
        return Finding("candidates", "", (warning(f"{words}: {shown(other)} like {shown(one)}"),))
    return Finding("candidates", f"each of {len(asked)} rows tells its answer from the others by the token scored")


def _continuations(pair: Pair, tokenizer: Any) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The tokens of each candidate after a row's clean prompt, of those that do not change the prompt's own."""
    prompt = tuple(tokenizer(pair.clean)["input_ids"])
    joined = tokenizer([pair.clean + text for text in pair.candidates])["input_ids"]
    for text, line in zip(pair.candidates, joined, strict=True):
        if tuple(line[: len(prompt)]) == prompt:
            yield text, tuple(line[len(prompt) :])


def _baseline(task: Task, model: Model, n: int) -> Finding:
    """How well the model does the task on `evaluation`, as `basisbench baseline` measures it."""
    name = "baseline"
    try:
        found = measure_task(task, BaselineConfig(n=n), model)
    except UserError as error:
        return Finding(name, "", (warning(f"not measured: {error}"),))
    words = f"accuracy {interval_text(found.accuracy)}, logit difference {interval_text(found.logit_difference)}"
    if found.candidates:
        words += f", first of candidates {interval_text(found.candidate_accuracy)}"
    words = f"evaluation, {found.usable} pairs: {words}"
    return Finding(name, words, (warning(f"{found.why_not}: {words}"),) if found.why_not else ())


def task_check_table(report: TaskReport) -> RenderableType:
    """The checks as a table, then the verdict in one line."""
    verdict = "must not be used as it is" if report.failed else "keeps the contract"
    where = f" on '{report.model}'" if report.model else ""
    asked = f"{report.n} rows a split, {report.seeds} seed{'s' * (report.seeds > 1)}"
    rest = "; the rest was not checked" if len(report.findings) == 1 else ""
    line = f"task '{report.task}' {verdict}{where} ({asked}): {counted(report.findings)}{rest}"
    return Group(findings_table(report.findings), Text(line))
