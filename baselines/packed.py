"""The shipped dictionaries: packed to int8 when they are made, unpacked once into the cache when first used.

In a packed file every latent keeps its encoder column and its decoder row as int8 with one float32 scale each
(the row's largest magnitude is 127); biases and thresholds stay float32. ``packed.json`` names the files of
each kind with their sha256.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load, load_file, save
from torch import Tensor

from harness.cache import atomic_folder, cache_dir, write_atomically
from harness.errors import UserError, unknown_name
from harness.loading import load_model
from harness.training.card import quality_table
from harness.training.dictionaries import Dictionary, Kind
from harness.training.evaluate import Quality, evaluate

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


def pack(trained: Path, packed: Path, say: Callable[[str], None]) -> None:
    """Pack what ``basisbench train`` wrote to `trained` into the folder `packed`, and measure what that costs.

    The card is copied; README.md gets the quality of each dictionary before and after, on the same held-out
    text. Raises UserError when `trained` holds no finished training.
    """
    if not (trained / "card.json").is_file():
        raise UserError(f"{trained} holds no finished training: valid: a folder that basisbench train wrote")
    card = json.loads((trained / "card.json").read_bytes())
    before = [Quality(**quality) for quality in card["quality"]]
    manifest: dict[Kind, dict[str, str]] = {quality.kind: {} for quality in before}
    rounded: dict[tuple[Kind, int], Dictionary] = {}
    for kind, files in manifest.items():
        layers = [quality.layer for quality in before if quality.kind == kind]
        for start in range(0, len(layers), LAYERS_A_FILE):
            part = layers[start : start + LAYERS_A_FILE]
            tensors = to_int8({layer: Dictionary.load(trained / kind / f"layer_{layer}") for layer in part})
            data, name = save(tensors), f"{kind}-{part[0]:02}-{part[-1]:02}.safetensors"
            files[name] = hashlib.sha256(data).hexdigest()
            write_atomically(packed / name, data)
            rounded |= {(kind, layer): dictionary for layer, dictionary in from_int8(tensors).items()}
    model, _ = load_model(card["model"]["name"], "float32", "cpu", say)
    held_out = load_file(trained / "held_out.safetensors")["held_out"]
    after = evaluate(model, {(q.kind, q.layer): rounded[q.kind, q.layer] for q in before}, held_out, say)
    table = quality_table({"": before, "packed": after})
    text = (trained / "README.md").read_text(encoding="utf-8")
    card["quality_packed"] = [asdict(quality) for quality in after]
    write_atomically(packed / "README.md", text.replace(quality_table({"": before}), table).encode())
    write_atomically(packed / "card.json", (json.dumps(card, indent=2) + "\n").encode())
    write_atomically(packed / "packed.json", (json.dumps(manifest, indent=2) + "\n").encode())


def to_int8(dictionaries: Mapping[int, Dictionary]) -> dict[str, Tensor]:
    """Tensors of a packed file by ``{layer}.{name}``: matrices [n, width] in int8 with ``{name}_scale`` [n]."""
    tensors: dict[str, Tensor] = {}
    for layer, dictionary in dictionaries.items():
        for name, tensor in vars(dictionary).items():
            if tensor.dim() == 1:
                tensors[f"{layer}.{name}"] = tensor.float()
                continue
            rows = tensor.T if name == "w_enc" else tensor
            scale = rows.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / 127
            tensors[f"{layer}.{name}"] = (rows / scale[:, None]).round().to(torch.int8).contiguous()
            tensors[f"{layer}.{name}_scale"] = scale
    return tensors


def from_int8(tensors: Mapping[str, Tensor]) -> dict[int, Dictionary]:
    """The dictionaries by layer, in float32, out of the tensors of a packed file."""
    found: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        layer, name = key.split(".")
        if not name.endswith("_scale"):
            if tensor.dim() == 2:
                tensor = tensor.float() * tensors[f"{key}_scale"][:, None]
            found.setdefault(int(layer), {})[name] = tensor.T.contiguous() if name == "w_enc" else tensor
    return {layer: Dictionary(**found[layer]) for layer in sorted(found)}
