"""What a run is asked to do, from defaults, a YAML file and options; checked before anything is computed."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from basisbench.measures.metrics import scoring_metric
from basisbench.results.schema import Cell
from basisbench.settings import EMBEDDED, Dtype, Name, Names, Seeds, Sizes, _once, make_settings, split_line
from basisbench.tracking.settings import Mode, Place, WandbSettings
from basisbench.values import LARGEST, LEAST_RANKED, Answers, ErrorTreatment, Positions, Rank, Size, size_grid


def _is_scoring_metric(name: str) -> str:
    return scoring_metric(name).name


Errors = Annotated[list[ErrorTreatment], Field(min_length=1), BeforeValidator(split_line), AfterValidator(_once)]
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

    positions: Positions = "kept"
    rank: Rank = "abs"
    split: Literal["evaluation", "heldout", "heldout_templates"] = "evaluation"
    metric: ScoringMetric = "logit_difference"
    answers: Answers = "first"
    chat: bool = False
    require_correct: bool = False
    n_discovery: Size = 32
    n_evaluation: Size = 40
    sizes: Sizes = size_grid()
    dtype: Dtype = "float32"
    device: str = "auto"

    def cell(self, **own: Any) -> Cell:
        """The cell with these settings and its own: model, task, basis, method, ablation, error, seed and options."""
        shared = self.model_dump(include=CellConfig.model_fields.keys() & Cell.model_fields.keys())
        return Cell(**shared, grid=self.sizes, **own)


class RunConfig(CellConfig):
    """A grid of cells: models x tasks x seeds x methods x bases x ablations x errors. Defaults are the quickstart.

    Cells of `include` are added, those of `exclude` taken out. `retry` computes cells again that failed before.
    `keep_ranked` is how many nodes of its ranking a result keeps on disk, for a board that is to stay small: no number
    depends on it, so it is no part of a cell.
    """

    model: Names = [EMBEDDED]
    tasks: Names = ["sva/simple", "sva/nounpp", "sva/rc", "sva/within_rc"]
    bases: Names = Field(default_factory=lambda asked: default_bases(asked.get("model")))
    methods: Names = ["relp", "atp"]
    ablation: Names = ["mean"]
    error: Errors = ["score"]
    seed: Seeds = [0]
    include: list[Selector] = []
    exclude: list[Selector] = []
    retry: bool = False
    keep_ranked: Annotated[Size, Field(ge=LEAST_RANKED)] = LARGEST
    wandb: Mode = "disabled"
    wandb_project: Place | None = None
    wandb_entity: Place | None = None
    out: Path = Path("runs")

    @property
    def tracking(self) -> WandbSettings:
        """Whether and where the run is logged."""
        return WandbSettings(mode=self.wandb, project=self.wandb_project, entity=self.wandb_entity)


def make_config(options: dict[str, Any], file: Path | None = None) -> RunConfig:
    """Return the configuration of a run in `file` with `options` over it; raises UserError as `make_settings`."""
    return make_settings(RunConfig, options, file)
