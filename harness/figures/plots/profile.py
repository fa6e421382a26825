"""Where circuits lie: the share of their nodes in each layer, and at each position."""

import numpy as np
from numpy.typing import NDArray

from basisbench.figures.panels import Drawing, Line, Row, captioned, lined
from basisbench.figures.plot import Plot
from basisbench.figures.series import Comparison, LeftOutError, Series, over_seeds
from basisbench.figures.style import Style
from basisbench.measures.resampling import Band
from basisbench.results.files import RankingArrays
from basisbench.writing import Value

PLACES = ("layer", "position")
MOST_PLACES = 4096
"""A result can name any layer and position; so many are still drawn."""


def profile(comparison: Comparison, style: Style, k: int) -> Drawing:
    """Draw the share of the first k nodes by layer and by position, a panel a task; bands are the range over seeds.

    Nodes with score 0 are not counted, error nodes are. Positions are numbered in reading order, from 0; where they
    are pooled there is one, -1. Raises LeftOutError if no ranking has a node with a score.
    """
    lines = [line for series in comparison.series for line in _lines(comparison, series, k)]
    if not lines:
        raise LeftOutError("no ranking has a node with a score")
    rows = [
        Row(place, f"share by {place}", place, (-0.03 * top, 1.05 * top), _step(top), log=False)
        for place in PLACES
        for top in [max(float(line.bands[place].value.max()) for line in lines if place in line.bands)]
    ]
    ranged = "; bands: lowest to highest seed" if any(len(one.results) > 1 for one in comparison.series) else ""
    caption = captioned(comparison, f"share of the top {k:,} nodes by layer and by position{ranged}")
    figure = lined(comparison, lines, rows, comparison.look, style, caption, {})
    header = ("task", *comparison.settings, "basis", "method", "k", "spread", "by", "place", "share", "low", "high")
    return Drawing(figure, caption, header, _table(lines, k))


def _lines(comparison: Comparison, series: Series, k: int) -> list[Line]:
    rankings = [comparison.ranking(result) for result in series.results]
    rankings = [ranking for ranking in rankings if (ranking.score != 0).any()]
    spread = "one seed" if len(rankings) == 1 else f"lowest to highest of {len(rankings)} seeds"
    lines = []
    for place in PLACES if rankings else ():
        found = [getattr(ranking, place) for ranking in rankings]
        if min(map(np.min, found)) < -1 or max(map(np.max, found)) > MOST_PLACES:
            raise LeftOutError(f"a result names a {place} beyond -1 to {MOST_PLACES}")
        x = np.arange(min(0, *map(np.min, found)), max(map(np.max, found)) + 1)
        shares = [Band(*[share_at(ranking, place, x, k)] * 3) for ranking in rankings]
        lines.append(
            Line(series.panel, series.basis, series.method, spread, x.astype(np.float64), {place: over_seeds(shares)})
        )
    return lines


def share_at(ranking: RankingArrays, place: str, x: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Return the share of the first k nodes with a score whose layer, or position, is each of `x`."""
    first = getattr(ranking, place)[ranking.score != 0][:k]
    share: NDArray[np.float64] = (first == x[:, None]).mean(1)
    return share


def _step(top: float) -> float:
    return next(step for step in (0.05, 0.1, 0.2, 0.5) if top / step <= 6 or step == 0.5)


def _table(lines: list[Line], k: int) -> list[tuple[Value, ...]]:
    rows: list[tuple[Value, ...]] = []
    for line in lines:
        ((place, band),) = line.bands.items()
        start: tuple[Value, ...] = (line.panel.task, *line.panel.setting, line.basis, line.kind, k, line.spread, place)
        for i, at in enumerate(line.x.tolist()):
            rows.append((*start, int(at), float(band.value[i]), float(band.low[i]), float(band.high[i])))
    return rows


RECORDS = (
    Plot("profile", "the share of circuits in each layer and at each position", "a ranking with a score", profile),
)
