"""Checking a method before it is trusted: what it says of itself, and what it promises of its answers.

1. Ask it for two bases on some discovery pairs: neurons, and half of a rotation of MLP outputs, which has an error.
2. Ask again, and compare: the same once more; the bases in another order, and alone; a prompt at a time; each pair by
   itself; with answer and foil changed over, which a control does not notice and no other method may overlook.
3. See that the model and the prompts are as they were.
4. Patch the nodes that it ranks first, one at a time: scores must point the way that the metric moves.

It is asked with discovery pairs alone, as a run asks it: no evaluation pair is there to be looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from rich.console import Group, RenderableType
from rich.text import Text
from torch import Tensor

from basisbench.attribution import Circuits, Method, Passes, Request, Scores, ask
from basisbench.attribution.activations import memory_limit
from basisbench.attribution.exact import patch
from basisbench.bases.basis import Basis, LinearBasis
from basisbench.checks.findings import Finding, Problem, broken, counted, findings_table, warning
from basisbench.errors import UserError
from basisbench.measures.clusters import apart
from basisbench.models.adapter import Model
from basisbench.models.sites import Site
from basisbench.progress import Progress, silent
from basisbench.prompts.prompt_set import Continuation, PromptSet, Usage

SIZES = (1, 3, 10, 30)
MOST_LAYERS = 4
PATCHED = 24
"""Nodes that are patched one at a time."""
TOLERANCE, HALF_TOLERANCE = 1e-3, 0.1
"""Of the largest score: how far the same asked another way may move, in 32 and in 16 bits."""
SAME_SIGN, OTHER_SIGN = 0.2, -0.2
"""Agreement of scores with patches: below the first there is none, below the second they point the other way."""

Answer = Mapping[str, Scores | Circuits]


@dataclass(frozen=True)
class MethodReport:
    """What was found of a method on a model, a finding a check."""

    method: str
    model: str
    n_pairs: int
    findings: tuple[Finding, ...]

    @property
    def failed(self) -> bool:
        """Whether something breaks a promise."""
        return any(finding.verdict == "broken" for finding in self.findings)


def check_method(method: Method, model: Model, prompts: PromptSet, *, progress: Progress = silent) -> MethodReport:
    """Check a method on a model and some discovery pairs; what it does wrong, an exception included, is reported."""
    findings = [_statement(method)]
    bases = two_bases(model)
    request = Request(
        model,
        prompts,
        bases,
        sizes=SIZES,
        ablation="mean" if method.needs_ablation else None,
        error="score" if method.needs_ablation else None,
    )
    try:
        before = _state(model, prompts)
        answer = ask(method, request)
    except UserError as error:
        findings.append(Finding("answer", "", (broken(str(error)),)))
    else:
        findings.append(Finding("answer", _shape(answer)))
        checks = (_same, _together, _chunks, _pairs, _answers, _sign)
        for done, check in enumerate(checks, start=1):
            try:
                findings.append(check(method, request, answer))
            except UserError as error:
                findings.append(Finding(check.__name__.strip("_"), "", (broken(str(error)),)))
            progress(f"{method.name} {findings[-1].check}", done, len(checks))
        findings.append(_left_alone(before, _state(model, prompts)))
    return MethodReport(method.name, model.name, prompts.n_pairs, tuple(findings))


def two_bases(model: Model) -> list[Basis]:
    """Neurons, and half of a rotation of MLP outputs with the rest as an error, in a few layers from first to last."""
    layers = sorted({round(i * (model.n_layers - 1) / (MOST_LAYERS - 1)) for i in range(MOST_LAYERS)})
    width = model.d_model
    square = torch.randn(width, width, generator=torch.Generator().manual_seed(0))
    rows = torch.linalg.qr(square)[0][: width // 2].to(model.device, model.dtype)
    neurons = [Site(layer, "mlp_post") for layer in layers]
    outputs = [Site(layer, "mlp_out") for layer in layers]
    return [
        LinearBasis("neurons", neurons, model.width("mlp_post")),
        LinearBasis("half", outputs, width, lambda layer: rows, len(rows)),
    ]


def random_pairs(model: Model, vocabulary: int, lengths: Sequence[int] = (6, 5, 6, 5), seed: int = 0) -> PromptSet:
    """Random prompts of these lengths, the corrupt ones other in the second token, with an answer and a foil each."""
    draw = torch.Generator().manual_seed(seed)
    n, width = len(lengths), max(lengths)
    places = torch.arange(width).expand(n, -1)
    last = torch.tensor(lengths) - 1
    padding = places > last[:, None]
    clean = torch.randint(3, vocabulary, (n, width), generator=draw)
    clean[:, 0] = 3
    corrupt = clean.clone()
    corrupt[:, 1] = 3 + (clean[:, 1] - 3 + torch.randint(1, vocabulary - 3, (n,), generator=draw)) % (vocabulary - 3)
    asked = torch.stack([torch.randperm(vocabulary, generator=draw)[:2] for _ in range(n)])
    rows = torch.arange(n)
    sides = [Continuation(*(part.to(model.device) for part in (rows, rows, asked[:, i : i + 1]))) for i in (0, 1)]
    return PromptSet(
        clean=clean.masked_fill(padding, 0).to(model.device),
        corrupt=corrupt.masked_fill(padding, 0).to(model.device),
        slot=places.masked_fill(padding, -1).to(model.device),
        last=last.to(model.device),
        pair_prompt=rows.to(model.device),
        cluster=apart(n, seed),
        answer=sides[0],
        foil=sides[1],
        first_answer=asked[:, :1].to(model.device),
        candidates=asked[:, :0].to(model.device),
        slot_names=tuple(map(str, range(width))),
        usage=Usage(n, {}),
        digest="",
    )


# -- what it says of itself ----------------------------------------------------------------------------


def _statement(method: Method) -> Finding:
    problems: list[Problem] = []
    if not method.description or "\n" in method.description:
        problems.append(warning("description is not a line: lists have nothing to say of it"))
    for name in ("is_control", "needs_ablation"):
        if not isinstance(getattr(method, name), bool):
            problems.append(broken(f"{name} is {getattr(method, name)!r}: valid are True and False"))
    strange = [part for part in method.passes if not isinstance(part, Passes)]
    if strange:
        problems.append(broken(f"passes holds {strange[0]!r}: valid are basisbench.Passes"))
    elif not method.passes and not method.is_control:
        problems.append(warning("passes says nothing of what it costs"))
    said = ["control"] if method.is_control else []
    said += ["needs the ablation"] if method.needs_ablation else []
    if not strange:
        said += [_cost(part) for part in method.passes]
    return Finding("statement", ", ".join(said) or "free", tuple(problems))


def _cost(passes: Passes) -> str:
    counts = [f"{getattr(passes, side):g} {side}" for side in ("forward", "backward") if getattr(passes, side)]
    return " and ".join(counts or ["no"]) + " passes" + ("" if passes.per == "run" else f" a {passes.per}")


def _shape(answer: Answer) -> str:
    said = []
    for name, given in answer.items():
        if isinstance(given, Circuits):
            said.append(f"{len(given.by_size)} circuits of {name}")
        else:
            said.append(f"{sum(values.numel() for values in given.by_layer.values()):,} scores of {name}")
    return ", ".join(said)


# -- the same, asked another way -----------------------------------------------------------------------


def _moved(one: Scores | Circuits, other: Scores | Circuits) -> float:
    """How far scores moved, as a share of the largest; of circuits, the largest share of nodes that are others."""
    if isinstance(one, Circuits) and isinstance(other, Circuits):
        shares = []
        for size, circuit in one.by_size.items():
            mine, theirs = ({tuple(node) for node in c.nodes.tolist()} for c in (circuit, other.circuit(size)))
            shares.append(len(mine ^ theirs) / max(1, len(mine | theirs)))
        return max(shares, default=0.0)
    if isinstance(one, Scores) and isinstance(other, Scores):
        largest = max(float(values.abs().max()) for values in one.by_layer.values())
        apart = max(float((values - other.by_layer[layer]).abs().max()) for layer, values in one.by_layer.items())
        return apart / max(largest, 1e-30)
    return 1.0


def _tolerance(request: Request) -> float:
    return TOLERANCE if request.model.dtype in (torch.float32, torch.float64) else HALF_TOLERANCE


def _compared(
    name: str, request: Request, answers: Iterator[tuple[str, Answer, Answer]], problem: Callable[[str], Problem]
) -> Finding:
    """A finding on answers that must be the same: (how it was asked, the first, the other)."""
    problems, largest = [], 0.0
    for how, first, other in answers:
        moved = max(_moved(first[basis], given) for basis, given in other.items())
        largest = max(largest, moved)
        if not moved <= _tolerance(request):
            problems.append(problem(f"{how} answers differ by {moved:.1g} of the largest"))
    return Finding(name, f"differences of {largest:.0e} at most", tuple(problems))


def _same(method: Method, request: Request, answer: Answer) -> Finding:
    """Whether one seed gives one answer."""

    def answers() -> Iterator[tuple[str, Answer, Answer]]:
        yield "asked twice with one seed", answer, ask(method, request)

    return _compared("same", request, answers(), broken)


def _together(method: Method, request: Request, answer: Answer) -> Finding:
    """Whether a basis' answer depends on what is asked beside it."""

    def answers() -> Iterator[tuple[str, Answer, Answer]]:
        first, *others = request.bases
        yield "with the bases in another order", answer, ask(method, replace(request, bases=[*others, first]))
        for basis in request.bases:
            yield f"with basis '{basis.name}' alone", answer, ask(method, replace(request, bases=[basis]))

    return _compared("together", request, answers(), broken)


