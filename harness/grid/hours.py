"""How long the cells that are left will take, from cells that were computed; no law says it beforehand.

A cell takes as long as those that are most like it: of its method and basis, else of methods and bases of the same
kind, and so on (ALIKE). Only cells count that share what decides what a pass costs: model, dtype, pairs and sizes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import fmean

from basisbench.grid.records import Timed
from basisbench.results.schema import Cell


def _kind(name: str) -> str:
    return name.partition(":")[0]


def _cost(cell: Cell) -> Hashable:
    return cell.model, cell.dtype, cell.n_discovery, cell.n_evaluation, tuple(cell.grid)


ALIKE: tuple[Callable[[Cell], Hashable], ...] = (
    lambda cell: (cell.method, cell.basis),
    lambda cell: (_kind(cell.method), _kind(cell.basis)),
    lambda cell: _kind(cell.basis),
    lambda cell: _kind(cell.method),
    lambda cell: (),
)
"""What cells can share, the most telling first."""


@dataclass(frozen=True)
class Hours:
    """What is left takes `seconds` of one process, by `timed` cells that `devices` computed.

    Of the cells that are left, `alike` have one of their own method and basis among these.
    """

    seconds: float
    timed: int
    alike: int
    devices: tuple[str, ...]


def hours_of(left: Sequence[Cell], timed: Sequence[Timed]) -> Hours | None:
    """How long the cells `left` of one model take, by those `timed`; None where these say nothing of them."""
    known = [one for one in timed if left and _cost(one.cell) == _cost(left[0])]
    if not known:
        return None
    means = []
    for share in ALIKE:
        pool: dict[Hashable, list[float]] = defaultdict(list)
        for one in known:
            pool[share(one.cell)].append(one.seconds)
        means.append({shared: fmean(seconds) for shared, seconds in pool.items()})
    total, alike = 0.0, 0
    for cell in left:
        found = [mean.get(share(cell)) for mean, share in zip(means, ALIKE, strict=True)]
        total += next(seconds for seconds in found if seconds is not None)
        alike += found[0] is not None
    return Hours(total, len(known), alike, tuple(sorted({one.device for one in known})))
