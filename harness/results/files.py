"""Result files: everything needed to trust and redo one cell, and the arrays beside it.

A result is ``NAME.json`` (`results.schema`) and ``NAME.safetensors`` (per-pair outcomes and the ranking). The
arrays are written first and the JSON, which carries their hash, last: a JSON file in place is a whole result.
A file found on disk is untrusted: what is wrong with it becomes one line that names the file and the field.
"""

import dataclasses
import hashlib
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import ValidationError
from typing_extensions import override

from basisbench.cache import write_atomically
from basisbench.errors import UserError, first_fault, printable
from basisbench.measures.clusters import apart
from basisbench.measures.curve import Curve
from basisbench.measures.metrics import Floats, Outcome
from basisbench.measures.resampling import Band
from basisbench.measures.summary import CurveStatistics
from basisbench.results.controls import Control
from basisbench.results.schema import Cell, CurveRecord, Data, Environment, Interval, MetricRecord, Result, Timing
from basisbench.values import Numbers

MAX_JSON_BYTES = 4 * 2**20
MAX_ARRAYS_BYTES = 2 * 2**30
PACKAGES = ("basisbench", "torch", "transformers", "transformer_lens", "sae_lens", "numpy", "scipy")


@dataclasses.dataclass(frozen=True)
class RankingArrays:
    """The nodes in order of rank, arrays [M]: layer, position and unit (int32) and score (float32).

    Position is -1 for a node at every position (pooled), unit is -1 for an error node. Raises ValueError for
    arrays of other shapes.
    """

    layer: NDArray[np.int32]
    position: NDArray[np.int32]
    unit: NDArray[np.int32]
    score: NDArray[np.float32]

    def __post_init__(self) -> None:
        columns = (self.position, self.unit, self.score)
        if self.layer.ndim != 1 or any(array.shape != self.layer.shape for array in columns):
            raise ValueError("layer, position, unit and score need one shape, [M]")

    @property
    def nodes(self) -> NDArray[np.int32]:
        """(layer, position, unit) of each node, [M, 3]."""
        nodes: NDArray[np.int32] = np.stack([self.layer, self.position, self.unit], 1)
        return nodes

    def has_circuit(self, size: int) -> bool:
        """Whether the nodes of the circuit of this size are here."""
        return size <= len(self.layer)

    def circuit(self, size: int) -> NDArray[np.int32]:
        """(layer, position, unit) of the nodes of the circuit of a size, which are the first: int32 [k, 3]."""
        return self.nodes[:size]


@dataclasses.dataclass(frozen=True)
class CircuitArrays(RankingArrays):
    """Circuits of `sizes`, int64 [P], that need not hold each other: uint8 `kept` [P, M] says which has which node.

    The nodes of all are here, in the order of the first size that has them, without a score: it is 0. Raises
    ValueError for arrays of other shapes.
    """

    sizes: NDArray[np.int64]
    kept: NDArray[np.uint8]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kept.shape != (*self.sizes.shape, *self.layer.shape) or not np.isin(self.kept, (0, 1)).all():
            raise ValueError("kept needs a row of 0 and 1 for each size")

    @classmethod
    def of(cls, circuits: Mapping[int, NDArray[np.integer[Any]]]) -> "CircuitArrays":
        """From the nodes (layer, position, unit) of each circuit, [k, 3] by size."""
        places: dict[tuple[int, ...], int] = {}
        for size in sorted(circuits):
            for node in circuits[size].tolist():
                places.setdefault(tuple(node), len(places))
        kept = np.zeros((len(circuits), len(places)), np.uint8)
        for row, size in zip(kept, sorted(circuits), strict=True):
            row[[places[tuple(node)] for node in circuits[size].tolist()]] = 1
        layer, position, unit = np.array(list(places), np.int32).reshape(-1, 3).T
        return cls(layer, position, unit, np.zeros(len(places), np.float32), np.array(sorted(circuits)), kept)

    @override
    def has_circuit(self, size: int) -> bool:
        return size in self.sizes

    @override
    def circuit(self, size: int) -> NDArray[np.int32]:
        nodes: NDArray[np.int32] = self.nodes[self.kept[int(np.searchsorted(self.sizes, size))] > 0]
        return nodes


