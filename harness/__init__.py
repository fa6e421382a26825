"""Basisbench measures in which basis a language model's circuits are sparsest.

    import harness
    report = harness.run(harness.make_config({"tasks": "sva/nounpp", "bases": "neurons"}))
    harness.plot_curves(report.results, report.folder / "curves.png")
    for result in report.results:
        print(result.cell.basis, result.summary.nodes_at_08.value)

Names are imported when first used, so that `import harness` is quick.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.bases import Basis, LinearBasis, load_basis
    from harness.config import RunConfig, make_config
    from harness.errors import UserError
    from harness.figures import plot_curves
    from harness.loading import load_model
    from harness.models.adapter import Model
    from harness.results import read_arrays, read_result, read_results
    from harness.runner import run
    from harness.schema import Result
    from harness.sites import Site
    from harness.tables import markdown_table, results_table
    from harness.tasks import load_task

_HOMES = {
    "Basis": "harness.bases",
    "LinearBasis": "harness.bases",
    "Model": "harness.models.adapter",
    "Result": "harness.schema",
    "RunConfig": "harness.config",
    "Site": "harness.sites",
    "UserError": "harness.errors",
    "load_basis": "harness.bases",
    "load_model": "harness.loading",
    "load_task": "harness.tasks",
    "make_config": "harness.config",
    "markdown_table": "harness.tables",
    "plot_curves": "harness.figures",
    "read_arrays": "harness.results",
    "read_result": "harness.results",
    "read_results": "harness.results",
    "results_table": "harness.tables",
    "run": "harness.runner",
}
__all__ = [
    "Basis",
    "LinearBasis",
    "Model",
    "Result",
    "RunConfig",
    "Site",
    "UserError",
    "load_basis",
    "load_model",
    "load_task",
    "make_config",
    "markdown_table",
    "plot_curves",
    "read_arrays",
    "read_result",
    "read_results",
    "results_table",
    "run",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
