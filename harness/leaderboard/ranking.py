"""Rows to ranks and comparisons, within one question.

Cells can be compared that share task, seed and pairs. Rows are ranked on the block: the cells that as many rows have in
common as possible. A row that lacks some of it stands after those that do not, in the order of its difference to the
best on the cells that both have. So another cell takes no row away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from basisbench.leaderboard.averages import over_tasks
from basisbench.leaderboard.board import Comparison
from basisbench.leaderboard.rows import RowCells
from basisbench.leaderboard.samples import Key
from basisbench.measures.families import family_means, holm, sign_flip, smallest_p, standardised, typical_interval
from basisbench.measures.metrics import Floats
from basisbench.measures.ranks import places
from basisbench.measures.statistic import SIZE, STATISTICS, Statistic, board_statistics, power_of_ten
from basisbench.results.schema import Interval

Block = frozenset[Key]


@dataclass(frozen=True)
class Ranked:
    """The rows of one question that have `by` in any cell, best first; `complete` of them have all of the `block`.

    `ranks` and `notes` are by row key; a note says why a row has no rank, or what it lacks.
    """

    by: Statistic
    block: Block
    rows: tuple[RowCells, ...]
    complete: tuple[RowCells, ...]
    ranks: Mapping[str, int]
    notes: Mapping[str, str]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks of the block."""
        return tuple(sorted({task for task, _, _ in self.block}))

    @property
    def best(self) -> RowCells | None:
        """The first complete row that is no control."""
        return next((row for row in self.complete if not row.control), None)


def rank_rows(rows: Sequence[RowCells], by: Statistic) -> Ranked:
    """Rank the `rows` of one question by the statistic `by`; controls have no say in what is compared."""
    at = place(by)
    keys = {row.key: row.keys(at) for row in rows}
    known = [row for row in rows if keys[row.key]]
    block = largest_block([keys[row.key] for row in known if not row.control] or [keys[row.key] for row in known])
    complete = [row for row in known if block <= keys[row.key]]
    value = {row.key: by.sign * row.point(block)[at] for row in complete}
    complete.sort(key=lambda row: (-value[row.key], row.label))
    number = places(-np.array([value[row.key] for row in complete]), ties="min") if complete else np.zeros(0)
    best = next((row for row in complete if not row.control), complete[0] if complete else None)

    def behind(row: RowCells) -> tuple[bool, float, str]:
        shared = keys[row.key] & keys[best.key] if best else frozenset()
        if not best or not shared:
            return True, 0.0, row.label
        return False, by.sign * float(best.point(shared)[at] - row.point(shared)[at]), row.label

    others = sorted((row for row in known if row.key not in value), key=behind)
    ranks = {row.key: int(rank) for row, rank in zip(complete, number, strict=True)}
    ranks |= {row.key: rank for rank, row in enumerate(others, start=len(complete) + 1)}
    notes = {row.key: _note(row, keys[row.key], block, by) for row in rows if row.key not in value}
    return Ranked(by, block, (*complete, *others), tuple(complete), ranks, notes)


def largest_block(rows: Sequence[Block]) -> Block:
    """Return the cells that two rows or more have in common, as many rows times cells as possible; of one, its own.

    For each row, others join it one by one, those first that share most cells with it. Empty if no row has any.
    """

    def size(block: Block) -> tuple[bool, int, int, list[Key]]:
        count = sum(block <= row for row in rows)
        return count > 1, count * len(block), count, sorted(block)

    blocks: set[Block] = set()
    for own in set(rows):
        block = own
        blocks.add(block)
        for other in sorted(set(rows), key=lambda row: (-len(own & row), sorted(row))):
            block &= other
            blocks.add(block)
    return max(blocks - {frozenset()}, key=size, default=frozenset())


def compare(rows: Sequence[RowCells], reference: RowCells, ranked: Ranked) -> dict[str, Comparison]:
    """Compare each of `rows` with `reference` on the block, or on what both have of all where a row lacks some of it.

    Returns the comparisons, row minus reference, by row key; none for a row that shares no cell with the reference.
    Holm's correction is over these comparisons.
    """
    at = place(ranked.by)
    complete = {row.key for row in ranked.complete}
    found: dict[str, Comparison] = {}
    for row in rows:
        both = row.keys(at) & reference.keys(at)
        both &= ranked.block if {row.key, reference.key} <= complete else both
        if row.key != reference.key and both:
            found[row.key] = _compared(row, reference, both, ranked.by)
    corrected = holm(np.array([one.p for one in found.values()])).tolist()
    return {
        key: replace(
            one,
            holm=p,
            smallest_holm=min(1.0, len(found) * smallest_p(one.families)),
            comparisons=len(found),
        )
        for (key, one), p in zip(found.items(), corrected, strict=True)
    }


def place(statistic: Statistic) -> int:
    """Return where a statistic stands among those of boards: which row of points [S] and replicates [S, R] is its."""
    return board_statistics().index(statistic)


def _compared(row: RowCells, reference: RowCells, keys: Block, by: Statistic) -> Comparison:
    """Compare two rows on `keys`, which both have; Holm's correction is still to come."""
    at, size = place(by), place(STATISTICS.get(SIZE))
    cells = row.measured(keys)
    families = [part.family for part in cells]
    parts = [a.average.minus(b.average) for a, b in zip(cells, reference.measured(keys), strict=True)]
    average = over_tasks(parts, families)
    by_family = family_means(np.array([part.point[at] for part in parts]), families)
    p = float(sign_flip(by_family[None])[0])
    return Comparison(
        reference=reference.key,
        difference=average.interval(at),
        like_these=_like_these(by_family),
        node_ratio=average.interval(size).mapped(power_of_ten),
        effect_size=standardised(by_family),
        p=p,
        holm=p,
        smallest_holm=smallest_p(len(by_family)),
        comparisons=1,
        tasks=len(cells),
        families=len(by_family),
    )


def _like_these(by_family: Floats) -> Interval:
    low, high = typical_interval(by_family)
    ends = (None if np.isinf(end) else end for end in (low, high))
    return Interval(**dict(zip(("value", "low", "high"), (float(by_family.mean()), *ends), strict=True)))


def _note(row: RowCells, keys: Block, block: Block, by: Statistic) -> str:
    """Return why a row has no rank, or what it lacks of the block."""
    samples = {cells.task: cells for cells in row.cells.values()}
    lacking = sorted({task for task, _, _ in block - keys})
    reasons: dict[str, list[str]] = {}
    for task in lacking:
        cells = samples.get(task)
        if cells is None:
            why = "no"
        elif not cells.samples:
            why = "degenerate"
        elif any(sample.key in block and sample.key not in keys for sample in cells.samples):
            why = f"{by.name} is not defined"
        else:
            why = "other pairs or seeds"
        reasons.setdefault(why, []).append(task)
    said = [f"{why}: {', '.join(tasks)}" for why, tasks in reasons.items()]
    return "; ".join([*([] if keys else ["not ranked"]), *said])
