"""The cache folder, and files and folders that appear whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from basisbench import cache
from basisbench.errors import UserError


def everything_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_cache_dir_prefers_its_own_variable_then_xdg_then_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASISBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("BASISBENCH_CACHE")
    assert cache.cache_dir() == tmp_path / "xdg" / "basisbench"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert cache.cache_dir() == tmp_path / ".cache" / "basisbench"
    assert (tmp_path / ".cache" / "basisbench").is_dir()


def test_cache_dir_on_a_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BASISBENCH_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(UserError, match=r"^cannot write .*below: .*\Z"):
        cache.cache_dir()


def test_write_atomically_replaces_the_content_and_leaves_nothing_else(tmp_path: Path) -> None:
    cache.write_atomically(tmp_path / "new" / "result.json", b"old")
    cache.write_atomically(tmp_path / "new" / "result.json", b"new")
    assert (tmp_path / "new" / "result.json").read_bytes() == b"new"
    assert everything_in(tmp_path) == {"new/result.json"}


@pytest.mark.parametrize(
    ("failure", "seen"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), UserError),
        (OSError(errno.EACCES, "Permission denied"), UserError),
        (OSError(errno.EIO, "Input/output error"), OSError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_write_atomically_that_fails_keeps_the_old_content(
    failure: BaseException, seen: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        assert len(everything_in(tmp_path)) == 2, "the new content should be on disk by now"
        raise failure

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(seen) as error:
        cache.write_atomically(path, b"new")
    assert type(error.value) is seen or seen is OSError
    if isinstance(error.value, UserError):
        assert str(failure.args[1]) in str(error.value)
        assert "\n" not in str(error.value)
    assert path.read_bytes() == b"old"
    assert everything_in(tmp_path) == {"result.json"}


def test_atomic_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "a" / "model"
    with cache.atomic_folder(target) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "part").write_text("1")
        assert not target.exists()
    assert everything_in(tmp_path) == {"a/model/sub/part"}


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), ValueError("x"), OSError(errno.ENOSPC, "full")])
def test_atomic_folder_that_fails_leaves_nothing(failure: BaseException, tmp_path: Path) -> None:
    expected = UserError if isinstance(failure, OSError) else type(failure)

    def fill() -> None:
        with cache.atomic_folder(tmp_path / "model") as folder:
            (folder / "part").write_text("1")
            raise failure

    with pytest.raises(expected):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_atomic_folder_keeps_the_other_process_s_work(tmp_path: Path) -> None:
    with cache.atomic_folder(tmp_path / "model") as ours, cache.atomic_folder(tmp_path / "model") as theirs:
        (ours / "who").write_text("ours")
        (theirs / "who").write_text("theirs")
    assert (tmp_path / "model" / "who").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
