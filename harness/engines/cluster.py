"""A Ray cluster: how to reach it, and what share of it one worker takes."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from basisbench.errors import UserError
from basisbench.grid.failures import reason_of

CPUS_A_WORKER = 4
"""Threads of a worker without a GPU: a small model gains little from more, a second worker does."""
OBJECT_STORE_BYTES = 2**27
REACH_SECONDS = 5.0


@dataclass(frozen=True)
class Share:
    """What one worker takes: processors and GPUs, and the threads it runs (0: as many as torch likes)."""

    cpus: int
    gpus: int
    threads: int

    def workers(self) -> int:
        """How many workers the machines have room for that are in the cluster now."""
        if self.gpus:
            return sum(int(machine.get("GPU", 0)) for machine in _machines())
        return sum(int(machine.get("CPU", 0)) // self.cpus for machine in _machines())


def share_of(device: str) -> Share:
    """Return the share of a worker on the cluster that is connected; raises UserError if it has no such `device`."""
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"device '{device}' cannot be had: a cluster hands devices out; valid: auto, cpu, cuda")
    gpus = sum(machine.get("GPU", 0) for machine in _machines())
    if device == "cuda" and gpus < 1:
        raise UserError("device 'cuda' cannot be had: the cluster has no GPU; valid: auto, cpu")
    if device != "cpu" and gpus >= 1:
        return Share(cpus=0, gpus=1, threads=0)
    cpus = min(CPUS_A_WORKER, int(max((machine.get("CPU", 0) for machine in _machines()), default=0)))
    if not cpus:
        raise UserError("the cluster has no processor to give: start a machine with 'ray start'")
    return Share(cpus=cpus, gpus=0, threads=cpus)


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Be connected to the cluster at `address` while the block runs.

    None: the cluster that this process is connected to, else the address in RAY_ADDRESS, else ``local``, which starts
    a cluster of this machine and leaves nothing of it behind. ``auto`` finds one that runs on this machine. Raises
    UserError for a cluster that cannot be reached.
    """
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Ray's sockets lie there, and a socket's path must be short
    short = "/tmp" if Path("/tmp").is_dir() else None
    folder = tempfile.mkdtemp(prefix="ray-", dir=short) if address == "local" else None
    try:
        _connect(address, folder)
        yield
    finally:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def _connect(address: str, folder: str | None) -> None:
    """Connect this process to a cluster, or start one whose files are in `folder`."""
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if folder:
        settings |= {"_temp_dir": folder, "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    else:
        _reach(address)
    try:
        ray.init(address, **settings)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"no Ray cluster at '{address}': {reason_of(error)}") from error


def _reach(address: str) -> None:
    """Raise UserError for an address where nothing listens: Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise UserError(f"address '{address}' is none of a cluster: valid: HOST:PORT, auto, local")
    try:
        socket.create_connection((host, int(port)), REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"no Ray cluster at '{address}': {reason_of(error)}; valid: HOST:PORT of its head") from error


def _machines() -> list[dict[str, float]]:
    """The resources of each machine that is alive."""
    return [machine["Resources"] for machine in ray.nodes() if machine["Alive"]]
