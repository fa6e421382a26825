"""Fixtures: a stand-in hub, empty, to which every client of this process goes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.client import use
from hub.server import Hub, serving


@pytest.fixture
def hub_cache(tmp_path: Path) -> Path:
    """The folder in which the clients keep what they fetched."""
    return tmp_path / "hub-cache"


@pytest.fixture
def hub(hub_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub without repositories; nothing outside this machine can be reached."""
    monkeypatch.setenv("BASISBENCH_CACHE", str(tmp_path / "basisbench-cache"))
    with serving(Hub()) as standing:
        use(standing, hub_cache, monkeypatch)
        yield standing
