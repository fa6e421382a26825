"""The model hub: the commit that a name stands for now, and what its refusals mean in one line."""

from __future__ import annotations

from collections.abc import Iterator

from huggingface_hub import HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    RevisionResolutionError,
)

from basisbench.errors import UserError, said


def commit_of(repository: str, revision: str | None = None) -> str:
    """The hash of the commit to which `revision` (None: the main branch) of ``ORG/NAME`` points.

    The hub is asked once; where it is out of reach, or set aside (HF_HUB_OFFLINE), its local cache is. Raises UserError
    where neither knows.
    """
    try:
        return HfApi().resolve_revision(repository, revision=revision).resolved
    except Exception as error:  # its client raises what its HTTP library does, and that changes with its version
        raise UserError(refusal(repository, revision, error) or f"cannot load {repository}: {said(error)}") from error


def refusal(repository: str, revision: str | None, error: BaseException) -> str | None:
    """What the hub or its cache refused in `error` or behind it, and what to do; None if it was neither."""
    behind = list(_behind(error))

    def caused_by(*kinds: type[BaseException]) -> bool:
        return any(isinstance(link, kinds) for link in behind)

    if caused_by(GatedRepoError):
        return f"{repository} is gated: accept its terms on its hub page, then log in with 'hf auth login'"
    if caused_by(RevisionNotFoundError):
        return f"{repository} has no revision '{revision}': give a branch, a tag or a commit of it"
    if caused_by(RepositoryNotFoundError):
        return f"the hub shows no model repository {repository}: check the name, or log in with 'hf auth login'"
    if caused_by(LocalEntryNotFoundError, OfflineModeIsEnabled, RevisionResolutionError):
        return (
            f"{repository} is not in the local hub cache and the hub cannot be reached: "
            "check the network, or give a local folder"
        )
    if missing := next((link for link in behind if isinstance(link, EntryNotFoundError)), None):
        url = str(missing.response.url) if isinstance(missing, HfHubHTTPError) else ""
        return f"{repository} holds no file {url.partition('/resolve/')[2].partition('/')[2]}" if url else said(missing)
    return None


def _behind(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came from: libraries wrap what the hub's client raised."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__
