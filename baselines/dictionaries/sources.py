"""Finding dictionaries: sae-lens folders on disk, releases in sae-lens' registry, repositories on the hub."""

from __future__ import annotations

import difflib
import json
import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from basisbench.baselines.dictionaries.configuration import checked
from basisbench.baselines.dictionaries.published import Release
from basisbench.baselines.dictionaries.weights import Dictionary, from_sae
from basisbench.errors import UserError, said

if TYPE_CHECKING:
    import torch
    from sae_lens import SAE

# sae-lens reads a cross-layer transcoder as a plain one by adding its decoders up, which is another function
SUMMED_DECODERS = "mntss_clt_layer_transcoder"


@dataclass(frozen=True)
class Source:
    """One dictionary that has not been loaded: its name for messages, its sae-lens configuration, how to load it.

    `starts` is what its files say of whether the texts that it was made for begin with a start token.
    """

    where: str
    config: Mapping[str, Any]
    load: Callable[[], Dictionary]
    starts: bool = False


@dataclass(frozen=True)
class Found:
    """The dictionaries that a name stands for; `content` tells which weights a published set has (see `identity`)."""

    sources: Sequence[Source]
    content: Callable[[], str]


def find(spec: str, device: torch.device) -> Found:
    """The dictionaries that `spec` names: PATH, RELEASE, RELEASE/PATTERN or ORG/REPOSITORY/PATTERN.

    A pattern holds ``{layer}``, and ``*`` for parts that differ from layer to layer. Weights are loaded in float32.
    Raises UserError where there are none, or several a layer.
    """
    folders = local_folders(spec)
    if folders is not None:
        # what is in a folder is hashed where a cell is named (`grid.cells.content_hash`)
        return Found([_on_disk(path, device) for path in folders], str)
    name, pattern = _split(spec)
    release = Release(name)
    ids = release_ids(release, pattern)
    return Found([_published(release, sae_id, device) for sae_id in ids.values()], lambda: release.identity(ids))


def local_folders(spec: str) -> list[Path] | None:
    """The sae-lens folders that `spec` names, None if it is no local folder; raises UserError for one without any."""
    before, braces, _ = spec.partition("{layer}")
    root = before.rpartition("/")[0] if braces else spec
    path = Path(root).expanduser()
    if not root or not path.is_dir():
        return None
    pattern = spec[len(root) :].strip("/")
    matches = _matcher(pattern)
    folders = [file.parent for file in sorted(path.rglob("cfg.json"))]
    folders = [folder for folder in folders if matches.fullmatch(folder.relative_to(path).as_posix())]
    if not folders:
        raise UserError(
            f"no {pattern or '**'}/cfg.json in {root}: valid: folders with cfg.json and sae_weights.safetensors"
        )
    return folders


def published_ids(spec: str) -> dict[int, str]:
    """The ids by layer of a set in sae-lens' registry; empty for a repository that only the hub knows.

    Raises UserError for a release that is not known or not clear.
    """
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    release, pattern = _split(spec)
    return release_ids(release, pattern) if release in get_pretrained_saes_directory() else {}


def registered_names(spec: str, ids: Mapping[int, str]) -> str:
    """All that sae-lens' registry calls the first of a set's dictionaries."""
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    release = spec.partition("/")[0]
    known, first = get_pretrained_saes_directory()[release], next(iter(ids.values()))
    return " ".join([release, first, known.saes_map[first], str((known.neuronpedia_id or {}).get(first) or "")])


def release_ids(named: str | Release, pattern: str = "") -> dict[int, str]:
    """The sae-lens ids of a release, or of one that is called so, by layer, ascending; the embedding's are left out.

    Works offline for releases in sae-lens' registry. Raises UserError for an unknown release, no match, or several
    dictionaries for one layer.
    """
    held = Release(named) if isinstance(named, str) else named
    ids, release = _ids(held), held.name
    matches = _matcher(pattern)
    by_layer: dict[int, list[str]] = defaultdict(list)
    for sae_id in ids:
        if (found := matches.fullmatch(sae_id)) and (layer := _layer(sae_id, found)) is not None:
            by_layer[layer].append(sae_id)
    by_layer.pop(-1, None)
    example = re.sub(r"\d+", "{layer}", ids[0], count=1)
    if not by_layer:
        raise UserError(f"nothing in {release} matches '{pattern}': valid: for instance {release}/{example}")
    for layer, several in sorted(by_layer.items()):
        if len(several) > 1:
            raise UserError(
                f"{release} has {len(several)} dictionaries for layer {layer} ({', '.join(several[:4])}...): "
                f"valid: {release}/PATTERN with one a layer, for instance {release}/{example}"
            )
    return {layer: only for layer, (only,) in sorted(by_layer.items())}