OUTCOMES = ("full", "empty", "circuit", "complement")
COUNTS = ("size", "distinct_units", "error_nodes")
CLUSTER = "cluster"
# What outcomes are rounded to where a grid asks for it, in nats: F(full) moves by as much at most, which counts as the
# same (`basisbench.submissions.validate`).
UNIT = 2.0**-10
# The arrays file: each array's name and type. It is kept in the narrowest type that loses nothing; floats that are kept
# as integers are in numbers of UNIT.
NARROWER: dict[type[np.generic], tuple[type[np.generic], ...]] = {
    np.int64: (np.int8, np.int16, np.int32, np.int64),
    np.int32: (np.int8, np.int16, np.int32),
    np.float64: (np.int16, np.float32, np.float64),
    np.float32: (np.float32,),
    np.uint8: (np.uint8,),
}
OUTCOME_ARRAYS = {group: [f"{group}.{part.name}" for part in dataclasses.fields(Outcome)] for group in OUTCOMES}
RANKING_ARRAYS = [f"ranking.{part.name}" for part in dataclasses.fields(RankingArrays)]
ARRAY_TYPES: dict[str, type[np.generic]] = {
    **dict.fromkeys((*COUNTS, CLUSTER), np.int64),
    **{name: np.float64 for names in OUTCOME_ARRAYS.values() for name in names},
    **dict.fromkeys(RANKING_ARRAYS, np.int32),
    "ranking.score": np.float32,
}
CIRCUIT_ARRAYS: dict[str, type[np.generic]] = {"ranking.sizes": np.int64, "ranking.kept": np.uint8}
"""What there is beside, where circuits are not the first nodes of one ranking."""


def describe_environment(device: str, dtype: str, threads: int, model_hash: str, data_hash: str) -> Environment:
    """Return the environment record of this process."""
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        packages={name: _version(name) for name in PACKAGES},
        git_commit=_git_commit(Path(__file__)),
        device=device,
        dtype=dtype,
        threads=threads,
        model_hash=model_hash,
        data_hash=data_hash,
    )


def pack_arrays(curve: Curve, ranking: RankingArrays) -> bytes:
    """Return the bytes of the arrays file: safetensors, named as in `ARRAY_TYPES`, in the narrowest types."""
    arrays = {name: getattr(curve, name) for name in (*COUNTS, CLUSTER)}
    for group in OUTCOMES:
        arrays |= {f"{group}.{part}": array for part, array in vars(getattr(curve, group)).items()}
    arrays |= {f"ranking.{name}": array for name, array in vars(ranking).items()}
    types = ARRAY_TYPES | CIRCUIT_ARRAYS
    return safetensors.numpy.save({name: _narrowest(array, types[name]) for name, array in arrays.items()})


def make_result(
    cell: Cell,
    curve: Curve,
    statistics: CurveStatistics,
    arrays: bytes,
    data: Data,
    environment: Environment,
    timing: Timing,
    controls: Sequence[Control] = (),
) -> Result:
    """Put a result together; `arrays` is what `pack_arrays` gave. NaN becomes null."""
    lists: dict[str, Numbers] = {}
    for name in ("faithfulness", "completeness"):
        band: Band = getattr(statistics, name)
        lists |= {name: _numbers(band.value), f"{name}_low": _numbers(band.low)}
        lists[f"{name}_high"] = _numbers(band.high)
    reported = {
        name: MetricRecord(circuit=_numbers(found.circuit.value), complement=_numbers(found.complement.value))
        for name, found in statistics.reported.items()
    }
    return Result(
        resampled="prompts",
        cell=cell,
        controls=list(controls),
        curve=CurveRecord(
            size=curve.size.tolist(),
            distinct_units=curve.distinct_units.tolist(),
            error_nodes=curve.error_nodes.tolist(),
            reported=reported,
            **lists,
        ),
        summary={name: Interval.of(one.value, one.low, one.high) for name, one in statistics.summary.items()},
        F_full=statistics.f_full.value,
        F_empty=statistics.f_empty.value,
        total_nodes=curve.total_nodes,
        degenerate=statistics.degenerate,
        data=data,
        environment=environment,
        timing=timing,
        arrays_sha256=hashlib.sha256(arrays).hexdigest(),
    )


def write_result(folder: Path, result: Result, arrays: bytes) -> Path:
    """Write the arrays, then the JSON, each atomically, and return the path of the JSON.

    Raises UserError on a full disk, ValueError if `arrays` are not those that `result` was made with.
    """
    if hashlib.sha256(arrays).hexdigest() != result.arrays_sha256:
        raise ValueError("these arrays are not those of the result")
    path = folder / f"{result.name}.json"
    write_atomically(path.with_suffix(".safetensors"), arrays)
    write_atomically(path, result.model_dump_json(by_alias=True, indent=1).encode() + b"\n")
    return path


def read_result(path: Path) -> Result:
    """Return the result in the JSON file `path`; raises UserError that names the file and the wrong field."""
    try:
        return Result.model_validate_json(_read(path, MAX_JSON_BYTES))
    except ValidationError as error:
        raise UserError(printable(f"{path} is not a valid result: {first_fault(error)}")) from error


