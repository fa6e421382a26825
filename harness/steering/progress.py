"""How far a steering experiment is, for the bar that a user watches."""

from __future__ import annotations

from collections.abc import Callable

from basisbench.settings.steer import SteerConfig
from basisbench.steering.board import DONORS
from basisbench.steering.side_effects import MOST_DONORS

TEXT_COST = 100
"""What the text of the side effects costs, in prompts, roughly."""


class Phases:
    """Turns what is done into a fraction of the whole, by rough costs known beforehand: the unit is a prompt's pass."""

    def __init__(self, config: SteerConfig, report: Callable[[str, float], None]) -> None:
        self.report = report
        doses = len(config.multipliers if config.values is None else config.values)
        sizes = len(config.sizes) if config.board else 0
        every = 1 + 2 * config.draws
        swaps = min(config.swaps or config.n_evaluation**2, config.n_evaluation**2) * (1 + config.draws)
        text = doses + MOST_DONORS * config.swap + sizes * (1 + DONORS)
        steered = (doses + sizes) * every * config.n_evaluation
        self.total = len(config.bases) * (steered + TEXT_COST * text + swaps * (config.swap + sizes))
        self.costs = {
            "steering": steered / (1 + config.board),
            "side effects": TEXT_COST * text / (1 + config.swap + config.board * (1 + sizes)),
            "swaps": swaps / (1 + config.draws),
        }
        self.before = 0.0

    def progress(self, what: str, done: int, total: int) -> None:
        """Take what a phase reports of itself; phases without a cost (attribution) are named only."""
        cost = next((cost for name, cost in self.costs.items() if what.startswith(name)), 0.0)
        self.report(what, min(1.0, (self.before + cost * done / total) / self.total))
        if done >= total:
            self.before += cost
