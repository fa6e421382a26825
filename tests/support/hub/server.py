"""The hub's protocol, as far as huggingface_hub, transformers, sae-lens and datasets speak it.

What a name and a revision mean (``/api/models/...``), listings (``tree``, ``paths-info``), and files (``resolve``) with
the headers that the clients read: commit, ETag, size, ranges, and the code of a refusal. Large files are a redirection
away, as on the hub.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from hub.repositories import File, Repository, as_json

KINDS = {"models": "model", "datasets": "dataset"}
NAME = r"(?P<name>[\w.-]+(?:/[\w.-]+)?)"
API = re.compile(rf"/api/(?P<kind>models|datasets)/{NAME}(?:/(?P<verb>revision|tree|paths-info)/(?P<rest>.+))?")
RESOLVE = re.compile(rf"/(?:(?P<kind>datasets)/)?{NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


class RefusedError(Exception):
    """An answer that is a refusal: status, the hub's code for it, and its words."""

    def __init__(self, status: int, code: str, words: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(words)
        self.status = status
        self.headers = {**(headers or {}), "X-Error-Message": words} | ({"X-Error-Code": code} if code else {})


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True)
class Request:
    """A request that was answered: `sent` are the bytes of the body."""

    method: str
    path: str
    status: int
    sent: int


@dataclass
class Hub:
    """A hub on this machine. `down`: a status that it gives to every request; `requests` are those it has answered."""

    address: str = ""
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    down: int | None = None

    def add(self, name: str, kind: str = "model") -> Repository:
        """The repository of this name, made if it is not there."""
        return self.repositories.setdefault((kind, name), Repository(name, kind))

    @property
    def elsewhere(self) -> str:
        """Where large files lie: for the clients another host, to which no token is sent."""
        return self.address.replace("127.0.0.1", "localhost")

    @property
    def sent(self) -> int:
        """Bytes of all answers."""
        return sum(request.sent for request in self.requests)

    def asked(self, part: str = "", method: str = "") -> list[Request]:
        """The requests whose path holds `part`."""
        return [r for r in self.requests if part in r.path and method in r.method]

    # -- answers -------------------------------------------------------------------------------------------

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer to a request; raises RefusedError."""
        if self.down is not None:
            raise RefusedError(self.down, "", "out of order")
        parts = urlsplit(target)
        path = unquote(parts.path)
        token = headers.get("authorization", "").removeprefix("Bearer ")
        # a revision may hold an escaped slash, so it is taken apart before it is unescaped
        if found := API.fullmatch(parts.path):
            repository = self._shown(KINDS[found["kind"]], found["name"], token)
            return self._about(repository, found["verb"], found["rest"] or "main", parse_qs(parts.query), body)
        if found := RESOLVE.fullmatch(parts.path):
            repository = self._shown(KINDS[found["kind"] or "models"], found["name"], token)
            return self._resolved(repository, unquote(found["revision"]), unquote(found["path"]), token, headers)
        if found := re.fullmatch(r"/lfs/([0-9a-f]{64})", path):
            return _part(self._large(found[1]), headers, {})
        raise RefusedError(404, "", "Not Found")

    def _shown(self, kind: str, name: str, token: str) -> Repository:
        """The repository, if this reader may know of it: to strangers a private one is as one that is not there."""
        repository = self.repositories.get((kind, name))
        if repository is None or (repository.private and token not in repository.readers):
            words = "Repository not found" if token else "Invalid username or password."
            raise RefusedError(404 if token else 401, "RepoNotFound", words)
        return repository

    def _commit(self, repository: Repository, revision: str) -> str:
        commit = repository.resolve(revision)
        if commit is None:
            raise RefusedError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    def _about(
        self, repository: Repository, verb: str | None, rest: str, query: dict[str, list[str]], body: bytes
    ) -> Answer:
        revision, _, folder = rest.partition("/")
        commit = self._commit(repository, unquote(revision))
        if verb == "tree":
            recursive = query.get("recursive", ["false"])[0].lower() in ("true", "1")
            return Answer(as_json(repository.tree(commit, unquote(folder), recursive)))
        if verb == "paths-info":
            asked = parse_qs(body.decode()).get("paths", [])
            files = repository.commits[commit]
            return Answer(as_json([files[path].entry for path in asked if path in files]))
        return Answer(as_json(repository.about(commit)))

    def _resolved(
        self, repository: Repository, revision: str, path: str, token: str, headers: Mapping[str, str]
    ) -> Answer:
        if repository.gated and token not in repository.readers:
            words = f"Access to {repository.kind} {repository.name} is restricted."
            raise RefusedError(403 if token else 401, "GatedRepo", words)
        commit = self._commit(repository, revision)
        said = {"X-Repo-Commit": commit}
        file = repository.commits[commit].get(path)
        if file is None:
            raise RefusedError(404, "EntryNotFound", "Entry not found", said)
        said |= {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(len(file.content))}
        if file.is_large:
            return Answer(b"", said | {"Location": f"{self.elsewhere}/lfs/{file.sha256}"}, 302)
        return _part(file, headers, said)

    def _large(self, sha256: str) -> File:
        for repository in self.repositories.values():
            for files in repository.commits.values():
                for file in files.values():
                    if file.is_large and file.sha256 == sha256:
                        return file
        raise RefusedError(404, "", "Not Found")


def _part(file: File, headers: Mapping[str, str], said: Mapping[str, str]) -> Answer:
    """The file, or the range of it that is asked for."""
    said = {**said, "ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"}
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
    if asked is None:
        return Answer(file.content, said)
    size, first = len(file.content), int(asked[1])
    last = min(int(asked[2]) if asked[2] else size - 1, size - 1)
    if first > last:
        raise RefusedError(416, "", "Range Not Satisfiable", {"Content-Range": f"bytes */{size}"})
    said["Content-Range"] = f"bytes {first}-{last}/{size}"
    return Answer(file.content[first : last + 1], said, 206)


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Answer for `hub` on a free port of this machine while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                answer = hub.answer(self.command, self.path, headers, body)
            except RefusedError as refused:
                answer = Answer(as_json({"error": str(refused)}), refused.headers, refused.status)
            sent = b"" if self.command == "HEAD" else answer.body
            hub.requests.append(Request(self.command, self.path, answer.status, len(sent)))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(sent)

        do_HEAD = do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    hub.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
