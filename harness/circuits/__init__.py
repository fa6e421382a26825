"""From scores to circuits, and from circuits to curves."""

from basisbench.circuits.ranking import Ranking, rank_nodes

__all__ = ["Ranking", "rank_nodes"]
