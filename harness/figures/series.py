"""From results to what a figure compares: series, each the results of one cell that differ in nothing but their seed.

1. Settings in which the results differ tell panels apart, and the seed, the pairs and the sizes do not.
2. Results of one panel, basis and method that differ in anything else are series of their own: the basis' label says
   in what. So nothing is averaged that was not measured alike.
3. What is drawn of a series is the result's own interval, or the mean over its seeds and their range.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from basisbench.errors import UserError
from basisbench.figures.style import Look, make_look
from basisbench.measures.metrics import Floats
from basisbench.measures.statistics import Band
from basisbench.results.files import RankingArrays
from basisbench.results.schema import Interval, Result
from basisbench.results.tables import settings_in_words, varying_settings

SHOWN_DIGITS = 6
OF_SERIES = ("seed", "n_discovery", "n_evaluation", "sizes", "model_hash")
"""Settings that tell series of one panel apart, not panels."""
SCORES = "scores_sha256"  # the option that says which file a submitted ranking came from
Rankings = Callable[[Result], RankingArrays]


class LeftOutError(UserError):
    """A figure that these results cannot give; the message says why."""


@dataclass(frozen=True)
class Panel:
    """What results must share to be compared in one panel: the task, and the values of the settings that vary."""

    task: str
    setting: tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """Results that differ in their seed alone, in its order. `basis` is a label: see the module's second point.

    Two series of one comparison never share panel, basis and method: these are what it is known by.
    """

    panel: Panel
    basis: str
    method: str
    results: tuple[Result, ...] = field(compare=False)

    @property
    def usable(self) -> tuple[Result, ...]:
        """The results that are not degenerate."""
        return tuple(result for result in self.results if not result.degenerate)


@dataclass(frozen=True)
class Comparison:
    """All series of a figure. `settings` names the settings of the panels, `ranking` finds a result's nodes."""

    series: tuple[Series, ...]
    settings: tuple[str, ...]
    look: Look
    ranking: Rankings

    @property
    def results(self) -> list[Result]:
        """Every result, series by series."""
        return [result for series in self.series for result in series.results]

    @property
    def panels(self) -> list[Panel]:
        """The panels, by task and setting."""
        return sorted({series.panel for series in self.series}, key=lambda panel: (panel.task, panel.setting))

    def of(self, panel: Panel) -> list[Series]:
        """Return the series of a panel."""
        return [series for series in self.series if series.panel == panel]

    def said(self, setting: Sequence[str]) -> list[str]:
        """Return the values of the settings that vary, each with its name."""
        return [f"{name} {value}" for name, value in zip(self.settings, setting, strict=True)]

    def title(self, panel: Panel) -> list[str]:
        """Return the lines that head a panel."""
        return [panel.task, *self.said(panel.setting)]


def no_ranking(result: Result) -> RankingArrays:
    """Stand in where the nodes of results are not asked for."""
    raise LeftOutError(f"the nodes of {result.name} are not at hand")


def compare(results: Iterable[Result], ranking: Rankings = no_ranking) -> Comparison:
    """Return the comparison of `results`; one that is there twice counts once. Raises UserError without results."""
    distinct = list({result.name: result for result in results}.values())
    if not distinct:
        raise UserError("no results to plot: valid is one result or more")
    settings = tuple(name for name in varying_settings(distinct) if name not in OF_SERIES)
    groups: dict[tuple[Panel, str, str], list[Result]] = {}
    for result in distinct:
        cell, words = result.cell, settings_in_words(result)
        panel = Panel(cell.task, tuple(words[name] for name in settings))
        groups.setdefault((panel, cell.basis, cell.method), []).append(result)
    series = [
        Series(panel, basis + said, method, tuple(sorted(members, key=lambda result: result.cell.seed)))
        for (panel, basis, method), group in groups.items()
        for said, members in _versions(group).items()
    ]
    look = make_look((one.basis for one in series), (one.method for one in series))
    order = list(look.bases)
    series.sort(key=lambda one: (one.panel.task, one.panel.setting, order.index(one.basis), one.method))
    return Comparison(tuple(series), settings, look, ranking)


