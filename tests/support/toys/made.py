"""Helpers for tests of made."""

from typing import Any

from basisbench.results.schema import Result

SIZES = [1, 10, 100, 1000]


def made(
    f: Any = (0.1, 0.4, 0.8, 1.0), nodes: float | None = 100, n: int = 40, degenerate: bool = False, **cell: Any
) -> Result:
    """Return a result with faithfulness `f`, completeness 1 - f and intervals of 0.1 around both."""
    f = list(f)
    c = [None if value is None else 1 - value for value in f]

    def moved(values: list[Any], by: float) -> list[Any]:
        return [None if value is None else value + by for value in values]

    asked = {
        "model": "toy", "task": "ioi", "basis": "sae", "method": "ig", "ablation": "mean", "positions": "kept",
        "rank": "abs", "error": "score", "n_discovery": 100, "n_evaluation": 40, "split": "evaluation", "seed": 0,
        "dtype": "float32", "grid": SIZES,
    }  # fmt: skip
    half = {"value": 0.5, "low": 0.25, "high": 0.75}
    pairs = {"usable": n, "unusable": {"wrong answer": 3}}
    return Result.model_validate(
        {
            "cell": asked | cell,
            "curve": {
                "size": SIZES, "distinct_units": SIZES, "error_nodes": [0, 1, 2, 3],
                "faithfulness": f, "faithfulness_low": moved(f, -0.1), "faithfulness_high": moved(f, 0.1),
                "completeness": c, "completeness_low": moved(c, -0.1), "completeness_high": moved(c, 0.1),
                "reported": {
                    "accuracy": {"circuit": [0.5] * 4, "complement": [1.0] * 4},
                    "candidate_accuracy": {"circuit": [0.25] * 4, "complement": [0.75] * 4},
                    "probability_difference": {"circuit": [0.2] * 4, "complement": [-0.0001] * 4},
                    "kl": {"circuit": [0.125] * 4, "complement": [1.5] * 4},
                },
            },
            "summary": {
                "auc_f": half, "auc_c": {"value": None, "low": None, "high": None}, "cpr": half, "cmd": half,
                "nodes@0.5": half, "nodes@0.8": {"value": nodes, "low": 10.0, "high": 46080.0}, "nodes@0.9": half,
            },
            "F_full": 3.0, "F_empty": 0.5, "total_nodes": 46080, "degenerate": degenerate,
            "data": {"discovery": pairs, "evaluation": pairs, "hash": "d"},
            "environment": {
                "python": "3.11", "platform": "here", "packages": {"torch": "2.6"}, "git_commit": None,
                "device": "cpu", "dtype": "float32", "threads": 1, "model_hash": "m", "data_hash": "d",
            },
            "timing": {"seconds": {"curve": 2.0}, "peak_memory_bytes": 3 * 2**20}, "arrays_sha256": "0" * 64,
        }
    )  # fmt: skip
