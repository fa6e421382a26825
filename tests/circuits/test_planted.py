"""A transformer whose circuit is known because we wrote it: every method must find it, at its size."""

import pytest
import torch
import transformers
from transformers import PreTrainedTokenizerFast

from basisbench.attribution import Request, ask_scores, load_method
from basisbench.bases.load import load_basis
from basisbench.circuits.curves import evaluate
from basisbench.circuits.ranking import rank_nodes
from basisbench.measures.summary import summarise
from basisbench.models.adapter import Model
from basisbench.prompts.prompt_set import PromptSet
from basisbench.tasks.pair import Pair
from basisbench.values import size_grid
from toys.models import prompt_set

FEATURE, OTHER, SIGNAL, DISTRACTOR = 0, 1, 2, 3  # directions of the residual stream
READER, WRITER, NOISE = 5, 11, 17  # neurons


def planted(tokenizer: PreTrainedTokenizerFast) -> Model:
    """Two layers. Words w10-w19 carry FEATURE, w20-w29 OTHER, at the last position too.

    Neuron READER of layer 0 turns FEATURE into SIGNAL; neuron WRITER of layer 1 turns SIGNAL into the
    logit of w30 over w31. Neuron NOISE of layer 0 fires just as strongly on FEATURE, and nothing reads
    what it writes. Attention does nothing.
    """
    config = transformers.GPT2Config(
        n_embd=16, n_layer=2, n_head=2, n_inner=24, vocab_size=50, n_positions=16, activation_function="relu"
    )
    config.bos_token_id, config.eos_token_id, config.tie_word_embeddings = 2, 1, False
    hf = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for name, parameter in hf.named_parameters():
            if not ("ln_" in name and name.endswith("weight")):
                parameter.zero_()
        embedding = hf.transformer.wte.weight
        # nearly all of a norm comes from here, so that what neurons write does not act through the norms
        embedding[:, 8:] = 100 * torch.randn(1, 8, generator=torch.Generator().manual_seed(0))
        embedding[10:20, FEATURE] = 4.0
        embedding[20:30, OTHER] = 4.0
        first, second = (block.mlp for block in hf.transformer.h)
        for neuron, target in ((READER, SIGNAL), (NOISE, DISTRACTOR)):
            first.c_fc.weight[FEATURE, neuron] = 100.0
            first.c_proj.weight[neuron, target], first.c_proj.weight[neuron, 7] = 0.3, -0.3  # no change of the mean
        second.c_fc.weight[SIGNAL, WRITER] = 100.0
        second.c_proj.weight[WRITER, 4], second.c_proj.weight[WRITER, 7] = 0.3, -0.3
        hf.lm_head.weight[30, 4], hf.lm_head.weight[31, 4] = 50.0, -50.0
    return Model("planted", hf, tokenizer)


def pairs(model: Model) -> PromptSet:
    return prompt_set(model, [Pair(f"w{5 + i} w{10 + i}", f"w{5 + i} w{20 + i}", " w30", " w31") for i in range(8)])


@pytest.mark.parametrize("method", ["atp", "ig", "ig_inputs", "relp", "exact"])
def test_the_planted_circuit_is_found_at_its_size(method: str, tokenizer: PreTrainedTokenizerFast) -> None:
    model = planted(tokenizer)
    prompts = pairs(model)
    basis = load_basis("neurons", model)
    scores = ask_scores(load_method(method), Request(model, prompts, [basis]))["neurons"]
    ranking = rank_nodes(scores, basis)
    last = prompts.n_slots - 1
    found = list(zip(ranking.layer.tolist(), ranking.slot.tolist(), ranking.unit.tolist(), strict=True))
    assert set(found[:2]) == {(0, last, READER), (1, last, WRITER)}
    assert (ranking.score[:2] < 0).all()  # both help the clean answer
    assert ranking.score[2:].abs().max() < 0.02 * ranking.score[:2].abs().min()
    curve = evaluate(model, prompts, basis, ranking, size_grid())
    statistics = summarise(curve)
    assert curve.size[:2].tolist() == [1, 2]
    assert statistics.faithfulness.value[1:] == pytest.approx(1, abs=0.02)  # two nodes are all of it
    assert statistics.faithfulness.value[0] < 0.7  # one of them is not
    assert statistics.completeness.value[0] < 0.7  # without either, the behaviour is gone or hurt
    assert statistics.completeness.value[1:] == pytest.approx(0, abs=0.02)
    assert statistics.summary["nodes@0.8"].value == 2


@pytest.mark.parametrize("method", ["delta", "activation"])
def test_controls_take_the_distractor_for_the_circuit(method: str, tokenizer: PreTrainedTokenizerFast) -> None:
    """The neuron that nothing reads moves as much as the one that matters: only an effect tells them apart."""
    model = planted(tokenizer)
    prompts = pairs(model)
    basis = load_basis("neurons", model)
    scores = ask_scores(load_method(method), Request(model, prompts, [basis]))["neurons"].by_layer
    assert scores[0][-1, NOISE] == pytest.approx(float(scores[0][-1, READER]), rel=1e-5)
    assert scores[0][-1, NOISE] > 0