def _versions(group: Sequence[Result]) -> dict[str, list[Result]]:
    """Split results of one panel, basis and method by all else that differs, but for the seed, and say what it is."""
    versions = _split(group, [_facts(result) for result in group])
    if all(len({result.cell.seed for result in members}) == len(members) for members in versions.values()):
        return versions
    # what a seed decides tells results apart after all, where one seed has several
    return _split(group, [_facts(result) | _drawn(result) for result in group])


def _split(group: Sequence[Result], facts: Sequence[dict[str, str]]) -> dict[str, list[Result]]:
    known = sorted({name for fact in facts for name in fact})
    names = [name for name in known if len({fact.get(name) for fact in facts}) > 1]
    versions: dict[str, list[Result]] = {}
    for result, fact in zip(group, facts, strict=True):
        words = ", ".join(f"{name} {fact.get(name, '-')}" for name in names)
        versions.setdefault(f" ({words})" if words else "", []).append(result)
    return versions


def _facts(result: Result) -> dict[str, str]:
    """Return what must be equal for seeds to be averaged, beside the settings of a panel."""
    cell = result.cell
    facts = {name: str(getattr(cell, name)) for name in ("n_discovery", "n_evaluation", "n_resamples")}
    facts |= {"sizes": _digits(str(cell.grid)), "weights": _digits(result.environment.model_hash)}
    return facts | {name: _brief(str(value)) for name, value in cell.options.items() if name != SCORES}


def _drawn(result: Result) -> dict[str, str]:
    """Return what differs from seed to seed: the pairs and, of a submitted ranking, its file."""
    return {"pairs": _digits(result.data.hash), "scores": _digits(str(result.cell.options.get(SCORES)))}


def _brief(text: str) -> str:
    return text if len(text) < 16 else _digits(text)


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:SHOWN_DIGITS]


def complete(comparison: Comparison, setting: tuple[str, ...]) -> dict[tuple[str, str], list[list[Result]]]:
    """Return what a mean over the tasks of a setting is made of: by basis and method the usable results, task by task.

    Only those of seeds that every task has; a basis and method that lacks a task is not there, and with one task none.
    """
    members = [series for series in comparison.series if series.panel.setting == setting]
    tasks = {series.panel.task for series in members}
    found: dict[tuple[str, str], list[Series]] = {}
    for series in members:
        found.setdefault((series.basis, series.method), []).append(series)
    whole = {}
    for name, by_task in found.items():
        seeds = set.intersection(*({result.cell.seed for result in series.usable} for series in by_task))
        if 1 < len(tasks) == len(by_task) and seeds:
            whole[name] = [[r for r in series.usable if r.cell.seed in seeds] for series in by_task]
    return whole


def mean_panel(n_tasks: int, setting: tuple[str, ...]) -> Panel:
    """Return the panel of a mean over tasks."""
    return Panel(f"mean of {n_tasks} tasks", setting)


def mean_band(bands: Sequence[Sequence[Band]]) -> Band:
    """Return the mean over tasks of `bands`, task by task and within each seed by seed."""
    return over_seeds([over_tasks(of_seed) for of_seed in zip(*bands, strict=True)])


def over_seeds(bands: Sequence[Band]) -> Band:
    """Return the only band as it is, or the mean of several and the range of their values."""
    if len(bands) == 1:
        return bands[0]
    values = np.stack([band.value for band in bands])
    return Band(values.mean(0), values.min(0), values.max(0))


def over_tasks(bands: Sequence[Band]) -> Band:
    """Return the mean over T tasks, [P], and its interval, each task's interval being independent of the others'.

    The variance of a mean of independent parts is the sum of theirs over T squared; so each half of the interval is
    the root of the sum of the tasks' squared halves, over T. Exact for normal distributions.
    """
    value, low, high = (np.stack([getattr(band, part) for band in bands]) for part in ("value", "low", "high"))
    mean = value.mean(0)
    return Band(mean, mean - _half(value - low), mean + _half(high - value))


def _half(halves: Floats) -> Floats:
    half: Floats = np.sqrt((halves**2).sum(0)) / len(halves)
    return half


def interval_band(interval: Interval) -> Band:
    """Return an interval as a band of shape [1]; NaN where it is not defined."""
    return Band(*(np.array([part], dtype=np.float64) for part in (interval.value, interval.low, interval.high)))


def spread_of(n_seeds: int) -> str:
    """Say what the ends of a band are."""
    return "95 % bootstrap interval" if n_seeds == 1 else f"lowest to highest of {n_seeds} seeds"
