"""What is said of options by hand, beside what it speaks of: a name that is added must be said."""

from collections.abc import Iterable
from typing import Any

import pytest
import typer

from basisbench import cli
from basisbench.circuits.ablation import ABLATIONS
from basisbench.figures import FIGURES, STYLES, WIDTHS
from basisbench.leaderboard import STATISTICS
from basisbench.leaderboard.formats import FORMATS, SUFFIXES
from basisbench.measures import SCORING_METRICS

COMMANDS: dict[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]  # it is a group


@pytest.mark.parametrize(
    ("command", "option", "names"),
    [
        ("figures", "only", FIGURES),
        ("figures", "style", STYLES),
        ("figures", "width", WIDTHS),
        ("leaderboard", "by", STATISTICS),
        ("leaderboard", "format", FORMATS),
        ("leaderboard", "out", SUFFIXES),
        ("run", "ablation", ABLATIONS),
        ("run", "metric", SCORING_METRICS),
    ],
)
def test_help_names_every_value(command: str, option: str, names: Iterable[str]) -> None:
    (found,) = [parameter for parameter in COMMANDS[command].params if parameter.name == option]
    assert all(name in found.help for name in names)
