"""The clients of the hub (huggingface_hub, transformers, sae-lens, datasets) pointed at a stand-in."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import datasets.config
import huggingface_hub.constants
import pytest
from huggingface_hub import hf_api

from hub.server import Hub

LOCAL = ("127.0.0.1", "localhost", "::1")


def use(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send every request to `hub`, keep what comes in `cache`, and let no other address be reached."""
    only_this_machine(monkeypatch)
    constants: dict[str, Any] = {
        "ENDPOINT": hub.address,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.address + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_OFFLINE": False,
        "HF_TOKEN_PATH": str(cache / "token"),
    }
    for name, value in constants.items():
        monkeypatch.setattr(huggingface_hub.constants, name, value)
    # this one took the address when it was imported; transformers makes its own when first asked
    monkeypatch.setattr(hf_api.api, "endpoint", hub.address)
    monkeypatch.setattr("transformers.utils.hub._hf_api", None)
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub.address)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, ",".join(LOCAL))


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with HF_HUB_OFFLINE=1."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def log_in(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `hf auth login`."""
    monkeypatch.setenv("HF_TOKEN", token)


def only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections to any other machine, and tell which was wanted."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOCAL:
            raise AssertionError(f"a test reached for {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
