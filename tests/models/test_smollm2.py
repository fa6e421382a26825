"""The embedded model itself: what it can do, what RelP conserves in it, and the finding we start from."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import basisbench
from basisbench.attribution import Request, ask_scores, load_method
from basisbench.attribution.relp import relp_hooks
from basisbench.bases.load import load_basis
from basisbench.checks.basis import check_basis
from basisbench.circuits.curves import evaluate
from basisbench.circuits.ranking import rank_nodes
from basisbench.models.adapter import Model, Start
from basisbench.models.sites import Site
from basisbench.prompts.selection import load_prompts
from basisbench.tasks.load import load_task
from basisbench.text.sample import TEXT

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def model() -> Model:
    return basisbench.load_model()[0]


@pytest.mark.parametrize(("name", "expected"), [("simple", 0.95), ("nounpp", 0.8), ("rc", 0.8), ("within_rc", 0.95)])
def test_it_knows_agreement(name: str, expected: float, model: Model) -> None:
    prompts = load_prompts(load_task(f"sva/{name}"), "evaluation", 40, 0, model)
    assert (prompts.usage.usable, prompts.usage.unusable) == (40, {})
    with torch.no_grad():
        hidden = model.forward(prompts.clean, prompts.last)[prompts.pair_prompt]
        logits = model.logits_of(hidden, torch.cat([prompts.answer.tokens, prompts.foil.tokens], -1))
    assert (logits[:, 0] > logits[:, 1]).float().mean() >= expected


def test_relp_conserves_the_logit_through_thirty_layers(model: Model) -> None:
    tokens = torch.tensor([model.tokenizer("The keys to the cabinet")["input_ids"]])
    last = torch.tensor([tokens.shape[1] - 1])
    (answer,) = model.tokenizer(" are", add_special_tokens=False)["input_ids"]
    inputs: list[Tensor] = []
    with torch.no_grad():
        plain = model.logits(model.forward(tokens, last, edits=[(Site(0, "resid_pre"), inputs.append)]))
    leaf = inputs[0].clone().requires_grad_()
    hidden = model.forward(tokens, last, hooks=relp_hooks(model), start=Start(0, leaf))
    torch.testing.assert_close(model.logits(hidden), plain, atol=1e-3, rtol=1e-4)
    logit = model.logits(hidden)[0, answer]
    (gradient,) = torch.autograd.grad(logit, leaf)
    assert float((gradient * leaf).sum()) == pytest.approx(float(plain[0, answer]), rel=1e-4)


def test_neurons_are_sparser_than_their_rotation_and_chance_fails(tmp_path: Path) -> None:
    """The run that the README shows, small: the finding of Transluce 2025 and the controls that must fail."""
    config = basisbench.make_config(
        {
            "tasks": "sva/simple",
            "bases": "neurons,rotated_neurons",
            "methods": "relp,random",
            "n_discovery": 16,
            "n_evaluation": 16,
            "sizes": "10,30,100,300,1000,3000",
            "out": tmp_path,
        }
    )
    report = basisbench.run(config)
    assert not report.failures
    found = {(r.cell.basis, r.cell.method): r.summary for r in report.results}
    neurons = found["neurons", "relp"]
    assert neurons["nodes@0.8"].value is not None
    assert neurons["nodes@0.8"].value <= 300
    for control in (found["rotated_neurons", "relp"], found["neurons", "random"]):
        assert control["nodes@0.8"].value is None or control["nodes@0.8"].value > 3000
        assert neurons["auc_f"].low is not None
        assert control["auc_f"].high is not None
        assert neurons["auc_f"].low > control["auc_f"].high


@pytest.mark.parametrize("kind", ["sae", "transcoder"])
def test_the_shipped_dictionaries_keep_the_contract(kind: str, model: Model) -> None:
    basis = load_basis(kind, model)
    assert list(basis.layers()) == list(range(model.n_layers))
    report = check_basis(model, basis, [TEXT], layers=[0, 10, 20, 29])
    assert not report.failed
    assert all(layer.fit is not None for layer in report.layers)


def test_all_bases_of_the_mlp_share_both_ends_of_the_curve(model: Model) -> None:
    prompts = load_prompts(load_task("sva/nounpp"), "evaluation", 8, 0, model)
    bases = [load_basis(name, model) for name in ("mlp_out", "sae", "transcoder")]
    scores = ask_scores(load_method("atp"), Request(model, prompts, bases))
    curves = [evaluate(model, prompts, b, rank_nodes(scores[b.name], b), [100]) for b in bases]
    for curve in curves[1:]:
        for end in ("full", "empty"):
            ours, first = (getattr(c, end) for c in (curve, curves[0]))
            assert ours.answer - ours.foil == pytest.approx(first.answer - first.foil, abs=2e-3)
