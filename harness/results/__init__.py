"""Results: their documents, their files, and the tables that show them. No torch is needed to read one."""

from basisbench.results.files import write_result
from basisbench.results.find import read_arrays, read_result, read_results
from basisbench.results.schema import Cell, Interval, Result
from basisbench.results.tables import markdown_table, results_table

__all__ = [
    "Cell",
    "Interval",
    "Result",
    "markdown_table",
    "read_arrays",
    "read_result",
    "read_results",
    "results_table",
    "write_result",
]
