"""A little text to look at bases with, and the passes over it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from basisbench.errors import UserError
from basisbench.models.adapter import Model, Start
from basisbench.models.recording import keeping, next_token_loss
from basisbench.models.sites import Site

CONTEXT = 64
LEAST_TOKENS = 32
MOST_TOKENS = 2048
ROWS_A_PASS = 8
LOSS_ROWS = 4


@dataclass(frozen=True)
class Sample:
    """Rows of token ids, int64 [rows, length], each with the tokenizer's start token if it has one.

    The first position of a row is never measured nor replaced: many models put activations there that are like no
    others.
    """

    model: Model
    tokens: Tensor

    @staticmethod
    def of(model: Model, texts: Sequence[str]) -> Sample:
        """Lay the texts end to end and cut them into rows of CONTEXT tokens, at most MOST_TOKENS in all.

        Raises UserError for fewer than LEAST_TOKENS tokens.
        """
        tokenizer = model.text_tokenizer
        start = tokenizer.start
        (ids,) = tokenizer.ids(["\n\n".join(texts)], start=False)
        if len(ids) < LEAST_TOKENS:
            raise UserError(f"the text has {len(ids)} tokens: valid: {LEAST_TOKENS} or more")
        body = min(CONTEXT - len(start), (model.context or CONTEXT) - len(start), len(ids))
        cut = [start + ids[begin : begin + body] for begin in range(0, min(len(ids), MOST_TOKENS) - body + 1, body)]
        return Sample(model, torch.tensor(cut, device=model.device))

    @property
    def n_measured(self) -> int:
        """Tokens that are measured."""
        return self.tokens[:, 1:].numel()

    def record(self, sites: Collection[Site]) -> dict[Site, Tensor]:
        """Activations [rows, length, width] at `sites`."""
        parts: dict[Site, list[Tensor]] = {site: [] for site in sites}
        for rows in self.tokens.split(ROWS_A_PASS):
            stored: dict[Site, Tensor] = {}
            last = torch.full((len(rows),), rows.shape[1] - 1, device=rows.device)
            with torch.no_grad():
                self.model.forward(rows, last, edits=keeping(stored, sites))
            for site, x in stored.items():
                parts[site].append(x)
        return {site: torch.cat(pieces) for site, pieces in parts.items()}

    @cached_property
    def loss(self) -> float:
        """Sum of the next-token losses over the first LOSS_ROWS rows, in nats."""
        with torch.no_grad():
            return next_token_loss(self.model, self.tokens[:LOSS_ROWS], [])

    def loss_with(self, site: Site, values: Tensor, start: Start) -> float:
        """`loss` with the activation at `site` replaced by `values` [rows, length - 1, width], first position apart."""

        def replace(x: Tensor) -> Tensor:
            return torch.cat([x[:, :1], values[:LOSS_ROWS].to(x.dtype)], dim=1)

        begin = Start(start.layer, start.resid[:LOSS_ROWS])
        with torch.no_grad():
            return next_token_loss(self.model, self.tokens[:LOSS_ROWS], [(site, replace)], begin)


TEXT = """\
The baker opens her shop before the sun is up. By seven the first loaves are cooling on the long table by the \
window, and the whole street smells of bread. Children on their way to school stop to look, and some of them \
have a coin.

In 1821 the river broke its banks three times. The mill at the lower bridge was carried away in the second \
flood, and nobody in the village could say afterwards where the wheel had gone. A new one was built of oak and \
iron, further up the hill, where the water was slower but the ground was safe.

"Have you seen my keys?" he asked. "They were on the shelf an hour ago." She shook her head without looking up \
from the letter. "Try the pocket of your other coat. You always forget that you have two."

Light takes a little more than eight minutes to reach us from the sun. Seen from the next star it would be one \
small point among many others, and the planets around it could not be seen at all without a very good telescope.

To repair a flat tyre, first turn the bicycle upside down and take off the wheel. Press the tyre away from the \
rim with two flat levers, pull out the tube, and fill it with air. Hold it under water and watch for bubbles. \
Dry the place, rub it with sandpaper, and press the patch on firmly for a minute.

The committee met on Tuesday to discuss the budget for the coming year. Most members agreed that the library \
needed a new roof, but two of them thought that the money would be better spent on the road to the station. The \
vote was put off.

My grandmother kept bees for forty years. She used to say that a quiet hive is a hungry hive, and that one \
should never open the box when the wind comes from the east. I do not know whether it was true, but she was \
hardly ever stung.

def mean(values):
    total = 0.0
    for value in values:
        total += value
    return total / len(values)

The keys to the old cabinet were lost when the museum moved. A locksmith from Lyon opened it at last, in front \
of a small crowd, and found nothing inside but a broken clock, a child's drawing of a horse, and a list of names \
that no one has been able to explain.

Whales breathe air, as we do. A sperm whale can stay under water for more than an hour, and it dives so deep \
that no light follows it. It finds its way, and its food, by the echo of its own voice.

Most of the city was asleep when the train came in. A few porters stood about on the platform, drinking tea out \
of paper cups; a dog lay across the door of the waiting room. Nobody asked us for our tickets. We carried the \
boxes to the square ourselves, and waited there until it was light enough to read the names of the streets.

Prices rose by two percent in March, after a fall of half a percent in February. Food and fuel were the main \
reasons, according to the statistics office, while rents hardly changed. Economists had expected a smaller \
increase.

If a triangle has two equal sides, then the angles opposite to them are equal as well. Fold the paper along the \
line from the top to the middle of the base, and you will see why.
"""
"""About fifty plain sentences on many subjects, written for this purpose."""
