"""From an engine's name to a function that computes a run. Ray is an optional dependency, loaded when asked for."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from basisbench.errors import UserError, unknown_name
from basisbench.grid.config import RunConfig
from basisbench.grid.run import Each, RunReport, ignore, run
from basisbench.progress import Report, Say, quiet, say_nothing

ENGINES = ("local", "ray")


class Engine(Protocol):
    """Computes every cell of a run that is not there yet, as `basisbench.grid.run.run`."""

    def __call__(
        self, config: RunConfig | None = None, *, report: Report = quiet, say: Say = say_nothing, each: Each = ignore
    ) -> RunReport:
        """Compute the run."""
        ...


def find_engine(name: str, address: str | None = None, store: str | None = None) -> Engine:
    """Return the engine called `name`, on the cluster at `address` and with a `store` if it is Ray.

    Raises UserError for an engine that is not known, not installed, or not on a cluster.
    """
    if name not in ENGINES:
        raise unknown_name("engine", name, ENGINES)
    if name == "ray":
        _check_ray()
        return partial(run_on_ray, address=address, store=store)
    if address or store:
        raise UserError("--address and --store are for --engine ray")
    return run


def run_on_ray(
    config: RunConfig | None = None,
    *,
    address: str | None = None,
    store: str | None = None,
    report: Report = quiet,
    say: Say = say_nothing,
    each: Each = ignore,
    retries: int = 2,
) -> RunReport:
    """Compute every cell of `config` that is not there yet on the Ray cluster at `address`.

    Without an address: the one in RAY_ADDRESS, else a cluster of this machine alone, for this run. With a `store`, an
    fsspec URL, machines need to share nothing else, and what is there is copied to ``config.out``. A group of cells
    whose worker dies is computed again `retries` times. Raises UserError as `grid.run.run`, without ray, and for
    a cluster or a store that cannot be used.
    """
    _check_ray()
    from basisbench.engines.ray_engine import compute

    return compute(config or RunConfig(), address, store, report, say, each, retries)


def _check_ray() -> None:
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise UserError("--engine ray needs the package ray: pip install 'basisbench[ray]'") from error
