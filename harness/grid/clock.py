"""How far a run is, for the bar that a user watches."""

from collections.abc import Iterable, Mapping

from basisbench.grid.plan import Group
from basisbench.progress import Progress, Report


class Clock:
    """Turns what is done into a fraction of the whole run, by rough costs known beforehand.

    The unit of cost is a forward pass over the discovery pairs, more or less.
    """

    CURVE = 4.0
    COSTS: Mapping[str, float] = {"ig": 20.0, "ig_inputs": 8.0, "exact": 60.0}
    OTHER_COST = 1.5

    def __init__(self, report: Report, groups: Iterable[Group]) -> None:
        self.report = report
        self.total = sum(map(self._cost, groups))
        self.before = 0.0

    def scoring(self, group: Group) -> Progress:
        """A progress callback for the scores of a group."""
        return self._part(group.label, 0.0, self._scores(group))

    def curve(self, group: Group, number: int) -> Progress:
        """A progress callback for the curve of a group with that number, from 0."""
        return self._part(group.label, self._scores(group) + number * self.CURVE, self.CURVE)

    def finish(self, group: Group) -> None:
        """Count a group as done, or as not to be done."""
        self.before += self._cost(group)
        self.report(group.label, min(1.0, self.before / self.total))

    def _scores(self, group: Group) -> float:
        return self.COSTS.get(group.shared.method.partition(":")[0], self.OTHER_COST)

    def _cost(self, group: Group) -> float:
        return self._scores(group) + len(group.treatments) * self.CURVE

    def _part(self, label: str, begin: float, cost: float) -> Progress:
        def progress(what: str, done: int, total: int) -> None:
            self.report(f"{label}: {what}", (self.before + begin + cost * min(1.0, done / total)) / self.total)

        return progress
