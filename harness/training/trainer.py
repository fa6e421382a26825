"""Train dictionaries for every layer of a model in one pass over text.

Each step (1) runs the model once over a batch of contexts and reads every MLP's input and output, (2) trains
all dictionaries on them, and (3) now and then saves a checkpoint from which a killed run goes on as if it had
never stopped. The first position of a context is left out: models park enormous activations there.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from basisbench.cache import atomic_folder, write_atomically
from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.models.loading import load_model
from basisbench.models.names import resolve_model
from basisbench.models.sites import Site, SiteKind
from basisbench.progress import Say
from basisbench.settings.train import TrainConfig
from basisbench.tracking.live import start_live
from basisbench.training.card import write_card
from basisbench.training.checkpoint import load_checkpoint, save_checkpoint
from basisbench.training.contexts import Contexts, make_contexts
from basisbench.training.dictionaries import Moments, Stack
from basisbench.training.evaluate import HELD_OUT_ROWS, READS, evaluate, mlp_activations

BATCHES_FOR_MOMENTS = 8
SECONDS_A_LINE = 15.0
# What may change between the start of a run and its going on after a kill.
FREE = {"out", "device", "checkpoint_every", "wandb", "wandb_project", "wandb_entity"}

Read = Callable[[int], dict[Site, Tensor]]


def train(config: TrainConfig, say: Say) -> Path:
    """Train, evaluate and save; returns `config.out`, with ``{kind}/layer_{L}/`` (sae-lens folders), a card and
    the held-out text as tokens.

    A run that was killed goes on from its last checkpoint when it is started again with the same settings.
    `say` gets one line a step of the work. Raises UserError for settings that cannot be met, and for a folder
    that holds finished dictionaries or a run with other settings.
    """
    if (config.out / "card.json").exists():
        raise UserError(f"{config.out} holds finished dictionaries: remove it or choose another folder (--out)")
    source = resolve_model(config.model, say)
    model, digest = load_model(config.model, "float32", config.device, say)
    work = config.out / "unfinished"
    _begin(work, config, digest)
    contexts = _contexts(work, config, model, say)
    stacks, seconds = _trained(work, config, model, contexts, say)
    finished = {(stack.kind, layer): d for stack in stacks for layer, d in stack.finished().items()}
    qualities = evaluate(model, finished, contexts.held_out, say)
    for kind in config.kinds:
        shutil.rmtree(config.out / kind, ignore_errors=True)  # by a run killed while it wrote them
        with atomic_folder(config.out / kind) as folder:
            for layer in range(model.n_layers):
                finished[kind, layer].save(folder / f"layer_{layer}", kind, layer, source.name)
    save_file({"held_out": contexts.held_out[:HELD_OUT_ROWS].contiguous()}, config.out / "held_out.safetensors")
    write_card(config, source.label, digest, model.device, contexts, stacks, qualities, seconds)
    shutil.rmtree(work)
    return config.out


def _begin(work: Path, config: TrainConfig, digest: str) -> None:
    """Note the settings in `work`; raises UserError if a run with others was begun there."""
    settings = config.model_dump(mode="json", exclude=FREE)
    settings["weights"] = digest
    noted = work / "settings.json"
    if noted.is_file():
        before: dict[str, Any] = json.loads(noted.read_text())
        if changed := [f"{name}={value!r}" for name, value in before.items() if settings.get(name) != value]:
            raise UserError(
                f"{work.parent} holds an unfinished run with {', '.join(changed)}: go on with the same, "
                "remove it, or choose another folder (--out)"
            )
    write_atomically(noted, json.dumps(settings, indent=2).encode())


def _contexts(work: Path, config: TrainConfig, model: Model, say: Say) -> Contexts:
    """The run's text as tokens, kept beside its checkpoints: a text that changes cannot change the run."""
    kept = work / "contexts"
    if not kept.is_dir():
        contexts = make_contexts(
            config.text, config.prompts, config.context, config.rows, config.seed, model.tokenizer, say
        )
        with atomic_folder(kept) as folder:
            save_file(vars(contexts), folder / "contexts.safetensors")
    return Contexts(**load_file(kept / "contexts.safetensors"))


