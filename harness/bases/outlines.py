"""What a basis is made of, as far as that is known without its weights, its model or a network.

1. The shipped bases of coordinates have as many units as their site is wide.
2. A published set (``sae:RELEASE``, ``transcoder:RELEASE``) is looked up in sae-lens' own registry: which layers it
   has, and how many latents, as far as its names there, or what its preset says of it, tell ("16k", "8x").
3. Dictionaries in a local folder state their widths. The embedded ones are as wide as the model's MLPs.
4. Of anything else only the name is known: it is counted as if it were as wide as the MLP output.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from basisbench.bases.basis import PRESETS
from basisbench.errors import UserError
from basisbench.models.shapes import Shape
from basisbench.models.sites import SiteKind, layer_ranges
from basisbench.settings import EMBEDDED

COORDINATES: Mapping[str, SiteKind] = {
    "neurons": "mlp_post",
    "rotated_neurons": "mlp_post",
    "mlp_out": "mlp_out",
    "rotated_mlp_out": "mlp_out",
    "attn_out": "attn_out",
    "attn_z": "attn_z",
    "resid_post": "resid_post",
}
FIELDS: Mapping[SiteKind, SiteKind] = {"mlp_post": "mlp_out", "attn_z": "attn_out"}
"""Sites joined to another by a linear map, which share its gradient field."""
DICTIONARIES = ("sae", "transcoder")
GUESSED_FACTOR = 32
"""Latents for each dimension of the model, where the names of a set do not say."""
KEPT = 4 * 2**30
"""Bytes of a set's weights, in float32, that are kept in memory at a time (one layer, if that is more)."""


@dataclass(frozen=True)
class Outline:
    """The layers of a basis, units a layer, the site written and how it is spanned; `guess` says what is not known.

    `dense`: its directions are no axes, so that scoring multiplies by a matrix. `download` is in bytes.
    """

    layers: tuple[int, ...]
    n_units: int
    site: SiteKind
    width: int
    has_error: bool = False
    dense: bool = False
    download: int = 0
    guess: str = ""

    @property
    def field(self) -> SiteKind:
        """The kind of site whose gradient field serves the basis."""
        return FIELDS.get(self.site, self.site)

    @property
    def layer_bytes(self) -> int:
        """Bytes of one layer's encoder and decoder in float32."""
        return 8 * self.width * self.n_units if self.has_error else 0

    @property
    def kept_bytes(self) -> int:
        """Bytes of weights in memory at a time."""
        if self.dense and not self.has_error:
            return 4 * self.width * self.n_units
        return max(self.layer_bytes, min(KEPT, len(self.layers) * self.layer_bytes))


def site_width(shape: Shape, kind: SiteKind) -> int:
    """Width of the activation at a kind of site."""
    return {"mlp_post": shape.d_mlp, "attn_z": shape.n_heads * shape.d_head}.get(kind, shape.d_model)


def outline(name: str, model: str, shape: Shape) -> Outline:
    """The outline of the basis called `name` on a model of this shape.

    Raises UserError for an unknown release, one that is not clear, or one with layers that the model lacks.
    """
    everywhere = tuple(range(shape.n_layers))
    if name in COORDINATES:
        kind = COORDINATES[name]
        width = site_width(shape, kind)
        return Outline(everywhere, width, kind, width, dense=name.startswith("rotated"))
    base, _, option = name.partition(":")
    if base in DICTIONARIES and not option:
        if model != EMBEDDED:
            raise UserError(f"{base} alone means the dictionaries of {EMBEDDED}, not of {model}: valid: {base}:NAME")
        return Outline(everywhere, shape.d_mlp, "mlp_out", shape.d_model, has_error=True, dense=True)
    if base in DICTIONARIES:
        before, pattern, _ = option.partition("{layer}")
        folder = Path(before.rpartition("/")[0] if pattern else option).expanduser()
        return _local(name, folder, shape) if folder.is_dir() else _published(base, option, model, shape)
    guess = f"{name}: its units are not known before it is made; counted as {shape.d_model} a layer"
    return Outline(everywhere, shape.d_model, "mlp_out", shape.d_model, dense=True, guess=guess)


