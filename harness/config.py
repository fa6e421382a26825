"""What a run is asked to do, from defaults, a YAML file and options; checked before anything is computed."""

import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from harness.circuits import LARGEST, LEAST_RANKED, ErrorTreatment, Positions, Rank, size_grid
from harness.errors import UserError, unknown_name
from harness.metrics import scoring_metric
from harness.schema import Cell, Count, Line, Size
from harness.tokens import Answers
from harness.tracking.settings import Mode, Place, WandbSettings

EMBEDDED = "smollm2-135m"

Settings = TypeVar("Settings", bound=BaseModel)
T = TypeVar("T")


def split_line(value: object) -> object:
    """Take a comma-separated line as a list."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _listed(value: object) -> object:
    """Take a lone number, or a comma-separated line, as a list."""
    return [value] if isinstance(value, int) else split_line(value)


def _once(names: list[T]) -> list[T]:
    return list(dict.fromkeys(names))


def _ascending(sizes: list[int]) -> list[int]:
    return sorted(set(sizes))


def _is_scoring_metric(name: str) -> str:
    return scoring_metric(name).name


Dtype = Literal["float32", "bfloat16", "float16", "float64"]
Name = Annotated[Line, Field(min_length=1)]
Names = Annotated[list[Name], Field(min_length=1), BeforeValidator(split_line), AfterValidator(_once)]
Errors = Annotated[list[ErrorTreatment], Field(min_length=1), BeforeValidator(split_line), AfterValidator(_once)]
ScoringMetric = Annotated[Name, AfterValidator(_is_scoring_metric)]
Seeds = Annotated[list[Count], Field(min_length=1), BeforeValidator(_listed), AfterValidator(_once)]
Sizes = Annotated[list[Size], Field(min_length=1), BeforeValidator(split_line), AfterValidator(_ascending)]


def default_bases(models: list[str] | None) -> list[str]:
    """Bases of a comparison: the embedded model comes with dictionaries, of another model they must be named."""
    dictionaries = ["sae", "transcoder"] if models == [EMBEDDED] else []
    return ["neurons", "mlp_out", *dictionaries, "rotated_neurons"]


class ModelConfig(BaseModel):
    """The one model of a command, and how it is loaded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Name = EMBEDDED
    dtype: Dtype = "float32"
    device: str = "auto"


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
    depends on it, so it is no part of a cell. `keep_rounded`, for the same end, rounds outcomes to multiples of 2^-10
    nats, which moves numbers less than another processor does, and the scores kept to 10 significant bits.
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
    keep_rounded: bool = False
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


def make_settings(kind: type[Settings], options: dict[str, Any], file: Path | None = None) -> Settings:
    """Return settings of a `kind` from `file` with `options` over it.

    Raises UserError for an unreadable file, an unknown setting or a value of the wrong kind.
    """
    settings = (_read(file) if file else {}) | options
    for name in settings:
        if name not in kind.model_fields:
            raise unknown_name("setting", str(name), kind.model_fields)
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        got = reprlib.repr(first["input"])
        # of a list of objects, which one and its field; else the setting alone
        loc = first["loc"]
        if not loc:  # what is wrong is how settings go together
            raise UserError(first["msg"].removeprefix("Value error, ")) from error
        where = ".".join(map(str, loc[:3])) if len(loc) > 2 and isinstance(loc[1], int) else loc[0]
        raise UserError(f"setting {where}: {first['msg']}, got {got}") from error


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{file} holds no settings: valid: lines such as 'bases: [neurons, mlp_out]'")
    return content
