"""What `basisbench train` is asked to do."""

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from basisbench.settings.common import DEVICE, EMBEDDED, MODEL, TEXT, Name, Names, split_line
from basisbench.settings.setting import Setting
from basisbench.settings.wandb import Logged
from basisbench.values import Count, DictionaryKind, Size


class TrainConfig(Logged):
    """What to train, on what, for how long.

    `tokens` and `batch` are counted in tokens, `dead_after` too (a latent that does not fire for so long is
    revived), `checkpoint_every` in steps. `width` None: as many latents as the MLP has neurons. `text` holds
    names of sources or folders, `prompts` names of tasks whose discovery prompts are mixed in; `wandb` is the mode
    of W&B, see `WandbSettings`.
    """

    model: Annotated[Name, MODEL] = EMBEDDED
    kinds: Annotated[
        tuple[DictionaryKind, ...],
        Field(min_length=1),
        BeforeValidator(split_line),
        Setting("Kinds of dictionaries"),
    ] = ("sae", "transcoder")
    width: Annotated[Size | None, Setting("Latents of a layer", default="as many as the MLP has neurons")] = None
    k: Annotated[Size, Setting("Latents that fire, on average")] = 32
    tokens: Annotated[Size, Setting("Tokens to train on")] = 2_000_000
    batch: Annotated[Size, Setting("Tokens of a step")] = 2048
    context: Annotated[int, Field(ge=2), Setting("Tokens of a context", valid="2 or more")] = 128
    lr: Annotated[float, Field(gt=0), Setting("Learning rate at its height", valid="above 0")] = 3e-3
    dead_after: Annotated[Size, Setting("Tokens after which a silent latent is revived")] = 100_000
    auxiliary: Annotated[float, Field(ge=0), Setting("Weight of the loss that revives latents")] = 1 / 32
    text: Annotated[Names, TEXT] = Field(default=["sotu", "kjv", "austen", "wordnet", "python-doc", "postgresql-doc"])
    prompts: Annotated[
        tuple[str, ...],
        BeforeValidator(split_line),
        Setting("Tasks whose discovery prompts are mixed in", valid="names, folders or .yaml files", default="none"),
    ] = ()
    seed: Annotated[Count, Setting("Seed of the weights and of the order of the text")] = 0
    device: Annotated[str, DEVICE] = "auto"
    dtype: Annotated[Literal["float32", "bfloat16"], Setting("Number format of the passes")] = "bfloat16"
    out: Annotated[Path, Setting("Folder for the dictionaries")] = Path("runs/dictionaries")
    checkpoint_every: Annotated[Size, Setting("Steps between checkpoints")] = 100

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

    def learning_rate(self, step: int) -> float:
        """Linear warm-up over the first 5 % of the steps, linear decay over the last third."""
        warm, left = max(1.0, self.steps * 0.05), (self.steps - step) / max(1.0, self.steps / 3)
        return self.lr * min(1.0, (step + 1) / warm, left)
