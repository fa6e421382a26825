"""A steering experiment on disk: ``steer.json``, one validated document with what was asked and every number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from basisbench.measures.metrics import Floats
from basisbench.measures.statistics import Band, Estimate
from basisbench.results.schema import Environment, Interval, PairCounts
from basisbench.settings.steer import SteerConfig
from basisbench.steering.board import Steerability
from basisbench.values import Count, Line, Number, Numbers, Size

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


class Record(BaseModel):
    """Strict, closed and finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class BandRecord(Record):
    """Values and their 95 % intervals, lists of one length; null where not defined."""

    value: Numbers
    low: Numbers
    high: Numbers

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if not len(self.value) == len(self.low) == len(self.high):
            raise ValueError("value, low and high need one length")
        return self


class ControlRecord(Record):
    """Control sets of one kind: their activity over the nodes', the effect of each draw, [doses or sizes][draws]."""

    kind: Line
    activity: Number
    effect: list[Numbers]


class DoseRecord(Record):
    """A dose-response curve: bands over doses by name, and the arrays [doses][pairs] that they are made of.

    `kl_text` is the side effect on unrelated text. See `basisbench.steering.dose`.
    """

    operation: Literal["multiply", "set"]
    doses: list[float]
    bands: dict[Line, BandRecord]
    kl_text: BandRecord
    controls: list[ControlRecord]
    probability: dict[Line, list[Numbers]]
    logit_difference: list[Numbers]


class SwapRecord(Record):
    """A transplant over ordered pairs; `controls` are the success rates of the active draws.

    `bands` by outcome, `corrected`: success minus the controls', null without them. Columns [pairs] number distinct
    prompts.
    """

    n_pairs: Size
    reached: float
    unsteered: float
    bands: dict[Line, Interval]
    corrected: Interval | None
    controls: list[float]
    kl_text: Interval
    recipient: list[Count]
    donor: list[Count]
    success: list[bool]


class BasisRecord(Record):
    """What steering did in one basis. `nodes` as ``layer:unit@slot``."""

    basis: Line
    chosen: Line
    nodes: list[Line]
    dose: DoseRecord
    swap: SwapRecord | None


class BoardRecord(Record):
    """One basis on the board of steerability (`basisbench.steering.board.Steerability`)."""

    basis: Line
    size: list[Size]
    effect: BandRecord
    corrected: BandRecord
    swapped: BandRecord
    swap_corrected: BandRecord
    kl: BandRecord
    swap_kl: BandRecord
    controls: list[ControlRecord]
    control_swaps: list[Numbers]
    nodes_half: Interval
    nodes_swap: Interval
    budget_effect: Number
    budget_nodes: Count
    effect_per_node: Number


class SteerDocument(Record):
    """The whole document. `config_hash` is that of `asked`, the model and the pairs."""

    schema_version: Literal[1] = 1
    asked: dict[Line, Any]
    config_hash: Digest
    pairs: PairCounts
    bases: list[BasisRecord]
    board: list[BoardRecord]
    environment: Environment
    seconds: Annotated[float, Field(ge=0)]


def config_hash(asked: Mapping[str, Any], model_hash: str, data_hash: str) -> str:
    """Return 16 hex digits of the SHA-256 of all that changes the numbers, as canonical JSON."""
    everything = {"schema": 1, "asked": dict(asked), "model": model_hash, "data": data_hash}
    text = json.dumps(everything, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def asked_of(config: SteerConfig) -> dict[str, Any]:
    """What changes the numbers: the settings without the device."""
    return config.model_dump(mode="json", exclude={"device"})


def number(value: float) -> Number:
    """A number as JSON has it: null where it is not defined."""
    return float(value) if np.isfinite(value) else None


def numbers(values: Floats | Sequence[float]) -> Numbers:
    """A list of numbers, null where not defined."""
    return [number(value) for value in np.asarray(values, dtype=np.float64)]


def table(values: Floats) -> list[Numbers]:
    """A table of numbers, row by row."""
    return [numbers(row) for row in values]


def band_record(band: Band) -> BandRecord:
    """A band [P] as the document keeps it."""
    return BandRecord(value=numbers(band.value), low=numbers(band.low), high=numbers(band.high))


def interval(estimate: Estimate) -> Interval:
    """An estimate as the document keeps it."""
    return Interval(value=number(estimate.value), low=number(estimate.low), high=number(estimate.high))


def board_record(row: Steerability) -> BoardRecord:
    """A row of the board as the document keeps it."""
    bands = ("effect", "corrected", "swapped", "swap_corrected", "kl", "swap_kl")
    return BoardRecord(
        basis=row.basis,
        size=list(row.size),
        **{name: band_record(getattr(row, name)) for name in bands},
        controls=[
            ControlRecord(kind=kind, activity=number(row.activity[kind]), effect=table(effect))
            for kind, effect in row.controls.items()
        ],
        control_swaps=table(row.control_swaps),
        nodes_half=interval(row.nodes_half),
        nodes_swap=interval(row.nodes_swap),
        budget_effect=number(row.budget_effect),
        budget_nodes=row.budget_nodes,
        effect_per_node=number(row.effect_per_node),
    )
