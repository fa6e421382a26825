"""What a hub holds: repositories of commits, each a set of files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LARGE = (".safetensors", ".npz", ".bin", ".pt", ".gguf", ".parquet")
"""Files that the hub keeps apart from the git repository and serves from elsewhere."""


@dataclass(frozen=True)
class File:
    """One file's bytes and, as the hub tells them, its identity."""

    path: str
    content: bytes

    @property
    def is_large(self) -> bool:
        return self.path.endswith(LARGE)

    @property
    def git_id(self) -> str:
        """The object id that git gives the content."""
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_large else self.git_id

    @property
    def entry(self) -> dict[str, Any]:
        """What a listing says of it."""
        size = len(self.content)
        entry: dict[str, Any] = {"type": "file", "path": self.path, "size": size, "oid": self.git_id}
        if self.is_large:
            entry["lfs"] = {"oid": self.sha256, "size": size, "pointerSize": 134}
        return entry


@dataclass
class Repository:
    """A model or data set: commits by hash, and what its branches and tags point to.

    `gated`: listed for everyone, its files only for those in `readers` (tokens). `private`: not shown to others.
    """

    name: str
    kind: str = "model"
    gated: bool = False
    private: bool = False
    readers: set[str] = field(default_factory=set)
    commits: dict[str, dict[str, File]] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Mapping[str, bytes | str], branch: str = "main", keep: bool = True) -> str:
        """Add a commit with `files` over those of the branch (alone without `keep`); return its hash."""
        before = self.commits.get(self.references.get(branch, ""), {}) if keep else {}
        new = {path: File(path, data.encode() if isinstance(data, str) else data) for path, data in files.items()}
        content = before | new
        parent = self.references.get(branch, "")
        said = [self.kind, self.name, parent, *(f"{path} {file.sha256}" for path, file in sorted(content.items()))]
        sha = hashlib.sha1("\n".join(said).encode()).hexdigest()
        self.commits[sha] = content
        self.references[branch] = sha
        return sha

    def commit_folder(self, folder: Path, branch: str = "main") -> str:
        """Add a commit with all files of a folder."""
        paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return self.commit({path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}, branch)

    def resolve(self, revision: str) -> str | None:
        """The commit that a branch, a tag or a commit's own hash means."""
        return revision if revision in self.commits else self.references.get(revision)

    def about(self, commit: str) -> dict[str, Any]:
        """What the hub says of the repository at a commit."""
        return {
            "id": self.name,
            "modelId": self.name,
            "sha": commit,
            "lastModified": "2026-01-01T00:00:00.000Z",
            "createdAt": "2026-01-01T00:00:00.000Z",
            "private": self.private,
            "gated": "manual" if self.gated else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": [{"rfilename": path} for path in sorted(self.commits[commit])],
        }

    def tree(self, commit: str, folder: str, recursive: bool) -> list[dict[str, Any]]:
        """A listing of a folder; of a flat one, the folders below it too."""
        start = f"{folder}/" if folder else ""
        inside = {path: file for path, file in sorted(self.commits[commit].items()) if path.startswith(start)}
        if recursive:
            return [file.entry for file in inside.values()]
        entries: dict[str, dict[str, Any]] = {}
        for path, file in inside.items():
            first, slash, _ = path[len(start) :].partition("/")
            oid = hashlib.sha1(f"{start}{first}".encode()).hexdigest()
            folded = {"type": "directory", "path": f"{start}{first}", "size": 0, "oid": oid}
            entries.setdefault(first, folded if slash else file.entry)
        return list(entries.values())


def as_json(value: object) -> bytes:
    """A document as the hub sends it, and as configurations lie there."""
    return json.dumps(value, indent=2).encode()
