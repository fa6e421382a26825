"""One cell: from scores and pairs to a result."""

from __future__ import annotations

import hashlib
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from basisbench.bases.basis import Basis
from basisbench.bases.load import basis_file
from basisbench.circuits.ablation import check_ablation
from basisbench.circuits.circuit import Circuits
from basisbench.circuits.curves import evaluate
from basisbench.circuits.ranking import Ranking
from basisbench.measures.curve import Curve
from basisbench.measures.metrics import scoring_metric
from basisbench.measures.summary import summarise
from basisbench.models.adapter import Model
from basisbench.models.names import file_sha256
from basisbench.progress import Progress, silent
from basisbench.prompts.prompt_set import PromptSet
from basisbench.results.controls import Control
from basisbench.results.files import (
    OUTCOMES,
    UNIT,
    CircuitArrays,
    RankingArrays,
    describe_environment,
    make_result,
    pack_arrays,
)
from basisbench.results.schema import Cell, Data, PairCounts, Result, Timing
from basisbench.values import LARGEST

SCORE_BITS = 10


@dataclass(frozen=True)
class Pairs:
    """A task's prompts for both uses, and the family of the task."""

    discovery: PromptSet
    evaluation: PromptSet
    family: str

    @property
    def data(self) -> Data:
        """How pairs were counted, and the hash of the usable ones."""

        def counts(prompts: PromptSet) -> PairCounts:
            return PairCounts(**vars(prompts.usage))

        digest = hashlib.sha256((self.discovery.digest + self.evaluation.digest).encode()).hexdigest()[:16]
        return Data(
            family=self.family,
            discovery=counts(self.discovery),
            evaluation=counts(self.evaluation),
            hash=digest,
            slot_names=list(self.evaluation.slot_names),
        )


def content_hash(basis: str) -> dict[str, str]:
    """The hash of the local file or folder that a basis comes from: its content can change under its name."""
    file = basis_file(basis)
    option = str(file[0]) if file else basis.partition(":")[2]
    before, pattern, _ = option.partition("{layer}")
    path = Path(before.rpartition("/")[0] if pattern else option).expanduser()
    if not option or not path.exists():
        return {}
    kinds = ("*.safetensors", "*.json", "*.yaml")
    files = sorted(file for kind in kinds for file in path.rglob(kind)) if path.is_dir() else [path]
    lines = [f"{file.relative_to(path).as_posix()} {file_sha256(file)}\n" for file in files]
    return {"basis_sha256": hashlib.sha256("".join(lines).encode()).hexdigest()}


def compute_cell(
    cell: Cell,
    model: Model,
    model_hash: str,
    basis: Basis,
    chosen: Ranking | Circuits,
    pairs: Pairs,
    *,
    seconds: dict[str, float] | None = None,
    keep_ranked: int = LARGEST,
    keep_rounded: bool = False,
    control_method: bool = False,
    progress: Progress = silent,
) -> tuple[Result, bytes]:
    """Return a cell's result and its packed arrays, with the first `keep_ranked` nodes of the ranking.

    Of circuits of their own sizes it keeps those with so many nodes or fewer.

    `seconds` are those that its scores took, by phase; `control_method` says whether what ranked is a control. With
    `keep_rounded`, outcomes are rounded to multiples of `results.files.UNIT` before anything is made of them, and
    scores kept to SCORE_BITS significant bits. Raises UserError for a cell that cannot be computed.
    """
    began = time.perf_counter()
    curve = evaluate(
        model,
        pairs.evaluation,
        basis,
        chosen,
        cell.grid,
        ablation=check_ablation(cell.ablation),
        error=cell.error,
        seed=cell.seed,
        progress=progress,
    )
    if keep_rounded:
        curve = replace(curve, **{group: getattr(curve, group).rounded(UNIT) for group in OUTCOMES})
    evaluated = time.perf_counter()
    statistics = summarise(curve, n_resamples=cell.n_resamples, metric=scoring_metric(cell.metric))
    taken = {"curve": evaluated - began, "statistics": time.perf_counter() - evaluated}
    arrays = pack_arrays(curve, _arrays(chosen, curve, keep_ranked, keep_rounded))
    data = pairs.data
    environment = describe_environment(str(model.device), cell.dtype, torch.get_num_threads(), model_hash, data.hash)
    timing = Timing(seconds=(seconds or {}) | taken, peak_memory_bytes=_peak_memory(model.device))
    is_control: dict[Control, bool] = {"basis": basis.is_control, "method": control_method}
    controls = [part for part, it_is in is_control.items() if it_is]
    result = make_result(cell, curve, statistics, arrays, data, environment, timing, controls)
    return result.model_copy(update={"notes": list(basis.notes)}), arrays


def _arrays(chosen: Ranking | Circuits, curve: Curve, count: int, rounded: bool) -> RankingArrays:
    """The first `count` nodes of a ranking, or circuits of at most so many nodes, as a result keeps them."""
    if isinstance(chosen, Circuits):
        sizes = [size for size in curve.size.tolist() if size <= count]
        return CircuitArrays.of({size: chosen.circuit(size).nodes.numpy() for size in sizes})
    layer, slot, unit = chosen.circuit(count).nodes.int().numpy().T
    score = chosen.score[:count].float().numpy()
    return RankingArrays(layer, slot, unit, _significant(score) if rounded else score)


def _significant(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values to SCORE_BITS significant bits; their order stays."""
    mantissa, exponent = np.frexp(values)
    rounded: NDArray[np.float32] = np.ldexp(np.round(np.ldexp(mantissa, SCORE_BITS)), exponent - SCORE_BITS)
    return rounded


def _peak_memory(device: torch.device) -> int | None:
    """Peak memory of the device, or resident memory of the process on a CPU, in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
