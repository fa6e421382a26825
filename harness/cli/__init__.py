"""The command line: a file a command."""

from basisbench.cli import (
    baseline,
    check,
    check_task,
    evaluate,
    figures,
    leaderboard,
    list_names,
    read,
    report,
    reproduce,
    run,
    show,
    steer,
    sync,
    trace,
    train,
    validate,
)
from basisbench.cli.app import app, command

__all__ = [
    "app",
    "baseline",
    "check",
    "check_task",
    "command",
    "evaluate",
    "figures",
    "leaderboard",
    "list_names",
    "read",
    "report",
    "reproduce",
    "run",
    "show",
    "steer",
    "sync",
    "trace",
    "train",
    "validate",
]
