"""From scores to circuits, and from circuits to curves."""

from basisbench.circuits.circuit import Circuit, Circuits
from basisbench.circuits.ranking import Ranking, rank_nodes
from basisbench.circuits.scores import Scores

__all__ = ["Circuit", "Circuits", "Ranking", "Scores", "rank_nodes"]
