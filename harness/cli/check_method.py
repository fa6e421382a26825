"""The command `basisbench check-method`."""

from __future__ import annotations

import typer

from basisbench.cli.app import app, progress_bar
from basisbench.cli.options import takes
from basisbench.settings.check import MethodCheckConfig


@app.command("check-method")
@takes(MethodCheckConfig, "method")
def check_method(settings: MethodCheckConfig) -> None:
    """Check a method: what it says of itself, and what it promises of its answers. Exit status 1 if it fails."""
    from rich.console import Console

    from basisbench.attribution import load_method
    from basisbench.checks.method import check_method as check_answers
    from basisbench.checks.method import method_check_table, random_pairs
    from basisbench.models.loading import load_model
    from basisbench.models.tiny import VOCABULARY, tiny_model
    from basisbench.prompts.selection import load_prompts
    from basisbench.tasks.load import load_task

    found = load_method(settings.method)
    with progress_bar() as bar:
        work = bar.add_task("loading", total=1.0)
        if settings.model is None:
            loaded = tiny_model()
            prompts = random_pairs(loaded, VOCABULARY)
        else:
            pairs_of = load_task(settings.task)
            loaded, _ = load_model(
                settings.model,
                settings.dtype,
                settings.device,
                say=lambda line: bar.console.print(line, highlight=False, markup=False, soft_wrap=True),
            )
            prompts = load_prompts(pairs_of, "discovery", settings.n_discovery, 0, loaded)
        report = check_answers(
            found,
            loaded,
            prompts,
            progress=lambda what, done, total: bar.update(work, description=what, completed=done / total),
        )
    Console().print(method_check_table(report))
    if report.failed:
        raise typer.Exit(1)
