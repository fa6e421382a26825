"""One result in its two files: everything needed to trust and redo one cell, and the arrays beside it.

A result is ``NAME.json`` (`results.schema`) and ``NAME.safetensors`` (per-pair outcomes and the ranking). The
arrays are written first and the JSON, which carries their hash, last: a JSON file in place is a whole result.
A file found on disk is untrusted: what is wrong with it becomes one line that names the file and the field.
Whether a result still lies in files of its own, or in a packed one, `results.find` knows.
"""

import dataclasses
import hashlib
import json
import platform
import subprocess
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import ValidationError

from basisbench.cache import write_atomically
from basisbench.errors import UserError, printable
from basisbench.measures.metrics import Floats, Outcome
from basisbench.measures.statistics import Band, Curve, CurveStatistics, Estimate
from basisbench.results.schema import Cell, CurveRecord, Data, Environment, Interval, Result, SummaryRecord, Timing
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
        if self.layer.ndim != 1 or any(array.shape != self.layer.shape for array in vars(self).values()):
            raise ValueError("layer, position, unit and score need one shape, [M]")


OUTCOMES = ("full", "empty", "circuit", "complement")
COUNTS = ("size", "distinct_units", "error_nodes")
OUTCOME_ARRAYS = {group: [f"{group}.{part.name}" for part in dataclasses.fields(Outcome)] for group in OUTCOMES}
RANKING_ARRAYS = [f"ranking.{part.name}" for part in dataclasses.fields(RankingArrays)]
# The arrays of a result, each with its type; those of the circuit and its complement have the shape [P, N].
ARRAY_TYPES: dict[str, type[np.generic]] = {
    **dict.fromkeys(COUNTS, np.int64),
    **{name: np.float64 for names in OUTCOME_ARRAYS.values() for name in names},
    **dict.fromkeys(RANKING_ARRAYS, np.int32),
    "ranking.score": np.float32,
}
SAFETENSORS: dict[type[np.generic], str] = {np.int64: "I64", np.float64: "F64", np.float32: "F32", np.int32: "I32"}
# In the order in which safetensors.numpy.save, which wrote them at first, lays arrays out.
LAYOUT = sorted(ARRAY_TYPES, key=lambda name: ([*SAFETENSORS].index(ARRAY_TYPES[name]), name))
Arrays = Mapping[str, NDArray[Any]]


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


def name_arrays(curve: Curve, ranking: RankingArrays) -> Arrays:
    """Return the arrays of a result by name, in the types of `ARRAY_TYPES`; raises ValueError for what does not fit."""
    arrays = {name: getattr(curve, name) for name in COUNTS}
    for group in OUTCOMES:
        arrays |= {f"{group}.{part}": array for part, array in vars(getattr(curve, group)).items()}
    arrays |= {f"ranking.{name}": array for name, array in vars(ranking).items()}
    return {name: _exactly(arrays[name], wanted) for name, wanted in ARRAY_TYPES.items()}


def join_arrays(arrays: Arrays, total_nodes: int) -> tuple[Curve, RankingArrays]:
    """Return the curve and the ranking that `name_arrays` took apart; raises ValueError or UserError for others."""
    full, empty, circuit, complement = (Outcome(*[arrays[name] for name in names]) for names in OUTCOME_ARRAYS.values())
    size, distinct_units, error_nodes = (arrays[name] for name in COUNTS)
    curve = Curve(size, distinct_units, error_nodes, total_nodes, full, empty, circuit, complement)
    return curve, RankingArrays(*[arrays[name] for name in RANKING_ARRAYS])


def pack_arrays(curve: Curve, ranking: RankingArrays) -> bytes:
    """Return the bytes of the arrays file: safetensors, equal arrays in equal bytes."""
    return b"".join(_file_parts(name_arrays(curve, ranking)))


def hash_arrays(curve: Curve, ranking: RankingArrays) -> str:
    """Return the SHA-256 of the arrays file without making it."""
    digest = hashlib.sha256()
    for part in _file_parts(name_arrays(curve, ranking)):
        digest.update(part)
    return digest.hexdigest()


