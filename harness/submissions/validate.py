"""Checks of results made elsewhere: what is wrong with each file, in findings; a hostile one is only another finding.

1. Read the document (`basisbench.submissions.document`), see that its file has the name of its content.
2. Read its arrays, which must be the ones it was written with.
3. Compute again all that it reports (`basisbench.submissions.recompute`).
4. Compare the results with each other: one model on the same pairs has one F(full).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from basisbench.checks.findings import Finding, Verdict, broken
from basisbench.errors import UserError
from basisbench.measures.statistics import Curve
from basisbench.results.files import ARRAY_TYPES, RankingArrays
from basisbench.results.find import PACKED, ResultFolder, Stored, find_results, locate
from basisbench.results.schema import Result
from basisbench.submissions.document import read_document, refuse_link, short
from basisbench.submissions.recompute import check_numbers, check_outcomes, check_ranking, check_record

# How far F(full) of one model on the same pairs may differ, as a share of it: the rounding of a forward pass.
SAME_F_FULL = {"float64": 1e-3, "float32": 1e-3, "bfloat16": 0.1, "float16": 0.1}
HEADER_BYTES = 2**16
SEVERITY: tuple[Verdict, ...] = ("ok", "warning", "broken")


@dataclass(frozen=True)
class FileReport:
    """What was found in one result; `result` is None where there is none to be had."""

    path: Path
    findings: tuple[Finding, ...]
    result: Result | None = None

    @property
    def verdict(self) -> Verdict:
        """The worst of its findings."""
        return max((finding.verdict for finding in self.findings), key=SEVERITY.index)


def stored_results(paths: Sequence[Path]) -> list[Stored]:
    """The results to check, each once: those named, and all in a folder and in those below it, packed or not.

    In a folder that is named every JSON or arrays file is taken for a result, whatever it is called; an arrays file
    stands for the document beside it, there or not. Raises UserError for a path that is not there and for a folder
    without a result.
    """
    found: list[Stored] = []
    for path in paths:
        if path.is_dir():
            inside = [*_handed_in(path), *find_results([path])]
            if not inside:
                raise UserError(f"no results in {short(str(path))}: valid is a folder of NAME.json, or of {PACKED}")
            found += inside
        elif path.name == PACKED:
            found += [*ResultFolder(path.parent).packed().values(), *ResultFolder(path.parent).broken()]
        elif path.suffix == ".safetensors":
            found.append(Stored(path.with_suffix(".json")))
        else:
            found.append(locate(path))
    return list({(stored.path, stored.broken): stored for stored in found}.values())


def _handed_in(folder: Path) -> Iterator[Stored]:
    here = ResultFolder(folder)
    files = (file for file in folder.iterdir() if not file.name.startswith("."))
    for name in sorted({file.stem for file in files if file.suffix in (".json", ".safetensors")}):
        yield here.find(name) or Stored(folder / f"{name}.json")


def validate(paths: Sequence[Path]) -> list[FileReport]:
    """Return a report on each result that `paths` name; raises UserError as `stored_results` does."""
    return compared([validate_stored(stored) for stored in stored_results(paths)])


def validate_file(path: Path) -> FileReport:
    """Return what is found in the result at `path`; raises UserError if none is there."""
    return validate_stored(locate(path))


def validate_stored(stored: Stored) -> FileReport:
    """Return what is found in a stored result; a file of any content gets a report."""
    path = stored.path
    try:
        result = read_document(stored)
    except UserError as error:
        return FileReport(path, (Finding("document", "", (broken(str(error)),)),))
    findings = [Finding("document", "JSON of schema 2"), _name(path, result), check_record(result)]
    try:
        curve, ranking = _arrays(stored, result)
    except UserError as error:
        words = short(str(error).replace(f"{path.parent}/", ""))
        return FileReport(path, (*findings, Finding("arrays", "", (broken(words),))), result)
    findings += [Finding("arrays", "as written"), check_ranking(result, ranking)]
    outcomes = check_outcomes(result, curve)
    findings.append(outcomes)
    if outcomes.verdict == "ok":
        findings.append(check_numbers(result, curve))
    return FileReport(path, tuple(findings), result)


def compared(reports: Sequence[FileReport]) -> list[FileReport]:
    """The reports, with a finding more where a result's F(full) is not that of the others on its model and pairs."""
    first: dict[tuple[object, ...], FileReport] = {}
    found = []
    for report in reports:
        if report.result and (value := report.result.f_full) is not None:
            result, cell = report.result, report.result.cell
            where = (cell.dtype, cell.metric, cell.answers, cell.chat)
            other = first.setdefault((result.environment.model_hash, result.data.hash, *where), report).result
            theirs = other.f_full if other else None
            limit = SAME_F_FULL.get(cell.dtype, 0.1)
            if other and theirs is not None and abs(value - theirs) > limit * max(1.0, abs(theirs)):
                words = f"F_full is {value:.6g}, the same model on the same pairs has {theirs:.6g} in {other.name}.json"
                finding = Finding("agreement", "", (broken(words),))
                report = replace(report, findings=(*report.findings, finding))
        found.append(report)
    return found


def _name(path: Path, result: Result) -> Finding:
    problems = () if path.name == f"{result.name}.json" else (broken(f"this content has the name {result.name}.json"),)
    return Finding("name", "that of its content", problems)


def _arrays(stored: Stored, result: Result) -> tuple[Curve, RankingArrays]:
    """Read the arrays if they are no larger than what the document speaks of; raises UserError."""
    if stored.packed:  # whose sizes and columns have been checked, and whose group is in memory
        return stored.arrays(result)
    path = stored.path
    beside = path.with_suffix(".safetensors")
    refuse_link(beside)
    points, pairs = len(result.curve.size), result.data.evaluation.usable
    nodes = min(max(result.cell.grid, default=0), result.total_nodes)
    most = 8 * (3 * points + 10 * pairs * (1 + points)) + 16 * nodes + HEADER_BYTES
    if beside.is_file() and (size := beside.stat().st_size) > most:
        raise UserError(f"{beside} has {size:,} bytes: the arrays of {path.name} have at most {most:,}")
    arrays = stored.arrays(result)
    with safetensors.safe_open(beside, framework="np") as file:
        if strange := sorted(set(file.keys()) - set(ARRAY_TYPES)):
            raise UserError(f"{beside} holds an array that no result has: {strange[0][:60]!a}")
    return arrays


def validation_table(reports: Sequence[FileReport]) -> RenderableType:
    """Each result with its findings, then the verdict in one line; of several results, only what is wrong is shown."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("verdict", no_wrap=True)
    table.add_column("result", overflow="fold")
    for report in reports:
        table.add_row(report.verdict, Text(short(report.path.name), "bold"))
        for finding in report.findings:
            if len(reports) == 1 or finding.verdict != "ok":
                table.add_row("", Text(f"{finding.verdict}: {finding.check}: {finding.words}"))
    count = Counter(report.verdict for report in reports)
    counted = ", ".join(f"{count[verdict]} {verdict}" for verdict in SEVERITY if count[verdict])
    noun = "result" if len(reports) == 1 else "results"
    return Group(table, Text(f"{len(reports)} {noun}: {counted}"))
