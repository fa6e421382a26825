"""What a check says: a finding in one line, with a verdict, made of what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from basisbench.errors import printable

MOST_WORDS = 3
SHOWN = 60

Verdict = Literal["ok", "warning", "broken"]


@dataclass(frozen=True)
class Problem:
    """Something to know of what is checked: `broken` is against the contract, `warning` may be meant."""

    verdict: Literal["warning", "broken"]
    words: str


@dataclass(frozen=True)
class Finding:
    """What one check found: `summary` says it where nothing is wrong."""

    check: str
    summary: str
    problems: tuple[Problem, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst of its problems."""
        return worst(self.problems)

    @property
    def words(self) -> str:
        """One line: the worst problems, or the summary where there is none."""
        worst = sorted(self.problems, key=lambda problem: problem.verdict != "broken")
        said = [problem.words for problem in worst[:MOST_WORDS]]
        more = [f"and {len(worst) - MOST_WORDS} more"] if len(worst) > MOST_WORDS else []
        line = " ".join("; ".join([*said, *more] or [self.summary]).split())
        return printable(line)


def worst(problems: Iterable[Problem]) -> Verdict:
    """The verdict on something that has these problems."""
    verdicts = {problem.verdict for problem in problems}
    return "broken" if "broken" in verdicts else "warning" if verdicts else "ok"


def broken(words: str) -> Problem:
    """A problem that breaks the contract."""
    return Problem("broken", words)


def warning(words: str) -> Problem:
    """A problem that may be meant."""
    return Problem("warning", words)


def shown(text: str) -> str:
    """A text from a task, quoted, on one line and not too long."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")


def findings_table(findings: Sequence[Finding]) -> Table:
    """Each check with its verdict and its words."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("check", "verdict", ""):
        table.add_column(name, no_wrap=bool(name), overflow="fold")
    for finding in findings:
        table.add_row(*map(Text, (finding.check, finding.verdict, finding.words)))
    return table


def counted(findings: Sequence[Finding]) -> str:
    """How many there are of each verdict, in words."""
    count = Counter(finding.verdict for finding in findings)
    return ", ".join(f"{count[verdict]} {verdict}" for verdict in get_args(Verdict) if count[verdict])
