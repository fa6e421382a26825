"""The command `basisbench evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from basisbench.cli.app import app, progress_bar
from basisbench.cli.options import takes
from basisbench.errors import UserError
from basisbench.submissions.settings import EvaluateConfig


@app.command()
@takes(EvaluateConfig, checked=False)
def evaluate(
    options: dict[str, Any],
    scores: Annotated[Path | None, typer.Option(help="Scores file, or a result whose ranking counts.")] = None,
    template: Annotated[Path | None, typer.Option(help="Write an empty scores file here, and do no more.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the method (default: the file's).")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the result.")] = Path("runs"),
) -> None:
    """Give a ranking made by any method, over a known basis, its curve and its row."""
    if template is not None and scores is None:
        _write_template(template, options)
    elif scores is not None and template is None:
        _evaluate(scores, name, options, out)
    else:
        raise UserError("what to evaluate? valid: --scores FILE, or --template FILE for an empty one")


def _write_template(path: Path, options: dict[str, Any]) -> None:
    from basisbench.submissions.evaluate_scores import settled, template
    from basisbench.submissions.scores_file import write_scores

    about, empty = template(settled(options), say=lambda line: typer.echo(line, err=True))
    write_scores(path, about, empty)
    for shape in sorted({values.shape for values in empty.values()}):
        layers = [layer for layer, values in empty.items() if values.shape == shape]
        typer.echo(f"scores.{layers[0]} to scores.{layers[-1]}: zeros of the shape {list(shape)}, slots x nodes")
    typer.echo("slots: " + ", ".join(f"{number} {slot}" for number, slot in enumerate(about.slot_names or [])))
    typer.echo(f"template: {path}")


def _evaluate(scores: Path, name: str | None, options: dict[str, Any], out: Path) -> None:
    from rich.console import Console

    from basisbench.results.tables import results_table
    from basisbench.submissions.evaluate_scores import evaluate_scores, settled
    from basisbench.submissions.scores_file import read_scores

    submitted = read_scores(scores)
    settings = settled(options, submitted) | {"out": out}
    with progress_bar() as bar:
        work = bar.add_task("starting", total=1.0)
        result = evaluate_scores(
            submitted,
            settings,
            name,
            report=lambda what, fraction: bar.update(work, description=what, completed=fraction),
            say=lambda line: bar.console.print(line, highlight=False, markup=False, soft_wrap=True),
        )
    terminal = Console()
    terminal.print(results_table([result], terminal.width))
    typer.echo(f"result: {out / f'{result.name}.json'}")
