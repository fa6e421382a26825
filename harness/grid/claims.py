"""Who computes what, where several processes write to one folder.

A claim is a lock on a file, which the operating system frees when its process ends, however it ends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from basisbench.errors import UserError
from basisbench.grid.plan import Group

FOLDER = ".claims"


@contextmanager
def claim(folder: Path, group: Group, *, wait: bool) -> Iterator[bool]:
    """Claim a group of cells for this process while the block runs; gives False if another process holds it.

    With `wait` it comes back when the other has let go. Raises UserError where locks cannot be made.
    """
    key = hashlib.sha256(repr(tuple(group.shared)).encode()).hexdigest()[:16]
    lock = FileLock(folder / FOLDER / f"{key}.lock")
    try:
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        yield False
        return
    except OSError as error:
        raise UserError(f"cannot lock {folder / FOLDER}: {error.strerror}; choose a folder you can write to") from error
    try:
        yield True
    finally:
        lock.release()
