"""Work on many items spread over processes: small things come back through a pipe, large ones in shared memory."""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from math import prod
from mmap import mmap
from multiprocessing import get_context
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from basisbench.measures.metrics import Floats

Item = TypeVar("Item")
Found = TypeVar("Found")


def spread(
    work: Callable[[Sequence[Item], Floats], list[Found]], items: Sequence[Item], shape: tuple[int, ...], chunk: int
) -> tuple[list[Found], Floats]:
    """Return what `work` finds for each of n items, and the array [n, *shape] that it fills in.

    `work` takes up to `chunk` items and their part of the array, zeros at first. Chunks go to as many processes as
    there are processors, where starting those is cheap and safe.
    """
    count = len(items) * prod(shape)
    # mapped memory is one and the same in all processes that a fork makes
    array = np.frombuffer(mmap(-1, max(1, 8 * count)), count=count).reshape(len(items), *shape)

    def run(first: int) -> list[Found]:
        part = slice(first, first + chunk)
        return work(items[part], array[part])

    firsts = range(0, len(items), chunk)
    workers = min(os.cpu_count() or 1, len(firsts))
    # the threads of BLAS, a set in each process, would wait for each other
    with threadpool_limits(1, "blas"):
        # a fork copies no other thread, and what such a thread held stays locked
        if workers > 1 and sys.platform == "linux" and threading.active_count() == 1:
            with ProcessPoolExecutor(workers, get_context("fork"), _inherit, (run,)) as pool:
                found = list(pool.map(_run, firsts))
        else:
            found = [run(first) for first in firsts]
    return [one for some in found for one in some], array


_inherited: Callable[[int], list[Any]]
"""The `run` of the process that forked this one: functions within others can be inherited, not sent."""


def _inherit(run: Callable[[int], list[Any]]) -> None:
    global _inherited
    _inherited = run


def _run(first: int) -> list[Any]:
    return _inherited(first)
