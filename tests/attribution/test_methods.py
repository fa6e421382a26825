"""What a method says of itself, how it is named, and what becomes of a wrong answer."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from basisbench.attribution import (
    METHODS,
    Circuit,
    Circuits,
    Method,
    Request,
    Scores,
    add_up,
    ask,
    ask_scores,
    load_method,
)
from basisbench.attribution.activations import chunks, memory_limit
from basisbench.bases.basis import Basis, LinearBasis
from basisbench.bases.load import load_basis
from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.models.sites import Site
from toys.models import LAYERS, one_line, pair_rows, prompt_set

Make = Callable[[str], Model]
BUILT_IN = ("activation", "atp", "delta", "exact", "ig", "ig_inputs", "random", "relp")
CONTROLS = ("activation", "delta", "random")


def half(model: Model) -> Basis:
    """A basis with an error, in layers 1 and 2."""
    sites = [Site(layer, "mlp_out") for layer in (1, 2)]
    return LinearBasis("half", sites, model.d_model, lambda _: torch.eye(model.d_model)[:12], 12)


@pytest.fixture
def request_of(tiny: Make) -> Callable[..., Request]:
    """A request for two bases; keywords change it."""

    def make(**change: Any) -> Request:
        model = tiny("llama")
        asked: dict[str, Any] = {
            "model": model,
            "prompts": prompt_set(model, pair_rows(4)),
            "bases": [load_basis("neurons", model), half(model)],
        }
        return Request(**(asked | change))

    return make


# -- the built-in ones ---------------------------------------------------------------------------------


def test_every_method_says_everything_about_itself() -> None:
    assert {name for name in METHODS if name != "scores"} == set(BUILT_IN)
    for name in BUILT_IN:
        method = load_method(name)
        assert method.name == name
        assert method.description.endswith(".")
        assert "\n" not in method.description
        assert METHODS.describe(name) == method.description
        assert method.is_control == (name in CONTROLS)
        assert not method.needs_ablation
        assert not method.identity
    assert load_method("exact:20").name == "exact:20"


@pytest.mark.parametrize("name", ["random", "delta", "activation", "atp", "relp", "ig_inputs", "ig", "exact:60"])
def test_a_method_takes_the_passes_that_it_says(
    name: str, request_of: Callable[..., Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in runs of all layers over all prompts; a pass from a later layer on counts as its share."""
    asked = request_of()
    model, n_prompts = asked.model, asked.prompts.n_prompts
    forward, backward = 0.0, 0.0
    last = 0.0
    original, differentiate = Model.forward, torch.autograd.grad

    def counted(self: Model, tokens: Tensor, *rest: Any, **options: Any) -> Tensor:
        nonlocal forward, last
        start = options.get("start")
        last = len(tokens) / n_prompts * (1 - (start.layer if start else 0) / model.n_layers)
        forward += last
        return original(self, tokens, *rest, **options)

    def also_counted(*rest: Any, **options: Any) -> Any:
        nonlocal backward
        backward += last
        return differentiate(*rest, **options)

    monkeypatch.setattr(Model, "forward", counted)
    monkeypatch.setattr(torch.autograd, "grad", also_counted)
    method = load_method(name)
    ask(method, asked)
    # neurons and half of the MLP output share a field in layers 1 and 2
    often = {"run": 1, "site": LAYERS, "basis": 2, "node": 0}
    said = [sum(getattr(p, side) * often[p.per] for p in method.passes) for side in ("forward", "backward")]
    loose = name.startswith(("ig", "exact")) and name != "ig_inputs"  # which layers it is, is not known beforehand
    assert forward == pytest.approx(said[0], rel=0.5 if loose else 1e-6)
    assert backward == pytest.approx(said[1], rel=0.5 if loose else 1e-6)


def test_exact_needs_no_node_in_the_first_layer(request_of: Callable[..., Request]) -> None:
    asked = request_of()
    alone = ask_scores(load_method("exact:10"), request_of(bases=[asked.bases[1]]))["half"]
    together = ask_scores(load_method("exact:10"), asked)["half"]
    assert sum(int((values != 0).sum()) for values in alone.by_layer.values()) == 10
    for layer, values in alone.by_layer.items():
        torch.testing.assert_close(values, together.by_layer[layer])


def test_a_memory_limit_makes_chunks_of_one_prompt(request_of: Callable[..., Request]) -> None:
    asked = request_of()
    sites = {Site(0, "mlp_out")}
    assert len(list(chunks(asked.model, asked.prompts, sites))) == 1
    with memory_limit(1):
        assert len(list(chunks(asked.model, asked.prompts, sites))) == 4
    assert len(list(chunks(asked.model, asked.prompts, sites))) == 1


