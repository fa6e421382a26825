"""Engines: what computes a run's cells. `local` is this process, `ray` a Ray cluster."""

from basisbench.engines.find import ENGINES, Engine, find_engine, run_on_ray

__all__ = ["ENGINES", "Engine", "find_engine", "run_on_ray"]
