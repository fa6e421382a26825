"""A task read from a folder of prompt pairs, one JSON object a line, in the format of Marks et al. 2025.

The folder holds ``discovery.jsonl``, ``evaluation.jsonl`` and perhaps ``heldout.jsonl`` and
``heldout_templates.jsonl``. Each line has the texts ``clean_prefix``, ``patch_prefix``, ``clean_answer``,
``patch_answer`` (an answer may also be a list of which any will do) and, if wanted, ``case``, a list
``candidates`` of all continuations that could be asked for, and character spans ``clean_spans`` and
``patch_spans``: ``{"subject": [4, 8]}`` or ``[{"name": "subject", "start": 4, "end": 8}]``. Blank lines, other fields
and null are passed over. Lines that make no pair, repeat, or stand in an earlier split (Marks et al.: most of test is
in train) are left out and counted in a warning; where no line makes a pair, the first one's reason is an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from basisbench.errors import UserError, unknown_name
from basisbench.tasks.given import Lot, Report, Splits, draw
from basisbench.tasks.mapping import as_text
from basisbench.tasks.pair import Pair, PairError, Span
from basisbench.tasks.readers import DataFile, read_rows
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


@dataclass(frozen=True, eq=False)
class FolderTask:
    """Prompt pairs from a folder; build it with `folder_task`, which checks the files."""

    path: Path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def family(self) -> str:
        """The folder's name: each is one of its own."""
        return self.name

    @property
    def description(self) -> str:
        """One line with the source."""
        return f"prompt pairs from the folder {self.name}"

    @property
    def splits(self) -> tuple[Split, ...]:
        """Those whose files exist."""
        return tuple(split for split in SPLITS if _file(self.path, split).exists())

    def pairs(self, split: Split, n: int, seed: int) -> list[Pair]:
        """Return up to `n` pairs of `split` in the order of `seed`; what is left out is said once, in a warning.

        Raises UserError as `read` does.
        """
        pairs, report = self.read(split)
        self._given.say(split, report)
        return draw(pairs, n, seed)

    def read(self, split: Split) -> tuple[list[Pair], Report]:
        """Return the pairs of `split` in file order, and what was left out.

        Raises UserError, naming file, line and field, for a file that is missing, unreadable, empty or malformed, for
        one of which no line makes a pair, and for a split of which no pair is left.
        """
        if split not in SPLITS:
            raise unknown_name("split", split, SPLITS)
        # a missing discovery or evaluation is named; the held-out ones may be missing
        before = SPLITS[: SPLITS.index(split)]
        pairs, report = self._given.read(split, [s for s in before if s in REQUIRED or s in self.splits])
        if not pairs:
            file = _file(self.path, split)
            raise UserError(f"{file}: every pair stands in an earlier split; give it pairs of its own")
        return pairs, report

    @cached_property
    def _given(self) -> Splits:
        return Splits(self.name, lambda split: [_there(_file(self.path, split))], lambda s: _load(_file(self.path, s)))


def folder_task(path: Path) -> FolderTask:
    """Return the task in the folder `path` after reading its splits; raises UserError as `FolderTask.read`."""
    task = FolderTask(path)
    for split in SPLITS:
        if split in REQUIRED or split in task.splits:
            task.read(split)
    return task


def _file(path: Path, split: Split) -> Path:
    return path / f"{split}.jsonl"


def _there(file: Path) -> Path:
    """The file itself; raises UserError if it cannot be looked at."""
    try:
        file.stat()
    except FileNotFoundError:
        held = ", ".join(split.name for split in sorted(file.parent.glob("*.jsonl"))) or "no .jsonl file"
        raise UserError(
            f"no file {file}: a task folder holds discovery.jsonl, evaluation.jsonl and, for those splits, "
            f"heldout.jsonl and heldout_templates.jsonl; this one holds {held}"
        ) from None
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; give a readable file") from error
    return file


def _load(file: Path) -> Lot:
    """Return what the lines of one file make; raises UserError."""
    pairs: list[Pair] = []
    refused: list[str] = []
    for row in read_rows(DataFile(file, str(file), FIELDS)):
        try:
            pairs.append(_pair(row.values))
        except PairError as error:
            theirs = next((theirs for theirs, ours in FIELDS.items() if ours == error.field), error.field)
            refused.append(f"{row.place}: {theirs}: {error.reason}")
    if not pairs:
        raise UserError(refused[0] if refused else f"{file} is empty: give one JSON object a line")
    return Lot(tuple(pairs), len(refused), *refused[:1])


def _pair(values: Mapping[str, Any]) -> Pair:
    """The pair of a line; raises PairError."""
    fields = {ours: _as_written(values[theirs]) for theirs, ours in FIELDS.items() if values.get(theirs) is not None}
    for ours in list(FIELDS.values())[:4]:
        if ours not in fields:
            raise PairError(ours, "is missing")
    spans = {ours: _in_order(values.get(theirs) or ()) for theirs, ours in FIELDS.items() if ours.endswith("_spans")}
    return Pair(**fields | spans)


def _as_written(value: Any) -> Any:
    """A value, or those of a list, as texts; what has no text is left for `Pair` to refuse."""
    if isinstance(value, list):
        return [_as_written(part) for part in value]
    text = as_text(value)
    return value if text is None else text


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
