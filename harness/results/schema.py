"""What a result document says: its JSON fields, validated, and the hash that names it."""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from basisbench.errors import unknown_name
from basisbench.measures.metrics import Metric, reported_metrics
from basisbench.measures.statistic import STATISTICS, Statistic
from basisbench.results.controls import Control, shipped_controls
from basisbench.results.versions import upgraded
from basisbench.settings.common import (
    ABLATION,
    ANSWERS,
    CHAT,
    DTYPE,
    ERROR,
    METRIC,
    MODEL,
    N_DISCOVERY,
    N_EVALUATION,
    POSITIONS,
    RANK,
    REQUIRE_CORRECT,
    SIZES,
    SPLIT,
)
from basisbench.values import (
    Answers,
    Count,
    ErrorTreatment,
    EvaluationSplit,
    Line,
    Number,
    Numbers,
    Positions,
    Rank,
    Size,
)

T = TypeVar("T")


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Cell(_Record):
    """One point of the grid: what was asked. `options` are further settings of the method, basis or task.

    The record at a setting says whether results that differ in it are told apart by it (`basisbench.results.settings`).
    """

    model: Annotated[Line, MODEL]
    task: Line
    basis: Line
    method: Line
    ablation: Annotated[Line, ABLATION]
    positions: Annotated[Positions, POSITIONS]
    rank: Annotated[Rank, RANK]
    error: Annotated[ErrorTreatment, ERROR]
    n_discovery: Annotated[Count, N_DISCOVERY]
    n_evaluation: Annotated[Count, N_EVALUATION]
    split: Annotated[EvaluationSplit, SPLIT]
    seed: Count
    dtype: Annotated[Line, DTYPE]
    grid: Annotated[list[Size], SIZES]
    metric: Annotated[Line, METRIC] = "logit_difference"
    answers: Annotated[Answers, ANSWERS] = "first"
    chat: Annotated[bool, CHAT] = False
    require_correct: Annotated[bool, REQUIRE_CORRECT] = False
    n_resamples: Size = 2000
    options: dict[Line, bool | int | float | Line] = {}


class Interval(_Record):
    """A value and its 95 % interval; null where not defined."""

    value: Number
    low: Number
    high: Number

    @classmethod
    def of(cls, value: float, low: float, high: float) -> "Interval":
        """Return the interval of these numbers, NaN being one that is not defined."""
        parts = (None if math.isnan(part) else float(part) for part in (value, low, high))
        return cls(**dict(zip(("value", "low", "high"), parts, strict=True)))

    def mapped(self, function: Callable[[float], Number]) -> "Interval":
        """Return the interval of what the rising `function` makes of each number that is defined."""
        value, low, high = (None if part is None else function(part) for part in (self.value, self.low, self.high))
        return Interval(value=value, low=low, high=high)

    @property
    def turned(self) -> "Interval":
        """The same with the other sign."""
        value, low, high = (None if part is None else 0.0 - part for part in (self.value, self.high, self.low))
        return Interval(value=value, low=low, high=high)


UNDEFINED = Interval(value=None, low=None, high=None)


def _known(kind: str, records: Callable[[], Iterable[Metric | Statistic]]) -> AfterValidator:
    """Refuse what is called by a name that there is not: it would be shown, and nobody could say what it means."""

    def check(found: dict[str, T]) -> dict[str, T]:
        known = [record.name for record in records()]
        for name in found:
            if name not in known:
                raise ValueError(str(unknown_name(kind, name, known)))
        return found

    return AfterValidator(check)


class MetricRecord(_Record):
    """The means of a metric at each measured size, over the pairs: of the circuit, and of all but the circuit."""

    circuit: Numbers
    complement: Numbers


