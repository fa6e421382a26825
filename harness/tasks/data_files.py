"""One split of a dataset, from data files in a folder or from the Hugging Face hub; loaded by `datasets`.

Local files are handed to the readers of their formats, so nothing else in a folder (scripts, a README that names
other files) is looked at.
"""

import re
from pathlib import Path

from datasets import Dataset, load_dataset

from basisbench.cache import cache_dir
from basisbench.errors import UserError, unknown_name

READERS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}
PART = re.compile(r"(?P<split>[^\[\]]+)(?P<part>\[[^\[\]]+\])?")
_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


def load_split(source: str, config: str | None, split: str, base: Path) -> Dataset:
    """Return a split, or a part of one such as ``train[:80%]``, of the dataset called `source`.

    It is a data file or folder in `base` if there is one of that name, or if the name begins with a dot or ends as
    a data file; else a dataset of the hub. In a folder, a split is a file by its name, or the files ``train.jsonl``
    or ``train-*.parquet`` in it or in its ``data`` (in its folder `config`, if given); a file is the split train.
    Raises UserError for data that are not there, outside of `base`, or cannot be read.
    """
    local = source.startswith(".") or not _HUB_NAME.fullmatch(source) or Path(source).suffix in READERS
    if not local and not (base / source).exists() and Path(source).exists():
        # datasets would take it for the hub's dataset.
        raise UserError(f"{source} is outside of {base.resolve()}: valid: data in that folder, or another name")
    try:
        if local or (base / source).exists():
            files, part = _files(source, config, split, base)
            named = {"train": [str(file) for file in files]}
            kept = str(cache_dir() / "datasets")
            return load_dataset(READERS[files[0].suffix], data_files=named, split=f"train{part}", cache_dir=kept)
        return load_dataset(source, config, split=split)
    except UserError:
        raise
    except Exception as error:  # datasets raises whatever its readers and the hub's client do
        told = (" ".join(str(error).split()) or type(error).__name__)[:300].rstrip(".")
        hint = "" if local else f"; valid: a dataset of the hub that can be reached, or data of that name in {base}"
        raise UserError(f"cannot load {split} of {source}: {told}{hint}") from error


def _files(source: str, config: str | None, wanted: str, base: Path) -> tuple[list[Path], str]:
    """Return the data files of a split, all in `base`, and the part of it that is wanted, such as ``[:80%]``."""
    match = PART.fullmatch(wanted)
    name, part = (match["split"], match["part"] or "") if match else (wanted, "")
    found = _inside(base / source, base)
    if not found.exists():
        raise UserError(f"there is no {found}: valid: a data file or folder in {base.resolve()}")
    if found.is_file():
        if found.suffix not in READERS:
            raise UserError(f"{found} is no data file: valid: {', '.join(READERS)}")
        if name != "train":
            raise UserError(f"{unknown_name('split', name, ['train'])}, or a part of it such as train[:80%]")
        return [found], part
    folder = _inside(found / (config or ""), base)
    if Path(name).suffix in READERS:
        file = _inside(folder / name, base)
        if not file.is_file():
            raise UserError(f"there is no {file}: {_held(folder)}")
        return [file], part
    for suffix in READERS:
        for place in (folder, folder / "data"):
            files = sorted(file for file in place.glob(f"*{suffix}") if file.stem.partition("-")[0] == name)
            if files:
                return [_inside(file, base) for file in files], part
    raise UserError(f"no data file of the split '{name}' in {folder}: {_held(folder)}")


def _held(folder: Path) -> str:
    """What data files a folder holds, in words."""
    files = [file for place in (folder, folder / "data") for file in place.glob("*") if file.suffix in READERS]
    held = ", ".join(sorted(file.relative_to(folder).as_posix() for file in files))
    return f"valid: {held}" if held else f"it holds no {', '.join(READERS)} file"


def _inside(path: Path, base: Path) -> Path:
    """Return a path with its links followed; raises UserError unless it is in `base`."""
    found = path.resolve()
    if not found.is_relative_to(base.resolve()):
        raise UserError(f"{found} is outside of {base.resolve()}: valid: data in that folder, and no links out of it")
    return found
