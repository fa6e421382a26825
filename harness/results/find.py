"""Where results lie: each in two files of its own, or all of a folder's in one packed file; to whoever reads, all one.

A result is called FOLDER/NAME.json either way. One with files of its own stands before a packed one of its name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from basisbench.errors import UserError
from basisbench.results.files import (
    MAX_JSON_BYTES,
    RankingArrays,
    pack_arrays,
    parse_result,
    read_beside,
    read_file,
)

if TYPE_CHECKING:
    from basisbench.measures.statistics import Curve
    from basisbench.results.packed import PackedFile
    from basisbench.results.schema import Result

PACKED = "results.parquet"
PATTERN = "*__*__*__*.json"
"""How a result is named; other JSON files in a folder are none."""
FAILURES = "failures"
"""The folder of cells that could not be computed: their records are named as results are."""
LISTED = 5


@dataclass(frozen=True)
class Stored:
    """A result on disk, at `path`: of a packed one, where in which file; all methods raise UserError.

    `broken` says why what should be a result cannot be read at all, as a part of a packed file; every method says so.
    """

    path: Path
    packed: PackedFile | None = None
    group: int = 0
    row: int = 0
    broken: str = ""

    def document(self) -> bytes:
        """The JSON text."""
        if self.broken:
            raise UserError(self.broken)
        if self.packed:
            return self.packed.document(self.group, self.row)
        return read_file(self.path, MAX_JSON_BYTES)

    def result(self) -> Result:
        """What the document says."""
        return parse_result(self.document(), self.path)

    def arrays(self, result: Result) -> tuple[Curve, RankingArrays]:
        """The arrays of `result`, which is what the document says."""
        if self.packed:
            return self.packed.arrays(self.group, self.row, result)
        return read_beside(self.path, result)

    def files(self) -> dict[str, Path | bytes]:
        """Both files of the result by name: where they lie or, of a packed one, what they would hold."""
        arrays = self.path.with_suffix(".safetensors")
        if not self.packed:
            return {self.path.name: self.path, arrays.name: arrays}
        return {self.path.name: self.document(), arrays.name: pack_arrays(*self.arrays(self.result()))}


class ResultFolder:
    """The results of one folder, those below it left out. What others write meanwhile is seen."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._packed: dict[str, Stored] = {}
        self._broken: list[Stored] = []
        self._seen: tuple[int, ...] = ()

    def __iter__(self) -> Iterator[Stored]:
        """Every result by name, then what of the packed file cannot be read; raises UserError if there is no folder."""
        loose = {name: Stored(self.path / f"{name}.json") for name in self.loose()}
        packed = self.packed()
        for name in sorted({*loose, *packed}):
            yield loose.get(name) or packed[name]
        yield from self.broken()

    def find(self, name: str) -> Stored | None:
        """The result called `name`, None if there is none; raises UserError if the packed file cannot be read."""
        loose = self.path / f"{name}.json"
        if os.path.lexists(loose):
            return Stored(loose)
        packed = self.packed()
        if self._broken and not packed:
            raise UserError(self._broken[0].broken)
        return packed.get(name)

    def loose(self) -> list[str]:
        """The names of results in files of their own."""
        try:
            names = [entry.name for entry in os.scandir(self.path)]
        except OSError as error:
            raise UserError(f"cannot read the folder {self.path}: {error.strerror}") from error
        return [Path(name).stem for name in names if fnmatch(name, PATTERN) and not name.startswith(".")]

    def packed(self) -> dict[str, Stored]:
        """The packed results by name; the file is opened anew when it is another."""
        path = self.path / PACKED
        try:
            status = path.lstat()
        except OSError:
            seen: tuple[int, ...] = ()
        else:
            seen = status.st_ino, status.st_size, status.st_mtime_ns
        if seen != self._seen:
            self._packed, self._broken, self._seen = {}, [], seen
            if seen:
                self._open(path)
        return self._packed

    def broken(self) -> list[Stored]:
        """What of the packed file cannot be read, each as a result that cannot."""
        self.packed()
        return self._broken

    def _open(self, path: Path) -> None:
        from basisbench.results.packed import PackedFile  # not above: pyarrow takes a while

        try:
            file = PackedFile(path)
        except UserError as error:
            self._broken = [Stored(path, broken=str(error))]
            return
        for group, names in enumerate(file.names):
            for row, name in enumerate(names):
                self._packed[name] = Stored(self.path / f"{name}.json", file, group, row)
        self._broken = [Stored(path, broken=words) for words in file.broken]


def find_results(folders: Sequence[Path]) -> Iterator[Stored]:
    """Give every result in `folders` and the folders in them; raises UserError for one that is not there.

    Folder by folder, in each by name. What is named as a result may be none, which shows when it is read.
    """
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"no folder {folder}: valid is a folder of results, as `basisbench run` writes them")
    for folder in folders:
        for inner in result_folders(folder):
            yield from inner


def result_folders(folder: Path) -> Iterator[ResultFolder]:
    """Give `folder` and those below it, but hidden ones and those of failures."""
    for parent, inner, _ in os.walk(folder):
        inner[:] = sorted(name for name in inner if name != FAILURES and not name.startswith("."))
        yield ResultFolder(Path(parent))


def locate(path: Path) -> Stored:
    """Return the one result that `path` names: FOLDER/NAME.json, packed or not, or FOLDER/ and a beginning of NAME.

    Raises UserError for none and for several.
    """
    folder = ResultFolder(path.parent)
    if path.name == PACKED:
        raise UserError(f"{path} holds {len(folder.packed())} results: valid is one of them, {path.parent}/NAME.json")
    if os.path.lexists(path):
        return Stored(path)
    found = folder.find(path.stem if path.suffix == ".json" else path.name)
    if found:
        return found
    near = [] if path.suffix == ".json" or not path.parent.is_dir() else list(folder)
    near = [stored for stored in near if stored.path.name.startswith(path.name) and not stored.broken]
    if len(near) == 1:
        return near[0]
    if not near:
        words = f"the name of one in {PACKED} there, or a beginning of its name"
        raise UserError(f"no file {path}: valid is a result file that `basisbench run` wrote, {words}")
    listed = ", ".join(stored.path.stem for stored in near[:LISTED]) + (", ..." if len(near) > LISTED else "")
    raise UserError(f"{len(near)} results begin as {path} does: valid is more of one of them, {listed}")


def read_result(path: str | Path) -> Result:
    """Return the result at `path` (see `locate`); raises UserError that names the file and the wrong field."""
    return locate(Path(path)).result()


def read_arrays(path: str | Path, result: Result) -> tuple[Curve, RankingArrays]:
    """Return the curve and the ranking of `result`, which is at `path` (see `locate`).

    Raises UserError if they are missing, lie elsewhere, are not those that the result was written with, or are none.
    """
    return locate(Path(path)).arrays(result)


def read_results(folder: str | Path) -> list[Result]:
    """Return all results in `folder` and the folders in it, by name; raises UserError for a bad one or if none is."""
    results = [stored.result() for stored in find_results([Path(folder)])]
    if not results:
        raise UserError(f"no results in {folder}: valid is a folder that `basisbench run` wrote to")
    return sorted(results, key=lambda result: result.name)
