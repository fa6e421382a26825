"""What is wrong with other people's dictionaries, in a folder or published: one line with the whole reason."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor
from transformers import PreTrainedTokenizerFast

import basisbench
from basisbench import UserError, make_config
from basisbench.baselines.dictionaries.sources import release_ids
from basisbench.bases.load import load_basis
from basisbench.grid.config import RunConfig
from basisbench.grid.run import run
from basisbench.models.adapter import Model
from hub.client import log_in, offline
from hub.dictionaries import Place, Weights, cross_layer, marks, publish, random_weights
from hub.models import LAYERS, WIDTH, add_model, miniature
from hub.server import Hub
from toys.models import one_line

PYTHIA, GPT2, GEMMA_3 = "EleutherAI/pythia-70m-deduped", "openai-community/gpt2", "google/gemma-3-270m"
RELEASE, REPOSITORY = "pythia-70m-deduped-mlp-sm", "ctigges/pythia-70m-deduped__mlp-sm_processed"
SMALL = "sae:gemma-scope-2-270m-pt-mlp-all/layer_{layer}_width_16k_l0_small"
Change = Callable[[dict[str, bytes]], None]


@pytest.fixture(scope="module")
def pythia(tokenizer: PreTrainedTokenizerFast) -> Model:
    return Model(PYTHIA, miniature(PYTHIA, len(tokenizer)), tokenizer)


def one_cell(task: Path, out: Path, **settings: Any) -> RunConfig:
    """A run of a cell or two."""
    small = {"tasks": str(task), "methods": "random", "device": "cpu", "n_discovery": 4, "n_evaluation": 4}
    return make_config({**small, "sizes": "1,10", "out": out / "out", **settings})


def says(**values: Any) -> Change:
    """Change what the configuration of layer 1 says."""

    def change(files: dict[str, bytes]) -> None:
        said = json.loads(files["1-mlp-sm/cfg.json"]) | values
        files["1-mlp-sm/cfg.json"] = json.dumps(said).encode()

    return change


def weighs(**tensors: Callable[[Tensor], Tensor | None]) -> Change:
    """Change the weights of layer 1; None takes them away."""

    def change(files: dict[str, bytes]) -> None:
        path = "1-mlp-sm/sae_weights.safetensors"
        held = load(files[path])
        changed = {name: tensors[name](held[name]) if name in tensors else held[name] for name in held}
        files[path] = save({name: t.contiguous() for name, t in changed.items() if t is not None})

    return change


def holds(path: str, data: bytes) -> Change:
    return lambda files: files.update({path: data})


def one_nan(tensor: Tensor) -> Tensor:
    tensor[-1, -1] = torch.nan
    return tensor


CONFIGURED: list[tuple[str, Change, str]] = [
    ("an activation that is read as ReLU", says(activation_fn_str="tanh-relu"), "activation function 'tanh-relu'"),
    ("a TopK without its k", says(activation_fn_str="topk"), "activation function 'topk'"),
    (
        "a TopK by magnitude",
        says(activation_fn_str="topk", activation_fn_kwargs={"k": 5, "signed": True}),
        "with {'signed': True} is not known",
    ),
    (
        "k above the width",
        says(activation_fn_str="topk", activation_fn_kwargs={"k": 41}),
        "k is 41 of 40 units: valid: d_sae or less",
    ),
    (
        "no k at all",
        says(architecture="topk", metadata={"hook_name": "blocks.1.hook_mlp_out", "sae_lens_version": "6.1.0"}),
        "k is None",
    ),
    ("a width that is no number", says(d_sae=float("nan")), "d_sae is nan: valid: a whole number"),
    ("a width in quotes", says(d_in="24"), "d_in is '24': valid: a whole number"),
    ("a width that is not there", says(d_sae=None), "d_sae is None: valid: a whole number"),
    ("no hook", says(hook_name=None), "hook_name is None: valid: a name"),
    ("a model that is no name", says(model_name=7), "model_name is 7: valid: a name"),
    ("metadata that are none", says(metadata="x"), "metadata is 'x': valid: names with values"),
    ("an architecture that is none", says(architecture=["standard"]), "architecture is ['standard']"),
    ("a version that is none", says(sae_lens_version="six"), "cannot load"),
    ("no configuration", holds("1-mlp-sm/cfg.json", b"[1]"), "list"),
    ("half a configuration", holds("1-mlp-sm/cfg.json", b"{"), "cannot load"),
    ("a deep configuration", holds("1-mlp-sm/cfg.json", b"[" * 100_000), "cannot load"),
]
WEIGHED: list[tuple[str, Change, str]] = [
    ("no bias", weighs(b_dec=lambda _: None), "'Missing key(s) in state_dict: \"b_dec\"'"),
    ("a transposed encoder", weighs(W_enc=lambda w: w.T), "size mismatch for W_enc"),
    ("another width", weighs(b_enc=lambda b: b[:-1]), "size mismatch for b_enc"),
    ("a NaN", weighs(W_dec=one_nan), "W_dec holds values that are no numbers"),
    ("an infinite bias", weighs(b_enc=lambda b: b / 0), "b_enc holds values that are no numbers"),
    ("half the weights", holds("1-mlp-sm/sae_weights.safetensors", b"\x10"), "cannot load"),
]


def spoilt(where: str, change: Change, hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A set of which layer 1 is spoilt, in a folder or published under its real name; returns the basis to ask for."""
    files: dict[str, bytes] = {}
    for layer in range(LAYERS):
        files |= marks("hook_mlp_out")(Place(f"{layer}-mlp-sm", layer), random_weights(layer))
    change(files)
    if where == "folder":
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return f"sae:{folder}"
    publish(hub, f"sae:{RELEASE}", random_weights, monkeypatch, LAYERS)
    hub.add(REPOSITORY).commit(files)
    return f"sae:{RELEASE}"


