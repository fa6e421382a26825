"""How long a leaderboard over 10,000 results takes, reading included; nothing here asserts a time.

Run alone on a quiet machine: ``pytest tests/benchmarks/test_leaderboard_speed.py -s``. Writes 1.6 GB and removes it.
"""

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from basisbench.leaderboard import build_leaderboard
from basisbench.measures.clusters import apart
from basisbench.measures.curve import Curve
from basisbench.measures.metrics import Floats, Outcome
from basisbench.measures.summary import summarise
from basisbench.results.files import RankingArrays, describe_environment, make_result, pack_arrays
from basisbench.results.schema import Cell, Data, PairCounts, Timing
from basisbench.values import size_grid

pytestmark = pytest.mark.benchmark
TASKS, BASES, METHODS, SEEDS = 20, 10, 10, 5
PAIRS, NODES = 40, 6000


def random_curve(rng: np.random.Generator, quality: float) -> Curve:
    size = np.array(size_grid())

    def outcome(shift: Floats) -> Outcome:
        noise = rng.normal(size=(*shift.shape, PAIRS))
        return Outcome(noise + shift[..., None], noise * 0.1, noise + 5, noise, abs(noise))

    rise = 3 * np.clip(quality * np.log10(size) / 4, 0, 1)
    none = np.array(0.0)
    return Curve(
        size,
        size,
        size // 10,
        100_000,
        apart(PAIRS),
        outcome(none + 3),
        outcome(none),
        outcome(rise),
        outcome(3 - rise),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of random results, each a valid one."""
    path = tmp_path_factory.mktemp("results")
    rng = np.random.default_rng(0)
    counts = PairCounts(usable=PAIRS, unusable={})
    environment = describe_environment("cpu", "float32", 1, "m" * 64, "d" * 16)
    nodes = np.arange(NODES, dtype=np.int32)
    for basis in range(BASES):
        curve = random_curve(rng, 1 + basis / 10)
        ranking = RankingArrays(nodes, nodes, nodes, rng.normal(size=NODES).astype(np.float32))
        arrays = pack_arrays(curve, ranking)
        statistics = summarise(curve, n_resamples=100)
        for task, method, seed in product(range(TASKS), range(METHODS), range(SEEDS)):
            cell = Cell(
                model="toy",
                task=f"task/{task}",
                basis=f"basis_{basis}",
                method=f"method_{method}",
                ablation="mean",
                positions="kept",
                rank="abs",
                error="score",
                n_discovery=32,
                n_evaluation=PAIRS,
                split="evaluation",
                seed=seed,
                dtype="float32",
                grid=size_grid(),
            )
            data = Data(discovery=counts, evaluation=counts, hash=hashlib.sha256(f"{task}{seed}".encode()).hexdigest())
            timing = Timing(seconds={"curve": 1.0}, peak_memory_bytes=2**30)
            result = make_result(cell, curve, statistics, arrays, data, environment, timing)
            (path / f"{result.name}.json").write_text(result.model_dump_json(by_alias=True, indent=1))
            (path / f"{result.name}.safetensors").write_bytes(arrays)
    yield path
    shutil.rmtree(path)


def test_leaderboard_over_ten_thousand_results(folder: Path) -> None:
    began = time.perf_counter()
    board = build_leaderboard([folder])
    built = time.perf_counter()
    command = [sys.executable, "-m", "basisbench", "leaderboard", str(folder), "--format", "json"]
    printed = subprocess.run(command, capture_output=True, check=True)
    whole = time.perf_counter() - built
    assert board.n_results == TASKS * BASES * METHODS * SEEDS
    assert len(board.rows) == BASES * METHODS
    assert not board.problems
    assert all(row.rank for row in board.rows)
    print(f"\n{board.headline}")
    print(
        f"{board.n_results:,} results, {len(board.rows)} rows: built in {built - began:.1f} s, "
        f"the command as a whole {whole:.1f} s, {len(printed.stdout) / 2**20:.1f} MiB of JSON"
    )
