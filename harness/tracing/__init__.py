"""Circuit tracing: graphs of direct effects between a basis' units, and circuits of edges."""

from basisbench.tracing.graph import Edges, Graph, Question, logit_difference, task_metric, trace_graph, trace_task
from basisbench.tracing.nodes import Node, NodeKind, ranked_nodes
from basisbench.tracing.prune import prune

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
