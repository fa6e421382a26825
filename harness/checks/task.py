"""Checking a task before it is trusted: its pairs, its splits, and what a model makes of them.

1. Draw pairs of every split under several seeds and look whether they are as promised (`basisbench.checks.task_pairs`).
2. Look for leaks between splits, for answers that give themselves away, for ambiguity (`checks.task_samples`).
3. Tokenise the pairs: how many can be used, and which candidates cannot be told apart.
4. Ask the model: how often, and by how much, it prefers the answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from basisbench.checks.baseline import measure_task
from basisbench.checks.findings import Finding, Problem, broken, counted, findings_table, shown, warning
from basisbench.checks.task_pairs import Drawn, draw_pairs
from basisbench.checks.task_samples import pair_findings
from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.models.text_tokenizer import TextTokenizer
from basisbench.prompts.tokens import TokenisedPair, tokenise
from basisbench.results.tables import interval_text
from basisbench.settings.check import BaselineConfig
from basisbench.tasks.pair import Pair
from basisbench.tasks.task import Task
from basisbench.values import Split

LEAST_USABLE = 0.5


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
    """Check a task on a model, or its pairs alone; `n` pairs of each split count, of the seeds 0 to `seeds` - 1.

    What the task itself does wrong, an exception in its code included, is in the report.
    """
    drawn, findings = draw_pairs(task, n, seeds)
    if drawn is not None:
        findings += pair_findings(drawn)
        findings += _on_model(task, model, drawn) if model is not None else []
    name = getattr(task, "name", None)
    label = name if isinstance(name, str) else type(task).__name__
    return TaskReport(label, model.name if model else "", n, seeds, tuple(findings))


def _on_model(task: Task, model: Model, drawn: Drawn) -> list[Finding]:
    """The findings that need a model; the baseline only where there are pairs to measure it on."""
    tokenizer = model.text_tokenizer

    def tokens_of(pair: Pair) -> TokenisedPair | str:
        return tokenise(pair, tokenizer, context=model.context)

    tokenised = {split: [(pair, tokens_of(pair)) for pair in drawn.first(split)] for split in drawn.pairs}
    usable = [
        (pair, tokens) for found in tokenised.values() for pair, tokens in found if isinstance(tokens, TokenisedPair)
    ]
    found = [_alignment(tokenised), _told_apart(usable, model)]
    return [*found, _baseline(task, model, drawn.n)]


def _alignment(tokenised: dict[Split, list[tuple[Pair, TokenisedPair | str]]]) -> Finding:
    """Shares of pairs that the definitions can use, by split, with the reasons why others cannot be."""
    problems: list[Problem] = []
    told, lengths = [], []
    for split, found in tokenised.items():
        reasons = Counter(tokens for _, tokens in found if isinstance(tokens, str))
        lengths += [len(tokens.prompt.clean) for _, tokens in found if isinstance(tokens, TokenisedPair)]
        usable = len(found) - sum(reasons.values())
        why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        words = f"{split}: {usable} of {len(found)} pairs usable" + (f" ({why})" if why else "")
        told += [words] if why else []
        if usable < LEAST_USABLE * len(found):
            problems.append((warning if usable else broken)(words))
    sizes = f"prompts of {min(lengths)} to {max(lengths)} tokens" if lengths else ""
    words = "; ".join(filter(None, [*(told or ["every pair usable"]), sizes]))
    return Finding("tokens", words, tuple(problems))


def _told_apart(usable: list[tuple[Pair, TokenisedPair]], model: Model) -> Finding:
    """Pairs in which another candidate begins, where answer and foil part, with the token of an answer."""
    asked = [(pair, tokens) for pair, tokens in usable if pair.candidates]
    if not asked:
        return Finding("candidates", "the task names none")
    continuations: dict[tuple[str, ...], dict[str, tuple[int, ...]]] = {}
    alike: list[tuple[str, str]] = []
    for pair, scored in asked:
        if pair.candidates not in continuations:  # the same after other prompts: those that are not are left out
            continuations[pair.candidates] = dict(_continuations(pair, model.text_tokenizer))
        tokens = continuations[pair.candidates]
        beginning = scored.prompt.clean[len(scored.prompt.clean) - scored.n_shared :]
        others = (text for text in pair.candidates if text not in pair.answers and text in tokens)
        same = (t for t in others if tokens[t][: scored.n_shared] == beginning and tokens[t][scored.n_shared :])
        found = next((text for text in same if tokens[text][scored.n_shared] in scored.first_answer), None)
        alike += [(pair.answers[0], found)] if found is not None else []
    if alike:
        one, other = alike[0]
        words = f"in {len(alike)} of {len(asked)} pairs another candidate begins with the answer's token"
        return Finding("candidates", "", (warning(f"{words}: {shown(other)} like {shown(one)}"),))
    return Finding("candidates", f"each of {len(asked)} pairs tells its answer from the others by the token scored")


def _continuations(pair: Pair, tokenizer: TextTokenizer) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The tokens of each candidate after a pair's clean prompt, of those that do not change the prompt's own."""
    prompt, *joined = tokenizer.ids([pair.clean, *(pair.clean + text for text in pair.candidates)])
    for text, line in zip(pair.candidates, joined, strict=True):
        if line[: len(prompt)] == prompt:
            yield text, line[len(prompt) :]


def _baseline(task: Task, model: Model, n: int) -> Finding:
    """How well the model does the task on `evaluation`, as `basisbench baseline` measures it."""
    name = "baseline"
    try:
        found = measure_task(task, BaselineConfig(n_evaluation=n), model)
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
    asked = f"{report.n} pairs a split, {report.seeds} seed{'s' * (report.seeds > 1)}"
    rest = "; the rest was not checked" if len(report.findings) == 1 else ""
    line = f"task '{report.task}' {verdict}{where} ({asked}): {counted(report.findings)}{rest}"
    return Group(findings_table(report.findings), Text(line))
