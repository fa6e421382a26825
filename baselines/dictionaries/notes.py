"""What a run says, and its results keep, of dictionaries that were made for something else than they are used on."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from basisbench.models.adapter import Model
from basisbench.models.names import same_model

log = logging.getLogger("basisbench")


def noted(name: str, model: Model, made_for: Iterable[str | None], starts: bool = False) -> tuple[str, ...]:
    """The notes on the basis `name`, which are logged too: one for each way in which it does not suit `model`.

    `made_for` are the models that its files name, `starts` whether they say that texts began with a start token.
    """
    notes = []
    if others := [own for own in dict.fromkeys(made_for) if own and not same_model(own, model.name)]:
        notes.append(f"made for model {' and '.join(map(repr, others))}, as its files say, not for '{model.name}'")
    if starts and not model.text_tokenizer.start:
        notes.append(f"made for texts that begin with a start token; prompts of model '{model.name}' begin with none")
    for note in notes:
        log.warning("%s: %s", name, note)
    return tuple(notes)
