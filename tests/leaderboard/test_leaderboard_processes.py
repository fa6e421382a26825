"""Work spread over processes: the same in one process and in several, and without threads of BLAS."""

import os
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from basisbench.leaderboard.processes import spread
from basisbench.measures.metrics import Floats


def blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def work(items: Sequence[int], array: Floats) -> list[tuple[int, int, list[int]]]:
    array[1:] = np.array(items)[1:, None]
    return [(item, os.getpid(), blas_threads()) for item in items]


@pytest.mark.parametrize("processes", [1, 3])
def test_what_is_found_and_filled_in_is_in_order(processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: processes)
    monkeypatch.setattr("threading.active_count", lambda: 1)
    before = blas_threads()
    found, array = spread(work, range(10, 17), (2,), chunk=3)
    assert [item for item, _, _ in found] == list(range(10, 17))
    # the first of each chunk stays as it was, zeros
    assert array.tolist() == [[0, 0], [11, 11], [12, 12], [0, 0], [14, 14], [15, 15], [0, 0]]
    assert (os.getpid() in {process for _, process, _ in found}) == (processes == 1 or sys.platform != "linux")
    assert all(set(threads) <= {1} for _, _, threads in found)
    assert blas_threads() == before


def test_a_process_with_threads_is_not_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    monkeypatch.setattr("threading.active_count", lambda: 2)
    found, _ = spread(work, range(7), (2,), chunk=3)
    assert {process for _, process, _ in found} == {os.getpid()}


def test_nothing_to_do() -> None:
    found, array = spread(work, [], (3, 5), chunk=3)
    assert found == []
    assert array.shape == (0, 3, 5)
