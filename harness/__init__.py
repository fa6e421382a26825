"""Basisbench measures in which basis a language model's circuits are sparsest.

    import basisbench
    report = basisbench.run({"tasks": "sva/nounpp", "bases": "neurons"})
    basisbench.plot_curves(report.results, report.folder / "curves.png")
    for result in report.results:
        print(result.cell.basis, result.summary["nodes@0.8"].value)

Names are imported when first used, so that `import basisbench` is quick.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from basisbench.attribution.ask import ask, ask_scores
    from basisbench.attribution.load import load_method
    from basisbench.attribution.methods import Method, Passes, Request
    from basisbench.bases.basis import Basis, LinearBasis
    from basisbench.bases.load import load_basis
    from basisbench.circuits.circuit import Circuit, Circuits
    from basisbench.circuits.curves import evaluate
    from basisbench.circuits.ranking import rank_nodes
    from basisbench.circuits.scores import Scores
    from basisbench.errors import UserError
    from basisbench.figures import compare, make_figures, plot_curves, read_folders
    from basisbench.grid.config import RunConfig, make_config
    from basisbench.grid.run import run
    from basisbench.leaderboard import build_leaderboard
    from basisbench.measures.summary import summarise
    from basisbench.models.adapter import Model
    from basisbench.models.loading import load_model
    from basisbench.models.sites import Site
    from basisbench.prompts.selection import load_prompts
    from basisbench.results.files import read_arrays, read_result, read_results
    from basisbench.results.schema import Result
    from basisbench.results.tables import markdown_table, results_table
    from basisbench.tasks.load import load_task
    from basisbench.tasks.pair import Pair, Span

    __version__: str

_HOMES = {
    "Basis": "basisbench.bases.basis",
    "Circuit": "basisbench.circuits.circuit",
    "Circuits": "basisbench.circuits.circuit",
    "LinearBasis": "basisbench.bases.basis",
    "Method": "basisbench.attribution.methods",
    "Model": "basisbench.models.adapter",
    "Pair": "basisbench.tasks.pair",
    "Passes": "basisbench.attribution.methods",
    "Request": "basisbench.attribution.methods",
    "Result": "basisbench.results.schema",
    "RunConfig": "basisbench.grid.config",
    "Scores": "basisbench.circuits.scores",
    "Site": "basisbench.models.sites",
    "Span": "basisbench.tasks.pair",
    "UserError": "basisbench.errors",
    "ask": "basisbench.attribution.ask",
    "ask_scores": "basisbench.attribution.ask",
    "build_leaderboard": "basisbench.leaderboard",
    "compare": "basisbench.figures",
    "evaluate": "basisbench.circuits.curves",
    "load_basis": "basisbench.bases.load",
    "load_method": "basisbench.attribution.load",
    "load_model": "basisbench.models.loading",
    "load_prompts": "basisbench.prompts.selection",
    "load_task": "basisbench.tasks.load",
    "make_config": "basisbench.grid.config",
    "make_figures": "basisbench.figures",
    "markdown_table": "basisbench.results.tables",
    "plot_curves": "basisbench.figures",
    "rank_nodes": "basisbench.circuits.ranking",
    "read_arrays": "basisbench.results.files",
    "read_folders": "basisbench.figures",
    "read_result": "basisbench.results.files",
    "read_results": "basisbench.results.files",
    "results_table": "basisbench.results.tables",
    "run": "basisbench.grid.run",
    "summarise": "basisbench.measures.summary",
}
__all__ = [
    "Basis",
    "Circuit",
    "Circuits",
    "LinearBasis",
    "Method",
    "Model",
    "Pair",
    "Passes",
    "Request",
    "Result",
    "RunConfig",
    "Scores",
    "Site",
    "Span",
    "UserError",
    "ask",
    "ask_scores",
    "build_leaderboard",
    "compare",
    "evaluate",
    "load_basis",
    "load_method",
    "load_model",
    "load_prompts",
    "load_task",
    "make_config",
    "make_figures",
    "markdown_table",
    "plot_curves",
    "rank_nodes",
    "read_arrays",
    "read_folders",
    "read_result",
    "read_results",
    "results_table",
    "run",
    "summarise",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("basisbench")
    if name not in _HOMES:
        raise AttributeError(f"module 'basisbench' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
