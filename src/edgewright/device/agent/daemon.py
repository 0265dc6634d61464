"""The agent that stays: follows the fleet, takes orders, watches the server, until told to stop."""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from typing import Any

import msgspec

from edgewright.device.agent.agent import Agent, release_from
from edgewright.device.agent.health import read_health
from edgewright.device.agent.machine import State
from edgewright.device.agent.ports import Fleet, ServingSample
from edgewright.device.agent.progress import Progress, Release, is_answered, is_settled
from edgewright.device.agent.reporter import Reporter, ServingSpan
from edgewright.device.agent.update import Update
from edgewright.device.agent.worker import Worker
from edgewright.errors import EdgewrightError, InputError, ResourceError, TrustError
from edgewright.wire.device_api import Desired

MEASURE_S = 60.0
BACKOFF_LIMIT_S = 3600.0

_log = logging.getLogger(__name__)


class _Retry(msgspec.Struct, frozen=True):
    bundle_id: str
    count: int
    not_before_s: float


class Daemon:
    """One device's agent as a service. Make it inside the event loop that runs it."""

    def __init__(self, agent: Agent, *, poll_s: float, rng: random.Random) -> None:
        self._agent = agent
        self._poll_s = poll_s
        self._rng = rng
        self._workers: dict[str, Worker] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._retries: dict[str, _Retry] = {}
        self._withdrawn: set[str] = set()
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self.on_desired: Callable[[Desired], None] = lambda _: None
        self.on_rest: Callable[[], object] = lambda: None
        self.wants_restart = False
        fleet, outbox = agent.tools.fleet, agent.recorder.outbox
        self._reporter = Reporter(outbox, fleet, agent.tools.clock) if fleet else None
        if self._reporter:
            agent.recorder.on_step = self._reporter.wake

    def stop(self) -> None:
        """End `run`; an unfinished update goes on at the next start."""
        self._stop.set()

    def restart(self) -> None:
        """End `run` so that other code goes on; the server stays."""
        self.wants_restart = True
        self._stop.set()

    async def run(self) -> None:
        """Work until `stop`, or until something breaks that only the operator can mend."""
        await self._agent.clean()
        for model in self._agent.known_models():
            self._worker(model).submit(self._agent.settle_model)
        fleet = self._agent.tools.fleet
        if fleet and self._reporter:
            self._start("poll", self._poll(fleet, self._reporter))
            self._start("report", self._reporter.run())
            self._start("measure", self._measure(self._reporter))
        try:
            await self._stop.wait()
        finally:
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._failure:
            raise self._failure

    def submit(self, release: Release) -> asyncio.Future[Progress]:
        """Take a release after what its model does now."""
        return self._worker(release.model).submit(partial(self._agent.take, release))

    def go_back(self, model: str, reason: str) -> asyncio.Future[Progress]:
        """Return a model to the bundle before, ahead of what it does now.

        Raises:
            InputError: there is no such model.
        """
        worker = self._worker(self._agent.only_model(model))
        worker.interrupt(reason)
        return worker.submit(partial(self._agent.go_back, reason))

    def cancel(self, model: str, reason: str) -> asyncio.Future[Progress]:
        """End a model's update; it goes on with what it ran before.

        Raises:
            InputError: there is no such model, or it is idle.
        """
        worker = self._worker(self._agent.only_model(model))
        progress = worker.update.progress
        if progress.state is State.IDLE:
            raise InputError(
                f"model {progress.model!r} is not being updated: there is nothing to cancel",
                hint="see `edgewright agent status`",
            )
        worker.interrupt(reason)
        return worker.submit(_seen)

    def server_broke(self, reason: str) -> None:
        """The server keeps dying: the model that changed last is the likely cause and returns to
        the bundle before; if the server goes on dying, the next one follows.
        """
        models = self._agent.served()
        suspects = [p for p in models if p.state is State.IDLE and len(p.committed) > 1]
        if not suspects:
            _log.error("%s; no model has an earlier bundle to return to", reason)
            return
        model = max(suspects, key=lambda progress: progress.at_s).model
        self._worker(model).submit(partial(self._agent.go_back, reason))

    def follow(self, desired: Desired) -> None:
        """Start what the fleet wants and no model is doing; end what it wants no more."""
        self._end_unwanted({wanted.model for wanted in desired.models})
        for wanted in desired.models:
            try:
                release = release_from(wanted)
            except TrustError as error:
                _log.warning("%s", error)
                continue
            worker = self._worker(release.model)
            if not worker.is_idle:
                _end_other(worker, release)
            elif is_settled(worker.update.progress, release):
                self._answer(worker, release)
            elif self._is_due(release):
                self._withdrawn.discard(release.model)
                self.submit(release).add_done_callback(partial(self._note, release))

    def _end_unwanted(self, wanted: Collection[str]) -> None:
        """An order that was withdrawn where there was none before is not brought to its end."""
        for model, worker in self._workers.items():
            if model in wanted:
                continue
            self._withdrawn.add(model)
            if not worker.is_idle and _is_of_fleet(worker.update.progress.release):
                worker.interrupt("the fleet wants it no more")

    def _answer(self, worker: Worker, release: Release) -> None:
        """Tell of an order once; of one that was withdrawn and given again, again."""
        model = release.model
        if model in self._withdrawn or not is_answered(worker.update.progress, release):
            self._withdrawn.discard(model)
            worker.submit(partial(self._agent.answer, release))

    def _worker(self, model: str) -> Worker:
        if model not in self._workers:
            worker = self._workers[model] = Worker(self._agent.update(model), self.on_rest)
            self._start(f"worker:{model}", worker.run())
        return self._workers[model]

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """No task ends by itself: one that does takes the agent with it."""
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            self._failure = task.exception()
            self._stop.set()

    def _is_due(self, release: Release) -> bool:
        retry = self._retries.get(release.model)
        if retry is None or retry.bundle_id != release.bundle_id:
            return True
        return self._now_s() >= retry.not_before_s

    def _note(self, release: Release, future: "asyncio.Future[Progress]") -> None:
        """Count a release that could not be taken, so that it is tried ever more seldom."""
        if future.cancelled() or not future.exception():
            self._retries.pop(release.model, None)
            return
        last = self._retries.get(release.model)
        count = last.count + 1 if last and last.bundle_id == release.bundle_id else 1
        wait_s = min(self._poll_s * 2**count, BACKOFF_LIMIT_S) * self._jitter()
        self._retries[release.model] = _Retry(release.bundle_id, count, self._now_s() + wait_s)

    async def _poll(self, fleet: Fleet, reporter: Reporter) -> None:
        """Ask by long poll; never more often than the server answers with something new. What waits
        to be told goes in between, over the same connection.
        """
        etag, desired = "", None
        while True:
            asked_s = self._now_s()
            try:
                answer = await fleet.desired(etag=etag, wait_s=self._poll_s)
            except EdgewrightError as error:
                _log.info("fleet: %s", error)
                answer = None
            reporter.wake()
            if answer is not None:
                etag, desired = answer
            if desired is not None:
                self.follow(desired)
                self.on_desired(desired)
            rest_s = 0.0 if answer else self._poll_s - (self._now_s() - asked_s)
            await self._agent.tools.clock.sleep(max(rest_s, 0.1) * self._jitter())

    async def _measure(self, reporter: Reporter) -> None:
        before: dict[str, ServingSample] = {}
        while True:
            try:
                await self._measured(reporter, before)
            except ResourceError as error:
                _log.warning("what was measured is not told: %s", error)
            await self._agent.tools.clock.sleep(MEASURE_S * self._jitter())

    async def _measured(self, reporter: Reporter, before: dict[str, ServingSample]) -> None:
        """Note how the device and its models do now.

        Raises:
            ResourceError: the outbox cannot be written.
        """
        tools = self._agent.tools
        reporter.add_health(read_health(self._agent.home.root))
        for model in (progress.model for progress in self._agent.served()):
            bundle = tools.slots.current(model)
            if not bundle or not tools.server.is_on:
                continue
            sample = await tools.server.sample(model)
            first = before.get(model, ServingSample(is_ready=False))
            reporter.add_serving(ServingSpan(model=model, bundle=bundle, first=first, last=sample))
            before[model] = sample

    def _now_s(self) -> float:
        return self._agent.tools.clock.monotonic_s()

    def _jitter(self) -> float:
        """Keeps devices that were switched on together from asking together."""
        return self._rng.uniform(0.9, 1.1)


async def _seen(update: Update) -> Progress:
    """Where a model stands when its turn comes."""
    return update.progress


def _end_other(worker: Worker, wanted: Release) -> None:
    release = worker.update.progress.release
    if release is not None and _is_of_fleet(release) and release.bundle_id != wanted.bundle_id:
        worker.interrupt(f"the fleet wants {wanted.version or wanted.bundle_id[:12]} now")


def _is_of_fleet(release: Release | None) -> bool:
    return release is not None and release.origin == "fleet"
