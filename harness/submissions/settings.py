"""What `basisbench evaluate` is asked."""

from dataclasses import replace
from typing import Annotated

from basisbench.grid.config import CellConfig
from basisbench.settings import Name, Setting
from basisbench.settings.common import ABLATION, BASIS, ERROR, MODEL, SEED, TASK
from basisbench.values import Count, ErrorTreatment, Size

OF_FILE = "the scores file's"


class EvaluateConfig(CellConfig):
    """One cell whose scores are given: what `basisbench.grid.config.RunConfig` asks of many."""

    model: Annotated[Name, replace(MODEL, default=OF_FILE)]
    task: Annotated[Name, replace(TASK, default=OF_FILE)]
    basis: Annotated[Name, replace(BASIS, default=OF_FILE)]
    ablation: Annotated[Name, ABLATION] = "mean"
    error: Annotated[ErrorTreatment, ERROR] = "score"
    seed: Annotated[Count, replace(SEED, default=f"{OF_FILE}, else 0")] = 0
    n_resamples: Annotated[Size, Setting("Resamples of the pairs that intervals are of", option=False)] = 2000