def _local(name: str, folder: Path, shape: Shape) -> Outline:
    """Dictionaries in sae-lens folders: as many layers as there are, as wide as the widest."""
    widths = []
    for file in sorted(folder.rglob("cfg.json")):
        try:
            widths.append(int(json.loads(file.read_bytes())["d_sae"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{file} states no d_sae: valid: the cfg.json of a sae-lens folder") from error
    if not widths:
        raise UserError(f"no cfg.json in {folder}: valid: a folder of sae-lens folders")
    layers = tuple(range(min(len(widths), shape.n_layers)))
    return Outline(layers, max(widths), _site(name, name), shape.d_model, has_error=True, dense=True)


def published_ids(option: str) -> Mapping[int, str]:
    """The ids of a release in sae-lens' registry by layer; empty for a repository that only the hub knows.

    Raises UserError for a release that is not known or not clear.
    """
    # which dictionary of a release stands for a layer is the basis' rule: asked for here, not repeated
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    from basisbench.baselines.dictionaries.sources import release_ids

    release, _, pattern = option.partition("/")
    directory = get_pretrained_saes_directory()
    if release in directory:
        return release_ids(release, pattern)
    if option.count("/") >= 2 and "{layer}" in option:
        return {}
    close = difflib.get_close_matches(release, directory, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    raise UserError(
        f"no dictionaries '{option}': {hint}valid: a folder of sae-lens folders, a release (or RELEASE/PATTERN) in "
        "sae-lens' table of pretrained SAEs, or ORG/REPOSITORY/PATTERN on the hub"
    )


def _published(base: str, option: str, model: str, shape: Shape) -> Outline:
    name = f"{base}:{option}"
    ids = published_ids(option)
    if beyond := [layer for layer in ids if layer >= shape.n_layers]:
        raise UserError(f"{name} has layers {layer_ranges(beyond)}: valid for {model}: 0 to {shape.n_layers - 1}")
    stated = _names(option, ids)
    about = [preset.about for find in map(PRESETS.get, PRESETS) for preset in find(model) if preset.basis == name]
    n_units = stated_units(" ".join([stated, *about]), shape.d_model)
    guess = ""
    if not ids:
        guess = f"{name}: only the hub knows its layers and width: counted as every layer, {GUESSED_FACTOR} x d_model"
    elif not n_units:
        guess = f"{name}: its width is not stated in sae-lens' registry: counted as {GUESSED_FACTOR} x d_model"
    layers = tuple(ids) or tuple(range(shape.n_layers))
    site = _site(base, stated)
    width, n_units = site_width(shape, site), n_units or GUESSED_FACTOR * shape.d_model
    return Outline(layers, n_units, site, width, True, True, 8 * width * n_units * len(layers), guess)


def _names(option: str, ids: Mapping[int, str]) -> str:
    """All that the registry calls a set's first dictionary."""
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    release = option.partition("/")[0]
    if not ids:
        return option
    known, first = get_pretrained_saes_directory()[release], next(iter(ids.values()))
    return " ".join([release, first, known.saes_map[first], str((known.neuronpedia_id or {}).get(first) or "")])


def stated_units(names: str, d_model: int) -> int | None:
    """Latents a layer that the names of a set state: "width_16k", "131k", "8x"; None if they do not."""
    lower = names.lower()
    wide, thousands = r"width_(\d+)([km])(?![a-z0-9])", r"(?<![\d.])(\d+)(k)(?![a-z0-9])"
    if found := re.search(wide, lower) or re.search(thousands, lower):
        # a thousand may be 1,000 or 1,024: 131k is 2**17, and so is 128k; 25k is 3 * 2**13
        stated = int(found[1]) * {"k": 2**10, "m": 2**20}[found[2]]
        sizes = [odd << power for power in range(7, 26) for odd in (2, 3)]
        return min(sizes, key=lambda size: abs(size - stated))
    if found := re.search(r"(?<!\d)(\d+)x(?![a-z0-9])", lower):
        return int(found[1]) * d_model
    return None


def _site(kind: str, names: str) -> SiteKind:
    """The site that a set writes, by its kind and names."""
    if kind.startswith("transcoder") or re.search(r"mlp|lxm", names):
        return "mlp_out"
    if re.search(r"hook_z|-att-|attn_z", names):
        return "attn_z" if "hook_z" in names or "gemma" in names else "attn_out"
    if re.search(r"attn|lxa", names):
        return "attn_out"
    return "resid_post"
