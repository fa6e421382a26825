"""The scores file: a ranking made by anyone's method over a known basis.

It is a safetensors file with scores in one of two forms, and `About` in its metadata:

- ``scores.L`` for each layer L of the basis, float [slots, units] or, with the errors' scores as a last column,
  [slots, units + 1];
- four arrays of one length, a node an entry: ``layer``, ``position``, ``unit`` (integers) and ``score`` (float). Unit
  -1 is the error node of its layer and position; position -1, in all entries or none, is the node at every position.
  The ``ranking.*`` arrays of a result are the same four.

A node without a score has score 0, so that a short list is measured at every size like any other ranking. Scores are
corrupt minus clean, as those of the built-in methods: negative ones help the clean answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from basisbench.cache import write_atomically
from basisbench.errors import UserError
from basisbench.models.names import file_sha256
from basisbench.results.files import MAX_ARRAYS_BYTES, RankingArrays
from basisbench.results.find import locate
from basisbench.submissions.document import read_document, short
from basisbench.values import Count, Line, Size

PREFIX = "scores."
METHOD = "scores:"
"""What the name of a method in results begins with where its scores were handed in."""
COLUMNS = ("layer", "position", "unit", "score")
FLOATS = ("F16", "F32", "F64")
INTEGERS = ("I8", "I16", "I32", "I64", "U8", "U16", "U32")
FORMS = f"valid: {PREFIX}0, {PREFIX}1, ... or {', '.join(COLUMNS)}"

Floats = NDArray[np.float32]
MethodName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+:-]{0,59}$")]


class About(BaseModel):
    """What the metadata of a scores file say: the method and its authors, and what the scores are scores of.

    `n_discovery` and `seed` tell which of the task's discovery pairs they were made with; positions count in
    `slot_names`, the task's slots. Other keys are passed over.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    name: MethodName | None = None
    authors: Line | None = None
    model: Line | None = None
    task: Line | None = None
    basis: Line | None = None
    n_discovery: Size | None = None
    seed: Count | None = None
    slot_names: list[Line] | None = None

    def metadata(self) -> dict[str, str]:
        """As safetensors keeps it: text to text, lists as JSON."""
        said = self.model_dump(exclude_none=True)
        return {key: value if isinstance(value, str) else json.dumps(value) for key, value in said.items()}


@dataclass(frozen=True)
class SubmittedScores:
    """Scores of another method: nodes in a list, or float32 [slots, units (+ 1)] by layer; and the file's hash."""

    about: About
    nodes: RankingArrays | Mapping[int, Floats]
    sha256: str


def write_scores(path: Path, about: About, nodes: RankingArrays | Mapping[int, Floats]) -> None:
    """Write a scores file; raises UserError for a full disk or a path that cannot be written."""
    if isinstance(nodes, RankingArrays):
        arrays = dict(vars(nodes))
    else:
        arrays = {f"{PREFIX}{layer}": np.ascontiguousarray(values) for layer, values in nodes.items()}
    write_atomically(path, safetensors.numpy.save(arrays, about.metadata()))


# -- reading -------------------------------------------------------------------------------------------


def read_scores(path: Path) -> SubmittedScores:
    """Return the scores in a safetensors file, or those of a result (NAME.json); raises UserError for bad ones."""
    try:
        if path.suffix == ".json":
            return _of_result(path)
        if not path.is_file():
            raise UserError(f"no file {path}: valid is a safetensors file of scores")
        if (size := path.stat().st_size) > MAX_ARRAYS_BYTES:
            raise UserError(f"{path} has {size:,} bytes: valid is at most {MAX_ARRAYS_BYTES:,}")
        with safetensors.safe_open(path, framework="np") as file:
            about = _about(file.metadata() or {})
            return SubmittedScores(about, _nodes(file), file_sha256(path))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except safetensors.SafetensorError as error:
        raise UserError(short(f"{path} is not a safetensors file: {error}")) from error
    except _BadScoresError as error:
        raise UserError(short(f"{path}: {error}")) from error


class _BadScoresError(Exception):
    """What is wrong with a scores file, in a line."""


