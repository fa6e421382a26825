"""The shipped dictionaries: packed to int8 when they are made, unpacked once into the cache when first used.

In a packed file every latent keeps its encoder column and its decoder row as int8 with one float32 scale each
(the row's largest magnitude is 127); biases and thresholds stay float32. ``packed.json`` names the files of
each kind with their sha256. It is part of this package; the files are a distribution of their own, so that this one
stays small.

Phase 1 finds the files: beside ``packed.json`` in a clone, else in the distribution if it is installed, else in the
cache, into which they are fetched by the user's own installer. Phase 2 unpacks those of one kind, checking every byte.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from safetensors.torch import load

from basisbench.bases.packing import Kind, from_int8
from basisbench.cache import atomic_folder, cache_dir
from basisbench.errors import UserError, unknown_name
from basisbench.models.wheels import WheelFile, fetch_files, installed_folders

SHIPPED = Path(__file__).parent / "smollm2-135m"
MODEL = "smollm2-135m"
REQUIREMENT = "basisbench-smollm2-135m==0.1.0"
"""The distribution that holds the files, built by ``smollm2-135m/pyproject.toml``."""
PACKAGE = "basisbench_smollm2_135m"
"""The folder that it installs."""
AT_MOST = 2**25
"""Bytes of a packed file."""


def unpack(kind: Kind, say: Callable[[str], None], packed: Path = SHIPPED) -> Path:
    """Return a folder of sae-lens folders ``layer_{L}``, expanded into the cache on the first call.

    `packed` holds ``packed.json`` and, in a clone, the files that it names. Raises UserError where these cannot be
    had, or one is damaged or of another version.
    """
    manifest: dict[str, dict[str, str]] = json.loads((packed / "packed.json").read_bytes())
    if kind not in manifest:
        raise unknown_name("shipped dictionary", kind, manifest)
    files = manifest[kind]
    target = _kept(kind, files.values())
    if not target.is_dir():
        source = _find({name: sha256 for part in manifest.values() for name, sha256 in part.items()}, packed, say)
        say(f"unpacking the {kind} dictionaries of {MODEL}, once")
        with atomic_folder(target) as folder:
            for name, sha256 in files.items():
                data = (source / name).read_bytes() if (source / name).is_file() else b""
                if hashlib.sha256(data).hexdigest() != sha256:
                    raise UserError(
                        f"{source / name} is missing or damaged, or of another version: valid: that of {REQUIREMENT}"
                    )
                for layer, dictionary in from_int8(load(data)).items():
                    dictionary.save(folder / f"layer_{layer}", kind, layer, MODEL)
    return target


def _find(files: Mapping[str, str], packed: Path, say: Callable[[str], None]) -> Path:
    """Return the folder with the packed `files` (names to sha256): of the clone, installed, or in the cache."""
    if any((packed / name).is_file() for name in files):
        return packed
    if installed := installed_folders(PACKAGE):
        return installed[0]
    kept = _kept("packed", files.values())
    if not kept.is_dir():
        wanted = [WheelFile(f"{PACKAGE}/{name}", sha256, AT_MOST) for name, sha256 in files.items()]
        instead = "install its wheel, copied from elsewhere, or the folder baselines/smollm2-135m of a clone"
        with atomic_folder(kept) as folder:
            fetch_files(REQUIREMENT, wanted, folder, say, instead=instead)
    return kept


def _kept(what: str, hashes: Iterable[str]) -> Path:
    """The folder in the cache for what is made of files with these `hashes`."""
    digest = hashlib.sha256("".join(hashes).encode()).hexdigest()
    return cache_dir() / "dictionaries" / f"{MODEL}-{what}-{digest[:8]}"
