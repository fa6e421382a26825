"""Whole result folders with planted curves, for what reads many results: no model is run."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from basisbench.measures.clusters import apart
from basisbench.measures.curve import Curve
from basisbench.measures.metrics import Floats, Outcome
from basisbench.measures.summary import summarise
from basisbench.results.controls import shipped_controls
from basisbench.results.files import RankingArrays, describe_environment, make_result, pack_arrays, write_result
from basisbench.results.schema import Cell, Data, PairCounts, Timing

SIZES = [1, 3, 10, 30, 100, 300, 1000]
TOTAL = 5000
PAIRS = 12
HOSTILE = "</script><img src=x onerror=globalThis.ran=1><script>globalThis.ran=1</script>&amp;'\"`${globalThis.ran=1}"
# The size at which half of the behaviour is kept, on a log axis.
HALFWAY = {"sae": 8.0, "neurons": 25.0, "resid_post": 300.0}
BASES, METHODS, TASKS = tuple(HALFWAY), ("atp", "relp"), ("greater_than", "ioi", "sva/rc")
# Three tasks, three bases, two methods; a row without one task; and a cell whose effect is nothing.
FULL: list[dict[str, Any]] = [
    *({"task": task, "basis": basis, "method": method} for task in TASKS for basis in BASES for method in METHODS),
    *({"task": task, "basis": "mlp_out", "method": "atp"} for task in TASKS[:2]),
    {"task": "ioi", "basis": "attn_out", "method": "atp", "effect": 0.0},
]


def write_toys(folder: Path, cells: Iterable[Mapping[str, Any]]) -> Path:
    """Write a result for each of `cells`, settings over the usual ones (and `effect`), and return `folder`."""
    counts = PairCounts(usable=PAIRS, unusable={"answers of several tokens": 3})
    environment = describe_environment("cpu", "float32", 1, "m" * 8, "d" * 8)
    for number, given in enumerate(cells):
        asked: dict[str, Any] = {
            "model": "toy", "task": "ioi", "basis": "sae", "method": "relp", "ablation": "mean", "positions": "kept",
            "rank": "abs", "error": "score", "n_discovery": 8, "n_evaluation": PAIRS, "split": "evaluation", "seed": 0,
            "dtype": "float32", "grid": SIZES, "n_resamples": 200,
        }  # fmt: skip
        cell = Cell.model_validate(asked | {name: value for name, value in given.items() if name != "effect"})
        curve = _curve(
            HALFWAY.get(cell.basis, 100.0) * (2 if cell.method == "atp" else 1), given.get("effect", 3.0), number
        )
        nodes = np.arange(4, dtype=np.int32)
        arrays = pack_arrays(curve, RankingArrays(nodes, nodes, nodes - 1, np.ones(4, dtype=np.float32)))
        data = Data(discovery=counts, evaluation=counts, hash=f"pairs of {cell.task[:20]}")
        timing = Timing(seconds={"attribution": 0.25, "curve": 2.0 + number}, peak_memory_bytes=(100 + number) * 2**20)
        write_result(
            folder,
            make_result(
                cell,
                curve,
                summarise(curve, n_resamples=200),
                arrays,
                data,
                environment,
                timing,
                shipped_controls(cell.basis, cell.method),
            ),
            arrays,
        )
    return folder


def _curve(halfway: float, effect: float, seed: int) -> Curve:
    draw = np.random.default_rng(seed)
    size = np.array(SIZES)
    kept = 1 / (1 + (halfway / size) ** 1.5)

    def outcome(mean: float | Floats) -> Outcome:
        margin = np.asarray(mean)[..., None] * effect + draw.normal(0, 0.2, (*np.shape(mean), PAIRS))
        return Outcome(margin, np.zeros_like(margin), margin + 2, margin - 0.5, np.abs(margin - effect))

    return Curve(
        size,
        np.ceil(size * 0.8).astype(np.int64),
        size // 10,
        TOTAL,
        apart(PAIRS, seed),
        outcome(1.0),
        outcome(0.0),
        outcome(kept),
        outcome(1 - kept),
    )
