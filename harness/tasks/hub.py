"""Which files of a dataset on the Hugging Face hub are a split; they are fetched once and stay in the hub's cache.

Where the hub cannot be reached, the files are those that it named the last time.
"""

import hashlib
import json
import re
from pathlib import Path
from urllib.parse import unquote

from basisbench.cache import cache_dir, write_atomically
from basisbench.errors import UserError, unknown_name
from basisbench.tasks.readers import READERS

_URL = re.compile(r"hf://datasets/(?P<repo>[^@]+)@(?P<revision>[^/]+)/(?P<path>.+)")


def hub_files(source: str, config: str | None, split: str) -> tuple[Path, ...]:
    """Return the data files of a split of the hub's dataset `source`.

    Raises UserError for an unknown split or files of other kinds, and whatever the hub's client raises.
    """
    import huggingface_hub

    note = _note(source, config, split)
    try:
        urls = _named_by_the_hub(source, config, split)
    except (ConnectionError, FileNotFoundError):
        if not (urls := _noted(note)):
            raise
    fetched = []
    for url in urls:
        parts = _URL.fullmatch(url)
        if parts is None or Path(parts["path"]).suffix not in READERS:
            raise UserError(f"{url} is no plain data file: valid: {', '.join(READERS)}")
        revision = unquote(parts["revision"])
        fetched.append(
            Path(huggingface_hub.hf_hub_download(parts["repo"], parts["path"], repo_type="dataset", revision=revision))
        )
    if _noted(note) != urls:
        write_atomically(note, json.dumps(urls).encode())
    return tuple(fetched)


def _named_by_the_hub(source: str, config: str | None, split: str) -> list[str]:
    import datasets

    settings = datasets.load_dataset_builder(source, config).config
    files = settings.data_files
    if not files:  # what `datasets` finds in its own cache has lost its files
        raise FileNotFoundError(f"{source} cannot be reached")
    if split not in files:
        raise unknown_name("split", split, map(str, files))
    named = [str(file) for file in files[split]]
    cut_by = getattr(settings, "sep", None)
    for suffix, expected in ((".csv", ","), (".tsv", "\t")):
        if cut_by not in (None, expected) and any(name.endswith(suffix) for name in named):
            raise UserError(f"its {suffix} files are cut by {cut_by!r}: valid: by {expected!r}, or a copy that is")
    return named


def _note(source: str, config: str | None, split: str) -> Path:
    name = hashlib.sha256(json.dumps([source, config, split]).encode()).hexdigest()[:16]
    return cache_dir() / "datasets" / f"{name}.json"


def _noted(note: Path) -> list[str]:
    """The files in a note; none if it is not there or damaged."""
    try:
        found = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return []
    return [str(url) for url in found] if isinstance(found, list) else []
