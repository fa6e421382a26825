"""The command `basisbench check`."""

from __future__ import annotations

import typer

from basisbench.cli.app import app, progress_bar
from basisbench.cli.options import takes
from basisbench.settings.check import CheckConfig


@app.command()
@takes(CheckConfig, "basis")
def check(settings: CheckConfig) -> None:
    """Check a basis on a model: its contract, how much it explains, its speed. Exit status 1 if it fails."""
    from rich.console import Console

    from basisbench.bases.load import bind_basis, find_basis
    from basisbench.checks.basis import check_basis, check_table
    from basisbench.models.loading import load_model
    from basisbench.text.documents import documents
    from basisbench.text.sample import TEXT

    factory = find_basis(settings.basis)
    with progress_bar() as bar:
        work = bar.add_task("loading", total=1.0)

        def say(line: str) -> None:
            bar.console.print(line, highlight=False, markup=False, soft_wrap=True)

        texts = [text for name in settings.text for text in documents(name, say)] if settings.text else [TEXT]
        loaded, _ = load_model(settings.model, settings.dtype, settings.device, say)
        report = check_basis(
            loaded,
            bind_basis(settings.basis, factory, loaded),
            texts,
            layers=settings.layers,
            progress=lambda what, done, total: bar.update(work, description=what, completed=done / total),
        )
    Console().print(check_table(report))
    if report.failed:
        raise typer.Exit(1)
