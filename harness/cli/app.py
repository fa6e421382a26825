"""The command `basisbench`: its application, its progress bar, and what becomes of errors."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated, Any

import typer

import basisbench
from basisbench.errors import UserError

if TYPE_CHECKING:
    from rich.progress import Progress

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
USAGE_ERROR: Any = typer.BadParameter.__bases__[0]  # typer does not export it by name


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"basisbench {basisbench.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _basisbench(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """In which basis are a language model's circuits sparsest? Curves of faithfulness against size."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def progress_bar() -> Progress:
    """A bar on the standard error stream, shown on terminals only; work begins, and Ctrl-C becomes an exception."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    # an interruption now unwinds, so that nothing half done is left behind, nor the cursor hidden
    signal.signal(signal.SIGINT, signal.default_int_handler)
    console = Console(stderr=True)
    columns = (
        BarColumn(20),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    shown = console.is_terminal
    return Progress(*columns, console=console, speed_estimate_period=3600, transient=True, disable=not shown)


def command() -> int:
    """Run the command line and return its exit status; what the user can mend is one line and status 2."""
    try:
        # not standalone: typer would print usage errors in paragraphs, and nothing at all on Ctrl-C
        return app(prog_name="basisbench", standalone_mode=False) or 0
    except UserError as error:
        typer.echo(f"basisbench: {error}", err=True)
    except USAGE_ERROR as error:
        path = error.ctx.command_path if error.ctx else "basisbench"
        typer.echo(f"basisbench: {error.format_message().rstrip('.')} (see '{path} --help')", err=True)
    return 2
