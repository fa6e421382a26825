"""The page of a trace: one HTML file with the graph, drawn so that it can be followed, and the evidence on its nodes.

from basisbench.pages.graph import trace_page
from basisbench.tracing.document import read_trace
html = trace_page(read_trace(Path("trace.json")))
"""

from basisbench.pages.graph.page import trace_page

__all__ = ["trace_page"]
