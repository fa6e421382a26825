"""What a run is asked to do, from defaults, a YAML file and options; checked before anything is computed."""

import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from harness.circuits import ErrorTreatment, Positions, Rank, size_grid
from harness.errors import UserError, unknown_name
from harness.metrics import scoring_metric
from harness.schema import Count, Line, Size
from harness.tokens import Answers

EMBEDDED = "smollm2-135m"

Settings = TypeVar("Settings", bound=BaseModel)
T = TypeVar("T")


def split_line(value: object) -> object:
    """Take a comma-separated line as a list."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _once(names: list[T]) -> list[T]:
    return list(dict.fromkeys(names))


def _ascending(sizes: list[int]) -> list[int]:
    return sorted(set(sizes))


def _is_scoring_metric(name: str) -> str:
    return scoring_metric(name).name


Name = Annotated[Line, Field(min_length=1)]
Names = Annotated[list[Name], Field(min_length=1), BeforeValidator(split_line), AfterValidator(_once)]
Errors = Annotated[list[ErrorTreatment], Field(min_length=1), BeforeValidator(split_line), AfterValidator(_once)]
ScoringMetric = Annotated[Name, AfterValidator(_is_scoring_metric)]
Sizes = Annotated[list[Size], Field(min_length=1), BeforeValidator(split_line), AfterValidator(_ascending)]


def default_bases(model: str | None) -> list[str]:
    """Bases of a comparison: the embedded model comes with dictionaries, of another model they must be named."""
    dictionaries = ["sae", "transcoder"] if model == EMBEDDED else []
    return ["neurons", "mlp_out", *dictionaries, "rotated_neurons"]


class RunConfig(BaseModel):
    """A grid of cells: tasks x bases x methods x ablations on one model. Defaults are the quickstart."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Name = EMBEDDED
    tasks: Names = ["sva/simple", "sva/nounpp", "sva/rc", "sva/within_rc"]
    bases: Names = Field(default_factory=lambda asked: default_bases(asked.get("model")))
    methods: Names = ["relp", "atp"]
    ablation: Names = ["mean"]
    positions: Positions = "kept"
    rank: Rank = "abs"
    error: Errors = ["score"]
    split: Literal["evaluation", "heldout", "heldout_templates"] = "evaluation"
    metric: ScoringMetric = "logit_difference"
    answers: Answers = "first"
    chat: bool = False
    require_correct: bool = False
    n_discovery: Size = 32
    n_evaluation: Size = 40
    sizes: Sizes = size_grid()
    seed: Count = 0
    dtype: Literal["float32", "bfloat16", "float16", "float64"] = "float32"
    device: str = "auto"
    out: Path = Path("runs")


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
        raise UserError(f"setting {first['loc'][0]}: {first['msg']}, got {got}") from error


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
