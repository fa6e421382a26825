"""The settings that several commands have, each said once, and the types of their values."""

from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from basisbench.settings.setting import Setting
from basisbench.values import Count, Line, Size

EMBEDDED = "smollm2-135m"
T = TypeVar("T")


def split_line(value: object) -> object:
    """Take a comma-separated line as a list."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _listed(value: object) -> object:
    """Take a lone number, or a comma-separated line, as a list."""
    return [value] if isinstance(value, int) else split_line(value)


def once(names: list[T]) -> list[T]:
    """Each of `names` once, in their order."""
    return list(dict.fromkeys(names))


def _ascending(sizes: list[int]) -> list[int]:
    return sorted(set(sizes))


Dtype = Literal["float32", "bfloat16", "float16", "float64"]
Name = Annotated[Line, Field(min_length=1)]
Names = Annotated[list[Name], Field(min_length=1), BeforeValidator(split_line), AfterValidator(once)]
Seeds = Annotated[list[Count], Field(min_length=1), BeforeValidator(_listed), AfterValidator(once)]
Sizes = Annotated[list[Size], Field(min_length=1), BeforeValidator(split_line), AfterValidator(_ascending)]

MODEL = Setting("Model", valid="a name, a local Hugging Face folder, or a hub name", tells="question")
TASK = Setting("Task", valid="a name, a folder or a .yaml file")
TASKS = Setting("Tasks", valid="names, folders or .yaml files")
BASIS = Setting("Basis", valid="a name, or path/to/file.py:Name")
BASES = Setting("Bases", valid="names, or path/to/file.py:Name")
METHOD = Setting("Attribution method that ranks nodes", valid="a name, or path/to/file.py:Name")
METHODS = Setting("Attribution methods that rank nodes", valid="names, path/to/file.py:Name, or scores:FILE")
ABLATION = Setting(
    "What nodes that are not kept are set to", "mean, zero, mean_clean, resample, counterfactual", tells="condition"
)
POSITIONS = Setting("Whether a node stands in a slot of the prompts or at every position", tells="condition")
RANK = Setting("Rank nodes by |score|, or first those that help the answer", tells="condition")
ERROR = Setting("Whether error nodes compete with units, are always kept, or never", tells="condition")
SPLIT = Setting("Rows that are evaluated", tells="question")
METRIC = Setting("What is measured of the model's answer", tells="question", unsaid=True)
ANSWERS = Setting("Score the first token that differs, or whole answers", tells="question", unsaid=True)
CHAT = Setting("Put prompts into the model's chat template", tells="question", unsaid=True)
REQUIRE_CORRECT = Setting("Use only pairs that the model gets right", tells="question", unsaid=True)
N_DISCOVERY = Setting("Pairs that nodes are scored on", tells="question")
N_EVALUATION = Setting("Pairs that are evaluated", tells="question")
SIZES = Setting("Circuit sizes, in nodes", tells="condition")
SEED = Setting("Seed of the pairs, and of whatever is drawn")
SEEDS = Setting("Seeds of the pairs, and of whatever is drawn")
DTYPE = Setting("Number format of the model", tells="condition")
DEVICE = Setting("Where the model is", valid="auto, cpu, cuda or cuda:N")
TEXT = Setting("Text to look at", valid="names of texts, text files, or folders of .txt files")
TEXT_TOKENS = Setting("Tokens of text to look at, at most")
SERVES = Setting("Tasks of which a unit's use is measured", valid="names, folders or .yaml files")


class ModelConfig(BaseModel):
    """The one model of a command, and how it is loaded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[Name, MODEL] = EMBEDDED
    dtype: Annotated[Dtype, DTYPE] = "float32"
    device: Annotated[str, DEVICE] = "auto"
