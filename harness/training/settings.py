"""What `basisbench train` is asked to do."""

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from basisbench.bases.packing import Kind
from basisbench.settings import Names, split_line
from basisbench.tracking.settings import Mode, Place, WandbSettings


class TrainConfig(BaseModel):
    """What to train, on what, for how long.

    `tokens` and `batch` are counted in tokens, `dead_after` too (a latent that does not fire for so long is
    revived), `checkpoint_every` in steps. `width` None: as many latents as the MLP has neurons. `text` holds
    names of sources or folders, `prompts` names of tasks whose discovery prompts are mixed in; `wandb` is the mode
    of W&B, see `WandbSettings`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = "smollm2-135m"
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1), BeforeValidator(split_line)] = ("sae", "transcoder")
    width: Annotated[int, Field(ge=1)] | None = None
    k: Annotated[int, Field(ge=1)] = 32
    tokens: Annotated[int, Field(ge=1)] = 2_000_000
    batch: Annotated[int, Field(ge=1)] = 2048
    context: Annotated[int, Field(ge=2)] = 128
    lr: Annotated[float, Field(gt=0)] = 3e-3
    dead_after: Annotated[int, Field(ge=1)] = 100_000
    auxiliary: Annotated[float, Field(ge=0)] = 1 / 32
    text: Names = ["sotu", "kjv", "austen", "wordnet", "python-doc", "postgresql-doc"]
    prompts: Annotated[tuple[str, ...], BeforeValidator(split_line)] = ()
    seed: Annotated[int, Field(ge=0)] = 0
    device: str = "auto"
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    out: Path = Path("runs/dictionaries")
    checkpoint_every: Annotated[int, Field(ge=1)] = 100
    wandb: Mode = "disabled"
    wandb_project: Place | None = None
    wandb_entity: Place | None = None

    @property
    def rows(self) -> int:
        """Contexts a step."""
        return max(1, self.batch // self.context)

    @property
    def tokens_a_step(self) -> int:
        """Tokens trained on in a step: every position of its contexts but the first."""
        return self.rows * (self.context - 1)

    @property
    def steps(self) -> int:
        """Steps in all."""
        return math.ceil(self.tokens / self.tokens_a_step)

    @property
    def tracking(self) -> WandbSettings:
        """The settings of W&B together."""
        return WandbSettings(mode=self.wandb, project=self.wandb_project, entity=self.wandb_entity)

    def learning_rate(self, step: int) -> float:
        """Linear warm-up over the first 5 % of the steps, linear decay over the last third."""
        warm, left = max(1.0, self.steps * 0.05), (self.steps - step) / max(1.0, self.steps / 3)
        return self.lr * min(1.0, (step + 1) / warm, left)
