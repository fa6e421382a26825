"""What a result document says: its JSON fields, validated, and the hash that names it."""

import hashlib
import json
import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from basisbench.values import Count, Line, Number, Numbers, Size


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Cell(_Record):
    """One point of the grid: what was asked. `options` are further settings of the method, basis or task."""

    model: Line
    task: Line
    basis: Line
    method: Line
    ablation: Line
    positions: Literal["kept", "pooled"]
    rank: Literal["abs", "signed"]
    error: Literal["score", "keep", "remove"]
    n_discovery: Count
    n_evaluation: Count
    split: Literal["evaluation", "heldout", "heldout_templates"]
    seed: Count
    dtype: Line
    grid: list[Size]
    metric: Line = "logit_difference"
    answers: Literal["first", "whole"] = "first"
    chat: bool = False
    require_correct: bool = False
    n_resamples: Size = 2000
    options: dict[Line, bool | int | float | Line] = {}


class Interval(_Record):
    """A value and its 95 % interval; null where not defined."""

    value: Number
    low: Number
    high: Number


class CurveRecord(_Record):
    """The curve as reported, a value a measured size in each list (see `statistics.statistics_of`)."""

    size: list[Size]
    faithfulness: Numbers
    faithfulness_low: Numbers
    faithfulness_high: Numbers
    completeness: Numbers
    completeness_low: Numbers
    completeness_high: Numbers
    distinct_units: list[Count]
    error_nodes: list[Count]
    accuracy: Numbers
    accuracy_complement: Numbers
    candidate_accuracy: Numbers
    candidate_accuracy_complement: Numbers
    probability_difference: Numbers
    probability_difference_complement: Numbers
    kl: Numbers
    kl_complement: Numbers

    @model_validator(mode="after")
    def _aligned(self) -> "CurveRecord":
        for name in type(self).model_fields:
            if len(getattr(self, name)) != len(self.size):
                raise ValueError(f"{name} needs as many values as size, {len(self.size)}")
        if not self.size or any(b <= a for a, b in zip(self.size, self.size[1:], strict=False)):
            raise ValueError("size needs one value or more, strictly increasing")
        return self


class SummaryRecord(_Record):
    """The summary numbers (see `statistics.statistics_of`)."""

    auc_f: Interval
    auc_c: Interval
    nodes_at_05: Interval = Field(alias="nodes_at_0.5")
    nodes_at_08: Interval = Field(alias="nodes_at_0.8")
    nodes_at_09: Interval = Field(alias="nodes_at_0.9")
    cpr: Interval
    cmd: Interval


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


class Result(_Record):
    """The JSON document. `notes` are what is to be known of the basis' weights: that they are of another model, say."""

    schema_version: Literal[2] = 2
    cell: Cell
    curve: CurveRecord
    summary: SummaryRecord
    f_full: Number = Field(alias="F_full")
    f_empty: Number = Field(alias="F_empty")
    total_nodes: Size
    degenerate: bool
    data: Data
    environment: Environment
    timing: Timing
    arrays_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    notes: list[Line] = []

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
