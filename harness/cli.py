"""The command `basisbench`."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.errors import UserError, unknown_name
from harness.registry import Registry

if TYPE_CHECKING:
    from rich.progress import Progress

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
USAGE_ERROR: Any = typer.BadParameter.__bases__[0]  # typer does not export it by name


@app.callback(invoke_without_command=True)
def _basisbench(context: typer.Context) -> None:
    """In which basis are a language model's circuits sparsest? Curves of faithfulness against size."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def run(
    model: Annotated[str | None, typer.Option(help="Name, local Hugging Face folder, or hub name.")] = None,
    tasks: Annotated[str | None, typer.Option(help="Names or folders, separated by commas.")] = None,
    bases: Annotated[str | None, typer.Option(help="Names or path/to/file.py:Name.")] = None,
    methods: Annotated[str | None, typer.Option(help="Attribution methods.")] = None,
    ablation: Annotated[str | None, typer.Option(help="mean, zero, mean_clean, resample, counterfactual.")] = None,
    positions: Annotated[str | None, typer.Option(help="kept or pooled.")] = None,
    rank: Annotated[str | None, typer.Option(help="abs or signed.")] = None,
    error: Annotated[str | None, typer.Option(help="Error nodes: score, keep, remove, or several of these.")] = None,
    split: Annotated[str | None, typer.Option(help="evaluation, heldout or heldout_templates.")] = None,
    metric: Annotated[
        str | None, typer.Option(help="logit_difference, log_probability or probability_difference.")
    ] = None,
    answers: Annotated[str | None, typer.Option(help="Score the first token that differs, or whole answers.")] = None,
    chat: Annotated[bool | None, typer.Option("--chat", help="Put prompts into the model's chat template.")] = None,
    require_correct: Annotated[
        bool | None, typer.Option("--require-correct", help="Use only pairs that the model gets right.")
    ] = None,
    sizes: Annotated[str | None, typer.Option(help="Circuit sizes (default: 1-2-3-5-7 a decade).")] = None,
    n_discovery: Annotated[int | None, typer.Option(help="Pairs to score nodes on.")] = None,
    n_evaluation: Annotated[int | None, typer.Option(help="Pairs to evaluate circuits on.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the pairs, and of whatever is drawn.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16, float16 or float64.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for results (default: runs).")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with the same settings.")] = None,
) -> None:
    """Score units, build circuits, and draw their curves. Without options: the quickstart."""
    options: dict[str, Any] = {
        name: value for name, value in locals().items() if name != "config" and value is not None
    }
    from harness.config import make_config

    settings = make_config(options, config)

    from rich.console import Console

    from harness.cache import write_atomically
    from harness.figures import plot_curves
    from harness.runner import run as run_grid
    from harness.tables import markdown_table, results_table

    with _bar() as bar:
        work = bar.add_task("starting", total=1.0)
        report = run_grid(
            settings,
            report=lambda what, fraction: bar.update(work, description=what, completed=fraction),
            say=lambda line: bar.console.print(line, highlight=False, markup=False, soft_wrap=True),
        )
    if report.results:
        terminal = Console()
        terminal.print(results_table(report.results, terminal.width))
        write_atomically(settings.out / "results.md", markdown_table(report.results).encode())
        for figure in plot_curves(report.results, settings.out / "curves.png"):
            typer.echo(f"figure: {figure}")
        typer.echo(f"results: {len(report.results)} in {settings.out} ({report.reused} were there already)")
    for failure in report.failures:
        typer.echo(f"failed: {failure.cell}: {failure.reason}", err=True)
    if report.failures:
        raise typer.Exit(1)