def _matcher(pattern: str) -> re.Pattern[str]:
    """What a pattern matches: ``{layer}`` is a number, the same wherever it stands; an empty pattern is anything."""
    first, *others = re.escape(pattern).replace(r"\*", ".*").split(r"\{layer\}")
    where = [r"(?P<layer>\d+)", *[r"(?P=layer)"] * len(others)]
    return re.compile("".join([first, *(a + b for a, b in zip(where, others, strict=False))]) or ".*")


def _layer(sae_id: str, found: re.Match[str]) -> int | None:
    """The layer of an id: where the pattern has it, else as in `layer_3/...`, `blocks.3.hook...`, `l3r_8x`, `layer3`.

    -1 is the embedding.
    """
    number = found.groupdict().get("layer")
    if number is None:
        by_name = re.search(r"(?:layer_?|blocks\.|^l)(\d+)", sae_id)
        if by_name is None:
            return None
        number = by_name[1]
    # the input of block 3 is the output of block 2
    return int(number) - 1 if "hook_resid_pre" in sae_id else int(number)


def _split(spec: str) -> tuple[str, str]:
    """Part a name into release (or hub repository) and pattern."""
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    release, _, pattern = spec.partition("/")
    directory = get_pretrained_saes_directory()
    if release in directory:
        return release, pattern
    parts = spec.split("/", 2)
    if len(parts) == 3 and "{layer}" in parts[2] and not spec.startswith(("/", ".", "~")):
        return f"{parts[0]}/{parts[1]}", parts[2]
    close = difflib.get_close_matches(release, directory, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    raise UserError(
        f"no dictionaries '{spec}': {hint}valid: a folder of sae-lens folders, a release (or RELEASE/PATTERN) in "
        "sae-lens' table of pretrained SAEs, or ORG/REPOSITORY/PATTERN on the hub"
    )


def _ids(release: Release) -> Sequence[str]:
    """All ids of a release, or the sae-lens folders of a hub repository."""
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    lookup = get_pretrained_saes_directory().get(release.name)
    if lookup is not None:
        if lookup.conversion_func == SUMMED_DECODERS:
            raise UserError(f"{release.name} is a cross-layer transcoder: valid: clt:PATH with its files")
        return tuple(lookup.saes_map)
    found = release.folders()
    if not found:
        raise UserError(f"{release.name} holds no sae-lens folders: valid: folders with cfg.json")
    return found


def _on_disk(folder: Path, device: torch.device) -> Source:
    from sae_lens import SAE

    where = str(folder)
    try:
        raw = json.loads((folder / "cfg.json").read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot load {where}: cfg.json: {said(error)}") from error

    def load() -> SAE[Any]:
        try:
            return SAE.load_from_disk(folder, device=str(device), dtype="float32")
        except Exception as error:  # whatever sae-lens makes of somebody's file is theirs to read
            raise UserError(f"cannot load {where}: {type(error).__name__}: {said(error)}") from error

    return _source(where, raw, load)


def _published(release: Release, sae_id: str, device: torch.device) -> Source:
    where = f"{release.name}/{sae_id}"
    return _source(where, release.config(sae_id), lambda: release.load(sae_id, device))


def _source(where: str, raw: Any, load: Callable[[], SAE[Any]]) -> Source:
    config = checked(raw, where)

    def weights() -> Dictionary:
        with warnings.catch_warnings():
            # of how to load the model and of missing scales: the first is honoured, the second refused, by us
            warnings.simplefilter("ignore", UserWarning)
            return from_sae(load(), where)

    starts = (raw.get("metadata") or raw).get("prepend_bos") is True
    return Source(where, config, weights, starts)
