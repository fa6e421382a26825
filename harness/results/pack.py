"""Make of a folder's results one columnar file, with a table of summaries beside it.

1. Take stock: results in files of their own that are whole and in order, and those packed before.
2. Write all of them, by name, to a new file (`results.packed`); read it, and compare every document and every array.
3. Put it in place of the older one, and the table beside it (`results.summaries`).
4. Only then remove the files of what it holds. Whoever is killed meanwhile leaves each result there once or twice.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from basisbench.cache import atomic_file, write_atomically
from basisbench.errors import UserError
from basisbench.results.files import MAX_ARRAYS_BYTES, hash_arrays, read_file
from basisbench.results.find import PACKED, ResultFolder, Stored, result_folders
from basisbench.results.packed import MAX_ROW_BYTES, Cell, PackedFile, write_packed
from basisbench.results.schema import Result
from basisbench.results.summaries import summary_csv

SUMMARIES = "results.csv"
LOCK = ".claims/pack.lock"


@dataclass(frozen=True)
class PackReport:
    """What became of a folder: how many results are packed in it, how many of them newly, bytes before and after.

    `problems` has a line for each result that was left as it is.
    """

    folder: Path
    results: int
    new: int
    before: int
    after: int
    problems: tuple[str, ...]


def pack(folder: Path, *, keep: bool = False) -> Iterator[PackReport]:
    """Pack the results of `folder`, and of each folder below it by itself; with `keep` their files stay.

    Raises UserError for a folder that is not there or holds no result, for a packed file that cannot be read whole, and
    where it cannot write; what was there is then there still.
    """
    if not folder.is_dir():
        raise UserError(f"no folder {folder}: valid is a folder of results, as `basisbench run` writes them")
    found = False
    for inner in result_folders(folder):
        if inner.loose() or os.path.lexists(inner.path / PACKED):
            found = True
            with _alone(inner.path):
                yield _pack(inner, keep)
    if not found:
        raise UserError(f"no results in {folder}: valid is a folder of results, as `basisbench run` writes them")


def _pack(folder: ResultFolder, keep: bool) -> PackReport:
    path = folder.path / PACKED
    for name in (PACKED, SUMMARIES):
        for left in folder.path.glob(f".{name}.*.tmp"):  # by one that was killed
            left.unlink()
    packed = dict(folder.packed())
    if broken := folder.broken():
        raise UserError(f"{broken[0].broken}; restore the file, or move it away")
    loose, problems = _loose(folder, packed)
    before = sum(_size(file) for stored in loose.values() for file in stored.files().values()) + _size(path)
    sources = dict(sorted((packed | loose).items()))
    if sources and not loose.keys() <= packed.keys():
        with atomic_file(path) as file:
            write_packed(file, (_cell(name, stored) for name, stored in sources.items()))
            file.flush()
            results = _compare(PackedFile(Path(file.name)), sources)
        _settle(folder.path)
    elif sources:
        results = _compare(PackedFile(path), sources)
    if sources:
        write_atomically(folder.path / SUMMARIES, summary_csv(results).encode())
    if not keep:
        _remove(folder, loose)
    new = len(loose.keys() - packed.keys())
    return PackReport(folder.path, len(sources), new, before, _size(path), tuple(problems))


def _loose(folder: ResultFolder, packed: Mapping[str, Stored]) -> tuple[dict[str, Stored], list[str]]:
    """The results in files of their own that can be packed, by name, and why others cannot."""
    good: dict[str, Stored] = {}
    problems = []
    for name in sorted(folder.loose()):
        stored = Stored(folder.path / f"{name}.json")
        try:
            result = stored.result()
            if stored.path.is_symlink():
                raise UserError(f"{stored.path} is a link: valid is the file itself")
            if result.name != name:
                raise UserError(f"{stored.path} holds the result {result.name}: valid is a file of that name")
            if hash_arrays(*stored.arrays(result)) != result.arrays_sha256:
                raise UserError(
                    f"{stored.path.with_suffix('.safetensors')} is not laid out as `basisbench run` does it"
                )
            if (size := sum(map(_size, stored.files().values()))) > MAX_ROW_BYTES:
                raise UserError(
                    f"{stored.path} and its arrays have {size:,} bytes: packed are at most {MAX_ROW_BYTES:,}"
                )
            if name in packed and packed[name].document() != stored.document():
                raise UserError(f"{stored.path} is not the result of this name in {PACKED}: move it away to keep that")
            good[name] = stored
        except UserError as error:
            problems.append(str(error))
    return good, problems


def _cell(name: str, stored: Stored) -> Cell:
    return name, stored.document(), *stored.arrays(stored.result())


def _compare(packed: PackedFile, sources: Mapping[str, Stored]) -> list[Result]:
    """The results of a packed file, which is found to hold what `sources` do; raises UserError if it does not."""
    if packed.broken:
        raise UserError(packed.broken[0])
    places = ((group, row, name) for group, names in enumerate(packed.names) for row, name in enumerate(names))
    results = []
    for (group, row, name), (wanted, stored) in zip(places, sources.items(), strict=True):
        document = packed.document(group, row)
        if name != wanted or document != stored.document():
            raise UserError(f"{packed.path} holds another document of {wanted} than was written: the disk may be bad")
        results.append(stored.result())
        packed.arrays(group, row, results[-1])  # whose hash is that of the source's
    return results


def _remove(folder: ResultFolder, loose: Mapping[str, Stored]) -> None:
    """Remove the files of packed results, the document first: it stands before a packed one, arrays alone do not."""
    packed = folder.packed()
    for name, stored in loose.items():
        with suppress(UserError):  # it is not there any more
            if stored.document() == packed[name].document():
                stored.path.unlink()
    for arrays in folder.path.glob("*.safetensors"):
        alone = not (arrays.is_symlink() or os.path.lexists(arrays.with_suffix(".json")))
        if alone and (known := packed.get(arrays.stem)):
            digest = hashlib.sha256(read_file(arrays, MAX_ARRAYS_BYTES)).hexdigest()
            if digest == known.result().arrays_sha256:
                arrays.unlink()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from packing the folder while the block runs: each would remove what the other reads."""
    lock = FileLock(folder / LOCK)
    try:
        (folder / LOCK).parent.mkdir(exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"another process packs {folder}: wait for it") from error
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}; choose a folder you can write to") from error
    try:
        yield
    finally:
        lock.release()


def _settle(folder: Path) -> None:
    """Have the names in a folder written to the disk, where the system can."""
    with suppress(OSError):
        place = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(place)
        finally:
            os.close(place)


def _size(file: Path | bytes) -> int:
    if isinstance(file, bytes):
        return len(file)
    return file.stat().st_size if file.exists() else 0
