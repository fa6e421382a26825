"""Whether and where runs are logged, and what a folder of results remembers of it."""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from basisbench.cache import write_atomically
from basisbench.errors import UserError, first_fault
from basisbench.progress import Say
from basisbench.settings.wandb import PLACE, Mode, Place, WandbSettings

PROJECT = "basisbench"
NOTE = "basisbench.json"


class Note(BaseModel):
    """What a folder remembers: the id of its own run (its board, or its training), and where it was logged to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    project: Place
    entity: Place | None


@dataclass(frozen=True)
class Target:
    """Where runs go: records into `home`, and with `online` from there to the project."""

    home: Path
    id: str
    project: str
    entity: str | None
    online: bool

    @property
    def address(self) -> str:
        """Entity and project as W&B writes them."""
        return f"{self.entity}/{self.project}" if self.entity else self.project


def chosen_mode(settings: WandbSettings, has_credentials: Callable[[], bool], say: Say) -> Mode:
    """Return `settings.mode` with `auto` decided, and `online` only where there are credentials."""
    mode = settings.mode
    if mode == "auto":
        asked = os.environ.get("WANDB_MODE", "").lower()
        known: dict[str, Mode] = {"offline": "offline", "dryrun": "offline", "disabled": "disabled", "online": "online"}
        mode = known.get(asked) or ("online" if has_credentials() else "offline")
    if mode == "online" and not has_credentials():
        say("W&B: no credentials, so runs are recorded offline; log in with `wandb login` or set WANDB_API_KEY")
        return "offline"
    return mode


def find_target(settings: WandbSettings, folder: Path, online: bool) -> tuple[Target, bool]:
    """Return the target of `folder`, and whether it was another one before; the folder remembers it.

    Raises UserError if ``folder/wandb`` cannot be written.
    """
    home = folder.resolve() / "wandb"
    before = _read_note(home / NOTE)
    project = settings.project or os.environ.get("WANDB_PROJECT") or (before.project if before else PROJECT)
    entity = settings.entity or os.environ.get("WANDB_ENTITY") or (before.entity if before else None)
    try:
        note = Note(id=before.id if before else secrets.token_hex(8), project=project, entity=entity)
    except ValidationError as error:
        place = first_fault(error).place
        value = project if place == "project" else entity
        raise UserError(f"W&B {place} {value!r}: valid: {PLACE}") from error
    if note != before:
        write_atomically(home / NOTE, note.model_dump_json().encode() + b"\n")
    else:
        write_atomically(home / ".writable", b"")
    return Target(home, note.id, note.project, note.entity, online), before not in (None, note)


def _read_note(path: Path) -> Note | None:
    """The note at `path`, None if there is none; a damaged one is made anew."""
    try:
        return Note.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
