"""Checking a method: the built-in ones keep their promises, and each way of breaking one is found by its check."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from basisbench import cli
from basisbench.attribution import Circuit, Circuits, Method, Passes, Request, Scores, load_method
from basisbench.attribution.activations import Chunk
from basisbench.attribution.controls import Delta, Random
from basisbench.attribution.fields import Atp
from basisbench.checks.method import MethodReport, check_method, random_pairs, two_bases
from basisbench.models.adapter import Model
from basisbench.models.sites import Site
from basisbench.models.tiny import VOCABULARY, tiny_model
from basisbench.prompts.prompt_set import PromptSet
from toys.models import pair_rows, prompt_set

Make = Callable[[str], Model]


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


@pytest.fixture(scope="module")
def prompts(model: Model) -> PromptSet:
    return random_pairs(model, VOCABULARY)


def verdicts(report: MethodReport) -> dict[str, str]:
    """What is not in order, by check."""
    return {finding.check: finding.verdict for finding in report.findings if finding.verdict != "ok"}


@pytest.mark.parametrize("name", ["atp", "relp", "ig", "ig_inputs", "exact", "random", "delta", "activation"])
def test_the_built_in_methods_keep_their_promises(name: str, model: Model, prompts: PromptSet) -> None:
    report = check_method(load_method(name), model, prompts)
    assert verdicts(report) == {}
    assert not report.failed
    assert [finding.check for finding in report.findings] == [
        *("statement", "answer", "same", "together", "chunks", "pairs", "answers", "sign", "left alone")
    ]


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "neox"])
def test_they_do_on_other_models(architecture: str, tiny: Make) -> None:
    model = tiny(architecture)
    for name in ("atp", "random"):
        assert verdicts(check_method(load_method(name), model, prompt_set(model, pair_rows(4, (5, 4))))) == {}


def test_what_a_method_is_asked_on(model: Model, prompts: PromptSet) -> None:
    """Prompts of two lengths, of which one token is other, and bases with and without an error; the same each time."""
    again = tiny_model()
    with torch.no_grad():
        one, other = (m.logits(m.forward(prompts.clean, prompts.last)) for m in (model, again))
    assert torch.equal(one, other)
    assert set((prompts.last + 1).tolist()) == {5, 6}
    assert ((prompts.clean != prompts.corrupt).sum(1) == 1).all()
    assert (prompts.answer.tokens != prompts.foil.tokens).all()
    neurons, half = two_bases(model)
    assert (neurons.has_error, half.has_error) == (False, True)
    assert neurons.layers() == half.layers() == (0, 1, 2, 3)


# -- each promise broken -------------------------------------------------------------------------------


class Unseeded(Random):
    def score(self, request: Request) -> Mapping[str, Scores]:
        return {
            basis.name: Scores(
                basis.name,
                {i: torch.rand(request.prompts.n_slots, basis.n_units(i) + basis.has_error) for i in basis.layers()},
            )
            for basis in request.bases
        }


class Ordered(Atp):
    """The first basis gets more."""

    def score(self, request: Request) -> Mapping[str, Scores]:
        found = super().score(request)
        return {
            basis.name: Scores(basis.name, {i: x / (1 + n) for i, x in found[basis.name].by_layer.items()})
            for n, basis in enumerate(request.bases)
        }


class Normalised(Atp):
    """Gradients of a chunk to length 1."""

    def field(self, model: Model, chunk: Chunk, sites: Sequence[Site]) -> Iterator[tuple[Site, Tensor]]:
        for site, gradient in super().field(model, chunk, sites):
            yield site, gradient / gradient.norm()


class Padded(Atp):
    """Gradients less their mean over positions, padding and all."""

    def field(self, model: Model, chunk: Chunk, sites: Sequence[Site]) -> Iterator[tuple[Site, Tensor]]:
        for site, gradient in super().field(model, chunk, sites):
            yield site, gradient - gradient.mean(1, keepdim=True)


class Turned(Atp):
    def field(self, model: Model, chunk: Chunk, sites: Sequence[Site]) -> Iterator[tuple[Site, Tensor]]:
        for site, gradient in super().field(model, chunk, sites):
            yield site, -gradient


class Unsigned(Atp):
    def score(self, request: Request) -> Mapping[str, Scores]:
        found = super().score(request).items()
        return {name: Scores(name, {i: x.abs() for i, x in scores.by_layer.items()}) for name, scores in found}


class Silent(Delta):
    """A measure of magnitude that does not say so."""

    is_control = False


class Control(Atp):
    is_control = True


class Writes(Atp):
    """Puts prompts back with another token."""

    def score(self, request: Request) -> Mapping[str, Scores]:
        found = super().score(request)
        request.prompts.clean[:, 2] = 5
        return found


class Hooks(Atp):
    """Changes a weight a little each time."""

    def score(self, request: Request) -> Mapping[str, Scores]:
        request.model.projection("mlp_post", 3).mul_(1.05)
        return super().score(request)


class Raises(Method):
    def score(self, request: Request) -> Mapping[str, Scores]:
        raise ValueError("no")


class Bare(Atp):
    description = ""
    passes = ()


class Wrong(Atp):
    is_control = "yes"  # type: ignore[assignment]  # what a user may write
    passes = (3,)  # type: ignore[assignment]


BROKEN: list[tuple[type[Method], dict[str, str]]] = [
    (Unseeded, {"same": "broken", "together": "broken", "chunks": "broken", "pairs": "warning", "answers": "warning"}),
    (Ordered, {"together": "broken"}),
    (Normalised, {"chunks": "broken", "pairs": "warning"}),
    (Padded, {"pairs": "warning"}),
    (Turned, {"sign": "broken"}),
    (Unsigned, {"pairs": "warning", "answers": "broken", "sign": "broken"}),
    (Silent, {"answers": "broken", "sign": "warning"}),
    (Control, {"answers": "warning"}),
    (Raises, {"statement": "warning", "answer": "broken"}),
    (Bare, {"statement": "warning"}),
    (Wrong, {"statement": "broken", "answers": "warning"}),
]


@pytest.mark.parametrize(("kind", "expected"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_each_broken_promise_is_found(
    kind: type[Method], expected: dict[str, str], model: Model, prompts: PromptSet
) -> None:
    report = check_method(kind(), model, prompts)
    assert verdicts(report) == expected
    assert report.failed == ("broken" in expected.values())


@pytest.mark.parametrize(
    ("kind", "words"), [(Writes, "the prompts are others afterwards"), (Hooks, "the model's logits are others")]
)
def test_what_a_method_leaves_changed_is_found(kind: type[Method], words: str) -> None:
    own = tiny_model()
    report = check_method(kind(), own, random_pairs(own, VOCABULARY))
    (finding,) = (finding for finding in report.findings if finding.check == "left alone")
    assert words in finding.words
    assert finding.verdict == "broken"


class Chosen(Method):
    """Circuits: the first nodes of a seeded order that knows nothing but the ablation."""

    description = "Nodes in an order of their own."
    needs_ablation = True
    passes = (Passes(1, 1),)

    def score(self, request: Request) -> Mapping[str, Circuits]:
        assert (request.ablation, request.error) == ("mean", "score")
        return {basis.name: self.drawn(request, basis) for basis in request.bases}

    def drawn(self, request: Request, basis: Any) -> Circuits:
        total, layers = request.n_nodes(basis), torch.tensor(basis.layers())
        node = torch.randperm(total, generator=torch.Generator().manual_seed(request.seed))
        width = basis.n_units(0) + basis.has_error
        unit = torch.where(node % width == basis.n_units(0), -1, node % width)
        layer, slot = layers[node // width % len(layers)], node // width // len(layers)
        by_size = {size: Circuit(layer[:size], slot[:size], unit[:size]) for size in request.sizes}
        return Circuits(basis.name, by_size, total)


class Wavering(Chosen):
    calls = 0

    def drawn(self, request: Request, basis: Any) -> Circuits:
        type(self).calls += 1
        circuits = super().drawn(request, basis)
        late = {size: Circuit(*(c.nodes.roll(self.calls, 0)[: size - 1].T)) for size, c in circuits.by_size.items()}
        return Circuits(basis.name, late, circuits.total)


def test_methods_that_give_circuits_are_checked(model: Model, prompts: PromptSet) -> None:
    # what knows nothing of the answer is a control, and must say so
    assert verdicts(check_method(Chosen(), model, prompts)) == {"answers": "broken"}
    found = verdicts(check_method(Wavering(), model, prompts))
    assert {name: found[name] for name in ("same", "together", "chunks")} == dict.fromkeys(
        ("same", "together", "chunks"), "broken"
    )


# -- the command ---------------------------------------------------------------------------------------

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["basisbench", *map(str, arguments)])
        capsys.readouterr()
        status = cli.command()
        return status, *capsys.readouterr()

    return call


OWN = """
from basisbench.attribution.fields import Atp

class Turned(Atp):
    def field(self, model, chunk, sites):
        for site, gradient in super().field(model, chunk, sites):
            yield site, -gradient
"""


def test_the_command_needs_no_model(run_cli: Command, tmp_path: Path) -> None:
    status, printed, _ = run_cli("check-method", "relp")
    assert status == 0
    assert "method 'relp' keeps the contract on 'tiny' (4 pairs): 9 ok" in printed
    (tmp_path / "own.py").write_text(OWN)
    status, printed, _ = run_cli("check-method", f"{tmp_path / 'own.py'}:Turned")
    assert status == 1
    assert "method 'Turned' must not be used as it is" in printed
    assert "negative where it helps" in printed
    status, _, errors = run_cli("check-method", "relpp")
    assert status == 2
    assert "did you mean 'relp'" in errors


def test_the_command_asks_a_named_model(run_cli: Command, tiny_folder: Path, task_folder: Path) -> None:
    arguments = ("--model", tiny_folder, "--task", task_folder, "--n-discovery", 3, "--device", "cpu")
    status, printed, _ = run_cli("check-method", "atp", *arguments)
    assert status == 0
    assert f"keeps the contract on '{tiny_folder}' (3 pairs)" in printed
