"""The command `basisbench check-method`."""

from __future__ import annotations

from typing import Annotated

import typer

from basisbench.cli.app import app, progress_bar
from basisbench.cli.options import Device, Dtype


@app.command("check-method")
def check_method(
    method: Annotated[str, typer.Argument(help="Name, or path/to/file.py:Name.")],
    model: Annotated[
        str | None, typer.Option(help="Name, folder, or hub name (default: a tiny one of random weights).")
    ] = None,
    task: Annotated[str, typer.Option(help="Task of the pairs that a named model is asked on.")] = "sva/simple",
    n_discovery: Annotated[int, typer.Option(help="Pairs that it is asked on.")] = 4,
    dtype: Dtype = None,
    device: Device = None,
) -> None:
    """Check a method: what it says of itself, and what it promises of its answers. Exit status 1 if it fails."""
    from rich.console import Console

    from basisbench.attribution import load_method
    from basisbench.checks.method import check_method as check_answers
    from basisbench.checks.method import method_check_table, random_pairs
    from basisbench.models.loading import load_model
    from basisbench.models.tiny import VOCABULARY, tiny_model
    from basisbench.prompts.selection import load_prompts
    from basisbench.tasks.load import load_task

    found = load_method(method)
    with progress_bar() as bar:
        work = bar.add_task("loading", total=1.0)
        if model is None:
            loaded = tiny_model()
            prompts = random_pairs(loaded, VOCABULARY)
        else:
            pairs_of = load_task(task)
            loaded, _ = load_model(
                model,
                dtype or "float32",
                device or "auto",
                say=lambda line: bar.console.print(line, highlight=False, markup=False, soft_wrap=True),
            )
            prompts = load_prompts(pairs_of, "discovery", n_discovery, 0, loaded)
        report = check_answers(
            found,
            loaded,
            prompts,
            progress=lambda what, done, total: bar.update(work, description=what, completed=done / total),
        )
    Console().print(method_check_table(report))
    if report.failed:
        raise typer.Exit(1)
