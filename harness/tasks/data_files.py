"""One split of a dataset: its data files, in a folder or from the Hugging Face hub, and the part of them that is meant.

Only data files are opened, so nothing else in a folder (scripts, a README that names other files) is looked at.
"""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from basisbench.errors import UserError, unknown_name
from basisbench.tasks.hub import hub_files
from basisbench.tasks.readers import READERS, DataFile, Row, read_rows

PART = re.compile(r"(?P<split>[^\[\]]+)(?P<part>\[[^\[\]]+\])?")
_EDGES = re.compile(r"\[(?:(?P<begin>-?\d+)(?P<share>%)?)?:(?:(?P<end>-?\d+)(?P<end_share>%)?)?\]")
_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


@dataclass(frozen=True)
class DataSplit:
    """The data files of a split, whose rows follow one another, and the part of it that is meant, such as ``[:80%]``.

    `base` is the folder from which messages name a file.
    """

    files: tuple[Path, ...]
    part: str
    base: Path
    of_the_hub: bool = False

    def rows(self, columns: Collection[str], below: str | None = None) -> Iterator[Row]:
        """Return the rows with those of `columns` that they have, at least; raises UserError as `read_rows`."""

        def every() -> Iterator[Row]:
            for file in self.files:
                label = file.relative_to(self.base).as_posix() if file.is_relative_to(self.base) else file.name
                yield from read_rows(DataFile(file, label, columns, below))

        return islice(every(), *_edges(self.part, lambda: sum(1 for _ in every())))


def find_split(source: str, config: str | None, split: str, base: Path) -> DataSplit:
    """Return a split, or a part of one such as ``train[:80%]``, of the dataset called `source`.

    It is a data file or folder in `base` if there is one of that name, or if the name begins with a dot or ends as
    a data file; else a dataset of the hub. In a folder, a split is a file by its name, or the files ``train.jsonl``
    or ``train-*.parquet`` in it or in its ``data`` (in its folder `config`, if given); a file is the split train.
    Raises UserError for data that are not there or outside of `base`, and for what is no part.
    """
    match = PART.fullmatch(split)
    name, part = (match["split"], match["part"] or "") if match else (split, "")
    if part and not _EDGES.fullmatch(part):
        raise UserError(f"cannot load {split} of {source}: valid parts: [:800], [-100:], [:80%] and their like")
    local = source.startswith(".") or not _HUB_NAME.fullmatch(source) or Path(source).suffix in READERS
    if not local and not (base / source).exists() and Path(source).exists():
        # a hub's dataset of that name is not what is meant
        raise UserError(f"{source} is outside of {base.resolve()}: valid: data in that folder, or another name")
    if local or (base / source).exists():
        return DataSplit(_local_files(source, config, name, base), part, base.resolve())
    try:
        return DataSplit(hub_files(source, config, name), part, base.resolve(), of_the_hub=True)
    except UserError as error:
        raise UserError(f"cannot load {split} of {source}: {error}") from error
    except Exception as error:  # the hub's clients raise whatever theirs do
        told = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        valid = f"a dataset of the hub that can be reached, or data of that name in {base}"
        raise UserError(f"cannot load {split} of {source}: {told}; valid: {valid}") from error


def _edges(part: str, count: Callable[[], int]) -> tuple[int, int | None]:
    """The row with which a part begins and the one before which it ends; rows are counted only where it takes that."""
    found = _EDGES.fullmatch(part or "[:]")
    assert found is not None, part
    begin, end = (None if found[edge] is None else int(found[edge]) for edge in ("begin", "end"))
    share = found["share"] or found["end_share"]
    if not share and (begin or 0) >= 0 and (end or 0) >= 0:
        return begin or 0, None if end is None else max(begin or 0, end)
    total = count()

    def placed(edge: int) -> int:
        edge = round(edge * total / 100) if share else edge
        return min(max(edge + total if edge < 0 else edge, 0), total)

    first = placed(begin or 0)
    return first, max(first, total if end is None else placed(end))


def _local_files(source: str, config: str | None, name: str, base: Path) -> tuple[Path, ...]:
    """Return the data files of a split, all in `base`."""
    found = _inside(base / source, base)
    if not found.exists():
        raise UserError(f"there is no {found}: valid: a data file or folder in {base.resolve()}")
    if found.is_file():
        if found.suffix not in READERS:
            raise UserError(f"{found} is no data file: valid: {', '.join(READERS)}")
        if name != "train":
            raise UserError(f"{unknown_name('split', name, ['train'])}, or a part of it such as train[:80%]")
        return (found,)
    folder = _inside(found / (config or ""), base)
    if Path(name).suffix in READERS:
        file = _inside(folder / name, base)
        if not file.is_file():
            raise UserError(f"there is no {file}: {_held(folder)}")
        return (file,)
    for suffix in READERS:
        for place in (folder, folder / "data"):
            files = sorted(file for file in place.glob(f"*{suffix}") if file.stem.partition("-")[0] == name)
            if files:
                return tuple(_inside(file, base) for file in files)
    raise UserError(f"no data file of the split '{name}' in {folder}: {_held(folder)}")


def _held(folder: Path) -> str:
    """What data files a folder holds, in words."""
    files = [file for place in (folder, folder / "data") for file in place.glob("*") if file.suffix in READERS]
    held = ", ".join(sorted(file.relative_to(folder).as_posix() for file in files))
    return f"valid: {held}" if held else f"it holds no {', '.join(READERS)} file"


def _inside(path: Path, base: Path) -> Path:
    """Return a path with its links followed; raises UserError unless it is in `base`."""
    found = path.resolve()
    if not found.is_relative_to(base.resolve()):
        raise UserError(f"{found} is outside of {base.resolve()}: valid: data in that folder, and no links out of it")
    return found
