"""From a name to a task: registered, a folder, or a mapping."""

from pathlib import Path

from basisbench.errors import UserError, unknown_name
from basisbench.tasks.folder import folder_task
from basisbench.tasks.mapped import MappedTask, mapped_task
from basisbench.tasks.task import TASKS, Task


def load_task(name: str) -> Task:
    """Return a registered task, the task in the folder called `name`, or that of a YAML file (`mapped_task`).

    Raises UserError if it is none of these.
    """
    if name in TASKS:
        return TASKS.get(name)
    if Path(name).is_dir():
        return folder_task(Path(name))
    if Path(name).suffix in (".yaml", ".yml"):
        return mapped_task(Path(name))
    raise UserError(
        f"{unknown_name('task', name, TASKS)}, or a folder with discovery.jsonl and evaluation.jsonl, or a .yaml file"
    )


def tasks_at_hand() -> list[str]:
    """Registered tasks whose data ship with them: all but those that are read from a hub or a clone."""
    return [name for name in TASKS if not isinstance(TASKS.get(name), MappedTask)]
