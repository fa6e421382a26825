"""Boards and sweeps that are shipped: YAML files with a name, whose first line says what they are."""

from importlib.resources import files
from pathlib import Path

from basisbench.errors import unknown_name


def shipped_files(what: str) -> dict[str, Path]:
    """The shipped `boards` or `sweeps` by name."""
    folder = Path(str(files(f"basisbench.{what}")))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def board_file(name: str) -> Path:
    """The file of a shipped board; raises UserError, which names the nearest, if there is none."""
    boards = shipped_files("boards")
    if name not in boards:
        raise unknown_name("board", name, boards)
    return boards[name]


def first_line(file: Path) -> str:
    """What a shipped file says that it is."""
    return file.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
