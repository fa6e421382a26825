"""The method `scores:FILE`: a ranking that somebody else made, from a file (`basisbench.submissions.scores_file`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from typing_extensions import override

from basisbench.attribution import Method, Request, Scores
from basisbench.errors import UserError
from basisbench.submissions.ranking import is_pooled, scores_of
from basisbench.submissions.scores_file import METHOD, SubmittedScores, read_scores


class HandedIn(Method):
    """Scores as they were handed in, of one basis and task; results call it ``scores:NAME`` and record their hash."""

    def __init__(self, scores: SubmittedScores, name: str | None = None) -> None:
        """`name` is the method's, the file's own if None; raises UserError if neither says one."""
        name = name or scores.about.name
        if not name:
            raise UserError("which method? valid: --name NAME, or 'name' in the metadata of the scores file")
        self.scores = scores
        self.name = f"{METHOD}{name}"
        self.identity = {"scores_sha256": scores.sha256}

    @override
    def score(self, request: Request) -> Mapping[str, Scores]:
        """Return the scores; raises UserError where they are of another task, basis, positions, pairs or seed."""
        about = self.scores.about
        if about.task is not None and request.task and about.task != request.task:
            raise UserError(f"these are scores of task '{about.task}', not of '{request.task}'")
        if about.seed is not None and about.seed != request.seed:
            raise UserError(f"these scores were made with seed {about.seed}, not {request.seed}")
        if about.n_discovery is not None and about.n_discovery < request.prompts.n_pairs:
            raise UserError(
                f"these scores were made with {about.n_discovery} discovery pairs, not {request.prompts.n_pairs}: "
                f"valid is --n-discovery {about.n_discovery}"
            )
        if request.positions == "kept" and is_pooled(self.scores):
            raise UserError("the scores are of nodes at every position (position -1): valid is --positions pooled")
        found = {}
        for basis in request.bases:
            if about.basis is not None and about.basis != basis.name:
                raise UserError(f"these are scores of basis '{about.basis}', not of '{basis.name}'")
            found[basis.name] = scores_of(self.scores, basis, request.prompts.slot_names)
        return found


def scores(option: str) -> HandedIn:
    """Someone else's ranking: scores:FILE, a scores file or a result (docs/submitting.md)."""
    if not option:
        raise UserError("which scores? valid: scores:FILE")
    return HandedIn(read_scores(Path(option)))
