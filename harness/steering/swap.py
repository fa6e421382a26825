"""Swaps: a donor prompt's activations of some nodes are put into a recipient prompt, to see whether its answer follows.

1. Distinct clean prompts are recipients, and donors unless others are given; a pair of prompts with one answer is none.
2. Record the nodes' units in every donor's plain run; run each recipient with each donor's values in the same slots. A
   slot that the donor lacks is left as it is.
3. A swap succeeds if, among the candidates (all answers that could be asked for), the donor's answer comes first.

Rows that share a prompt are not independent. Intervals resample answers, not pairs: a resample's weight of a pair is
the product of the weights of its recipient's and of its donor's answer. Where donors are recipients too this is the
vertex bootstrap of Snijders and Borgatti 1999 (Connections 22, 161-170), else the pigeonhole bootstrap of Owen 2007
(Annals of Applied Statistics 1, 386-411), which is wide rather than narrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from basisbench.bases.basis import Basis
from basisbench.errors import UserError
from basisbench.measures.intervals import CONFIDENCE
from basisbench.measures.metrics import Floats
from basisbench.measures.resampling import Band
from basisbench.models.adapter import Model
from basisbench.progress import Progress, silent
from basisbench.prompts.prompt_set import PromptSet
from basisbench.steering.donors import donor_values
from basisbench.steering.intervene import Bench, Condition, Transplant, prepare
from basisbench.steering.nodes import Nodes
from basisbench.tasks.pair import ANSWER

MEASURES = ("success", "top", "kept", "donor_change", "recipient_change")


@dataclass(frozen=True)
class Asked:
    """Distinct clean prompts, Q of them: `prompt` [Q] in the prompt set, `answer` [Q] the first token of the answer."""

    prompt: Tensor
    answer: Tensor


@dataclass(frozen=True)
class SwapResult:
    """What R swaps did. `recipient` and `donor` [R] number distinct prompts, `recipient_answer`, `donor_answer` [R] are
    their answers' first tokens; `same` says that donors are the recipients themselves.

    `outcome` by name [R]: ``success``: the donor's answer is the highest candidate; ``top``: it is the highest token of
    all; ``kept``: the recipient's answer is still the highest candidate; ``donor_change`` and ``recipient_change``: the
    change of the log-probability of the donor's and of the recipient's answer, in nats. `unsteered` [R] is ``success``
    without steering. `reached` [R] is the share of the nodes whose slots both prompts have.
    """

    recipient: NDArray[np.int64]
    donor: NDArray[np.int64]
    recipient_answer: NDArray[np.int64]
    donor_answer: NDArray[np.int64]
    outcome: Mapping[str, Floats]
    unsteered: Floats
    reached: Floats
    same: bool

    def bands(self, seed: int = 0, n_resamples: int = 2000) -> dict[str, Band]:
        """The mean of each outcome over pairs, with a 95 % interval that resamples answers (see the module)."""
        weights = self.weights(seed, n_resamples)
        return {name: _band(values, weights) for name, values in self.outcome.items()}

    def weights(self, seed: int = 0, n_resamples: int = 2000) -> Floats:
        """Weights [1 + n_resamples, R] of the pairs whose rows sum to 1: the point, then the resamples.

        Swaps of the same prompts with other nodes have the same weights.
        """
        rng = np.random.default_rng(seed)
        answers = np.union1d(self.recipient_answer, self.donor_answer)
        taken, given = (np.searchsorted(answers, side) for side in (self.recipient_answer, self.donor_answer))

        def counts(members: NDArray[np.int64]) -> Floats:
            present = np.unique(members)
            drawn = np.zeros((n_resamples, len(answers)))
            drawn[:, present] = rng.multinomial(len(present), np.full(len(present), 1 / len(present)), n_resamples)
            return drawn

        if self.same:
            both = counts(np.concatenate([taken, given]))
            product = both[:, taken] * both[:, given]
        else:
            product = counts(taken)[:, taken] * counts(given)[:, given]
        # a resample of one answer alone has no pair: it says nothing
        product = product[product.sum(1) > 0]
        whole = np.concatenate([np.ones((1, len(taken))), product])
        shares: Floats = whole / whole.sum(1, keepdims=True)
        return shares


def difference_band(result: SwapResult, others: list[SwapResult], name: str, seed: int = 0) -> Band:
    """The mean of an outcome minus its mean over other swaps of the same pairs (controls), on the same resamples."""
    values = result.outcome[name] - np.mean([other.outcome[name] for other in others], axis=0)
    return _band(values, result.weights(seed))


def _band(values: Floats, weights: Floats) -> Band:
    means = weights @ values
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means[1:], [tail, 1 - tail]) if len(means) > 1 else (means[0], means[0])
    return Band(*(np.asarray(part) for part in (means[0], low, high)))


def swap(
    model: Model,
    prompts: PromptSet,
    basis: Basis,
    nodes: Nodes,
    donors: PromptSet | None = None,
    *,
    most: int | None = None,
    seed: int = 0,
    reuse: bool = True,
    progress: Progress = silent,
) -> SwapResult:
    """Put the nodes' activations of every donor into every recipient, all ordered pairs of them or `most` drawn ones.

    Recipients are the distinct clean prompts of `prompts`, donors those of `donors` (None: the same). Raises UserError
    where no two answers differ, for prompts scored whole, and for nodes that there are not.

    Memory law: that of `prepare` and of `donor_values`; a pass over TOKENS_AT_ONCE tokens, for which ``8 V`` bytes of
    logits a row (V: the vocabulary).
    """
    givers = prompts if donors is None else donors
    taking, giving = asked(prompts), asked(givers)
    recipient, donor = (taking.answer[:, None] != giving.answer[None]).nonzero(as_tuple=True)
    if not len(recipient):
        raise UserError("no two prompts with different answers to swap: valid are two or more")
    if most is not None and most < len(recipient):
        chosen = torch.randperm(len(recipient), generator=torch.Generator().manual_seed(seed))[:most].sort().values
        recipient, donor = recipient[chosen.to(recipient.device)], donor[chosen.to(donor.device)]
    bench = prepare(model, prompts, basis, [nodes], reuse=reuse)
    values = donor_values(model, givers, basis, nodes, prompts.slot_names)
    candidates = torch.cat([taking.answer, giving.answer, prompts.candidates.flatten()]).unique()
    found = []
    for begin in range(0, len(recipient), bench.at_once()):
        some = slice(begin, begin + bench.at_once())
        rows, donated = taking.prompt[recipient[some]], giving.prompt[donor[some]]
        hidden = bench.hidden_of([Condition(nodes, Transplant(values, donated))], rows)[0]
        answers = taking.answer[recipient[some]], giving.answer[donor[some]]
        found.append(_measured(bench, hidden, rows, *answers, candidates))
        progress(f"swaps {basis.name}", min(begin + bench.at_once(), len(recipient)), len(recipient))
    measured = torch.cat(found, dim=1).double().cpu().numpy()
    taken, given = (side.prompt[rows].cpu().numpy() for side, rows in ((taking, recipient), (giving, donor)))
    slots = _slots(prompts, prompts.slot_names)[taken], _slots(givers, prompts.slot_names)[given]
    return SwapResult(
        recipient.cpu().numpy(),
        donor.cpu().numpy(),
        taking.answer[recipient].cpu().numpy(),
        giving.answer[donor].cpu().numpy(),
        dict(zip(MEASURES, measured, strict=False)),
        measured[-1],
        _reached(*slots, nodes),
        donors is None,
    )


def asked(prompts: PromptSet) -> Asked:
    """The distinct clean prompts that end where the question does, with the first of each one's answers.

    Prompts that go on with the beginning of an answer (where answer and foil begin alike) ask something else.
    """
    if prompts.whole:
        raise UserError("answers are scored whole: swaps look at their first tokens, valid is --answers first")
    prompt = prompts.pair_prompt
    at_end = prompts.slot[prompt, prompts.last[prompt]]
    continued = [name == ANSWER for name in prompts.slot_names]
    kept = (~torch.tensor(continued, device=prompt.device)[at_end]).nonzero()[:, 0]
    first: dict[tuple[int, ...], int] = {}
    for pair in kept.tolist():
        row = prompt[pair]
        first.setdefault(tuple(prompts.clean[row, : int(prompts.last[row]) + 1].tolist()), pair)
    pairs = torch.tensor(list(first.values()), dtype=torch.long, device=prompt.device)
    return Asked(prompt[pairs], prompts.first_answer[pairs, 0] if len(pairs) else pairs)


def _measured(
    bench: Bench, hidden: Tensor, rows: Tensor, recipient: Tensor, donor: Tensor, candidates: Tensor
) -> Tensor:
    """MEASURES and success without steering, [6, rows], of the steered last hidden states [rows, d_model]."""
    model = bench.model
    with torch.no_grad():
        logits, before = model.logits(hidden), model.logits(bench.hidden[rows])
    best, best_before = (candidates[said[:, candidates].argmax(-1)] for said in (logits, before))

    def change(token: Tensor) -> Tensor:
        after, was = (said.gather(1, token[:, None])[:, 0] - said.logsumexp(-1) for said in (logits, before))
        return after - was

    changes = [change(donor), change(recipient)]
    hits = [best == donor, logits.argmax(-1) == donor, best == recipient]
    return torch.stack([*(hit.float() for hit in hits), *changes, (best_before == donor).float()])


def _slots(prompts: PromptSet, names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which of the slots called `names` each prompt has, [U, n_slots]."""
    number = {name: i for i, name in enumerate(names)}
    has = np.zeros((prompts.n_prompts, len(names)), dtype=bool)
    for row, slots in enumerate(prompts.slot.tolist()):
        for slot in slots:
            if slot >= 0 and prompts.slot_names[slot] in number:
                has[row, number[prompts.slot_names[slot]]] = True
    return has


def _reached(recipient: NDArray[np.bool_], donor: NDArray[np.bool_], nodes: Nodes) -> Floats:
    """The share of the nodes at slots that recipient and donor [R, n_slots] both have; one at every position counts."""
    both = recipient & donor
    slots = nodes.slot.numpy()
    shares: Floats = np.where(slots >= 0, both[:, slots.clip(min=0)], True).mean(1)
    return shares
