"""From a finished training to the packed dictionaries that are shipped."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import load_file, save

from basisbench.bases.packing import Dictionary, Kind, from_int8, to_int8
from basisbench.cache import write_atomically
from basisbench.errors import UserError
from basisbench.models.loading import load_model
from basisbench.progress import Say
from basisbench.training.card import quality_table
from basisbench.training.evaluate import Quality, evaluate

LAYERS_A_FILE = 10  # of 1,536 latents and 576 coordinates: 18 MB


def pack(trained: Path, packed: Path, say: Say) -> None:
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