def test_parts_are_added_up() -> None:
    ones, eye = torch.ones(2, 3), torch.eye(2, 3)
    parts = [("a", 1, ones), ("b", 0, ones), ("a", 0, ones), ("a", 1, eye)]
    found = add_up(parts)
    assert list(found) == ["a", "b"]
    assert list(found["a"].by_layer) == [0, 1]
    assert found["a"].by_layer[1].tolist() == [[2, 1, 1], [1, 2, 1]]


# -- methods of one's own ------------------------------------------------------------------------------

OWN = """
import torch
from basisbench import Method, Passes, Scores

class Ones(Method):
    description = "One each."
    is_control = True
    passes = (Passes(),)

    def score(self, request):
        return {
            basis.name: Scores(basis.name, {
                layer: torch.ones(request.prompts.n_slots, basis.n_units(layer) + basis.has_error)
                for layer in basis.layers()
            })
            for basis in request.bases
        }

def made():
    return Ones()

def number():
    return 7

def fails():
    raise ValueError("no\\nluck")

def ends():
    raise SystemExit(3)

class Falls(Ones):
    def score(self, request):
        return request.prompts["x"]
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


def test_a_method_of_a_file_goes_by_its_own_name(own: Path, request_of: Callable[..., Request]) -> None:
    for name in ("Ones", "made"):
        method = load_method(f"{own}:{name}")
        assert method.name == name
        assert method.is_control
        assert method.identity.keys() == {"method_sha256"}
        found = ask_scores(method, request_of())
        assert all(bool((values == 1).all()) for scores in found.values() for values in scores.by_layer.values())
    digest = load_method(f"{own}:Ones").identity
    own.write_text(OWN + "\n")
    assert load_method(f"{own}:Ones").identity != digest


def test_a_file_that_gives_no_method_is_one_line(own: Path) -> None:
    for name, words in (
        (str(own), "method '{}' names no class or function: valid: path/to/file.py:Name"),
        (f"{own}:made2", "unknown name in {}: did you mean 'made'?"),
        (f"{own}:number", "method 'number' is a int: valid: a basisbench.Method"),
        (f"{own}:fails", "method 'fails' failed: ValueError: no luck (line 26)"),
        (f"{own}:ends", "method 'ends' failed: SystemExit: 3 (line 29)"),
        ("nowhere.py:x", "no file nowhere.py"),
        ("rel", "unknown method 'rel': did you mean 'relp'? valid: "),
        ("atp:3", "method 'atp' takes no option, got '3': valid: atp"),
    ):
        with pytest.raises(UserError) as error:
            load_method(name)
        expected = words.format(own).replace(f"name in {own}", f"name in {own} 'made2'")
        assert expected in one_line(error)


def test_an_abstract_method_is_one_line(own: Path) -> None:
    own.write_text("from basisbench import Method\nclass Nothing(Method):\n    pass\n")
    with pytest.raises(UserError, match="method 'Nothing' failed: TypeError"):
        load_method(f"{own}:Nothing")


# -- wrong answers -------------------------------------------------------------------------------------


class Answering(Method):
    """Gives what it is told to."""

    name = "answering"

    def __init__(self, answer: Callable[[Request], Any], needs_ablation: bool = False) -> None:
        self.answer = answer
        self.needs_ablation = needs_ablation

    def score(self, request: Request) -> Mapping[str, Scores | Circuits]:
        found: Mapping[str, Scores | Circuits] = self.answer(request)
        return found


def zeros(request: Request, **shapes: tuple[int, int]) -> dict[str, Scores]:
    found = {}
    for basis in request.bases:
        width = {layer: basis.n_units(layer) + basis.has_error for layer in basis.layers()}
        shape = {layer: shapes.get(basis.name, (request.prompts.n_slots, n)) for layer, n in width.items()}
        found[basis.name] = Scores(basis.name, {layer: torch.zeros(*some) for layer, some in shape.items()})
    return found


def fail(request: Request) -> Any:
    raise KeyError(f"{len(request.bases)}\n")


def nan(request: Request) -> Any:
    return {basis.name: Scores(basis.name, {0: torch.full((1, 1), torch.nan)}) for basis in request.bases}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda request: None, "gave a NoneType: valid is a mapping from each basis' name to Scores"),
        (lambda request: [], "gave a list"),
        (lambda request: {"neurons": zeros(request)["neurons"]}, "gave nothing for basis 'half'"),
        (lambda request: zeros(request) | {"half": torch.zeros(3)}, "gave a Tensor for basis 'half'"),
        (lambda request: zeros(request, half=(5, 12)), "gave scores [5, 12] in layer 1 of basis 'half': valid"),
        (lambda request: zeros(request, half=(5, 12)), "are [5, 13], slots x units and the error"),
        (lambda request: zeros(request, neurons=(4, 40)), "valid are [5, 40], slots x units"),
        (
            lambda request: zeros(request) | {"half": Scores("half", {0: torch.zeros(5, 13)})},
            "scored layers [0] of basis 'half': valid are [1, 2]",
        ),
        (nan, "hold NaN or infinity in layer 0"),
        (fail, "failed: KeyError: '2\\\\n'"),
        (lambda request: zeros(request) | {"half": circuits(request)["half"]}, "needs_ablation = True"),
    ],
)
def test_a_wrong_answer_is_one_line_that_names_the_method(
    answer: Callable[[Request], Any], words: str, request_of: Callable[..., Request]
) -> None:
    with pytest.raises(UserError) as error:
        ask(Answering(answer), request_of())
    message = one_line(error)
    assert message.startswith("method 'answering'")
    assert words.replace("\\\\n", "\\n") in message


def test_an_answer_to_one_basis_may_hold_others(request_of: Callable[..., Request]) -> None:
    asked = request_of()
    found = ask(Answering(lambda request: zeros(asked)), request_of(bases=[asked.bases[1]]))
    assert list(found) == ["half"]


def test_the_line_says_where_in_the_file_it_happened(own: Path, request_of: Callable[..., Request]) -> None:
    with pytest.raises(UserError, match=r"method 'Falls' failed: TypeError: .*\(line 33\)"):
        ask(load_method(f"{own}:Falls"), request_of())


def test_what_ends_a_process_is_not_taken_for_an_answer(request_of: Callable[..., Request]) -> None:
    def interrupted(request: Request) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(Answering(interrupted), request_of())


# -- circuits ------------------------------------------------------------------------------------------


def circuits(request: Request, **change: Any) -> dict[str, Circuits]:
    """The first nodes of the last layer as circuits of every size; keywords change those of `half`."""
    found = {}
    for basis in request.bases:
        given: dict[str, Any] = {"layer": 2, "slot": 0 if request.positions == "kept" else -1, "least": 0}
        given["total"] = request.n_nodes(basis)
        if basis.name == "half":
            given |= change

        def circuit(size: int, given: dict[str, Any] = given) -> Circuit:
            layer, slot = (torch.full((size,), given[name]) for name in ("layer", "slot"))
            return Circuit(layer, slot, torch.arange(size) + given["least"])

        by_size = {size: circuit(size) for size in request.sizes}
        found[basis.name] = Circuits(basis.name, given.get("by_size", by_size), given["total"])
    return found


ABLATED = {"sizes": (1, 3, 5), "ablation": "mean", "error": "score"}


@pytest.mark.parametrize("change", [{}, {"positions": "pooled"}, {"error": "remove"}])
def test_circuits_are_taken_from_a_method_that_needs_the_ablation(
    change: dict[str, Any], request_of: Callable[..., Request]
) -> None:
    asked = request_of(**(ABLATED | change))
    found = ask(Answering(circuits, needs_ablation=True), asked)
    half = found["half"]
    assert isinstance(half, Circuits)
    slots = 1 if asked.positions == "pooled" else asked.prompts.n_slots
    assert half.total == 2 * slots * (12 + (asked.error == "score"))
    with pytest.raises(UserError, match="gives circuits and no scores"):
        ask_scores(Answering(circuits, needs_ablation=True), asked)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layer": 0}, "[0, 0, 0] in the circuit of size 1, which is no node of basis 'half'"),
        ({"layer": 7}, "[7, 0, 0]"),
        ({"slot": 5}, "[2, 5, 0]"),
        ({"slot": -1}, "[2, -1, 0]"),
        ({"least": 10}, "[2, 0, 12] in the circuit of size 3"),
        ({"least": -2}, "[2, 0, -2]"),
        ({"total": 100}, "counts 100 nodes of basis 'half': there are 130"),
        ({"by_size": {1: Circuit(*torch.tensor([[2, 0, 0]]).T)}}, "gave no circuit of size 3"),
    ],
)
def test_circuits_of_nodes_there_are_not_are_refused(
    change: dict[str, Any], words: str, request_of: Callable[..., Request]
) -> None:
    with pytest.raises(UserError) as error:
        ask(Answering(lambda request: circuits(request, **change), needs_ablation=True), request_of(**ABLATED))
    assert words in one_line(error)


def test_an_error_node_is_one_only_where_errors_compete(request_of: Callable[..., Request]) -> None:
    method = Answering(lambda request: circuits(request, least=-1), needs_ablation=True)
    ask(method, request_of(**ABLATED))
    with pytest.raises(UserError, match=r"\[2, 0, -1\].*error remove"):
        ask(method, request_of(**(ABLATED | {"error": "remove"})))


def test_a_method_that_needs_an_ablation_is_not_asked_without(request_of: Callable[..., Request]) -> None:
    with pytest.raises(UserError, match="method 'answering': needs the ablation"):
        ask(Answering(circuits, needs_ablation=True), request_of())
