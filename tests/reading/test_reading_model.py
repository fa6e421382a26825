"""Reading the embedded model's neurons: agreement neurons are named after verbs, random directions after nothing."""

import pytest
import torch

import basisbench
from basisbench.bases.load import load_basis
from basisbench.models.adapter import Model
from basisbench.progress import silent
from basisbench.reading import default_texts, read_units
from basisbench.reading.direct import direct_effects
from basisbench.reading.labels import STANDS_OUT
from basisbench.reading.serves import score_tasks

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def model() -> Model:
    return basisbench.load_model()[0]


def test_neurons_of_agreement_say_verbs_and_those_of_capitals_do_not(model: Model) -> None:
    basis = load_basis("neurons", model)
    texts = [(source, text) for source, text in default_texts() if source.startswith(("sva/", "capitals/"))]
    verbs = []
    for task in score_tasks(model, basis, ["sva/nounpp", "capitals/state_capital"], progress=silent):
        first = sorted(task.first(20), key=lambda unit: task.rank(*unit))
        labels = [known.label for known in read_units(model, basis, first, texts, limit=1000).values()]
        assert len(labels) == 20
        verbs.append(sum("' are'" in label or "' were'" in label for label in labels))
    assert verbs[0] >= 8
    assert verbs[1] == 0


def test_fewer_than_one_in_a_thousand_random_directions_stand_out(model: Model) -> None:
    found = {}
    for name in ("rotated_neurons", "neurons"):
        basis = load_basis(name, model)
        units = torch.arange(basis.n_units(0))
        z = []
        for layer in (0, 15, 28):
            direct = direct_effects(model, basis, layer, units, {"ln_final": 1.0}, 1)
            z += [direct.raised_z, direct.lowered_z]
        found[name] = float((torch.cat(z) >= STANDS_OUT).float().mean())
    assert found["rotated_neurons"] < 0.001
    assert found["neurons"] > 0.02
