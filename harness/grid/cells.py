"""One cell: from scores and pairs to a result."""

from __future__ import annotations

import hashlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from basisbench.bases.basis import Basis
from basisbench.bases.load import basis_file
from basisbench.circuits.ablation import check_ablation
from basisbench.circuits.curves import evaluate
from basisbench.circuits.ranking import Ranking
from basisbench.measures.metrics import scoring_metric
from basisbench.measures.statistics import summarise
from basisbench.models.adapter import Model
from basisbench.models.names import file_sha256
from basisbench.progress import Progress, silent
from basisbench.prompts.prompt_set import PromptSet
from basisbench.results.files import RankingArrays, describe_environment, make_result, pack_arrays
from basisbench.results.schema import Cell, Data, PairCounts, Result, Timing
from basisbench.values import LARGEST


@dataclass(frozen=True)
class Pairs:
    """A task's prompts for both uses."""

    discovery: PromptSet
    evaluation: PromptSet

    @property
    def data(self) -> Data:
        """How pairs were counted, and the hash of the usable ones."""

        def counts(prompts: PromptSet) -> PairCounts:
            return PairCounts(**vars(prompts.usage))

        digest = hashlib.sha256((self.discovery.digest + self.evaluation.digest).encode()).hexdigest()[:16]
        return Data(
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
    ranking: Ranking,
    pairs: Pairs,
    *,
    seconds: dict[str, float] | None = None,
    keep_ranked: int = LARGEST,
    progress: Progress = silent,
) -> tuple[Result, bytes]:
    """Return a cell's result and its packed arrays, with the first `keep_ranked` nodes of the ranking.

    `seconds` are those that its scores took, by phase. Raises UserError for a cell that cannot be computed.
    """
    began = time.perf_counter()
    curve = evaluate(
        model,
        pairs.evaluation,
        basis,
        ranking,
        cell.grid,
        ablation=check_ablation(cell.ablation),
        error=cell.error,
        seed=cell.seed,
        progress=progress,
    )
    evaluated = time.perf_counter()
    statistics = summarise(curve, seed=cell.seed, n_resamples=cell.n_resamples, metric=scoring_metric(cell.metric))
    taken = {"curve": evaluated - began, "statistics": time.perf_counter() - evaluated}
    arrays = pack_arrays(curve, _ranking_arrays(ranking, keep_ranked))
    data = pairs.data
    environment = describe_environment(str(model.device), cell.dtype, torch.get_num_threads(), model_hash, data.hash)
    timing = Timing(seconds=(seconds or {}) | taken, peak_memory_bytes=_peak_memory(model.device))
    return make_result(cell, curve, statistics, arrays, data, environment, timing), arrays


def _ranking_arrays(ranking: Ranking, count: int) -> RankingArrays:
    """The first `count` nodes of a ranking as a result keeps them."""
    units = torch.where(ranking.is_error, -1, ranking.unit)
    layer, slot, unit = (part[:count].int().numpy() for part in (ranking.layer, ranking.slot, units))
    return RankingArrays(layer, slot, unit, ranking.score[:count].float().numpy())


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
