"""What the commands that check are asked: `check`, `check-task` and `baseline` before a run, `reproduce` after it."""

from dataclasses import replace
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from basisbench.settings.common import (
    ANSWERS,
    BASIS,
    CHAT,
    DEVICE,
    DTYPE,
    METHOD,
    MODEL,
    N_DISCOVERY,
    SEED,
    SPLIT,
    TASK,
    TASKS,
    TEXT,
    Dtype,
    ModelConfig,
    Name,
    Names,
    once,
    split_line,
)
from basisbench.settings.setting import Setting
from basisbench.values import Answers, Count, Size, Split

Layers = Annotated[list[Count], Field(min_length=1), BeforeValidator(split_line), AfterValidator(once)]


class CheckConfig(ModelConfig):
    """A basis, and what it is checked on: a model, some text."""

    basis: Annotated[Name, BASIS]
    text: Annotated[Names | None, replace(TEXT, default="a short one of ours")] = None
    layers: Annotated[Layers | None, Setting("Layers to check", default="all")] = None


class TaskCheckConfig(ModelConfig):
    """A task, and what it is checked on: a model, `n_rows` rows of each split, the seeds 0 to `n_seeds` - 1."""

    task: Annotated[Name, TASK]
    n_rows: Annotated[Size, Setting("Rows of each split")] = 200
    n_seeds: Annotated[Size, Setting("Seeds that rows are drawn with")] = 3


class MethodCheckConfig(BaseModel):
    """A method, and what it is checked on: a tiny model of random weights, or a named one and a task's pairs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Annotated[Name, METHOD]
    model: Annotated[Name | None, replace(MODEL, default="a tiny one of random weights")] = None
    task: Annotated[Name, replace(TASK, help="Task of the pairs that a named model is asked on")] = "sva/simple"
    n_discovery: Annotated[Size, replace(N_DISCOVERY, help="Pairs that it is asked on")] = 4
    dtype: Annotated[Dtype, DTYPE] = "float32"
    device: Annotated[str, DEVICE] = "auto"


class BaselineConfig(ModelConfig):
    """Which model is asked what."""

    tasks: Annotated[Names | None, replace(TASKS, default="all with their data")] = None
    split: Annotated[Split, SPLIT] = "evaluation"
    n_evaluation: Annotated[Size, Setting("Pairs of a task")] = 200
    seed: Annotated[Count, SEED] = 0
    answers: Annotated[Answers, ANSWERS] = "first"
    chat: Annotated[bool, CHAT] = False


class ReproduceConfig(BaseModel):
    """Where a result is computed again, and what its names are there; None: as recorded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: Annotated[str, DEVICE] = "auto"
    model: Annotated[Name | None, replace(MODEL, default="as recorded")] = None
    task: Annotated[Name | None, replace(TASK, default="as recorded")] = None
    basis: Annotated[Name | None, replace(BASIS, default="as recorded")] = None
    method: Annotated[Name | None, replace(METHOD, default="as recorded")] = None
    tolerance: Annotated[
        float | None,
        Field(ge=0),
        Setting("How far faithfulness and completeness may move", default="0.02, of 16-bit dtypes 0.1"),
    ] = None
