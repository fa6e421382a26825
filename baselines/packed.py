"""The shipped dictionaries: packed to int8 when they are made, unpacked once into the cache when first used.

In a packed file every latent keeps its encoder column and its decoder row as int8 with one float32 scale each
(the row's largest magnitude is 127); biases and thresholds stay float32. ``packed.json`` names the files of
each kind with their sha256.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load

from basisbench.bases.packing import Kind, from_int8
from basisbench.cache import atomic_folder, cache_dir
from basisbench.errors import UserError, unknown_name

SHIPPED = Path(__file__).parent / "smollm2-135m"
MODEL = "smollm2-135m"
LAYERS_A_FILE = 10  # of 1,536 latents and 576 coordinates: 18 MB


def unpack(kind: Kind, say: Callable[[str], None], packed: Path = SHIPPED) -> Path:
    """Return a folder of sae-lens folders ``layer_{L}``, expanded from `packed` into the cache on the first call.

    Raises UserError where this installation has no such dictionaries or a file of theirs is damaged.
    """
    if not (packed / "packed.json").is_file():
        raise UserError(f"this installation has no shipped dictionaries for {MODEL}: train some, or name others")
    manifest = json.loads((packed / "packed.json").read_bytes())
    if kind not in manifest:
        raise unknown_name("shipped dictionary", kind, manifest)
    files: dict[str, str] = manifest[kind]
    digest = hashlib.sha256("".join(files.values()).encode()).hexdigest()
    target = cache_dir() / "dictionaries" / f"{MODEL}-{kind}-{digest[:8]}"
    if not target.is_dir():
        say(f"unpacking the {kind} dictionaries of {MODEL}, once")
        with atomic_folder(target) as folder:
            for name, sha256 in files.items():
                data = (packed / name).read_bytes() if (packed / name).is_file() else b""
                if hashlib.sha256(data).hexdigest() != sha256:
                    raise UserError(f"{packed / name} is missing or damaged: install basisbench again")
                for layer, dictionary in from_int8(load(data)).items():
                    dictionary.save(folder / f"layer_{layer}", kind, layer, MODEL)
    return target
