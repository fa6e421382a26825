"""The page of a trace: one HTML file with the graph, drawn so that it can be followed, and the evidence on its nodes.

from harness.graph_page import trace_page
from harness.tracing.document import read_trace
html = trace_page(read_trace(Path("trace.json")))
"""

from harness.graph_page.page import trace_page

__all__ = ["trace_page"]
