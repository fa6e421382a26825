"""What a task is: registered, a folder of JSON lines, or a mapping over somebody's data."""

from basisbench.tasks.load import load_task, tasks_at_hand
from basisbench.tasks.pair import Pair, Span
from basisbench.tasks.task import TASKS, Task

__all__ = ["TASKS", "Pair", "Span", "Task", "load_task", "tasks_at_hand"]
