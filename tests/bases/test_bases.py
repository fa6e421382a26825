"""Bases by name: registered, from an installed package's entry point, from a user's own file."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from basisbench import UserError, load_basis
from basisbench.bases import load
from basisbench.bases.basis import BASES
from basisbench.models.adapter import Model
from basisbench.models.sites import Site

Tiny = Callable[[str], Model]

# A dictionary with an error, written as a user would: overcomplete, nonlinear, with a bias in its decoder.
OWN = """
from __future__ import annotations

from dataclasses import dataclass

import torch
from basisbench import Basis, Site

@dataclass
class Weights:  # looks its own module up
    encoder: torch.Tensor
    decoder: torch.Tensor

class Own(Basis):
    def __init__(self, model):
        self.model = model
        generator = torch.Generator().manual_seed(0)
        width = model.d_model
        self.weights = Weights(*(torch.randn(30, width, generator=generator).to(model.dtype) for _ in range(2)))

    def layers(self):
        return [0, 2]

    def n_units(self, layer):
        return 30

    def read(self, layer):
        return Site(layer, "mlp_out")

    def writes(self, layer):
        return [self.read(layer)]

    def encode(self, layer, x, units=None):
        encoder = self.weights.encoder if units is None else self.weights.encoder[units]
        return (x @ encoder.T).relu()

    def lift(self, layer, site, f, units=None):
        return f @ (self.weights.decoder if units is None else self.weights.decoder[units])

    def project(self, layer, site, g, units=None):
        return g @ (self.weights.decoder if units is None else self.weights.decoder[units]).T
"""


def write(folder: Path, source: str) -> str:
    (folder / "own.py").write_text(source)
    return f"{folder / 'own.py'}:Own"


def refusal(name: str, model: Model) -> str:
    with pytest.raises(UserError) as caught:
        load_basis(name, model)
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_a_class_in_a_file_is_a_basis(tiny: Tiny, tmp_path: Path, architecture: str) -> None:
    basis = load_basis(write(tmp_path, OWN), tiny(architecture))
    assert basis.name == "Own"
    assert (basis.has_error, basis.layers(), basis.n_units(2)) == (True, [0, 2], 30)
    x = torch.randn(2, 3, 24)
    generator = torch.Generator().manual_seed(0)
    expected = (x @ torch.randn(30, 24, generator=generator).T).relu()
    torch.testing.assert_close(basis.encode(0, x), expected)


def test_a_function_in_a_file_is_a_basis_and_is_named_after_it(tiny: Tiny, tmp_path: Path) -> None:
    source = """
from basisbench import LinearBasis, Site

def Own(model):
    return LinearBasis("another name", [Site(1, "mlp_post")], model.width("mlp_post"))
