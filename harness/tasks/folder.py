"""A task read from a folder of prompt pairs, one JSON object a line, in the format of Marks et al. 2025.

The folder holds ``discovery.jsonl``, ``evaluation.jsonl`` and perhaps ``heldout.jsonl`` and
``heldout_templates.jsonl``. Each line has the strings ``clean_prefix``, ``patch_prefix``, ``clean_answer``,
``patch_answer`` (an answer may also be a list of which any will do) and, if wanted, ``case``, a list
``candidates`` of all continuations that could be asked for, and character spans ``clean_spans`` and
``patch_spans``: ``{"subject": [4, 8]}`` or ``[{"name": "subject", "start": 4, "end": 8}]``. Blank lines and
other fields are passed over. In published files many rows stand in two splits (Marks et al.: most of test is in
train); they are left out and counted.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from datasets import Dataset
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainValidator, StringConstraints, ValidationError

from basisbench.errors import UserError, first_fault, unknown_name
from basisbench.tasks.foreign_rows import SPLITS, Report, Row, draw, separate, texts, warn
from basisbench.values import Split

REQUIRED: tuple[Split, ...] = ("discovery", "evaluation")


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

    def pairs(self, split: Split, n: int, seed: int) -> Dataset:
        """Return up to `n` pairs of `split` in the order of `seed`; logs a warning if rows were left out.

        Raises UserError as `read_split` does.
        """
        rows, report = read_split(self.path, split)
        warn(self.name, split, report)
        return draw(rows, n, seed)


def folder_task(path: Path) -> FolderTask:
    """Return the task in the folder `path` after reading its splits; raises UserError as `read_split`."""
    for split in SPLITS:
        if split in REQUIRED or _file(path, split).exists():
            read_split(path, split)
    return FolderTask(path)


def read_split(path: Path, split: Split) -> tuple[list[Row], Report]:
    """Return the rows of `split` (columns of `basisbench.tasks.task.Task`, file order) and what was left out.

    Left out are repeats and rows of an earlier split (discovery, evaluation, heldout), see `separate`.
    Raises UserError, naming file, line and field, for a file that is missing, unreadable, empty or malformed,
    and for a split of which no row is left.
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    rows = _read(_file(path, split))
    before = [_file(path, other) for other in SPLITS[: SPLITS.index(split)]]
    # A missing discovery or evaluation is named here; the held-out ones may be missing.
    held = [file for file in before if file.stem in REQUIRED or file.exists()]
    kept, report = separate(rows, [row for file in held for row in _read(file)])
    if not kept:
        raise UserError(f"{_file(path, split)}: every row stands in an earlier split; give it rows of its own")
    return kept, report


def _file(path: Path, split: Split) -> Path:
    return path / f"{split}.jsonl"


def _read(file: Path) -> list[Row]:
    """Return the rows of one file; raises UserError."""
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
    rows = [_parse(line, f"{file} line {number}") for number, line in lines if line.strip()]
    if not rows:
        raise UserError(f"{file} is empty: give one JSON object a line")
    return rows


def _parse(line: str, where: str) -> Row:
    """Return one line as a row; raises UserError beginning with `where` and the field."""
    try:
        record = _Record.model_validate_json(line)
    except ValidationError as error:
        fault = first_fault(error)
        raise UserError(f"{where}: {fault.place or 'the object'}: {fault.words}") from error
    clean_spans = _in_order(record.clean_spans, record.clean_prefix, f"{where}: clean_spans")
    corrupt_spans = _in_order(record.patch_spans, record.patch_prefix, f"{where}: patch_spans")
    if [span["name"] for span in clean_spans] != [span["name"] for span in corrupt_spans]:
        raise UserError(f"{where}: patch_spans: must have the names of clean_spans, in the same reading order")
    answers = texts(record.clean_answer)
    if set(answers) & set(texts(record.patch_answer)):
        raise UserError(f"{where}: patch_answer: must differ from clean_answer")
    if record.candidates and not set(answers) <= set(record.candidates):
        raise UserError(f"{where}: candidates: must hold clean_answer")
    return {
        "clean": record.clean_prefix,
        "corrupt": record.patch_prefix,
        "answer": record.clean_answer,
        "foil": record.patch_answer,
        "case": record.case,
        "clean_spans": clean_spans,
        "corrupt_spans": corrupt_spans,
        "candidates": record.candidates,
    }


def _in_order(spans: list["_Span"], prompt: str, where: str) -> list[dict[str, Any]]:
    """Return the spans in reading order; raises UserError unless they are distinct pieces of the prompt."""
    ordered = sorted(spans, key=lambda span: span.start)
    bounds = [0, *(edge for span in ordered for edge in (span.start, span.end)), len(prompt)]
    if bounds != sorted(bounds) or any(span.start == span.end for span in ordered):
        raise UserError(f"{where}: must be non-empty [start, end] within the prefix that do not overlap")
    if len({span.name for span in ordered}) < len(ordered):
        raise UserError(f"{where}: a name stands twice")
    return [span.model_dump() for span in ordered]


def _listed(spans: object) -> object:
    """Turn ``{name: [start, end]}`` into the list form and leave everything else to the validation."""
    if not isinstance(spans, dict):
        return spans
    if not all(isinstance(edges, list) and len(edges) == 2 for edges in spans.values()):
        raise ValueError("a span must be [start, end]")
    return [{"name": name, "start": start, "end": end} for name, (start, end) in spans.items()]


def _answers(value: object) -> object:
    """Take a text, or a list of them, none empty and at least one."""
    several = value if isinstance(value, list) and value else [value]
    if not all(isinstance(text, str) for text in several):
        raise ValueError("Input should be a valid string or a list of strings")
    if not all(several):
        raise ValueError("String should have at least 1 character")
    return value


class _Span(BaseModel):
    model_config = ConfigDict(strict=True)

    name: str
    start: int
    end: int


_Text = Annotated[str, StringConstraints(min_length=1)]
_Answers = Annotated[str | list[str], PlainValidator(_answers)]
_Spans = Annotated[list[_Span], BeforeValidator(_listed)]


class _Record(BaseModel):
    model_config = ConfigDict(strict=True)

    clean_prefix: _Text
    patch_prefix: _Text
    clean_answer: _Answers
    patch_answer: _Answers
    case: str = ""
    candidates: list[_Text] = []
    clean_spans: _Spans = []
    patch_spans: _Spans = []
