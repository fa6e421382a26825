"""How far a run is, for the bar that a user watches."""

from collections.abc import Callable, Iterable, Mapping

from harness.attribution import Progress

Report = Callable[[str, float], None]
"""Takes what is being done and the fraction of the run that is done."""


def quiet(what: str, fraction: float) -> None:
    """Report nothing."""


class Clock:
    """Turns what is done into a fraction of the whole run, by rough costs known beforehand.

    The unit of cost is a forward pass over the discovery pairs, more or less.
    """

    CURVE = 4.0
    COSTS: Mapping[str, float] = {"ig": 20.0, "ig_inputs": 8.0, "exact": 60.0}
    OTHER_COST = 1.5

    def __init__(self, report: Report, n_tasks: int, methods: Iterable[str], n_curves: int) -> None:
        self.report = report
        self.costs = {name: self.COSTS.get(name.partition(":")[0], self.OTHER_COST) for name in methods}
        self.task = sum(self.costs.values()) + len(self.costs) * n_curves * self.CURVE
        self.total = n_tasks * self.task
        self.before = 0.0

    def part(self, label: str, cost: float) -> Progress:
        """A progress callback for a piece of work of a given cost."""

        def progress(what: str, done: int, total: int) -> None:
            self.report(f"{label}: {what}", (self.before + cost * min(1.0, done / total)) / self.total)

        return progress

    def finish(self, label: str, cost: float) -> None:
        """Count a piece of work as done, or as not to be done."""
        self.before += cost
        self.report(label, min(1.0, self.before / self.total))