@app.command("list")
def list_names(
    what: Annotated[str, typer.Argument(help="models, tasks, bases or methods.")],
    model: Annotated[str | None, typer.Option(help="List the published bases made for this model as well.")] = None,
) -> None:
    """List what can be named in `run`."""
    import harness.attribution
    from harness.bases import BASES, PRESETS
    from harness.models.names import MODELS
    from harness.tasks import TASKS

    registries: dict[str, tuple[Registry[Any], str]] = {
        "models": (MODELS, "or a local Hugging Face folder, or a hub name org/name"),
        "tasks": (TASKS, "or a folder with discovery.jsonl and evaluation.jsonl, or a .yaml file over a dataset"),
        "bases": (BASES, "or path/to/file.py:Name"),
        "methods": (harness.attribution.METHODS, "exact:K patches the K nodes that atp ranks highest"),
    }
    if what not in registries:
        raise unknown_name("kind of name", what, registries)
    registry, also = registries[what]
    for name in registry:
        typer.echo(f"{name:18} {registry.describe(name)}".rstrip())
    typer.echo(also)
    if what == "bases" and model is not None:
        published = [preset for source in PRESETS for preset in PRESETS.get(source)(model)]
        typer.echo(f"published for {model}:" if published else f"none is known to be published for {model}")
        for preset in published:
            typer.echo(f"  {preset.basis}  ({preset.about})")


@app.command()
def baseline(
    model: Annotated[str | None, typer.Option(help="Name, local Hugging Face folder, or hub name.")] = None,
    tasks: Annotated[str | None, typer.Option(help="Names, folders or files (default: all with their data).")] = None,
    split: Annotated[str | None, typer.Option(help="evaluation, discovery, heldout, heldout_templates.")] = None,
    n: Annotated[int | None, typer.Option(help="Pairs a task.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the pairs.")] = None,
    answers: Annotated[str | None, typer.Option(help="Score the first token that differs, or whole answers.")] = None,
    chat: Annotated[bool | None, typer.Option("--chat", help="Put prompts into the model's chat template.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16, float16 or float64.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for baseline.json and baseline.md.")] = None,
) -> None:
    """Say which tasks a model can do, before circuits are looked for: accuracy, logit difference, pairs, lengths."""
    options = {name: value for name, value in locals().items() if name != "out" and value is not None}
    from harness.baseline import BaselineConfig
    from harness.config import make_settings

    settings = make_settings(BaselineConfig, options)

    from rich.console import Console

    from harness.baseline import baseline_markdown, baseline_table, measure_baseline
    from harness.cache import write_atomically
    from harness.runner import load_model

    def say(line: str) -> None:
        typer.echo(line, err=True)

    loaded, digest = load_model(settings.model, settings.dtype, settings.device, say)
    report = measure_baseline(settings, loaded, digest, say)
    Console().print(baseline_table(report))
    if out:
        write_atomically(out / "baseline.json", report.model_dump_json(indent=1).encode() + b"\n")
        write_atomically(out / "baseline.md", baseline_markdown(report).encode())


@app.command()
def show(result: Annotated[Path, typer.Argument(help="A result's .json file.")]) -> None:
    """Show one result: settings, summary, curve, data, environment."""
    from rich.console import Console

    from harness.results import read_result
    from harness.tables import result_detail

    Console().print(result_detail(read_result(result)))