def read_results(folder: Path) -> list[Result]:
    """Return all results in `folder` by file name; raises UserError for a bad one or if there is none."""
    if not folder.is_dir():
        raise UserError(f"no folder {folder}: valid is a folder of result files, *.json")
    results = [read_result(path) for path in sorted(folder.glob("*.json"))]
    if not results:
        raise UserError(f"no results in {folder}: valid is a folder of result files, *.json")
    return results


def read_arrays(path: Path, result: Result) -> tuple[Curve, RankingArrays]:
    """Return the curve and the ranking kept beside the JSON file `path` of `result`.

    Raises UserError if the arrays file is missing, lies elsewhere, is not the one that the result was written
    with, or does not hold the arrays of `ARRAY_TYPES`.
    """
    beside = path.with_suffix(".safetensors")
    if beside.is_symlink():
        raise UserError(f"{beside} is a link: valid is a file beside {path.name}")
    packed = _read(beside, MAX_ARRAYS_BYTES)
    if hashlib.sha256(packed).hexdigest() != result.arrays_sha256:
        raise UserError(f"{beside} is not the file that {path.name} was written with: field arrays_sha256 differs")
    try:
        arrays = safetensors.numpy.load(packed)
        if result.resampled == "pairs":  # before prompts were numbered: each pair is taken for one of its own
            arrays[CLUSTER] = apart(arrays["full.answer"].size, result.data.hash)
        types = ARRAY_TYPES | (CIRCUIT_ARRAYS if CIRCUIT_ARRAYS.keys() & arrays.keys() else {})
        for name, wanted in types.items():
            if name not in arrays or arrays[name].dtype.type not in NARROWER[wanted]:
                raise UserError(f"array {name} of type {wanted.__name__}, or narrower, is missing")
            arrays[name] = widened(arrays[name], wanted)
        full, empty, circuit, complement = (
            Outcome(*[arrays[name] for name in names]) for names in OUTCOME_ARRAYS.values()
        )
        size, distinct_units, error_nodes = (arrays[name] for name in COUNTS)
        counts = size, distinct_units, error_nodes, result.total_nodes
        curve = Curve(*counts, arrays[CLUSTER], full, empty, circuit, complement)
        kind = CircuitArrays if "ranking.kept" in arrays else RankingArrays
        return curve, kind(**{part.name: arrays[f"ranking.{part.name}"] for part in dataclasses.fields(kind)})
    except (safetensors.SafetensorError, KeyError, ValueError, UserError) as error:
        raise UserError(f"{beside} does not hold the arrays of a result: {error}") from error


def _read(path: Path, limit: int) -> bytes:
    try:
        if not path.is_file():
            raise UserError(f"no file {path}: valid is a result file that `basisbench run` wrote")
        if (size := path.stat().st_size) > limit:
            raise UserError(f"{path} has {size:,} bytes: valid is at most {limit:,}")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def _narrowest(array: NDArray[np.generic], wanted: type[np.generic]) -> NDArray[np.generic]:
    for narrower in NARROWER[wanted]:
        values = array.astype(wanted) / UNIT if _in_units(narrower, wanted) else array
        with np.errstate(over="ignore", invalid="ignore"):
            narrow = np.ascontiguousarray(values, narrower)
        if np.array_equal(narrow, values, equal_nan=np.issubdtype(narrower, np.floating)):
            return narrow
    raise ValueError(f"an array of {array.dtype} does not fit into {wanted.__name__}")


def widened(array: NDArray[Any], wanted: type[np.generic]) -> NDArray[Any]:
    """Return an array of type `wanted` from the narrow one that is kept of it."""
    wide = array.astype(wanted, copy=False)
    return wide * UNIT if _in_units(array.dtype.type, wanted) else wide


def _in_units(stored: type[np.generic], wanted: type[np.generic]) -> bool:
    """Return whether an array of type `wanted` that is kept as `stored` is kept in numbers of UNIT."""
    return np.issubdtype(wanted, np.floating) and np.issubdtype(stored, np.integer)


def _numbers(values: Floats) -> Numbers:
    return [None if np.isnan(value) else float(value) for value in values]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _git_commit(file: Path) -> str | None:
    """Return the commit of the checkout that tracks `file`; one that only surrounds it says nothing of it."""
    git = ["git", "-C", str(file.parent)]
    describe = [*git, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        tracked = subprocess.run(
            [*git, "ls-files", "--error-unmatch", file.name], capture_output=True, timeout=10, check=False
        )
        found = subprocess.run(describe, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None if tracked.returncode == found.returncode == 0 else None
