"""The command `basisbench read`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basisbench.cli.app import app, progress_bar
from basisbench.cli.options import takes
from basisbench.settings.read import TOKENS, ReadConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.text import Text

    from basisbench.reading.evidence import Context, Evidence, TokenScore

SHOWN = 5
SIGNS = {"+": 1, "-": -1}


@app.command()
@takes(ReadConfig, "units")
def read(
    settings: ReadConfig,
    out: Annotated[Path | None, typer.Option(help="Write the evidence to this JSON file.")] = None,
) -> None:
    """Read units of a basis: what drives them, what they say directly, which tasks they serve, and a label."""
    from rich.console import Console

    from basisbench.bases.load import load_basis
    from basisbench.cache import write_atomically
    from basisbench.models.loading import load_model
    from basisbench.reading import default_texts, named_texts, read_units

    def say(line: str) -> None:
        typer.echo(line, err=True)

    serves, sources = settings.serves or [], settings.text or []
    loaded, _ = load_model(settings.model, settings.dtype, settings.device, say)
    texts = named_texts(sources, say) if sources else default_texts(serves)
    with progress_bar() as bar:
        work = bar.add_task("starting", total=1.0)
        evidence = read_units(
            loaded,
            load_basis(settings.basis, loaded),
            settings.units,
            texts,
            serves,
            dict.fromkeys(settings.units, SIGNS[settings.sign]) if settings.sign else {},
            limit=settings.text_tokens or (TOKENS if sources else None),
            say=lambda line: bar.console.print(line, highlight=False, markup=False, soft_wrap=True),
            progress=lambda what, done, total: bar.update(work, description=what, completed=done / total),
        )
    terminal = Console(highlight=False)
    for key, known in evidence.items():
        terminal.print(_shown(key, known), soft_wrap=True)
    if out:
        write_atomically(out, _document(evidence))
        typer.echo(f"evidence: {out}")


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
