"""The plan of a run, spread over a Ray cluster.

1. Plan and resolve every name here, as a run in one process does. The driver computes nothing.
2. Start workers, actors that hold one model each: one a GPU where the cluster has some, else one for every
   CPUS_A_WORKER processors of a machine. More start when machines join.
3. A worker that is ready gets a group of its model, preferably of the prompts it had before
   (`engines.schedule`). When its model has no more groups it goes, and makes room for one with another model.
4. The group of a worker that dies is given to another, a few times; then its cells are recorded as failed. So is a
   model that no worker could load without dying.
5. Results are in the folder, which all machines share, or in a store (`engines.store`), from which the driver
   copies them to its own folder.

A run that ends, however it ends, ends its workers.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from basisbench.engines.cluster import Share, connected, share_of
from basisbench.engines.schedule import Prompts, next_group, next_model, prompts_of
from basisbench.engines.store import Store
from basisbench.engines.worker import Done, News, Work, Worker
from basisbench.errors import UserError
from basisbench.grid.clock import Clock
from basisbench.grid.config import RunConfig
from basisbench.grid.failures import Failure, reason_of
from basisbench.grid.plan import Group, plan_groups
from basisbench.grid.run import Each, RunReport, check_folder, resolve_names
from basisbench.progress import Report, Say, quiet
from basisbench.results.find import ResultFolder
from basisbench.results.schema import Result

POLL_SECONDS = 0.5
CLOSE_SECONDS = 5.0


def compute(
    config: RunConfig, address: str | None, store: str | None, report: Report, say: Say, each: Each, retries: int
) -> RunReport:
    """Compute a run: `basisbench.engines.run_on_ray`."""
    config = config.model_copy(update={"out": config.out.absolute()})
    groups = plan_groups(config)
    resolve_names(groups)
    check_folder(config.out)
    if store:
        Store(store).check()
    with connected(address):
        driver = _Driver(config, groups, store, report, say, each, retries)
        try:
            driver.run()
        finally:
            driver.dismiss(list(driver.seats))
    return driver.report_of_run()


@dataclass(eq=False)
class _Seat:
    """A worker's place: its actor, what it is asked (to load, while `group` is None), what it had before."""

    actor: Any
    model: str
    asked: ray.ObjectRef[Any]
    group: Group | None = None
    last: Prompts | None = None
    news: ray.ObjectRef[Any] | None = None
    fraction: float = 0.0