def make_result(
    cell: Cell,
    curve: Curve,
    statistics: CurveStatistics,
    arrays: bytes,
    data: Data,
    environment: Environment,
    timing: Timing,
) -> Result:
    """Put a result together; `arrays` is what `pack_arrays` gave. NaN becomes null."""
    lists: dict[str, Numbers] = {}
    for name in ("faithfulness", "completeness"):
        band: Band = getattr(statistics, name)
        lists |= {name: _numbers(band.value), f"{name}_low": _numbers(band.low)}
        lists[f"{name}_high"] = _numbers(band.high)
    lists |= {name: _numbers(band.value) for name, band in statistics.reported.items()}
    summary = {
        field.alias or name: _interval(getattr(statistics.summary, name))
        for name, field in SummaryRecord.model_fields.items()
    }
    return Result(
        cell=cell,
        curve=CurveRecord(
            size=curve.size.tolist(),
            distinct_units=curve.distinct_units.tolist(),
            error_nodes=curve.error_nodes.tolist(),
            **lists,
        ),
        summary=SummaryRecord(**summary),
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


def parse_result(document: bytes, path: Path) -> Result:
    """Return the result that a JSON document says; raises UserError that names its `path` and the wrong field."""
    try:
        return Result.model_validate_json(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        reason = first["msg"].removeprefix("Value error, ")
        message = f"{path} is not a valid result: {f'field {field}: ' if field else ''}{reason}"
        # A field's name can be anything that the file says.
        raise UserError(printable(message[:500])) from error


def read_beside(path: Path, result: Result) -> tuple[Curve, RankingArrays]:
    """Return the curve and the ranking in the arrays file beside the JSON file `path` of `result`.

    Raises UserError if the arrays file is missing, lies elsewhere, is not the one that the result was written
    with, or does not hold the arrays of `ARRAY_TYPES`.
    """
    beside = path.with_suffix(".safetensors")
    if beside.is_symlink():
        raise UserError(f"{beside} is a link: valid is a file beside {path.name}")
    packed = read_file(beside, MAX_ARRAYS_BYTES)
    if hashlib.sha256(packed).hexdigest() != result.arrays_sha256:
        raise UserError(f"{beside} is not the file that {path.name} was written with: field arrays_sha256 differs")
    try:
        arrays = safetensors.numpy.load(packed)
        for name, wanted in ARRAY_TYPES.items():
            if name not in arrays:
                raise UserError(f"array {name} of type {wanted.__name__} is missing")
            if arrays[name].dtype != wanted:
                raise UserError(
                    f"array {name} of type {wanted.__name__} is kept as {arrays[name].dtype}, as older versions of "
                    f"basisbench did: move the file and {path.name} away and have the cell computed again"
                )
        return join_arrays(arrays, result.total_nodes)
    except (safetensors.SafetensorError, KeyError, ValueError, UserError) as error:
        raise UserError(f"{beside} does not hold the arrays of a result: {error}") from error


def read_file(path: Path, limit: int) -> bytes:
    """Return what a result's file holds; raises UserError if it is none, is larger than `limit` or cannot be read."""
    try:
        if not path.is_file():
            raise UserError(f"no file {path}: valid is a result file that `basisbench run` wrote")
        if (size := path.stat().st_size) > limit:
            raise UserError(f"{path} has {size:,} bytes: valid is at most {limit:,}")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def _exactly(array: NDArray[np.generic], wanted: type[np.generic]) -> NDArray[np.generic]:
    exact = np.ascontiguousarray(array, wanted)
    if exact.dtype != array.dtype and not np.array_equal(exact, array, equal_nan=True):
        raise ValueError(f"an array of {array.dtype} does not fit into {wanted.__name__}")
    return exact


def _file_parts(arrays: Arrays) -> Iterator[bytes | memoryview]:
    """Give the arrays file piece by piece."""
    yield _file_header(tuple(arrays[name].shape for name in LAYOUT))
    for name in LAYOUT:
        yield arrays[name].data.cast("B") if arrays[name].size else b""


@lru_cache(maxsize=64)
def _file_header(shapes: tuple[tuple[int, ...], ...]) -> bytes:
    """The beginning of an arrays file: the header's length and the header. Cached, since results share shapes."""
    header, end = {}, 0
    for name, shape in zip(LAYOUT, shapes, strict=True):
        kind = np.dtype(ARRAY_TYPES[name])
        begin, end = end, end + prod(shape) * kind.itemsize
        header[name] = {"dtype": SAFETENSORS[kind.type], "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _numbers(values: Floats) -> Numbers:
    return [None if np.isnan(value) else float(value) for value in values]


def _interval(estimate: Estimate) -> Interval:
    value, low, high = _numbers(np.array(dataclasses.astuple(estimate)))
    return Interval(value=value, low=low, high=high)


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
