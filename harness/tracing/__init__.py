"""Circuit tracing: graphs of direct effects between a basis' units, and circuits of edges."""

from harness.tracing.graph import Edges, Graph, Question, logit_difference, task_metric, trace_graph, trace_task
from harness.tracing.influence import prune
from harness.tracing.nodes import Node, NodeKind, ranked_nodes

__all__ = [
    "Edges",
    "Graph",
    "Node",
    "NodeKind",
    "Question",
    "logit_difference",
    "prune",
    "ranked_nodes",
    "task_metric",
    "trace_graph",
    "trace_task",
]
