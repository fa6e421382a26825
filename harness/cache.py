"""Where files that can be made again are kept; how a file or folder is put in place whole or not at all."""

import errno
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from basisbench.errors import UserError

# What the user can put right: the disk, the permissions or the path, not the program.
_USERS_TO_FIX = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
}


def cache_dir() -> Path:
    """Return the cache folder, made if it is not there.

    ``BASISBENCH_CACHE`` if set, else ``basisbench`` in ``XDG_CACHE_HOME`` (``LOCALAPPDATA`` on Windows), else
    ``~/.cache/basisbench``. Raises UserError when it cannot be made.
    """
    chosen = os.environ.get("BASISBENCH_CACHE")
    shared = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME", "")
    try:
        if chosen:
            folder = Path(chosen).expanduser().absolute()
        elif Path(shared).is_absolute():  # the XDG specification says to ignore a relative path
            folder = Path(shared) / "basisbench"
        else:
            folder = Path.home() / ".cache" / "basisbench"
    except RuntimeError as error:  # an account without a home folder, as in some containers
        raise UserError("no home folder to cache in: set BASISBENCH_CACHE to a folder") from error
    with _plainly(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader sees the old content or the new, never a part.

    Missing parent folders are made. Raises UserError for a full disk or a path that cannot be written; the
    old content then stays, and nothing else is left behind.
    """
    with atomic_file(path) as file:
        file.write(data)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Give a new file to write, and read again; it becomes `path` if the block ends well, as in `write_atomically`."""
    temporary = _sibling(path)
    try:
        with _plainly(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb+") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)  # noqa: PTH105 (the test of a full disk replaces this call)
    finally:
        with suppress(OSError):  # it is in place, or it never was: the path may lead through a file
            temporary.unlink()


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes `target` if the block ends well and vanishes if it does not.

    If another process has made `target` meanwhile, theirs stays and ours is dropped. Raises UserError for a
    full disk or a path that cannot be written, inside the block too.
    """
    temporary = _sibling(target)
    try:
        with _plainly(target):
            temporary.mkdir(parents=True)
            yield temporary
            # Without this a power cut could leave the final name on files whose bytes never reached the disk.
            for path in temporary.rglob("*"):
                if path.is_file():
                    with path.open("rb+") as file:
                        os.fsync(file.fileno())
            try:
                temporary.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sibling(path: Path) -> Path:
    """Name a temporary neighbour of `path` that no other process or thread will choose."""
    return path.with_name(f".{path.name[:40]}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


@contextmanager
def _plainly(path: Path) -> Iterator[None]:
    """Turn the OSErrors that a user can put right into one line about `path`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _USERS_TO_FIX:
            raise
        where = "" if error.filename in (None, str(path)) else f" ({error.filename})"
        raise UserError(
            f"cannot write {path}: {error.strerror}{where}; free the space, or choose a path you can write to"
        ) from error
