"""Finding dictionaries: sae-lens folders on disk, releases in sae-lens' registry, repositories on the hub."""

from __future__ import annotations

import difflib
import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from basisbench.baselines.dictionaries.weights import Dictionary, check_architecture, from_sae
from basisbench.errors import UserError

if TYPE_CHECKING:
    from sae_lens import SAE

# what sae-lens, safetensors and the hub client raise for files that are missing, unreachable or not what they say
LOAD_ERRORS = (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError)
# sae-lens reads a cross-layer transcoder as a plain one by adding its decoders up, which is another function
SUMMED_DECODERS = "mntss_clt_layer_transcoder"


@dataclass(frozen=True)
class Source:
    """One dictionary that has not been loaded: its name for messages, its sae-lens configuration, how to load it."""

    where: str
    config: Mapping[str, Any]
    load: Callable[[], Dictionary]


def find(spec: str, device: torch.device) -> list[Source]:
    """The dictionaries that `spec` names: PATH, RELEASE, RELEASE/PATTERN or ORG/REPOSITORY/PATTERN.

    A pattern holds ``{layer}``, and ``*`` for parts that differ from layer to layer. Weights are loaded in float32.
    Raises UserError where there are none, or several a layer.
    """
    folders = local_folders(spec)
    if folders is not None:
        return [_on_disk(path, device) for path in folders]
    release, pattern = _split(spec)
    return [_published(release, sae_id, device) for sae_id in release_ids(release, pattern).values()]


def local_folders(spec: str) -> list[Path] | None:
    """The sae-lens folders that `spec` names, None if it is no local folder; raises UserError for one without any."""
    before, braces, _ = spec.partition("{layer}")
    root = before.rpartition("/")[0] if braces else spec
    path = Path(root).expanduser()
    if not root or not path.is_dir():
        return None
    pattern = spec[len(root) :].strip("/")
    below = f"{pattern.replace('{layer}', '[0-9]*')}/cfg.json" if pattern else "**/cfg.json"
    folders = sorted(file.parent for file in path.glob(below))
    if not folders:
        raise UserError(f"no {below} in {root}: valid: folders with cfg.json and sae_weights.safetensors")
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


def release_ids(release: str, pattern: str = "") -> dict[int, str]:
    """The sae-lens ids of a release by layer, ascending; those of the embedding are left out.

    Works offline for releases in sae-lens' registry. Raises UserError for an unknown release, no match, or several
    dictionaries for one layer.
    """
    ids = _ids(release)
    matches = re.compile(re.escape(pattern).replace(r"\{layer\}", r"\d+").replace(r"\*", ".*") or ".*")
    by_layer: dict[int, list[str]] = defaultdict(list)
    for sae_id in ids:
        if matches.fullmatch(sae_id) and (layer := _layer(sae_id)) is not None:
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


def _layer(sae_id: str) -> int | None:
    """The layer in an id: `layer_3/...`, `blocks.3.hook...`, `l3r_8x`, `layer3`; -1 is the embedding."""
    found = re.search(r"(?:layer_?|blocks\.|^l)(\d+)", sae_id)
    if found is None:
        return None
    # the input of block 3 is the output of block 2
    return int(found[1]) - 1 if "hook_resid_pre" in sae_id else int(found[1])


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


def _ids(release: str) -> Sequence[str]:
    """All ids of a release, or the sae-lens folders of a hub repository."""
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    lookup = get_pretrained_saes_directory().get(release)
    if lookup is not None:
        if lookup.conversion_func == SUMMED_DECODERS:
            raise UserError(f"{release} is a cross-layer transcoder: valid: clt:PATH with its files")
        return tuple(lookup.saes_map)
    from huggingface_hub import list_repo_files

    try:
        files = list_repo_files(release)
    except LOAD_ERRORS as error:
        raise _unloadable(release, error) from error
    found = sorted(str(Path(file).parent) for file in files if Path(file).name == "cfg.json")
    if not found:
        raise UserError(f"{release} holds no sae-lens folders: valid: folders with cfg.json")
    return found


def _on_disk(folder: Path, device: torch.device) -> Source:
    from sae_lens import SAE
    from sae_lens.loading.pretrained_sae_loaders import get_sae_lens_config_from_disk, handle_config_defaulting

    where = str(folder)
    try:
        raw = get_sae_lens_config_from_disk(folder, str(device))
        check_architecture(raw.get("architecture", "standard"), where)
        function = raw.get("activation_fn", raw.get("activation_fn_str")) or "relu"
        config = handle_config_defaulting(raw)
    except LOAD_ERRORS as error:
        raise _unloadable(where, error) from error
    # sae-lens reads functions that it does not know (and a TopK without its k) as ReLU
    if function != "relu" and config["architecture"] != function:
        raise UserError(f"{where}: activation function '{function}' is not known: valid: relu, topk with its k")
    return _source(where, config, lambda: SAE.load_from_disk(folder, device=str(device), dtype="float32"))


def _published(release: str, sae_id: str, device: torch.device) -> Source:
    from sae_lens import SAE
    from sae_lens.loading.pretrained_sae_loaders import load_sae_config_from_huggingface

    where = f"{release}/{sae_id}"
    try:
        config = load_sae_config_from_huggingface(release, sae_id)
    except LOAD_ERRORS as error:
        raise _unloadable(where, error) from error
    return _source(where, config, lambda: SAE.from_pretrained(release, sae_id, device=str(device)))


def _source(where: str, config: Mapping[str, Any], load: Callable[[], SAE[Any]]) -> Source:
    check_architecture(config["architecture"], where)

    def weights() -> Dictionary:
        with warnings.catch_warnings():
            # of how to load the model and of missing scales: the first is honoured, the second refused, by us
            warnings.simplefilter("ignore", UserWarning)
            try:
                loaded = load()
            except LOAD_ERRORS as error:
                raise _unloadable(where, error) from error
        return from_sae(loaded, where)

    return Source(where, config, weights)


def _unloadable(where: str, error: Exception) -> UserError:
    lines = str(error).strip().splitlines() or [""]
    return UserError(f"cannot load {where}: {type(error).__name__}: {lines[0].strip()}")
