"""How fast a machine multiplies: measured here where it can be, else assumed and said so.

CPU_SHARE is the share of the rate of a large matrix product at which runs went: the committed cells of ``results/sva``
and ``results/two-hop`` (two cores, float32) took 53e9 multiply-adds a second by the laws of `grid.costs`, and a
quiet core of that machine multiplies 1024 x 1024 matrices at 49e9. GPU_SHARE is a guess for models that fill a GPU. One
that does not goes far slower: SmolLM2-135M on an H200 (some 2e13 in float32) went at about 7e10 in one
process on short prompts, and at 1.7e12 in all with 14 processes (``docs/scaling.md``).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

CPU_SHARE = 0.54
GPU_SHARE = 0.3
ASSUMED_GPU = {"bfloat16": 200e12, "float16": 200e12, "float32": 25e12, "float64": 25e12}
"""Multiply-adds a second of an H100: half of 400 (50) TFLOP/s."""
SECONDS = 0.3
SIZES = {"cpu": 1024, "cuda": 8192}


@dataclass(frozen=True)
class Rate:
    """Multiply-adds a second of a run, and where that number is from."""

    operations: float
    basis: str


def machine_rate(device: str, dtype: str) -> Rate:
    """The rate of a run on a device: of this machine's, or of an assumed GPU where there is none here."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.partition(":")[0] == "cuda":
        if not torch.cuda.is_available():
            assumed = ASSUMED_GPU[dtype]
            return Rate(
                GPU_SHARE * assumed,
                f"no GPU here: an H100 is assumed, {2 * assumed / 1e12:.0f} TFLOP/s in {dtype} x {GPU_SHARE:g}, "
                "which no run has been held against",
            )
        measured = matmul_rate(device, dtype)
        return Rate(
            GPU_SHARE * measured,
            f"this GPU multiplies at {2 * measured / 1e12:.0f} TFLOP/s in {dtype}, x {GPU_SHARE:g}: a guess, and far "
            "too high for a small model: one of 135M weights left a GPU waiting (docs/scaling.md)",
        )
    measured = matmul_rate("cpu", dtype)
    return Rate(
        CPU_SHARE * measured,
        f"this machine multiplies at {2 * measured / 1e9:.0f} GFLOP/s in {dtype} on {torch.get_num_threads()} threads, "
        f"as busy as it is now, x {CPU_SHARE:g}, the share of the committed CPU runs (cells within a factor of 3)",
    )


def matmul_rate(device: str, dtype: str) -> float:
    """Multiply-adds a second of a large matrix product, the best of as many as SECONDS hold."""
    size = SIZES[device.partition(":")[0]]
    a = torch.randn(size, size, device=device).to(getattr(torch, dtype))
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end or best == float("inf"):
        began = time.perf_counter()
        a @ a
        if a.is_cuda:
            torch.cuda.synchronize(a.device)
        best = min(best, time.perf_counter() - began)
    return size**3 / best
