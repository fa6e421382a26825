"""How far a run is, for the bar that a user watches."""

from collections.abc import Iterable, Mapping

from basisbench.attribution import Method
from basisbench.grid.plan import Group
from basisbench.progress import Progress, Report


class Clock:
    """Turns what is done into a fraction of the whole run, by what methods say that they cost.

    The unit of cost is a forward pass over the discovery pairs, more or less; a backward pass costs as much.
    """

    CURVE = 30.0
    PROJECTION = 0.5
    """What scoring takes beside passes: a basis' own share."""
    OFTEN: Mapping[str, int] = {"run": 1, "site": 24, "node": 2000}
    """How many sites, and nodes of a basis, there may be: the model that knows is not loaded yet."""

    def __init__(self, report: Report, groups: Iterable[Group], methods: Mapping[str, Method]) -> None:
        self.report = report
        self.methods = methods
        self.total = sum(map(self._cost, groups))
        self.before = 0.0
        self.within = 0.0

    def scoring(self, group: Group) -> Progress:
        """A progress callback for the next scores of a group, of which there may be several."""
        return self._part(group, self._scores(group))

    def curve(self, group: Group) -> Progress:
        """A progress callback for the next curve of a group."""
        return self._part(group, self.CURVE)

    def finish(self, group: Group) -> None:
        """Count a group as done, or as not to be done."""
        self.before += self._cost(group)
        self.within = 0.0
        self.report(group.label, min(1.0, self.before / self.total))

    def _scores(self, group: Group) -> float:
        bases = len(group.bases)
        often = {**self.OFTEN, "basis": bases, "node": bases * self.OFTEN["node"]}
        passes = self.methods[group.shared.method].passes
        return bases * self.PROJECTION + sum((p.forward + p.backward) * often[p.per] for p in passes)

    def _cost(self, group: Group) -> float:
        treatments = {(treatment.ablation, treatment.error) for treatment in group.treatments}
        asked = len(treatments) if self.methods[group.shared.method].needs_ablation else 1
        return asked * self._scores(group) + len(group.treatments) * self.CURVE

    def _part(self, group: Group, cost: float) -> Progress:
        begin = self.before + self.within
        self.within += cost

        def progress(what: str, done: int, total: int) -> None:
            self.report(f"{group.label}: {what}", min(1.0, (begin + cost * min(1.0, done / total)) / self.total))

        return progress
