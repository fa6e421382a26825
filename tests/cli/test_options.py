"""What is said of options by hand, beside what it speaks of: a name that is added must be said."""

from collections.abc import Iterable
from typing import Any

import pytest
import typer

from basisbench import cli
from basisbench.circuits.ablation import ABLATIONS
from basisbench.figures import FIGURES, STYLES, WIDTHS
from basisbench.leaderboard.formats import FORMATS, SUFFIXES
from basisbench.measures.metrics import scoring_metrics
from basisbench.measures.statistic import board_statistics

COMMANDS: dict[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]  # it is a group


@pytest.mark.parametrize(
    ("command", "option", "names"),
    [
        ("figures", "only", FIGURES.names),
        ("figures", "style", STYLES),
        ("figures", "width", WIDTHS),
        ("leaderboard", "by", [statistic.name for statistic in board_statistics()]),
        ("leaderboard", "format", FORMATS),
        ("leaderboard", "out", SUFFIXES),
        ("run", "ablation", ABLATIONS),
        ("run", "metric", [metric.name for metric in scoring_metrics()]),
    ],
)
def test_help_names_every_value(command: str, option: str, names: Iterable[str]) -> None:
    context = typer.Context(COMMANDS[command], info_name=command, terminal_width=10_000, max_content_width=10_000)
    COMMANDS[command].get_help(context)  # fills in the names that are asked for only then
    (found,) = [parameter for parameter in COMMANDS[command].params if parameter.name == option]
    assert all(name in found.help for name in names)