def _chunks(method: Method, request: Request, answer: Answer) -> Finding:
    """Whether it matters how many prompts go through the model side by side."""

    def answers() -> Iterator[tuple[str, Answer, Answer]]:
        with memory_limit(1):
            yield "a prompt at a time", answer, ask(method, request)

    return _compared("chunks", request, answers(), broken)


def _pairs(method: Method, request: Request, answer: Answer) -> Finding:
    """Whether scores are the means of what the pairs of each prompt give by themselves, without padding."""
    if any(isinstance(given, Circuits) for given in answer.values()):
        return Finding("pairs", "not asked of circuits")
    prompts = request.prompts
    totals: dict[str, dict[int, Tensor]] = {}
    for row in range(prompts.n_prompts):
        alone = _trimmed(prompts.rows(row, row + 1))
        for name, given in ask(method, replace(request, prompts=alone)).items():
            if isinstance(given, Scores):
                sums = totals.setdefault(name, {})
                for layer, values in given.by_layer.items():
                    sums[layer] = sums.get(layer, 0) + values * alone.n_pairs / prompts.n_pairs
    means = {name: Scores(name, sums) for name, sums in totals.items()}
    meant = "unless that is meant, padding or batching changes them"
    return _compared(
        "pairs",
        request,
        iter([("all pairs together and the mean of each prompt's by itself:", answer, means)]),
        lambda words: warning(f"{words}; {meant}"),
    )