"""
    basis = load_basis(write(tmp_path, source), tiny("llama"))
    assert (basis.name, basis.read(1), basis.has_error) == ("Own", Site(1, "mlp_post"), False)


def test_a_file_named_like_a_package_does_not_take_its_place(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text(OWN)
    load_basis(f"{tmp_path / 'numpy.py'}:Own", tiny("llama"))
    import numpy

    assert numpy.array([1]).sum() == 1


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("class Own(Basis)", "class Other(Basis)", "unknown name in {path} 'Own': valid: Other, Weights"),
        ("class Own(Basis)", "class Owl(Basis)", "unknown name in {path} 'Own': did you mean 'Owl'?"),
        ("class Own(Basis)", "class Own(Basis", "{path} failed to import: SyntaxError: "),
        ("import torch\n", "import torsh\n", "failed to import: ModuleNotFoundError: No module named 'torsh' (line 6)"),
        ("import torch\n", "import torch, sys; sys.exit(0)\n", "failed to import: SystemExit: 0 (line 6)"),
        ("class Own(Basis)", "class Own", "'Own' in {path} gave a Own: valid: a basisbench.Basis"),
        ("class Own(Basis)", "class Weigh(Basis)", "unknown name"),
        ("def layers", "def levels", "basis 'Own' failed: TypeError: Can't instantiate abstract class Own"),
        ("width = model.d_model", "width = model.width", "basis 'Own' failed: TypeError: "),
        ("self.model = model", "raise ValueError('a\\nb')", "basis 'Own' failed: ValueError: a b (line 16)"),
        ("[0, 2]", "[]", "has no layer"),
        ("[0, 2]", "[0, 3]", "mlp_out[3] is not in model 'llama': valid layers: 0 to 2"),
        ('"mlp_out"', '"mlp_output"', "unknown kind of site 'mlp_output': did you mean 'mlp_out'?"),
        ("return 30", "return 29", "layer 0: encode gave the shape [2, 3, 30] for [2, 3]: valid: [2, 3, 29]"),
        ('"mlp_out"', '"mlp_post"', "basis 'Own' failed: RuntimeError: "),
    ],
)
def test_a_bad_file_is_one_line(tiny: Tiny, tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in OWN
    message = refusal(write(tmp_path, OWN.replace(old, new)), tiny("llama"))
    assert expected.format(path=tmp_path / "own.py") in message


# Mistakes that run without an error and give wrong numbers, each against what the method must do.
@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "encoder = self.weights.encoder if units is None else self.weights.encoder[units]",
            "encoder = self.weights.encoder",
            "encode with `units` gave the shape [2, 3, 30] for [2, 3]: valid: [2, 3, ",
        ),
        ("self.weights.encoder[units]", "self.weights.encoder[: len(units)]", "encode with `units` must give"),
        (
            "return g @ (self.weights.decoder if units is None else self.weights.decoder[units]).T",
            "return g @ (self.weights.encoder if units is None else self.weights.encoder[units]).T",
            "project must be the transpose of lift",
        ),
        (
            "return g @ (self.weights.decoder if units is None else self.weights.decoder[units]).T",
            "return g @ (self.weights.decoder if units is None else self.weights.decoder[: len(units)]).T",
            "project with `units` must give",
        ),
        (
            "return f @ (self.weights.decoder if units is None else self.weights.decoder[units])",
            "return f @ (self.weights.decoder if units is None else self.weights.decoder[: len(units)])",
            "lift with `units` must give",
        ),
        # a decoder's bias is a part of the error; here it would be counted once a unit
        (
            "return f @ (self.weights.decoder if units is None else self.weights.decoder[units])",
            "return 1 + f @ (self.weights.decoder if units is None else self.weights.decoder[units])",
            "project must be the transpose of lift",
        ),
        ("class Own(Basis):", "class Own(Basis):\n    has_error = False", "has_error is False, but lift(encode(x))"),
    ],
)
def test_a_basis_that_breaks_a_promise_is_one_line(
    tiny: Tiny, tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert old in OWN
    message = refusal(write(tmp_path, OWN.replace(old, new)), tiny("llama"))
    assert message.startswith("basis 'Own', layer 0: ")
    assert expected in message


def test_the_checks_hold_for_every_dtype(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("llama")
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        monkeypatch.setattr(model, "dtype", dtype)
        assert load_basis(write(tmp_path, OWN), model).name == "Own"


def test_an_installed_package_adds_a_basis(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_package.py").write_text(OWN)
    (tmp_path / "their_package-1.0.dist-info").mkdir()
    (tmp_path / "their_package-1.0.dist-info" / "METADATA").write_text("Name: their-package\nVersion: 1.0\n")
    (tmp_path / "their_package-1.0.dist-info" / "entry_points.txt").write_text(
        "[basisbench.bases]\ntheirs = their_package:Own\nbroken = their_package:Missing\n"
    )
    monkeypatch.setattr(load, "BASES", replace(BASES, entries=dict(BASES.entries)))
    assert "unknown basis 'theirs'" in refusal("theirs", tiny("llama"))
    monkeypatch.syspath_prepend(tmp_path)
    basis = load_basis("theirs", tiny("llama"))
    assert (basis.name, type(basis).__name__) == ("theirs", "Own")
    assert refusal("broken", tiny("llama")).startswith("basis 'broken' from their_package:Missing failed to load: ")


def test_one_unit_a_layer_is_a_basis(tiny: Tiny, tmp_path: Path) -> None:
    source = """
import torch
from basisbench import LinearBasis, Site

def Own(model):
    direction = torch.eye(1, model.d_model)
    return LinearBasis("Own", [Site(0, "resid_post")], model.d_model, lambda layer: direction, n_units=1)
"""
    basis = load_basis(write(tmp_path, source), tiny("llama"))
    x: Tensor = torch.randn(4, 24)
    torch.testing.assert_close(basis.encode(0, x), x[:, :1])
    assert basis.has_error


@pytest.mark.parametrize(
    ("read", "written"),
    [("Site(0, 'mlp_out')", "Site(layer, 'mlp_out')"), ("Site(layer, 'mlp_in')", "Site(0, 'mlp_out')")],
)
def test_units_read_their_own_layer_and_write_no_earlier_one(
    read: str, written: str, tiny: Tiny, tmp_path: Path
) -> None:
    source = OWN.replace('return Site(layer, "mlp_out")', f"return {read}").replace(
        "[self.read(layer)]", f"[{written}]"
    )
    with pytest.raises(UserError, match=r"units of layer 2 read .* valid: read layer 2, write it or later ones"):
        load_basis(write(tmp_path, source), tiny("llama"))