def _trained(work: Path, config: TrainConfig, model: Model, contexts: Contexts, say: Say) -> tuple[list[Stack], float]:
    """The dictionaries after all steps, and the seconds that the steps took."""

    def read(step: int) -> dict[Site, Tensor]:
        rows = contexts.batch(step, config.rows, config.seed).to(model.device)
        return mlp_activations(model, rows, ["mlp_out", *(READS[kind] for kind in config.kinds)])

    half = torch.autocast(model.device.type, torch.bfloat16, enabled=config.dtype == "bfloat16")
    with half:
        stacks = _stacks(config, model, read)
    adam = torch.optim.Adam([p for stack in stacks for p in stack.parameters()], lr=config.lr, fused=True)
    first, before = load_checkpoint(work, stacks, adam)
    if first:
        say(f"going on from step {first}")
    tracked = start_live(config.tracking, config.out, config.model_dump(mode="json"), say)
    began = told = time.monotonic()
    for step in range(first, config.steps):
        for group in adam.param_groups:
            group["lr"] = config.learning_rate(step)
        with half:
            activations = read(step)
            for stack in stacks:
                x, y = (_side_by_side(activations, stack.layers, site) for site in (READS[stack.kind], "mlp_out"))
                stack.loss(x, y, config.k, config.dead_after, config.auxiliary).backward()
        adam.step()
        adam.zero_grad()
        for stack in stacks:
            stack.normalise()
        done, now = step + 1, time.monotonic()
        if now - told > SECONDS_A_LINE or done == config.steps:
            told = now
            values = _summary(stacks)
            say(_line(done, config, values, (done - first) / (now - began)))
            tracked.log(values, done)
        if done % config.checkpoint_every == 0 or done == config.steps:
            save_checkpoint(work, done, before + now - began, stacks, adam)
    tracked.finish()
    return stacks, before + time.monotonic() - began


def _stacks(config: TrainConfig, model: Model, read: Callable[[int], dict[Site, Tensor]]) -> list[Stack]:
    """Untrained dictionaries, centred and scaled by the first batches."""
    everywhere = range(model.n_layers)
    sites: list[SiteKind] = list(dict.fromkeys(["mlp_out", *(READS[kind] for kind in config.kinds)]))
    batches = [read(step) for step in range(min(BATCHES_FOR_MOMENTS, config.steps))]
    moments = {s: Moments.of(_side_by_side(batch, everywhere, s) for batch in batches) for s in sites}
    width = config.width or model.width("mlp_post")
    n = 1 if model.device.type == "cpu" else model.n_layers
    return [
        Stack(
            kind,
            everywhere[start : start + n],
            width,
            moments[READS[kind]].of_layers(start, start + n),
            moments["mlp_out"].of_layers(start, start + n),
            config.seed,
        )
        for kind in config.kinds
        for start in range(0, model.n_layers, n)
    ]


def _side_by_side(activations: Mapping[Site, Tensor], layers: Sequence[int], kind: SiteKind) -> Tensor:
    return torch.stack([activations[Site(layer, kind)] for layer in layers])


def _summary(stacks: Sequence[Stack]) -> dict[str, float]:
    """Mean over layers of the running unexplained fraction, by kind."""
    kinds = dict.fromkeys(stack.kind for stack in stacks)
    return {k: torch.cat([s.unexplained for s in stacks if s.kind == k]).mean().item() for k in kinds}


def _line(done: int, config: TrainConfig, values: Mapping[str, float], pace: float) -> str:
    """One line of progress; `pace` in steps a second."""
    left = (config.steps - done) / pace
    losses = ", ".join(f"{kind} {value:.3f}" for kind, value in values.items())
    return (
        f"step {done:,}/{config.steps:,}: unexplained {losses}; "
        f"{pace * config.tokens_a_step:,.0f} tokens/s, {left / 60:.0f} min left"
    )
