"""Results under an fsspec URL, for machines that share no folder.

A worker computes into a folder of its own and copies each result to the store: the arrays first, the JSON last, each
under a temporary name until it is whole. There are no locks: two runs on one store may compute a cell twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from fsspec.core import url_to_fs

from basisbench.cache import write_atomically
from basisbench.errors import UserError
from basisbench.grid.failures import reason_of
from basisbench.results.files import MAX_ARRAYS_BYTES


class Store:
    """A folder of results behind a URL. Every method raises UserError for a store that cannot be used."""

    def __init__(self, url: str) -> None:
        if "://" not in url:
            raise UserError(f"store '{url}' is no URL: valid: an fsspec URL, such as s3://bucket/folder")
        self.url = url
        with self._plainly():
            self.fs, self.root = url_to_fs(url, use_listings_cache=False)

    def check(self) -> None:
        """Raise UserError if nothing can be written: now, not when the first result is there."""
        name = f".writable-{secrets.token_hex(4)}"
        self._write(name, b"writable")
        self.remove(name)

    def names(self) -> set[str]:
        """The names of the results in the store."""
        found: list[str] = []
        with self._plainly(absent_ok=True):
            found = self.fs.ls(self.root, detail=False)
        return {path.stem for path in map(PurePosixPath, found) if path.suffix == ".json"}

    def put(self, folder: Path, names: Iterable[str]) -> None:
        """Copy files of `folder` to the store, in order."""
        for name in names:
            self._write(name, (folder / name).read_bytes())

    def get(self, folder: Path, names: Iterable[str]) -> None:
        """Copy those of the files that the store has, and `folder` has not, to it, in order."""
        for name in names:
            if not (folder / name).exists():
                with self._plainly(absent_ok=True):
                    if self.fs.size(self._path(name)) > MAX_ARRAYS_BYTES:
                        raise UserError(f"{name} has more than {MAX_ARRAYS_BYTES:,} bytes: no result is as large")
                    write_atomically(folder / name, self.fs.cat_file(self._path(name)))

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        with self._plainly(absent_ok=True):
            self.fs.rm_file(self._path(name))

    def _write(self, name: str, data: bytes) -> None:
        path = PurePosixPath(self._path(name))
        temporary = str(path.with_name(f".{secrets.token_hex(8)}.tmp"))
        with self._plainly():
            self.fs.makedirs(str(path.parent), exist_ok=True)
            self.fs.pipe_file(temporary, data)
            self.fs.mv(temporary, str(path))

    def _path(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}"

    @contextmanager
    def _plainly(self, *, absent_ok: bool = False) -> Iterator[None]:
        """One line for a protocol that is not known or not installed, and for what the store refuses."""
        try:
            yield
        except (OSError, ValueError, ImportError) as error:
            if absent_ok and isinstance(error, FileNotFoundError):
                return
            raise UserError(f"store '{self.url}' cannot be used: {reason_of(error)}") from error
