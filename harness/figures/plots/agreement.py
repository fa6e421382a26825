"""Agreement of rankings: how many of the first k nodes two methods share, and in how far they order them alike.

Methods are compared with exact patching where a task and basis has it, otherwise with each other.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from basisbench.figures.circuits import Node, correlation_at, nodes_of, overlap_at, shared_ranks
from basisbench.figures.panels import Drawing, Line, Row, captioned, lined, table_of
from basisbench.figures.plot import Plot
from basisbench.figures.series import Comparison, LeftOutError, Series, over_seeds
from basisbench.figures.style import LINE_STYLES, Style, make_look
from basisbench.measures.resampling import Band
from basisbench.values import size_grid

MEASURES = {"overlap": overlap_at, "rank_correlation": correlation_at}


def agreement(comparison: Comparison, style: Style, k: int = 0) -> Drawing:
    """Draw, against k, the share of the first k nodes that two methods share and Spearman's correlation of their ranks.

    k goes as far as both rankings do, nodes with score 0 not counted: up to K for `exact:K`. Bands are the range over
    seeds. Raises LeftOutError if no task and basis has two methods, or more pairs than there are line styles.
    """
    pairs = [pair for panel in comparison.panels for pair in _pairs(comparison.of(panel))]
    lines = [line for a, b in pairs if (line := _line(comparison, a, b))]
    if not lines:
        raise LeftOutError("no task and basis has results of two methods")
    look = make_look((line.basis for line in lines), (line.kind for line in lines))
    if len(look.lines) > len(LINE_STYLES):
        raise LeftOutError(
            f"{len(look.lines)} pairs of methods are too many (at most {len(LINE_STYLES)}): name some --methods"
        )
    compared = next(iter(look.lines)) if len(look.lines) == 1 else "two methods"
    what = f"overlap of the top k nodes of {compared}, and Spearman's correlation of the ranks of those they share"
    ranged = "; bands: lowest to highest seed" if any(len(a.results) > 1 for a, _ in pairs) else ""
    caption = captioned(comparison, what + ranged)
    worst = min(0.0, *(float(np.nanmin(line.bands["rank_correlation"].value, initial=0.0)) for line in lines))
    rows = (
        Row("overlap", "share of the\ntop k shared", "k", (-0.05, 1.05), 0.2),
        Row("rank_correlation", "correlation of\ntheir ranks", "k", (worst - 0.05, 1.05), 0.2 if worst > -0.3 else 0.5),
    )
    figure = lined(comparison, lines, rows, look, style, caption, {})
    return Drawing(figure, caption, *table_of(comparison, lines, rows, "methods", "k"))


def _pairs(members: Sequence[Series]) -> list[tuple[Series, Series]]:
    """Return the series of a panel to compare with each other: of one basis, and with exact patching if it is there."""
    pairs = []
    for basis in dict.fromkeys(series.basis for series in members):
        here = [series for series in members if series.basis == basis]
        reference = max((series for series in here if _reach(series)), key=_reach, default=None)
        if reference:
            pairs += [(series, reference) for series in here if series != reference]
        else:
            pairs += combinations(here, 2)
    return pairs


def _reach(series: Series) -> float:
    """Return how many nodes the method patched exactly, 0 if it does not."""
    name, _, most = series.method.partition(":")
    if name != "exact":
        return 0
    return float(most) if most.isdecimal() else float("inf")


def _line(comparison: Comparison, a: Series, b: Series) -> Line | None:
    """Return the agreement of two series over the seeds that both have; None if there is none."""
    of_a, of_b = ({result.cell.seed: result for result in series.results} for series in (a, b))
    found: list[tuple[list[Node], list[Node]]] = [
        (nodes_of(comparison.ranking(of_a[seed])), nodes_of(comparison.ranking(of_b[seed])))
        for seed in of_a
        if seed in of_b
    ]
    reach = min((len(side) for sides in found for side in sides), default=0)
    if not reach:
        return None
    sizes = size_grid(reach)
    bands: dict[str, list[Band]] = {name: [] for name in MEASURES}
    for sides in found:
        ranks = shared_ranks(*sides)
        for name, measure in MEASURES.items():
            value = np.array([measure(ranks, k) for k in sizes])
            bands[name].append(Band(value, value, value))
    averaged = {name: over_seeds(parts) for name, parts in bands.items()}
    spread = "one seed" if len(found) == 1 else f"lowest to highest of {len(found)} seeds"
    kind = f"{a.method} and {b.method}"
    return Line(a.panel, a.basis, kind, spread, np.array(sizes, dtype=np.float64), averaged)


RECORDS = (
    Plot(
        "agreement",
        "how far two methods share their first k nodes and order them alike",
        "two methods on a task and basis",
        agreement,
    ),
)
