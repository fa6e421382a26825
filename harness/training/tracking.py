"""Curves of a training run in W&B, for whoever asks for them; training never waits for it or stops with it."""

import os
from collections.abc import Callable, Mapping

import wandb

Track = Callable[[int, Mapping[str, float]], None]


def start_tracking(project: str | None, settings: Mapping[str, object], say: Callable[[str], None]) -> Track:
    """Begin a W&B run and return what logs (step, values) to it; does nothing for `project` None.

    Offline unless ``WANDB_MODE`` says otherwise. On the first failure W&B is left alone and `say` told why.
    """
    failures = (wandb.Error, OSError)
    if project is None:
        return lambda step, values: None
    try:
        run = wandb.init(project=project, config=dict(settings), mode=os.environ.get("WANDB_MODE", "offline"))  # type: ignore[arg-type]
    except failures as error:
        say(f"W&B is left out: {' '.join(str(error).split())}")
        return lambda step, values: None
    broken = False

    def track(step: int, values: Mapping[str, float]) -> None:
        nonlocal broken
        if broken:
            return
        try:
            run.log(dict(values), step=step)
        except failures as error:
            broken = True
            say(f"W&B is left out from step {step} on: {' '.join(str(error).split())}")

    return track