class _Driver:
    """A run in progress: groups that wait, workers, and what they left."""

    def __init__(
        self,
        config: RunConfig,
        groups: list[Group],
        store: str | None,
        report: Report,
        say: Say,
        each: Each,
        retries: int,
    ) -> None:
        self.config = config
        self.groups = groups
        self.store = Store(store) if store else None
        self.report = report
        self.say = say
        self.each = each
        self.retries = retries
        self.share: Share = share_of(config.device)
        self.pending = list(groups)
        self.held: list[Group] = []
        self.seats: list[_Seat] = []
        self.deaths: Counter[Group | str] = Counter()
        self.reasons: dict[Group, str] = {}
        self.results: dict[Group, tuple[Result, ...]] = {}
        self.failures: list[Failure] = []
        self.said: set[str] = set()
        self.folder = ResultFolder(config.out)
        self.before = self.store.names() if self.store else {stored.path.stem for stored in self.folder}
        self.costs = {group: Clock(quiet, [group]).total for group in groups}

    def run(self) -> None:
        """Work until no group is left."""
        while self.pending or self.held or any(seat.group for seat in self.seats):
            self._start_workers()
            asked = [seat.asked for seat in self.seats]
            ready = ray.wait(asked, num_returns=len(asked), timeout=POLL_SECONDS)[0] if asked else []
            for seat in [seat for seat in self.seats if seat.asked in ready]:
                if seat in self.seats:  # it may have gone with its model
                    self._settle(seat)
            self._hear()

    def report_of_run(self) -> RunReport:
        """What the run leaves, in the order of the plan."""
        results = [result for group in self.groups for result in self.results.get(group, ())]
        reused = sum(result.name in self.before for result in results)
        # workers that share a task without pairs say so once each
        return RunReport(tuple(results), reused, tuple(dict.fromkeys(self.failures)), self.config.out)

    def dismiss(self, seats: list[_Seat]) -> None:
        """End workers."""
        closing = [seat.actor.close.remote() for seat in seats]
        if closing:
            ray.wait(closing, num_returns=len(closing), timeout=CLOSE_SECONDS)
        for seat in seats:
            ray.kill(seat.actor)
            self.seats.remove(seat)

    def _start_workers(self) -> None:
        waiting = self.pending or self.held
        while len(self.seats) < self.share.workers():
            loading = [seat.model for seat in self.seats if not (seat.group or seat.last)]
            model = next_model(waiting, [seat.model for seat in self.seats], loading)
            if model is None:
                return
            groups = [group for group in self.groups if group.shared.model == model]
            url = self.store.url if self.store else None
            work = Work(self.config, groups, self.share.threads, Path.cwd(), url)
            options = {"num_cpus": self.share.cpus, "num_gpus": self.share.gpus, "max_concurrency": 2}
            actor: Any = ray.remote(Worker).options(**options).remote(work)
            self.seats.append(_Seat(actor, model, actor.load.remote()))

    def _settle(self, seat: _Seat) -> None:
        """Take what a worker was asked for, and ask it for more."""
        try:
            done: Done | None = ray.get(seat.asked)
        except RayTaskError as error:
            if not isinstance(error.cause, UserError):
                raise
            if seat.group:  # such as a full disk: the next group would not fare better
                raise error.cause from None
            self._fail_model(seat.model, reason_of(error.cause))
            return
        except RayError as error:
            self._lose(seat, reason_of(error))
            return
        if group := seat.group:
            seat.group, seat.last, seat.fraction = None, prompts_of(group), 0.0
            if done is None:
                self.held.append(group)
            else:
                self._keep(group, done)
        self._assign(seat)

    def _assign(self, seat: _Seat) -> None:
        elsewhere = {prompts_of(other.group) for other in self.seats if other.group}
        group = next_group(self.pending, seat.model, seat.last, elsewhere)
        wait = group is None
        if wait:
            group = next_group(self.held, seat.model, seat.last, elsewhere)
        if group is None:
            self.dismiss([seat])
            return
        (self.held if wait else self.pending).remove(group)
        if wait:
            self._say("another process computes groups of cells of this run: waiting for what it leaves")
        seat.group = group
        if self.deaths[group] > self.retries:
            seat.asked = seat.actor.give_up.remote(group, self.reasons[group])
        else:
            seat.asked = seat.actor.run.remote(group, wait)

    def _lose(self, seat: _Seat, reason: str) -> None:
        """Have the group of a worker that died computed again, or given up."""
        self.seats.remove(seat)
        with suppress(RayError):
            ray.kill(seat.actor)
        lost = seat.group or seat.model
        self.deaths[lost] += 1
        times = self.deaths[lost]
        if isinstance(lost, str):
            self.say(f"lost a worker that loaded {lost}: {reason}")
            if times > self.retries:
                self._fail_model(lost, f"its worker died while loading it, {times} of {times} times: {reason}")
            return
        self.say(f"lost the worker that computed {lost.label}: {reason}")
        self.reasons[lost] = f"its worker died, {times} of {times} times: {reason}"
        if times > self.retries + 1:  # not even giving up went well
            self._keep(lost, Done((), (Failure(lost.label, self.reasons[lost]),)))
        else:
            self.pending.insert(0, lost)

    def _fail_model(self, model: str, reason: str) -> None:
        if all(group.shared.model == model for group in self.groups):
            raise UserError(reason)
        self.failures.append(Failure(model, reason))
        self.pending = [group for group in self.pending if group.shared.model != model]
        self.held = [group for group in self.held if group.shared.model != model]
        self.dismiss([seat for seat in self.seats if seat.model == model and not seat.group])

    def _keep(self, group: Group, done: Done) -> None:
        self.results[group] = done.results
        self.failures += done.failures
        for result in done.results:
            path = self.config.out / f"{result.name}.json"
            there = self.folder.find(result.name)
            if self.store and not there:
                self.store.get(self.config.out, [f"{result.name}.safetensors", path.name])
                there = self.folder.find(result.name)
            if not there:
                raise UserError(
                    f"{path} is not here, though a worker wrote it: --out must be a folder that all machines share, "
                    f"or name a --store"
                )
            if result.name not in self.before:
                self.each(result, path)
        self.report(group.label, self._fraction())

    def _hear(self) -> None:
        """Ask workers how far they are; pass on what they told."""
        for seat in self.seats:
            if seat.news is None:
                seat.news = seat.actor.news.remote()
            elif ray.wait([seat.news], timeout=0)[0]:
                with suppress(RayError):  # a worker that died: settled elsewhere
                    self._pass_on(seat, ray.get(seat.news))
                seat.news = None

    def _pass_on(self, seat: _Seat, news: News) -> None:
        for line in news.lines:
            self._say(line)
        if seat.group and news.doing:
            seat.fraction = news.fraction
        self.report(f"{len(self.seats)} workers, {news.doing or 'loading'}", self._fraction())

    def _fraction(self) -> float:
        done = sum(self.costs[group] for group in self.results)
        running = sum(self.costs[seat.group] * seat.fraction for seat in self.seats if seat.group)
        return min(1.0, (done + running) / sum(self.costs.values()))

    def _say(self, line: str) -> None:
        """Say a line once, though several workers say it."""
        if line not in self.said:
            self.said.add(line)
            self.say(line)
