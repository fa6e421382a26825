"""Helpers for tests of board."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from basisbench.leaderboard import Leaderboard, build_leaderboard
from basisbench.measures.clusters import apart
from basisbench.measures.curve import Curve
from basisbench.measures.metrics import Floats, Outcome
from basisbench.measures.summary import summarise
from basisbench.results.controls import Control, shipped_controls
from basisbench.results.files import (
    RankingArrays,
    describe_environment,
    make_result,
    pack_arrays,
)
from basisbench.results.files import write_result as write
from basisbench.results.schema import Cell, Data, PairCounts, Timing

SIZES = [1, 10, 100, 1000]
PAIRS = 12
RESAMPLES = 200
TASKS = ("ioi", "sva/rc")
ENVIRONMENT = describe_environment("cpu", "float32", 1, "m" * 16, "d")


def toy_curve(quality: float, effect: float = 3.0, task: str = "", noise: float = 0.1, total: int = 20_000) -> Curve:
    """A curve that rises by `quality` a decade; what is random of it is the same for each row of a task."""
    rng = np.random.default_rng(sum(task.encode()))
    size = np.array(SIZES)

    def outcome(mean: Floats) -> Outcome:
        margin = mean[..., None] + noise * rng.normal(size=(*mean.shape, PAIRS))
        return Outcome(margin, margin * 0, margin / 2 + 1, margin - 1, abs(margin))

    rise = effect * np.clip(quality * np.arange(1, 5), 0, 1)
    ends = outcome(np.array(effect)), outcome(np.array(0.0))
    return Curve(
        size, size - size // 10, size // 10, total, apart(PAIRS, task), *ends, outcome(rise), outcome(effect - rise)
    )


def write_cell(
    folder: Path,
    basis: str,
    quality: float = 0.2,
    *,
    task: str = "ioi",
    curve: Curve | None = None,
    pairs: str = "pairs",
    model_hash: str = "m" * 16,
    seconds: float = 2.0,
    device: str = "cpu",
    controls: Sequence[Control] | None = None,
    **settings: Any,
) -> Path:
    """Write a result with a planted curve and return the path of its JSON file; `controls` None: by shipped names."""
    cell = Cell.model_validate(
        {
            "model": "toy", "task": task, "basis": basis, "method": "relp", "ablation": "mean", "positions": "kept",
            "rank": "abs", "error": "score", "n_discovery": 8, "n_evaluation": PAIRS, "split": "evaluation",
            "seed": 0, "dtype": "float32", "grid": SIZES, **settings,
        }
    )  # fmt: skip
    curve = curve or toy_curve(quality, task=f"{task}{cell.seed}")
    counts = PairCounts(usable=curve.n, unusable={})
    nodes = np.arange(3, dtype=np.int32)
    arrays = pack_arrays(curve, RankingArrays(nodes, nodes, nodes, nodes.astype(np.float32)))
    data = Data(discovery=counts, evaluation=counts, hash=f"{pairs} {cell.seed}")
    environment = ENVIRONMENT.model_copy(update={"model_hash": model_hash, "data_hash": data.hash, "device": device})
    timing = Timing(seconds={"attribution": seconds / 2, "curve": seconds / 2}, peak_memory_bytes=int(seconds * 2**20))
    statistics = summarise(curve, n_resamples=50)
    said = shipped_controls(basis, cell.method) if controls is None else controls
    return write(folder, make_result(cell, curve, statistics, arrays, data, environment, timing, said), arrays)


def write_board(folder: Path, qualities: Mapping[str, float], tasks: tuple[str, ...] = TASKS, **settings: Any) -> Path:
    for (basis, quality), (number, task) in itertools.product(qualities.items(), enumerate(tasks)):
        write_cell(folder, basis, quality + 0.001 * number, task=task, **settings)
    return folder


def board_of(*folders: Path, **options: Any) -> Leaderboard:
    return build_leaderboard(folders, n_resamples=RESAMPLES, **options)
