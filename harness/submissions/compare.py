"""Two results of one cell, number by number: how far each moved, and whether that is within tolerance.

Tolerances are absolute: rounding moves scores, nodes of nearly equal score change places in the ranking, and a
circuit that ends between two such nodes is another one. So rankings are compared and not judged, nor are numbers of
nodes, which jump from one size to the next.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from basisbench.measures.statistic import STATISTICS
from basisbench.results.files import RankingArrays
from basisbench.results.schema import Result
from basisbench.submissions.document import short
from basisbench.values import Number

TOLERANCE = {"float64": 0.02, "float32": 0.02, "bfloat16": 0.1, "float16": 0.1}
"""How far faithfulness and completeness may move at a size, by dtype; each statistic says how far it may of that."""


@dataclass(frozen=True)
class Move:
    """A number as recorded and as made again; `tolerance` is None for one that is shown and not judged."""

    name: str
    recorded: Number
    again: Number
    tolerance: float | None

    @property
    def distance(self) -> float | None:
        """How far it moved, None where either is not defined."""
        if self.recorded is None or self.again is None:
            return None
        return abs(self.again - self.recorded)

    @property
    def within(self) -> bool:
        """Whether it stayed within its tolerance: what was not defined must not be now."""
        if self.tolerance is None:
            return True
        if self.distance is None:
            return self.recorded is self.again
        return self.distance <= self.tolerance


@dataclass(frozen=True)
class Reproduction:
    """What came out of making a result again.

    `summary` are moves of single numbers, `curve` those of faithfulness and of completeness at each size in both
    results, `overlap` the share of the nodes of each of these circuits that both rankings have. `different` says what
    cannot be compared within a tolerance and must be equal, `notes` what else is not the same.
    """

    recorded: Result
    again: Result
    tolerance: float
    summary: tuple[Move, ...]
    curve: tuple[tuple[int, Move, Move], ...]
    overlap: tuple[float, ...]
    different: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def moves(self) -> tuple[Move, ...]:
        """All of them."""
        return (*self.summary, *(move for _, f, c in self.curve for move in (f, c)))

    @property
    def outside(self) -> tuple[Move, ...]:
        """The numbers that moved too far."""
        return tuple(move for move in self.moves if not move.within)

    @property
    def same(self) -> bool:
        """Whether everything that is judged is as recorded."""
        return not self.different and not self.outside


def compare(
    recorded: Result,
    again: Result,
    ranking: RankingArrays,
    ranking_again: RankingArrays,
    tolerance: float | None = None,
) -> Reproduction:
    """Compare a result with the same cell made again; `tolerance` None is that of its dtype."""
    limit = TOLERANCE.get(recorded.cell.dtype, max(TOLERANCE.values())) if tolerance is None else tolerance
    of_effect = limit * abs((recorded.f_full or 0.0) - (recorded.f_empty or 0.0))
    summary = [
        Move("F(full)", recorded.f_full, again.f_full, of_effect),
        Move("F(empty)", recorded.f_empty, again.f_empty, of_effect),
    ]
    for name in recorded.summary:
        before, after = (result.statistic(name).value for result in (recorded, again))
        part = STATISTICS.get(name).tolerance
        summary.append(Move(name, before, after, None if part is None else limit * part))
    sizes = sorted(set(recorded.curve.size) & set(again.curve.size))
    return Reproduction(
        recorded=recorded,
        again=again,
        tolerance=limit,
        summary=tuple(summary),
        curve=tuple(
            (
                size,
                _move(recorded, again, "faithfulness", size, limit),
                _move(recorded, again, "completeness", size, limit),
            )
            for size in sizes
        ),
        overlap=tuple(_overlap(ranking, ranking_again, size) for size in sizes),
        different=tuple(_different(recorded, again)),
        notes=tuple(_notes(recorded, again)),
    )


def _move(recorded: Result, again: Result, name: str, size: int, limit: float) -> Move:
    before, after = (getattr(result.curve, name)[result.curve.size.index(size)] for result in (recorded, again))
    return Move(f"{name} at {size:,}", before, after, limit)


def _overlap(one: RankingArrays, other: RankingArrays, size: int) -> float:
    """Share of the nodes of one circuit of `size` that are in the other; NaN if either is not kept."""
    if not (one.has_circuit(size) and other.has_circuit(size)):
        return math.nan
    first, second = ({tuple(node) for node in ranking.circuit(size).tolist()} for ranking in (one, other))
    return len(first & second) / max(1, len(first), len(second))


def _different(recorded: Result, again: Result) -> Iterator[str]:
    if recorded.total_nodes != again.total_nodes:
        yield f"the basis has {again.total_nodes:,} nodes here, {recorded.total_nodes:,} are recorded"
    if recorded.curve.size != again.curve.size:
        yield f"sizes {again.curve.size} could be measured, {recorded.curve.size} are recorded"
    if recorded.controls != again.controls:
        said = (" and ".join(result.controls) or "none" for result in (recorded, again))
        yield "controls: {} recorded, here {}".format(*said)


def _notes(recorded: Result, again: Result) -> Iterator[str]:
    before, after = recorded.environment, again.environment
    if recorded.degenerate:
        yield "the record is flagged degenerate: its ratios have next to nothing to divide by"
    if before.model_hash != after.model_hash:
        yield f"the model is another: {before.model_hash[:16]} is recorded, here {after.model_hash[:16]}"
    # results made before positions and families were named name none
    names = ("slot_names", "family")
    unnamed = {name: getattr(recorded.data, name) for name in names if not getattr(recorded.data, name)}
    if recorded.data != again.data.model_copy(update=unnamed):
        yield f"the pairs are others: {_pairs(recorded)} recorded, here {_pairs(again)}"
    for name, theirs, ours in _both(recorded.cell.model_dump(), again.cell.model_dump()):
        yield f"cell {name}: {theirs} is recorded, here {ours}"
    for name in ("python", "platform", "git_commit", "device", "threads"):
        theirs, ours = getattr(before, name), getattr(after, name)
        if theirs != ours:
            yield f"{name}: {theirs} is recorded, here {ours}"
    for name, theirs, ours in _both(before.packages, after.packages):
        yield f"{name}: {theirs} is recorded, here {ours}"


def _both(before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[tuple[str, object, object]]:
    """What differs between two mappings, by name."""
    for name in sorted({*before, *after}):
        theirs, ours = before.get(name, "nothing"), after.get(name, "nothing")
        if theirs != ours:
            yield name, theirs, ours


def _pairs(result: Result) -> str:
    data = result.data
    return f"{data.discovery.usable} + {data.evaluation.usable} with hash {data.hash[:16]}"


# -- shown ---------------------------------------------------------------------------------------------


def reproduction_table(found: Reproduction) -> RenderableType:
    """The numbers, the curve by size, what else differs, then the verdict in one line."""
    numbers = _table("", "recorded", "again", "moved", "may move", "")
    for move in found.summary:
        may = "any" if move.tolerance is None else f"{move.tolerance:.2g}"
        numbers.add_row(move.name, _text(move.recorded), _text(move.again), _text(move.distance), may, _flag(move))
    curve = _table("nodes", "f", "again", "moved", "c", "again", "moved", "same nodes", "")
    curve.caption, curve.caption_justify = "f: faithfulness, c: completeness of the circuit of so many nodes", "left"
    for (size, f, c), share in zip(found.curve, found.overlap, strict=True):
        cells = (_text(part) for move in (f, c) for part in (move.recorded, move.again, move.distance))
        curve.add_row(f"{size:,}", *cells, "-" if math.isnan(share) else f"{share:.0%}", _flag(f) or _flag(c))
    notes = [Text(f"note: {short(note)}") for note in found.notes]
    return Group(numbers, curve, *notes, Text(verdict(found)))


def verdict(found: Reproduction) -> str:
    """Whether the result came out again, in one line."""
    allowed = f"faithfulness and completeness may move by {found.tolerance:g}"
    if found.different:
        return f"not reproduced: {short('; '.join(found.different))}"
    if found.outside:
        worst = max(found.outside, key=lambda move: float("inf") if move.distance is None else move.distance)
        count = len(found.outside)
        return (
            f"not reproduced: {count} of {len(found.moves)} numbers moved too far, most of all {worst.name}, "
            f"from {_text(worst.recorded)} to {_text(worst.again)} ({allowed})"
        )
    worst = max((move for _, f, c in found.curve for move in (f, c)), key=lambda move: move.distance or 0.0)
    if not worst.distance:
        return f"reproduced: nothing moved ({allowed})"
    return f"reproduced: nothing moved further than {worst.name}, by {_text(worst.distance)} ({allowed})"


def _table(*names: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for number, name in enumerate(names):
        table.add_column(name, justify="right" if number and name else "left", no_wrap=True)
    return table


def _text(number: Number) -> str:
    if number is None:
        return "-"
    return f"{number:,.0f}" if number >= 1000 else f"{number:.2g}" if 0 < abs(number) < 1e-3 else f"{number:z.4g}"


def _flag(move: Move) -> str:
    return "" if move.within else "outside"