@app.command()
def check(
    basis: Annotated[str, typer.Argument(help="Name, or path/to/file.py:Name.")],
    model: Annotated[str | None, typer.Option(help="Name, local Hugging Face folder, or hub name.")] = None,
    text: Annotated[Path | None, typer.Option(help="UTF-8 text to measure on (default: a short one of ours).")] = None,
    layers: Annotated[str | None, typer.Option(help="Layers, separated by commas (default: all).")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16, float16 or float64.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
) -> None:
    """Check a basis on a model: its contract, how much it explains, its speed. Exit status 1 if it fails."""
    asked = {"model": model, "dtype": dtype, "device": device}
    from harness.config import make_config

    settings = make_config({name: value for name, value in asked.items() if value is not None}, None)
    try:
        chosen = [int(layer) for layer in layers.split(",")] if layers is not None else None
    except ValueError:
        raise UserError(f"layers '{layers}' are no numbers: valid: for instance 0,5") from None

    from rich.console import Console

    from harness.bases import bind_basis, find_basis
    from harness.check import check_basis, check_table
    from harness.runner import load_model
    from harness.sample import TEXT, read_text

    texts = [TEXT if text is None else read_text(text)]
    factory = find_basis(basis)
    with _bar() as bar:
        work = bar.add_task("loading", total=1.0)
        loaded, _ = load_model(
            settings.model,
            settings.dtype,
            settings.device,
            say=lambda line: bar.console.print(line, highlight=False, markup=False, soft_wrap=True),
        )
        report = check_basis(
            loaded,
            bind_basis(basis, factory, loaded),
            texts,
            layers=chosen,
            progress=lambda what, done, total: bar.update(work, description=what, completed=done / total),
        )
    Console().print(check_table(report))
    if report.failed:
        raise typer.Exit(1)


@app.command("check-task")
def check_task(
    task: Annotated[str, typer.Argument(help="Name, folder or .yaml file.")],
    model: Annotated[str | None, typer.Option(help="Name, local Hugging Face folder, or hub name.")] = None,
    n: Annotated[int | None, typer.Option(help="Rows a split.")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many seeds to draw rows with.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
) -> None:
    """Check a task on a model: its contract, leaks between splits, tokens, baseline. Exit status 1 if it fails."""
    options = {name: value for name, value in locals().items() if name != "task" and value is not None}
    from harness.check_task import TaskCheckConfig
    from harness.config import make_settings

    settings = make_settings(TaskCheckConfig, options)

    from rich.console import Console

    from harness.check_task import check_task as check_rows
    from harness.check_task import task_check_table
    from harness.runner import load_model
    from harness.tasks import load_task

    found = load_task(task)
    loaded, _ = load_model(settings.model, device=settings.device, say=lambda line: typer.echo(line, err=True))
    report = check_rows(found, loaded, n=settings.n, seeds=settings.seeds)
    Console().print(task_check_table(report))
    if report.failed:
        raise typer.Exit(1)


@app.command()
def train(
    model: Annotated[str | None, typer.Option(help="Name, local Hugging Face folder, or hub name.")] = None,
    kinds: Annotated[str | None, typer.Option(help="sae, transcoder or both (default).")] = None,
    width: Annotated[int | None, typer.Option(help="Latents a layer (default: as many as MLP neurons).")] = None,
    k: Annotated[int | None, typer.Option(help="Latents that fire, on average.")] = None,
    tokens: Annotated[int | None, typer.Option(help="Tokens to train on.")] = None,
    batch: Annotated[int | None, typer.Option(help="Tokens a step.")] = None,
    context: Annotated[int | None, typer.Option(help="Tokens a context.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate at its height.")] = None,
    dead_after: Annotated[int | None, typer.Option(help="Tokens after which a silent latent is revived.")] = None,
    auxiliary: Annotated[float | None, typer.Option(help="Weight of the loss that revives latents.")] = None,
    text: Annotated[str | None, typer.Option(help="Names of texts, or folders of .txt files.")] = None,
    prompts: Annotated[str | None, typer.Option(help="Tasks whose discovery prompts are mixed in.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the weights and of the order of the text.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32 or bfloat16.")] = None,
    checkpoint_every: Annotated[int | None, typer.Option(help="Steps between checkpoints.")] = None,
    wandb: Annotated[str | None, typer.Option(help="W&B project to log to.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for dictionaries (default: runs/dictionaries).")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with the same settings.")] = None,
) -> None:
    """Train an SAE and a transcoder for every layer of a model. A run that was cut off goes on where it was."""
    options = {name: value for name, value in locals().items() if name != "config" and value is not None}
    from harness.config import make_settings
    from harness.training.settings import TrainConfig

    settings = make_settings(TrainConfig, options, config)

    from harness.training.trainer import train as train_dictionaries

    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = train_dictionaries(settings, lambda line: typer.echo(line, err=True))
    typer.echo(f"dictionaries: {folder}")


def _bar() -> Progress:
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
