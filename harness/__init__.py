"""Basisbench measures in which basis a language model's circuits are sparsest.

    import basisbench
    report = basisbench.run(basisbench.make_config({"tasks": "sva/nounpp", "bases": "neurons"}))
    basisbench.plot_curves(report.results, report.folder / "curves.png")
    for result in report.results:
        print(result.cell.basis, result.summary.nodes_at_08.value)

Names are imported when first used, so that `import basisbench` is quick.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from basisbench.bases.basis import Basis, LinearBasis
    from basisbench.bases.load import load_basis
    from basisbench.errors import UserError
    from basisbench.figures import plot_curves
    from basisbench.grid.config import RunConfig, make_config
    from basisbench.grid.run import run
    from basisbench.models.adapter import Model
    from basisbench.models.loading import load_model
    from basisbench.models.sites import Site
    from basisbench.results.find import read_arrays, read_result, read_results
    from basisbench.results.schema import Result
    from basisbench.results.tables import markdown_table, results_table
    from basisbench.tasks.load import load_task

_HOMES = {
    "Basis": "basisbench.bases.basis",
    "LinearBasis": "basisbench.bases.basis",
    "Model": "basisbench.models.adapter",
    "Result": "basisbench.results.schema",
    "RunConfig": "basisbench.grid.config",
    "Site": "basisbench.models.sites",
    "UserError": "basisbench.errors",
    "load_basis": "basisbench.bases.load",
    "load_model": "basisbench.models.loading",
    "load_task": "basisbench.tasks.load",
    "make_config": "basisbench.grid.config",
    "markdown_table": "basisbench.results.tables",
    "plot_curves": "basisbench.figures",
    "read_arrays": "basisbench.results.find",
    "read_result": "basisbench.results.find",
    "read_results": "basisbench.results.find",
    "results_table": "basisbench.results.tables",
    "run": "basisbench.grid.run",
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
        raise AttributeError(f"module 'basisbench' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
