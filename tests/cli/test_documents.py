"""Every command line that the documents show: its options are real, its settings valid; quick ones are run."""

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from basisbench import cli
from basisbench.cli.reference import reference
from basisbench.settings import make_settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "results" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FILES = [*PAGES, *sorted((ROOT / "boards").glob("*.yaml")), *sorted((ROOT / "sweeps").glob("*.yaml"))]
COMMANDS: dict[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]  # it is a group
# options in the documents that are other programs'
OTHERS = {"--head", "--port", "--address"}


@dataclass(frozen=True)
class Shown:
    """A command line in a document: the words after `basisbench`."""

    file: Path
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}: {' '.join(self.words)}"


def spans(text: str) -> list[str]:
    """The inline code of a page, each on one line, outside of blocks of code."""
    outside = re.sub(r"^```.*?^```|\\`", "", text, flags=re.MULTILINE | re.DOTALL)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", outside)]


def shown_in(file: Path) -> Iterator[Shown]:
    """Command lines in blocks of code, in comments of YAML, and in inline code."""
    text = file.read_text("utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += [line.removeprefix("#").strip() for line in text.splitlines() if file.suffix == ".yaml"]
    lines += spans(text)
    for line in lines:
        for part in re.split(r"&&|;| & ?$|\|", line):
            # a line may set the environment first
            if match := re.match(r"(?:[A-Z_]+=\S+ )*basisbench (?=[a-z-])(.*)", part.strip()):
                yield Shown(file, tuple(shlex.split(re.sub(r"\s#.*", "", match[1]))))


EVERY = list(dict.fromkeys(shown for file in FILES for shown in shown_in(file)))


def run(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["basisbench", *words])
    return cli.command()


def test_the_documents_show_every_command() -> None:
    assert {shown.words[0] for shown in EVERY} - {"--help", "-h", "--version"} == set(COMMANDS)
    assert len(EVERY) > 60


@pytest.mark.parametrize("shown", EVERY, ids=str)
def test_a_command_line_is_one_that_the_program_takes(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    name, *arguments = shown.words
    assert name in COMMANDS
    if not arguments:  # the command is spoken of
        return
    command = COMMANDS[name]
    given = command.make_context(name, list(arguments)).params  # raises for an option that there is not
    kind = getattr(command.callback, "settings", None)
    if kind is None:
        return
    asked = {key: value for key, value in given.items() if key in kind.model_fields and value is not None}
    file = given["config"]
    monkeypatch.chdir(ROOT)
    if name != "evaluate" or "--template" in arguments:  # else a scores file completes them
        make_settings(kind, asked, file if file and file.exists() else None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_an_option_that_a_page_speaks_of_is_one(page: Path) -> None:
    known = {option for command in COMMANDS.values() for p in command.params for option in (*p.opts, *p.secondary_opts)}
    known |= {"--help", "-h", "--version"} | OTHERS
    spoken = {span.split()[0].partition("=")[0] for span in spans(page.read_text("utf-8")) if span.startswith("-")}
    assert {option for option in spoken if re.fullmatch(r"--?[a-z][a-z-]*", option)} <= known


def quick(shown: Shown) -> bool:
    """Whether a line needs no model, no file of the reader's own and little time."""
    own = [word for word in shown.words if word.endswith(".yaml") and not (ROOT / word).exists()]
    plan = "--dry-run" in shown.words and "--time-one" not in shown.words
    return shown.words[0] == "list" or (plan and not own)


@pytest.mark.parametrize("shown", [shown for shown in EVERY if quick(shown)], ids=str)
def test_a_quick_command_runs(
    shown: Shown, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert run(shown.words, monkeypatch) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("asked", ["-h", "--help"])
def test_every_command_has_help(
    name: str, asked: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([name, asked], monkeypatch) == 0
    assert f"Usage: basisbench {name}" in capsys.readouterr().out


def test_the_page_of_settings_is_that_of_the_commands() -> None:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert page == reference(), "make it again: python -m basisbench.cli.reference > docs/settings.md"