class CurveRecord(_Record):
    """The curve as reported, a value a measured size in each list (see `measures.summary.statistics_of`).

    `reported` holds, by name, the metrics told beside faithfulness and completeness.
    """

    size: list[Size]
    faithfulness: Numbers
    faithfulness_low: Numbers
    faithfulness_high: Numbers
    completeness: Numbers
    completeness_low: Numbers
    completeness_high: Numbers
    distinct_units: list[Count]
    error_nodes: list[Count]
    reported: Annotated[dict[Line, MetricRecord], _known("metric", reported_metrics)]

    @property
    def columns(self) -> dict[str, Numbers]:
        """Every list by name; those of a metric by its name (the circuit), and its name and ``_complement``."""
        lists = {name: getattr(self, name) for name in type(self).model_fields if name != "reported"}
        for name, beside in self.reported.items():
            lists |= {name: beside.circuit, f"{name}_complement": beside.complement}
        return lists

    @model_validator(mode="after")
    def _aligned(self) -> "CurveRecord":
        for name, values in self.columns.items():
            if len(values) != len(self.size):
                raise ValueError(f"{name} needs as many values as size, {len(self.size)}")
        if not self.size or any(b <= a for a, b in zip(self.size, self.size[1:], strict=False)):
            raise ValueError("size needs one value or more, strictly increasing")
        return self


class PairCounts(_Record):
    """How many pairs were used, and how many were not, by reason.

    `shared` of them are scored at a later token than the first, since answer and foil begin alike.
    """

    usable: Count
    unusable: dict[Line, Count]
    shared: Count = 0


class Data(_Record):
    """The pairs of a cell, the hash of the usable ones, and the names of the positions that its ranking numbers."""

    discovery: PairCounts
    evaluation: PairCounts
    hash: Line
    slot_names: list[Line] = []


class Environment(_Record):
    """Where the numbers were made; `git_commit` is null outside a checkout and -dirty marks a changed one."""

    python: Line
    platform: Line
    packages: dict[Line, Line]
    git_commit: Line | None
    device: Line
    dtype: Line
    threads: Count
    model_hash: Line
    data_hash: Line

    @property
    def machine(self) -> tuple[str, str, str]:
        """What is known of the machine; seconds and memory can be compared where it is equal."""
        return self.device, f"{self.threads} threads", self.platform


class Timing(_Record):
    """Wall-clock seconds by phase and the peak resident memory of the process."""

    seconds: dict[Line, Annotated[float, Field(ge=0)]]
    peak_memory_bytes: Count | None


def _controls_by_name(read: dict[str, Any]) -> list[Control]:
    cell: Cell | None = read.get("cell")  # None if it is not valid
    return shipped_controls(cell.basis, cell.method, cell.options) if cell else []


class Result(_Record):
    """The JSON document; `summary` holds the statistics of the curve by name. One of version 2 is read as well.

    `controls` says which of its basis and its method is a control, as these say of themselves; `notes` what is to be
    known of the basis' weights: that they are of another model, say.
    """

    schema_version: Literal[3] = 3
    cell: Cell
    controls: list[Control] = Field(default_factory=_controls_by_name, max_length=2)
    curve: CurveRecord
    summary: Annotated[dict[Line, Interval], _known("statistic", lambda: STATISTICS)]
    f_full: Number = Field(alias="F_full")
    f_empty: Number = Field(alias="F_empty")
    total_nodes: Size
    degenerate: bool
    data: Data
    environment: Environment
    timing: Timing
    arrays_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    notes: list[Line] = []

    @model_validator(mode="before")
    @classmethod
    def _of_today(cls, document: object) -> object:
        return upgraded(document)

    def statistic(self, name: str) -> Interval:
        """Return the statistic `name`, undefined where the document was made before there was one."""
        return self.summary.get(name, UNDEFINED)

    @property
    def name(self) -> str:
        """File name without suffix (see `result_name`)."""
        return result_name(self.cell, self.environment.model_hash, self.data.hash)


def result_name(cell: Cell, model_hash: str, data_hash: str) -> str:
    """File name without suffix: task, basis, method and the hash of all that changes the numbers."""
    safe = (re.sub(r"[^A-Za-z0-9._-]+", "-", part)[:60].lstrip(".") for part in (cell.task, cell.basis, cell.method))
    return "__".join((*safe, config_hash(cell, model_hash, data_hash)))


def config_hash(cell: Cell, model_hash: str, data_hash: str) -> str:
    """Return 16 hex digits of the SHA-256 of everything that changes a cell's numbers, as canonical JSON."""
    asked = {"schema": 2, "cell": cell.model_dump(mode="json"), "model": model_hash, "data": data_hash}
    text = json.dumps(asked, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
