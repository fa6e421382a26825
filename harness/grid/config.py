"""What a run is asked to do, from defaults, a YAML file and options; checked before anything is computed."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from basisbench.measures.metrics import scoring_metric, scoring_metrics
from basisbench.results.schema import Cell
from basisbench.settings import EMBEDDED, Dtype, Name, Names, Seeds, Setting, Sizes, make_settings
from basisbench.settings.common import (
    ABLATION,
    ANSWERS,
    BASES,
    CHAT,
    DEVICE,
    DTYPE,
    ERROR,
    METHODS,
    METRIC,
    MODEL,
    N_DISCOVERY,
    N_EVALUATION,
    POSITIONS,
    RANK,
    REQUIRE_CORRECT,
    SEEDS,
    SIZES,
    SPLIT,
    TASKS,
    once,
    split_line,
)
from basisbench.settings.wandb import Logged
from basisbench.values import (
    LARGEST,
    LEAST_RANKED,
    Answers,
    ErrorTreatment,
    EvaluationSplit,
    Positions,
    Rank,
    Size,
    size_grid,
)


def _is_scoring_metric(name: str) -> str:
    return scoring_metric(name).name


Errors = Annotated[list[ErrorTreatment], Field(min_length=1), BeforeValidator(split_line), AfterValidator(once)]
SCORING = ", ".join(metric.name for metric in scoring_metrics())
ScoringMetric = Annotated[Name, AfterValidator(_is_scoring_metric)]


def default_bases(models: list[str] | None) -> list[str]:
    """Bases of a comparison: the embedded model comes with dictionaries, of another model they must be named."""
    dictionaries = ["sae", "transcoder"] if models == [EMBEDDED] else []
    return ["neurons", "mlp_out", *dictionaries, "rotated_neurons"]


class Selector(BaseModel):
    """Some cells of a grid, by their names on some of its axes; an axis that is not named is not restricted.

    In `exclude`, names may be patterns with ``*``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Names | None = None
    task: Names | None = None
    seed: Seeds | None = None
    method: Names | None = None
    basis: Names | None = None
    ablation: Names | None = None
    error: Errors | None = None

    def named(self) -> dict[str, list[object]]:
        """The axes that are restricted, and to what."""
        return {axis: list(values) for axis, values in self if values is not None}

    def __str__(self) -> str:
        return ", ".join(f"{axis}: {' '.join(map(str, values))}" for axis, values in self.named().items())


class CellConfig(BaseModel):
    """What all cells of a command have in common: how pairs are drawn, nodes ranked and circuits measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    positions: Annotated[Positions, POSITIONS] = "kept"
    rank: Annotated[Rank, RANK] = "abs"
    split: Annotated[EvaluationSplit, SPLIT] = "evaluation"
    metric: Annotated[ScoringMetric, replace(METRIC, valid=SCORING)] = "logit_difference"
    answers: Annotated[Answers, ANSWERS] = "first"
    chat: Annotated[bool, CHAT] = False
    require_correct: Annotated[bool, REQUIRE_CORRECT] = False
    n_discovery: Annotated[Size, N_DISCOVERY] = 32
    n_evaluation: Annotated[Size, N_EVALUATION] = 40
    sizes: Annotated[Sizes, replace(SIZES, default=f"1, 2, 3, 5, 7 a decade, to {LARGEST}")] = size_grid()
    dtype: Annotated[Dtype, DTYPE] = "float32"
    device: Annotated[str, DEVICE] = "auto"

    def cell(self, **own: Any) -> Cell:
        """The cell with these settings and its own: model, task, basis, method, ablation, error, seed and options."""
        shared = self.model_dump(include=CellConfig.model_fields.keys() & Cell.model_fields.keys())
        return Cell(**shared, grid=self.sizes, **own)


class RunConfig(CellConfig, Logged):
    """A grid of cells: models x tasks x seeds x methods x bases x ablations x errors. Defaults are the quickstart.

    Cells of `include` are added, those of `exclude` taken out. `retry` computes cells again that failed before.
    `keep_ranked` is how many nodes of its ranking a result keeps on disk, for a board that is to stay small: no number
    depends on it, so it is no part of a cell. `keep_rounded`, for the same end, rounds outcomes to multiples of 2^-10
    nats, which moves numbers less than another processor does, and the scores kept to 10 significant bits.
    """

    model: Annotated[Names, replace(MODEL, help="Models", valid="names, local Hugging Face folders, or hub names")] = [
        EMBEDDED
    ]
    tasks: Annotated[Names, TASKS] = ["sva/simple", "sva/nounpp", "sva/rc", "sva/within_rc"]
    bases: Annotated[
        Names, replace(BASES, default="neurons,mlp_out,rotated_neurons, and the dictionaries of the embedded model")
    ] = Field(default_factory=lambda asked: default_bases(asked.get("model")))
    methods: Annotated[Names, METHODS] = ["relp", "atp"]
    ablation: Annotated[Names, ABLATION] = ["mean"]
    error: Annotated[Errors, ERROR] = ["score"]
    seed: Annotated[Seeds, SEEDS] = [0]
    include: Annotated[list[Selector], Setting("Cells to add", option=False)] = []
    exclude: Annotated[list[Selector], Setting("Cells to leave out, names with * for patterns", option=False)] = []
    retry: Annotated[bool, Setting("Compute cells again that failed before")] = False
    keep_ranked: Annotated[
        Size,
        Field(ge=LEAST_RANKED),
        Setting("Nodes of its ranking that a result keeps on disk", valid=f"{LEAST_RANKED} or more"),
    ] = LARGEST
    keep_rounded: Annotated[bool, Setting("Round outcomes to 0.001 nats: results take less room")] = False
    out: Annotated[Path, Setting("Folder for results")] = Path("runs")


def make_config(options: Mapping[str, Any], file: str | Path | None = None) -> RunConfig:
    """Return the configuration of a run in `file` with `options` over it; raises UserError as `make_settings`."""
    return make_settings(RunConfig, dict(options), None if file is None else Path(file))


def as_config(given: RunConfig | Mapping[str, Any] | str | Path | None) -> RunConfig:
    """Return the configuration that is given as such, by its settings, by its file, or not at all: the quickstart."""
    if isinstance(given, RunConfig):
        return given
    return make_config({}, given) if isinstance(given, str | Path) else make_config(given or {})
