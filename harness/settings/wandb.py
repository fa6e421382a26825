"""Whether and where a command logs to Weights & Biases."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

from basisbench.settings.setting import Setting

Mode = Literal["auto", "online", "offline", "disabled"]
# The characters that W&B refuses in a project's name, and control characters.
Place = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f/\\#?%:]{1,128}$")]

PLACE = "up to 128 characters, none of / \\ # ? % :"
WANDB = Setting("Log to Weights & Biases (docs/wandb.md)")


class WandbSettings(BaseModel):
    """Mode, project and entity of W&B.

    `auto` does what ``WANDB_MODE`` says, and without it is online where there are credentials, else offline. The
    project is by default ``WANDB_PROJECT``, else the one that the folder was logged to before, else "basisbench";
    the entity ``WANDB_ENTITY``, else the account's own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Mode = "auto"
    project: Place | None = None
    entity: Place | None = None


class Logged(BaseModel):
    """The settings of a command that can log to W&B."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    wandb: Annotated[Mode, WANDB] = "disabled"
    wandb_project: Annotated[
        Place | None,
        Setting("W&B project", valid=PLACE, default="as before, else basisbench"),
    ] = None
    wandb_entity: Annotated[Place | None, Setting("W&B entity", valid=PLACE, default="your own")] = None

    @property
    def tracking(self) -> WandbSettings:
        """The same as one value."""
        return WandbSettings(mode=self.wandb, project=self.wandb_project, entity=self.wandb_entity)


class SyncConfig(Logged):
    """Where results that are there already are logged to."""

    wandb: Annotated[Literal["auto", "online", "offline"], WANDB] = "auto"