@pytest.mark.parametrize("where", ["folder", "published"])
@pytest.mark.parametrize(("change", "message"), [case[1:] for case in CONFIGURED], ids=[case[0] for case in CONFIGURED])
def test_a_configuration_that_is_wrong_is_refused(
    where: str, change: Change, message: str, hub: Hub, pythia: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    basis = spoilt(where, change, hub, tmp_path / "set", monkeypatch)
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        load_basis(basis, pythia)
    assert "1-mlp-sm" in one_line(raised) or "blocks.1.hook_mlp_out" in one_line(raised)


@pytest.mark.parametrize("where", ["folder", "published"])
@pytest.mark.parametrize(("change", "message"), [case[1:] for case in WEIGHED], ids=[case[0] for case in WEIGHED])
def test_weights_that_are_wrong_are_refused(
    where: str, change: Change, message: str, hub: Hub, pythia: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_basis(spoilt(where, change, hub, tmp_path / "set", monkeypatch), pythia)
    x = torch.randn(2, WIDTH)
    loaded.encode(0, x)  # the other layers are well
    with pytest.raises(UserError, match=re.escape(message.strip("'"))) as raised:
        loaded.encode(1, x)
    assert "1-mlp-sm" in one_line(raised) or "blocks.1.hook_mlp_out" in one_line(raised)


def test_a_spoilt_set_spoils_no_other_cell(
    hub: Hub, tokenizer: PreTrainedTokenizerFast, task_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model(hub, PYTHIA, tokenizer)
    basis = spoilt("published", weighs(W_dec=one_nan), hub, tmp_path, monkeypatch)
    report = run(one_cell(task_folder, tmp_path, model=PYTHIA, bases=f"mlp_out,{basis}", methods="atp"))
    assert [result.cell.basis for result in report.results] == ["mlp_out"]
    (failure,) = report.failures
    assert "W_dec holds values that are no numbers" in failure.reason


# -- made for something else ---------------------------------------------------------------------------


def test_what_a_set_was_made_for_is_said_and_kept(
    hub: Hub,
    tokenizer: PreTrainedTokenizerFast,
    task_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of the same width, another model's set fits; and sae-lens' `prepend_bos` is no property of a basis."""
    notes = [
        f"made for model 'gpt2-small', as its files say, not for '{PYTHIA}'",
        f"made for texts that begin with a start token; prompts of model '{PYTHIA}' begin with none",
    ]
    basis = "sae:gpt2-small-res-jb"
    for name in (PYTHIA, GPT2):
        add_model(hub, name, tokenizer)
    publish(hub, basis, random_weights, monkeypatch, LAYERS)
    found = run(one_cell(task_folder, tmp_path, model=PYTHIA, bases=f"mlp_out,{basis}"))
    assert {result.cell.basis: result.notes for result in found.results} == {"mlp_out": [], basis: notes}
    assert {r.cell.basis: r.notes for r in basisbench.read_results(tmp_path / "out")} == {"mlp_out": [], basis: notes}
    for note in notes:
        assert f"{basis}: {note}" in caplog.text
    own = load_basis(basis, basisbench.load_model(f"{GPT2}@main", device="cpu")[0])
    assert list(own.notes) == [notes[1].replace(PYTHIA, f"{GPT2}@main")]


def test_a_start_token_that_is_there_needs_no_word(
    hub: Hub, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model(hub, GEMMA_3, tokenizer)
    publish(hub, SMALL, random_weights, monkeypatch, LAYERS)
    model, _ = basisbench.load_model(GEMMA_3, device="cpu")
    assert load_basis(SMALL, model).notes == (
        f"made for texts that begin with a start token; prompts of model '{GEMMA_3}' begin with none",
    )
    plain = type(model.tokenizer).__call__

    def starting(self: PreTrainedTokenizerFast, text: str, **options: Any) -> Any:
        return plain(self, f"<bos> {text}" if options.get("add_special_tokens", True) else text, **options)

    monkeypatch.setattr(type(model.tokenizer), "__call__", starting)
    again, _ = basisbench.load_model(GEMMA_3, device="cpu")
    assert load_basis(SMALL, again).notes == ()


# -- what is asked of the hub --------------------------------------------------------------------------


def test_a_set_is_of_one_commit_and_named_by_it(
    hub: Hub,
    pythia: Model,
    tokenizer: PreTrainedTokenizerFast,
    task_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    basis = f"sae:{RELEASE}"
    publish(hub, basis, random_weights, monkeypatch, LAYERS)
    add_model(hub, PYTHIA, tokenizer)
    settings = one_cell(task_folder, tmp_path, model=PYTHIA, bases=basis)
    first = run(settings)
    assert run(settings).reused == 1
    before = load_basis(basis, pythia)
    publish(hub, basis, lambda layer: random_weights(layer + 5), monkeypatch, LAYERS)
    after = load_basis(basis, pythia)
    x = torch.randn(2, WIDTH)
    # the one that was bound before the repository changed keeps to what it was bound to
    assert not torch.equal(before.encode(1, x), after.encode(1, x))
    commits = list(hub.add(REPOSITORY).commits)
    assert [loaded.content.partition(", ")[0] for loaded in (before, after)] == [f"{REPOSITORY}@{c}" for c in commits]
    second = run(settings)
    assert second.reused == 0
    assert second.results[0].cell.options == {"content": after.content}
    assert second.results[0].name != first.results[0].name


def test_another_folder_for_the_same_name_is_another_set(
    hub: Hub, pythia: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As "canonical" may mean another dictionary in another version of sae-lens' registry."""
    entry = publish(hub, f"sae:{RELEASE}", random_weights, monkeypatch, LAYERS)
    before = load_basis(f"sae:{RELEASE}", pythia).content
    entry.saes_map["blocks.1.hook_mlp_out"] = "2-mlp-sm"
    entry.saes_map["blocks.2.hook_mlp_out"] = "1-mlp-sm"
    after = load_basis(f"sae:{RELEASE}", pythia).content
    assert before.partition(", ")[0] == after.partition(", ")[0]
    assert before != after


def test_after_the_first_look_up_the_hub_is_not_asked_for_files(
    hub: Hub, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model(hub, GEMMA_3, tokenizer)
    publish(hub, SMALL, random_weights, monkeypatch, LAYERS)
    x = torch.randn(2, WIDTH)
    model, _ = basisbench.load_model(GEMMA_3, device="cpu")
    first = [load_basis(SMALL, model).encode(layer, x) for layer in range(LAYERS)]
    hub.requests.clear()
    again = load_basis(SMALL, model)
    assert [request.path.partition("?")[0] for request in hub.requests] == ["/api/models/google/gemma-scope-2-270m-pt"]
    for layer in range(LAYERS):
        assert torch.equal(again.encode(layer, x), first[layer])
    assert len(hub.requests) == 1
    # Gemma Scope 2, whose shapes sae-lens asks of the hub each time, does without it once it is here
    hub.requests.clear()
    offline(monkeypatch)
    assert torch.equal(load_basis(SMALL, model).encode(2, x), first[2])
    assert hub.requests == []


def test_without_a_network_what_is_not_here_is_one_line(
    hub: Hub, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model(hub, GEMMA_3, tokenizer)
    publish(hub, SMALL, random_weights, monkeypatch, LAYERS)
    model, _ = basisbench.load_model(GEMMA_3, device="cpu")
    hub.requests.clear()
    offline(monkeypatch)
    for basis in (SMALL, "sae:org/none/layer_{layer}"):
        with pytest.raises(UserError, match="is not in the local hub cache") as raised:
            load_basis(basis, model)
        one_line(raised)
    assert hub.requests == []


@pytest.mark.parametrize("token", ["", "hf_stranger"])
def test_a_gated_set_says_what_to_do(token: str, hub: Hub, pythia: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(hub, f"sae:{RELEASE}", random_weights, monkeypatch, LAYERS)
    hub.add(REPOSITORY).gated = True
    hub.add(REPOSITORY).readers.add("hf_reader")
    if token:
        log_in(token, monkeypatch)
    with pytest.raises(UserError, match=f"{REPOSITORY} is gated: accept its terms .* 'hf auth login'") as raised:
        load_basis(f"sae:{RELEASE}", pythia)
    one_line(raised)
    log_in("hf_reader", monkeypatch)
    assert load_basis(f"sae:{RELEASE}", pythia).n_units(0) == 40


def test_a_file_that_the_hub_lacks_is_named(hub: Hub, pythia: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(hub, f"sae:{RELEASE}", random_weights, monkeypatch, LAYERS)
    repository = hub.add(REPOSITORY)

    def encoded() -> None:
        load_basis(f"sae:{RELEASE}", pythia).encode(1, torch.zeros(WIDTH))

    for path in ("1-mlp-sm/sae_weights.safetensors", "2-mlp-sm/cfg.json"):
        kept = {name: file.content for name, file in repository.commits[repository.references["main"]].items()}
        repository.commit({name: data for name, data in kept.items() if name != path}, keep=False)
        for _ in range(2):  # asked of the hub, then known from the cache
            with pytest.raises(UserError, match=f"{REPOSITORY} holds no file {path}") as raised:
                encoded()
            one_line(raised)


def test_an_unknown_repository_and_a_server_out_of_order_are_one_line(hub: Hub, pythia: Model) -> None:
    with pytest.raises(UserError, match="the hub shows no model repository org/none") as raised:
        load_basis("sae:org/none/layer_{layer}", pythia)
    one_line(raised)
    hub.add("org/empty").commit({"README.md": ""})
    with pytest.raises(UserError, match="org/empty holds no sae-lens folders") as raised:
        load_basis("sae:org/empty/layer_{layer}", pythia)
    hub.down = 403
    with pytest.raises(UserError, match="403") as raised:
        load_basis(f"sae:{RELEASE}", pythia)
    one_line(raised)


# -- where the layer stands ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "pattern"),
    [
        ("{}-mlp/layer_9_of_12", "{layer}-mlp/layer_9_of_12"),
        ("layer_12/at_{}", "layer_12/at_{layer}"),
        ("l{}/blocks.{}.hook", "l{layer}/blocks.{layer}.hook"),
        ("seed_1/{}/width_16k", "seed_1/{layer}/*"),
    ],
)
def test_the_layer_is_where_the_pattern_has_it(
    folder: str, pattern: str, hub: Hub, pythia: Model, tmp_path: Path
) -> None:
    files: dict[str, bytes] = {}
    for layer in range(LAYERS):
        place = Place(folder.replace("{}", str(layer)), layer)
        files |= marks("hook_mlp_out")(place, random_weights(layer))
    # beside them, what the pattern does not mean
    files |= marks("hook_mlp_out")(Place("l0/blocks.1.hook", 1), random_weights(1))
    files |= marks("hook_mlp_out")(Place("0x-mlp/layer_9_of_12", 1), random_weights(1))
    hub.add("org/odd").commit(files)
    for path, data in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    assert list(release_ids("org/odd", pattern)) == list(range(LAYERS))
    x = torch.randn(2, WIDTH)
    for name in (f"sae:org/odd/{pattern}", f"sae:{tmp_path}/{pattern}"):
        basis = load_basis(name, pythia)
        assert basis.layers() == tuple(range(LAYERS))
        for layer in range(LAYERS):
            weights = random_weights(layer)
            expected = ((x - weights.b_dec) @ weights.w_enc + weights.b_enc).relu()
            torch.testing.assert_close(basis.encode(layer, x), expected, atol=1e-5, rtol=1e-5)


# -- cross-layer transcoders ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "data", "message"),
    [
        ("config.yaml", b"a: [1", "config.yaml is not YAML"),
        ("config.yaml", b"- 1", "config.yaml holds no names with values"),
        ("config.yaml", b"feature_input_hook: [1]", "unknown hook"),
        ("config.yaml", b"model_name: 2001-99-99", "config.yaml is not YAML"),
        ("W_enc_1.safetensors", save({"W_enc_1": torch.zeros(3)}), "cannot read W_enc_1"),
        (
            "W_enc_1.safetensors",
            save({"W_enc_1": torch.zeros(40, WIDTH), "b_enc_1": torch.zeros(39)}),
            r"b_enc_1 has the shape \[39\]: valid: \[40\]",
        ),
        ("W_enc_0.safetensors", save({"W_enc_0": torch.zeros(3), "b_enc_0": torch.zeros(3)}), "layer 0 has shapes"),
        ("W_dec_1.safetensors", b"no", "cannot read W_dec_1"),
    ],
)
def test_a_broken_cross_layer_transcoder_is_one_line(
    path: str, data: bytes, message: str, hub: Hub, pythia: Model, tmp_path: Path
) -> None:
    for name, content in _clt(lambda weights: weights).items():
        (tmp_path / name).write_bytes(content)
    load_basis(f"clt:{tmp_path}", pythia)
    (tmp_path / path).write_bytes(data)
    with pytest.raises(UserError, match=message) as raised:
        load_basis(f"clt:{tmp_path}", pythia)
    one_line(raised)


def test_a_cross_layer_transcoder_with_a_nan_is_refused(hub: Hub, pythia: Model, tmp_path: Path) -> None:
    def spoil(weights: Weights) -> Weights:
        weights.w_dec[3, 0] = torch.nan
        return weights

    for name, content in _clt(spoil).items():
        (tmp_path / name).write_bytes(content)
    basis = load_basis(f"clt:{tmp_path}", pythia)
    assert basis.notes == (f"made for model 'google/gemma-2-2b', as its files say, not for '{PYTHIA}'",)
    with pytest.raises(UserError, match="W_dec_0 holds values that are no numbers") as raised:
        basis.lift(0, basis.writes(0)[0], torch.ones(1, 40))
    one_line(raised)


def _clt(change: Callable[[Weights], Weights]) -> dict[str, bytes]:
    weights = [random_weights(layer) for layer in range(LAYERS)]
    weights[0] = change(weights[0])
    return cross_layer(weights, lambda layer, written: random_weights(layer + written).w_dec, "mlp.hook_in")