def _of_result(path: Path) -> SubmittedScores:
    try:
        stored = locate(path)
        result = read_document(stored)
    except UserError as error:
        raise _BadScoresError(str(error)) from error
    cell = result.cell
    about = {name: getattr(cell, name) for name in ("model", "task", "basis", "n_discovery", "seed")}
    about["name"] = cell.method.removeprefix(METHOD)
    return SubmittedScores(_valid(about), stored.arrays(result)[1], result.arrays_sha256)


def _about(metadata: Mapping[str, str]) -> About:
    found: dict[str, object] = {}
    for key, value in metadata.items():
        if key in ("n_discovery", "seed", "slot_names"):
            try:
                found[key] = json.loads(value)
            except (ValueError, RecursionError):
                raise _BadScoresError(f"metadata {key} is not JSON: {value[:60]!a}") from None
        elif value:
            found[key] = value
    return _valid(found)


def _valid(about: Mapping[str, object]) -> About:
    for key, value in about.items():
        if key in About.model_fields and isinstance(value, str) and not value.isprintable():
            raise _BadScoresError(f"metadata {key} is not printable: {value[:60]!a}")
    try:
        return About.model_validate(about)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _BadScoresError(f"metadata {first['loc'][0]}: {first['msg']}") from error


def _nodes(file: Any) -> RankingArrays | Mapping[int, Floats]:
    """The nodes of an open safetensors file; raises _BadScoresError. Shapes and types are read before any array."""
    names = set(file.keys())
    for prefix in ("", "ranking."):
        if {prefix + column for column in COLUMNS} <= names:
            return _listed(file, prefix)
    layers = {name: name.removeprefix(PREFIX) for name in names}
    for name, layer in layers.items():
        if not name.startswith(PREFIX) or not layer.isdecimal() or str(int(layer[:9])) != layer:
            raise _BadScoresError(f"array {name[:60]!a} is not known: {FORMS}")
    if not layers:
        raise _BadScoresError(f"there are no scores: {FORMS}")
    return {int(layer): _array(file, name, FLOATS, 2).astype(np.float32) for name, layer in layers.items()}


def _array(file: Any, name: str, kinds: Sequence[str], dimensions: int) -> NDArray[Any]:
    part = file.get_slice(name)
    if part.get_dtype() not in kinds or len(part.get_shape()) != dimensions:
        found = f"{part.get_dtype()} {part.get_shape()}"
        raise _BadScoresError(f"array {name} is {found}: valid are {dimensions} dimensions of {', '.join(kinds)}")
    array: NDArray[Any] = file.get_tensor(name)
    with np.errstate(over="ignore"):
        if not np.isfinite(array.astype(np.float32)).all():
            raise _BadScoresError(f"array {name} holds NaN or infinity: valid are finite scores")
    return array


def _listed(file: Any, prefix: str) -> RankingArrays:
    layer, position, unit = (_array(file, prefix + name, INTEGERS, 1) for name in COLUMNS[:3])
    score = _array(file, prefix + "score", FLOATS, 1).astype(np.float32)
    if not layer.shape == position.shape == unit.shape == score.shape or not score.size:
        raise _BadScoresError("layer, position, unit and score need one length, of 1 or more")
    for name, values, least in (("layer", layer, 0), ("position", position, -1), ("unit", unit, -1)):
        if int(values.min()) < least or int(values.max()) >= 2**31:
            raise _BadScoresError(f"{name} is {values.min()} to {values.max()}: valid is {least} and above")
    if (position == -1).any() and (position != -1).any():
        raise _BadScoresError("position is -1 (every position) in some entries only: valid is in all or in none")
    nodes = RankingArrays(layer.astype(np.int32), position.astype(np.int32), unit.astype(np.int32), score)
    once, index, count = np.unique(
        np.stack([nodes.layer, nodes.position, nodes.unit]), axis=1, return_index=True, return_counts=True
    )
    if once.shape[1] < score.size:
        at = index[np.argmax(count > 1)]
        raise _BadScoresError(
            f"layer {layer[at]}, position {position[at]}, unit {unit[at]} is listed twice: valid is once"
        )
    return nodes
