"""Weights & Biases: cells and boards as runs, training live, and nothing of it in the way of the work.

Cells and boards are recorded offline, in ``OUT/wandb``, which takes no network, and `wandb sync` uploads the
records in a process of its own. So online and offline differ in whether that process is started, an unreachable
host costs nothing but the upload, and what was not uploaded can be uploaded later. `runs` alone imports wandb.

from basisbench.settings.wandb import WandbSettings
from basisbench.tracking.tracker import start
tracker = start(WandbSettings(mode="auto"), Path("runs"), print)
tracker.cell(result, path)   # after each result that was written to runs/
tracker.board(results)       # once, with all results of the run
tracker.finish()
"""
