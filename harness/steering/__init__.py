"""Steering: units multiplied, set or transplanted, and what the model says then (docs/steering.md).

nodes = top_nodes(ranking, 50)
curve = dose_response(model, prompts, basis, nodes, [-1, 0, 1, 2], outcomes=outcomes_of(model, prompts, task))
"""

from basisbench.settings.steer import DOSES
from basisbench.steering.board import Steerability, order, steerability
from basisbench.steering.controls import Controls, activities, matched_controls
from basisbench.steering.donors import constant_values, donor_values
from basisbench.steering.dose import DoseResponse, dose_response, dose_responses
from basisbench.steering.intervene import Bench, Condition, Multiply, Set, Steering, Transplant, Values, prepare, run
from basisbench.steering.nodes import EVERYWHERE, Nodes, group_nodes, parse_nodes, top_nodes
from basisbench.steering.outcomes import outcomes_of
from basisbench.steering.side_effects import SideEffect, donor_effect, side_effect
from basisbench.steering.swap import SwapResult, difference_band, swap

__all__ = [
    "DOSES",
    "EVERYWHERE",
    "Bench",
    "Condition",
    "Controls",
    "DoseResponse",
    "Multiply",
    "Nodes",
    "Set",
    "SideEffect",
    "Steerability",
    "Steering",
    "SwapResult",
    "Transplant",
    "Values",
    "activities",
    "constant_values",
    "difference_band",
    "donor_effect",
    "donor_values",
    "dose_response",
    "dose_responses",
    "group_nodes",
    "matched_controls",
    "order",
    "outcomes_of",
    "parse_nodes",
    "prepare",
    "run",
    "side_effect",
    "steerability",
    "swap",
    "top_nodes",
]
