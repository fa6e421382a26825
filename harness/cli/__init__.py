"""The command line: a file a command."""

from harness.cli import baseline, check, check_task, list_names, run, show, train
from harness.cli.app import app, command

__all__ = ["app", "baseline", "check", "check_task", "command", "list_names", "run", "show", "train"]
