"""A task read from a folder of prompt pairs, one JSON object a line, in the format of Marks et al. 2025.

The folder holds ``discovery.jsonl``, ``evaluation.jsonl`` and perhaps ``heldout.jsonl`` and
``heldout_templates.jsonl``. Each line has the strings ``clean_prefix``, ``patch_prefix``, ``clean_answer``,
``patch_answer`` (an answer may also be a list of which any will do) and, if wanted, ``case``, a list
``candidates`` of all continuations that could be asked for, and character spans ``clean_spans`` and
``patch_spans``: ``{"subject": [4, 8]}`` or ``[{"name": "subject", "start": 4, "end": 8}]``. Blank lines and
other fields are passed over. In published files many pairs stand in two splits (Marks et al.: most of test is in
train); they are left out and counted.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from basisbench.errors import UserError, unknown_name
from basisbench.tasks.given import Report, draw, separate, warn
from basisbench.tasks.pair import Pair, PairError, Span
from basisbench.values import SPLITS, Split

REQUIRED: tuple[Split, ...] = ("discovery", "evaluation")
FIELDS = {
    "clean_prefix": "clean",
    "patch_prefix": "corrupt",
    "clean_answer": "answers",
    "patch_answer": "foils",
    "case": "case",
    "candidates": "candidates",
    "clean_spans": "clean_spans",
    "patch_spans": "corrupt_spans",
}
"""Their name of each field of a pair; of the first four none may be missing."""


@dataclass(frozen=True)
class FolderTask:
    """Prompt pairs from a folder; build it with `folder_task`, which checks the files."""

    path: Path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def description(self) -> str:
        """One line with the source."""
        return f"prompt pairs from the folder {self.name}"

    @property
    def splits(self) -> tuple[Split, ...]:
        """Those whose files exist."""
        return tuple(split for split in SPLITS if _file(self.path, split).exists())

    def pairs(self, split: Split, n: int, seed: int) -> list[Pair]:
        """Return up to `n` pairs of `split` in the order of `seed`; logs a warning if some were left out.

        Raises UserError as `read_split` does.
        """
        pairs, report = read_split(self.path, split)
        warn(self.name, split, report)
        return draw(pairs, n, seed)


def folder_task(path: Path) -> FolderTask:
    """Return the task in the folder `path` after reading its splits; raises UserError as `read_split`."""
    for split in SPLITS:
        if split in REQUIRED or _file(path, split).exists():
            read_split(path, split)
    return FolderTask(path)


def read_split(path: Path, split: Split) -> tuple[list[Pair], Report]:
    """Return the pairs of `split` in file order, and what was left out.

    Left out are repeats and pairs of an earlier split (discovery, evaluation, heldout), see `separate`.
    Raises UserError, naming file, line and field, for a file that is missing, unreadable, empty or malformed,
    and for a split of which no pair is left.
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    before = [_file(path, other) for other in SPLITS[: SPLITS.index(split)]]
    # A missing discovery or evaluation is named here; the held-out ones may be missing.
    held = [file for file in before if file.stem in REQUIRED or file.exists()]
    kept, report = separate(_read(_file(path, split)), [pair for file in held for pair in _read(file)])
    if not kept:
        raise UserError(f"{_file(path, split)}: every pair stands in an earlier split; give it pairs of its own")
    return kept, report


def _file(path: Path, split: Split) -> Path:
    return path / f"{split}.jsonl"


def _read(file: Path) -> list[Pair]:
    """Return the pairs of one file; raises UserError."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        held = ", ".join(split.name for split in sorted(file.parent.glob("*.jsonl"))) or "no .jsonl file"
        raise UserError(
            f"no file {file}: a task folder holds discovery.jsonl, evaluation.jsonl and, for those splits, "
            f"heldout.jsonl and heldout_templates.jsonl; this one holds {held}"
        ) from None
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; give a readable file") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{file} line {line}: not UTF-8; save the file as UTF-8") from error
    # Not splitlines(): U+2028 and its like may stand inside a JSON string.
    lines = enumerate(text.split("\n"), start=1)
    pairs = [_parse(line, f"{file} line {number}") for number, line in lines if line.strip()]
    if not pairs:
        raise UserError(f"{file} is empty: give one JSON object a line")
    return pairs


def _parse(line: str, where: str) -> Pair:
    """Return one line as a pair; raises UserError beginning with `where` and the field."""
    try:
        record = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: invalid JSON: {error}") from error
    if not isinstance(record, dict):
        raise UserError(f"{where}: valid is an object with the fields {', '.join(FIELDS)}")
    values = {ours: record[theirs] for theirs, ours in FIELDS.items() if theirs in record}
    for theirs, ours in list(FIELDS.items())[:4]:
        if ours not in values:
            raise UserError(f"{where}: {theirs} is missing")
    for side in ("clean_spans", "corrupt_spans"):
        values[side] = _in_order(values.get(side, ()))
    try:
        return Pair(**values)
    except PairError as error:
        theirs = next(theirs for theirs, ours in FIELDS.items() if ours == error.field)
        raise UserError(f"{where}: {theirs}: {error.reason}") from error


def _in_order(spans: Any) -> Any:
    """Spans in either form as (name, start, end) in reading order; what is none is left for `Pair` to refuse."""
    if isinstance(spans, dict):
        found = [(name, *edges) if isinstance(edges, list) else edges for name, edges in spans.items()]
    elif isinstance(spans, list):
        found = [tuple(map(span.get, Span._fields)) if isinstance(span, dict) else span for span in spans]
    else:
        return spans
    placed = all(isinstance(span, tuple) and len(span) > 1 and isinstance(span[1], int) for span in found)
    return sorted(found, key=lambda span: int(span[1])) if placed else found
