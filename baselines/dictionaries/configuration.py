"""What a dictionary's configuration says, checked before sae-lens makes something of it.

Folders and published sets go through the same checks: what sae-lens would read as another function, fill in by a
default or fail on later is refused here, in one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from basisbench.baselines.dictionaries.weights import ACROSS_UNITS, check_architecture
from basisbench.errors import UserError, said

WIDTHS = ("d_in", "d_sae")
HOOKS = ("hook_name", "hook_point")


def checked(raw: object, where: str) -> Mapping[str, Any]:
    """The configuration of the dictionary `where`, with sae-lens' defaults, from what its files say.

    Raises UserError for one that is no sae-lens configuration, or of an architecture or activation that is no basis.
    """
    from sae_lens.loading.pretrained_sae_loaders import handle_config_defaulting

    if not isinstance(raw, dict):
        raise UserError(f"{where}: its configuration is a {type(raw).__name__}: valid: names with values")
    metadata = raw.get("metadata", {})
    if not isinstance(metadata, dict):
        raise UserError(f"{where}: metadata is {metadata!r}: valid: names with values")
    check_architecture(_text(raw.get("architecture", "standard"), "architecture", where), where)
    for part in (metadata, raw):
        if part.get("model_name") is not None:
            _text(part["model_name"], "model_name", where)
    for hook in (part[name] for part in (metadata, raw) for name in HOOKS if name in part):
        _text(hook, "hook_name", where)
    for name in (*WIDTHS, *(["d_out"] if "d_out" in raw else [])):
        _count(raw.get(name), name, where)
    function = raw.get("activation_fn", raw.get("activation_fn_str")) or "relu"
    settings = raw.get("activation_fn_kwargs") or {}
    try:
        config: Mapping[str, Any] = handle_config_defaulting(raw)
    except Exception as error:  # whatever sae-lens makes of somebody's file is theirs to read
        raise UserError(f"cannot load {where}: {type(error).__name__}: {said(error)}") from error
    # sae-lens reads functions that it does not know (and a TopK without its k) as ReLU
    if function != "relu" and config["architecture"] != function:
        raise UserError(f"{where}: activation function '{function}' is not known: valid: relu, topk with its k")
    if isinstance(settings, dict) and (others := {name: v for name, v in settings.items() if v and name != "k"}):
        raise UserError(f"{where}: activation function '{function}' with {others} is not known: valid: k alone")
    if config["architecture"] in ACROSS_UNITS and _count(config.get("k"), "k", where) > config["d_sae"]:
        raise UserError(f"{where}: k is {config['k']} of {config['d_sae']} units: valid: d_sae or less")
    return config


def _text(value: object, name: str, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise UserError(f"{where}: {name} is {value!r}: valid: a name, as in the cfg.json of a sae-lens folder")
    return value


def _count(value: object, name: str, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UserError(f"{where}: {name} is {value!r}: valid: a whole number above 0")
    return value
