"""The command `basisbench read`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basisbench.cli.app import app, progress_bar
from basisbench.cli.options import Device, Dtype, Model
from basisbench.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.text import Text

    from basisbench.reading.evidence import Context, Evidence, TokenScore

SHOWN = 5
TOKENS = 10_000
"""Tokens of a named text that are looked at, unless others are asked for."""
SIGNS = {"+": 1, "-": -1}


@app.command()
def read(
    units: Annotated[str, typer.Argument(help="Units as layer:unit, separated by commas: 12:345,7:88.")],
    model: Model = None,
    basis: Annotated[str, typer.Option(help="Name or path/to/file.py:Name.")] = "neurons",
    text: Annotated[str | None, typer.Option(help="Names of texts, or folders of .txt files (default: ours).")] = None,
    tokens: Annotated[int | None, typer.Option(help="Tokens of text to look at, at most.", min=1)] = None,
    tasks: Annotated[str | None, typer.Option(help="Tasks that units may serve, separated by commas.")] = None,
    sign: Annotated[str | None, typer.Option(help="Label for activations above (+) or below (-) zero.")] = None,
    dtype: Dtype = None,
    device: Device = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the evidence to this file.")] = None,
) -> None:
    """Read units of a basis: what drives them, what they say directly, which tasks they serve, and a label."""
    asked = parse_units(units)
    if sign is not None and sign not in SIGNS:
        raise UserError(f"sign '{sign}' is unknown: valid: + or -")
    given = {"model": model, "dtype": dtype, "device": device}

    from rich.console import Console

    from basisbench.bases.load import load_basis
    from basisbench.cache import write_atomically
    from basisbench.models.loading import load_model
    from basisbench.reading import default_texts, named_texts, read_units
    from basisbench.settings import ModelConfig, make_settings, split_line

    def names(line: str | None) -> list[str]:
        parts = split_line(line) if line is not None else []
        return [str(part) for part in parts if part] if isinstance(parts, list) else []

    def say(line: str) -> None:
        typer.echo(line, err=True)

    settings = make_settings(ModelConfig, {name: value for name, value in given.items() if value is not None})
    served, sources = names(tasks), names(text)
    loaded, _ = load_model(settings.model, settings.dtype, settings.device, say)
    texts = named_texts(sources, say) if sources else default_texts(served)
    with progress_bar() as bar:
        work = bar.add_task("starting", total=1.0)
        evidence = read_units(
            loaded,
            load_basis(basis, loaded),
            asked,
            texts,
            served,
            dict.fromkeys(asked, SIGNS[sign]) if sign else {},
            limit=tokens or (TOKENS if sources else None),
            say=lambda line: bar.console.print(line, highlight=False, markup=False, soft_wrap=True),
            progress=lambda what, done, total: bar.update(work, description=what, completed=done / total),
        )
    terminal = Console(highlight=False)
    for key, known in evidence.items():
        terminal.print(_shown(key, known), soft_wrap=True)
    if json_file:
        write_atomically(json_file, _document(evidence))
        typer.echo(f"evidence: {json_file}")


def parse_units(line: str) -> list[tuple[int, int]]:
    """Units out of ``12:345,7:88``; raises UserError for anything else."""
    found = []
    for part in line.split(","):
        match = re.fullmatch(r"\s*(\d{1,9}):(\d{1,12})\s*", part)
        if not match:
            raise UserError(f"'{part.strip()}' is no unit: valid: layer:unit, separated by commas, as in 12:345,7:88")
        found.append((int(match[1]), int(match[2])))
    return found


def _document(evidence: Mapping[str, Evidence]) -> bytes:
    plain = {key: known.model_dump(mode="json") for key, known in evidence.items()}
    return json.dumps(plain, indent=1, ensure_ascii=False).encode() + b"\n"


def _shown(key: str, known: Evidence) -> Text:
    from rich.text import Text

    from basisbench.errors import printable

    lines = [
        Text.assemble((key, "bold"), "  ", (printable(known.label), "bold")),
        Text(f"  rests on  {printable(known.rests_on)}"),
        Text(f"  active    at {known.active_share:.1%} of the text's tokens{', always on' * known.always_on}"),
        Text(f"  raises    {_tokens(known.promotes)}"),
        Text(f"  lowers    {_tokens(known.suppresses)}"),
    ]
    for title, contexts in (("driven", known.contexts), ("below 0", known.negative_contexts)):
        lines += [_context(title if not number else "", c) for number, c in enumerate(contexts[:SHOWN])]
    lines += [
        Text(f"  {'serves' if not number else '':8}  {use.task} {use.share:.2%}, most at '{use.slot}'")
        for number, use in enumerate(known.serves)
    ]
    return Text("\n").join([*lines, Text("")])


def _tokens(scores: Sequence[TokenScore]) -> str:
    from basisbench.reading.labels import quoted

    return ", ".join(f"{quoted(score.token)} {score.score:+.3g}" for score in scores[:SHOWN])


def _context(title: str, context: Context) -> Text:
    """A line: the activation, and the text with the driving token marked; line ends are shown as such."""
    from rich.text import Text

    from basisbench.errors import printable

    def plain(tokens: Sequence[str]) -> str:
        return printable("".join(tokens).replace("\n", "⏎"))

    before, after = context.tokens[: context.at], context.tokens[context.at + 1 :]
    driving = plain(context.tokens[context.at : context.at + 1])
    return Text.assemble(
        f"  {title:8}  {context.activation:+8.2f}  ",
        plain(before),
        (f"«{driving}»", "bold"),
        plain(after),
        (f"  ({context.source})", "dim"),
    )
