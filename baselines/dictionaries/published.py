"""Published dictionaries: sae-lens' own loaders, kept to one commit of a repository and to what is here already.

sae-lens asks the hub's main branch anew for each file, and reads the shapes of Gemma Scope 2 by a client that knows
neither cache nor offline mode. It has no setting for that: the two functions are replaced while it loads.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError
from safetensors import safe_open

from basisbench.errors import UserError, said
from basisbench.models.hub import commit_of, refusal

if TYPE_CHECKING:
    import torch
    from sae_lens import SAE

_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Release:
    """A release in sae-lens' registry, or ``ORG/REPOSITORY`` on the hub: its files are those of one commit."""

    name: str

    @cached_property
    def repository(self) -> str:
        """``ORG/REPOSITORY`` on the hub."""
        from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

        known = get_pretrained_saes_directory().get(self.name)
        return known.repo_id if known else self.name

    @cached_property
    def commit(self) -> str:
        """The commit of the repository, looked up when first asked for; raises UserError as `commit_of`."""
        return commit_of(self.repository)

    def folders(self) -> list[str]:
        """The sae-lens folders of the repository; raises UserError where they cannot be listed."""
        commit = self.commit
        with self._in_one_line(self.repository):
            files = HfApi().list_repo_files(self.repository, revision=commit)
        return sorted(path.removesuffix("/cfg.json") for path in files if path.endswith("/cfg.json"))

    def config(self, sae_id: str) -> dict[str, Any]:
        """What the files of a dictionary say of it, as sae-lens reads them, before any default is filled in."""
        from sae_lens.loading import pretrained_sae_loaders as loaders
        from sae_lens.loading import pretrained_saes_directory as directory

        read = loaders.NAMED_PRETRAINED_SAE_CONFIG_GETTERS[loaders.get_conversion_loader_name(self.name)]
        where = directory.get_repo_id_and_folder_name(self.name, sae_id=sae_id)
        overrides = directory.get_config_overrides(self.name, sae_id)
        with self._in_one_line(f"{self.name}/{sae_id}"), self._at_its_commit():
            return dict(read(*where, "cpu", False, overrides))

    def load(self, sae_id: str, device: torch.device) -> SAE[Any]:
        """The dictionary as a sae-lens object, in float32."""
        from sae_lens import SAE

        with self._in_one_line(f"{self.name}/{sae_id}"), self._at_its_commit():
            return SAE.from_pretrained(self.name, sae_id, device=str(device))

    def identity(self, ids: Mapping[int, str]) -> str:
        """Which weights the dictionaries `ids`, by layer, are: the commit, and a hash of a line for each layer.

        The line tells what sae-lens' registry decides, which another version may decide otherwise: folder and scale.
        """
        from sae_lens.loading import pretrained_saes_directory as directory

        lines = []
        for layer, sae_id in ids.items():
            _, folder = directory.get_repo_id_and_folder_name(self.name, sae_id=sae_id)
            scale = directory.get_norm_scaling_factor(self.name, sae_id)
            overrides = directory.get_config_overrides(self.name, sae_id)
            lines.append(json.dumps([layer, folder, scale, overrides], sort_keys=True) + "\n")
        return f"{self.repository}@{self.commit}, layers {hashlib.sha256(''.join(lines).encode()).hexdigest()[:16]}"

    @contextmanager
    def _in_one_line(self, where: str) -> Iterator[None]:
        """Turn whatever sae-lens, the hub's client and the readers of files raise into one line."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:  # of any library below; it is the user's to read, and other layers may be well
            commit = vars(self).get("commit")
            why = refusal(self.repository, commit, error) or f"{type(error).__name__}: {said(error)}"
            raise UserError(f"cannot load {where}: {why}") from error

    @contextmanager
    def _at_its_commit(self) -> Iterator[None]:
        from sae_lens.loading import pretrained_sae_loaders as loaders

        ours = {"hf_hub_download": self._fetched, "get_safetensors_tensor_shapes": self._shapes}
        with _ONE_AT_A_TIME:
            theirs = {name: getattr(loaders, name) for name in ours}
            try:
                vars(loaders).update(ours)
                yield
            finally:
                vars(loaders).update(theirs)

    def _fetched(self, repo_id: str, filename: str, subfolder: str | None = None, **_: object) -> str:
        """A file of the commit: from the cache without a request, which also knows what the commit does not hold."""
        from sae_lens.constants import SPARSITY_FILENAME

        path = f"{subfolder}/{filename}" if subfolder else filename
        found = try_to_load_from_cache(repo_id, path, revision=self.commit)
        if isinstance(found, str):
            return found
        if found is not None or path.endswith(SPARSITY_FILENAME):  # known not to be there, or of no use here
            raise EntryNotFoundError(f"{repo_id} holds no file {path}")
        return hf_hub_download(repo_id, path, revision=self.commit)

    def _shapes(self, repo_id: str, filename: str) -> dict[str, list[int]]:
        """The shapes in a safetensors file, from the cache or, as long as it is not there, from its head on the hub."""
        found = try_to_load_from_cache(repo_id, filename, revision=self.commit)
        if isinstance(found, str):
            with safe_open(found, framework="pt") as file:
                return {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        told = HfApi().parse_safetensors_file_metadata(repo_id, filename, revision=self.commit)
        return {name: list(tensor.shape) for name, tensor in told.tensors.items()}
