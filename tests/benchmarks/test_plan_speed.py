"""How long it takes to plan 10,000 cells; nothing here asserts a time.

Run alone on a quiet machine: ``pytest tests/benchmarks/test_plan_speed.py -s``.
"""

import time
from pathlib import Path

import pytest

from basisbench import make_config
from basisbench.cli.outlook import lines
from basisbench.grid.outlook import look_ahead

pytestmark = pytest.mark.benchmark
TASKS = [
    "sva/simple", "sva/nounpp", "sva/rc", "sva/within_rc", "capitals/two_hop", "capitals/country", "ioi",
    "greater_than", "gender_pronoun", "induction",
]  # fmt: skip
MODELS = ["smollm2-135m", "google/gemma-2-2b", "meta-llama/Llama-3.1-8B", "Qwen/Qwen3-8B"]
BASES = ["neurons", "mlp_out", "rotated_neurons", "attn_out", "resid_post"]


def test_how_long_planning_ten_thousand_cells_takes(tmp_path: Path) -> None:
    config = make_config(
        {
            "model": MODELS, "tasks": TASKS, "bases": BASES, "methods": ["relp", "ig", "atp", "random", "delta"],
            "ablation": ["mean", "zero"], "seed": [0, 1, 2, 3, 4], "n_discovery": 100, "out": tmp_path,
        }
    )  # fmt: skip
    began = time.perf_counter()
    found = look_ahead(config)
    printed = "\n".join(lines(found))
    taken = time.perf_counter() - began
    assert sum(model.cells for model in found.models) == 10_000
    print(f"\n10,000 cells planned in {taken:.1f} s\n{printed}")