def _trimmed(prompts: PromptSet) -> PromptSet:
    """One prompt without its padding."""
    length = int(prompts.last.max()) + 1
    columns = {name: getattr(prompts, name)[:, :length] for name in ("clean", "corrupt", "slot")}
    return replace(prompts, **columns)


# -- what it knows -------------------------------------------------------------------------------------


def _answers(method: Method, request: Request, answer: Answer) -> Finding:
    """Whether it looks at the answer at all; a method that does not is a control, and must say so."""
    prompts = request.prompts
    turned = replace(prompts, answer=prompts.foil, foil=prompts.answer)
    other = ask(method, replace(request, prompts=turned))
    moved = max(_moved(answer[name], given) for name, given in other.items())
    if moved <= _tolerance(request) and not method.is_control:
        words = "answer and foil changed over change nothing: a control, which must say is_control = True"
        return Finding("answers", "", (broken(words),))
    if moved > _tolerance(request) and method.is_control:
        words = "says that it is a control, but looks at answer and foil"
        return Finding("answers", "", (warning(words),))
    said = "not looked at, as a control says" if method.is_control else f"changed over they move scores by {moved:.1g}"
    return Finding("answers", said)


def _sign(method: Method, request: Request, answer: Answer) -> Finding:
    """Whether the nodes that it ranks first move the metric the way their scores say when they alone are patched."""
    basis = request.bases[0]
    scores = answer[basis.name]
    if method.is_control or isinstance(scores, Circuits):
        return Finding("sign", "not asked of a control" if method.is_control else "not asked of circuits")
    flat = torch.cat([values.abs().flatten() for values in scores.by_layer.values()])
    first = torch.zeros_like(flat, dtype=torch.bool).index_fill_(0, flat.topk(min(PATCHED, len(flat))).indices, True)
    masks = first.split([values.numel() for values in scores.by_layer.values()])
    layers = zip(scores.by_layer.items(), masks, strict=True)
    chosen = {layer: mask.view_as(values) for (layer, values), mask in layers}
    exact = patch(request, basis, chosen)
    truth, said = (
        torch.cat([given.by_layer[layer][mask] for layer, mask in chosen.items()]).double() for given in (exact, scores)
    )
    agreement = float((said.sign() * truth).sum() / truth.abs().sum().clamp(min=1e-30))
    words = f"agreement {agreement:+.2f} with patching its first {len(truth)} neurons, from -1 to 1"
    if agreement < OTHER_SIGN:
        return Finding("sign", "", (broken(f"{words}: scores are corrupt minus clean, negative where it helps"),))
    return Finding("sign", words, () if agreement >= SAME_SIGN else (warning(words),))


# -- what it leaves behind -----------------------------------------------------------------------------


def _state(model: Model, prompts: PromptSet) -> list[Tensor]:
    """What a method must leave as it was: the model's answers, and the prompts."""
    with torch.no_grad():
        logits = model.logits(model.forward(prompts.clean, prompts.last))
    sides = (prompts.answer.tokens, prompts.foil.tokens)
    return [logits, *(part.clone() for part in (prompts.clean, prompts.corrupt, prompts.slot, prompts.last, *sides))]


def _left_alone(before: Sequence[Tensor], after: Sequence[Tensor]) -> Finding:
    (logits, *given), (logits_after, *given_after) = before, after
    problems = []
    if not torch.allclose(logits, logits_after, rtol=1e-4, atol=1e-4):
        problems.append(broken("the model's logits are others afterwards: a hook or a weight was left changed"))
    if not all(torch.equal(one, other) for one, other in zip(given, given_after, strict=True)):
        problems.append(broken("the prompts are others afterwards"))
    return Finding("left alone", "model and prompts are as they were", tuple(problems))


def method_check_table(report: MethodReport) -> RenderableType:
    """The checks as a table, then the verdict in one line."""
    verdict = "must not be used as it is" if report.failed else "keeps the contract"
    line = f"method '{report.method}' {verdict} on '{report.model}' ({report.n_pairs} pairs): "
    return Group(findings_table(report.findings), Text(line + counted(report.findings)))
