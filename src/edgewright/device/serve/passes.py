"""The queue of one model: requests that wait, joined into passes, run here or by workers.

Batching is greedy and has no window: whatever arrived in one turn of the event loop, or while the
workers were busy, runs together, and a lone request waits for nobody.
"""

import logging
import math
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from edgewright.device.serve.pictures import Pictures
from edgewright.device.serve.plan import Plan
from edgewright.device.serve.ports import Array, Arrays, Servable, Timer
from edgewright.device.serve.reading import Feed
from edgewright.device.serve.refusal import RefusalError, refusal_of
from edgewright.device.serve.tally import Tally
from edgewright.device.serve.tensors import InputForm
from edgewright.device.serve.trial import joins_rows
from edgewright.device.serve.watch import Watch
from edgewright.device.serve.workers import Loader, Workers
from edgewright.errors import DeviceError, EdgewrightError, InputError, TransportError
from edgewright.steps import compile_checks
from edgewright.transports.http1 import Exchange

logger = logging.getLogger(__name__)

Refuse = Callable[[Exchange, RefusalError], None]


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """What all models of a server share. `call_soon` runs something in the event loop's next
    turn.
    """

    workers: Workers
    timer: Timer
    wall_s: Timer
    call_soon: Callable[[Callable[[], None]], object]
    call_later: Callable[[float, Callable[[], None]], object]
    """Runs something in the event loop after so many seconds."""
    loader: Loader
    pictures: Pictures
    is_alone: Callable[[], bool] = lambda: False
    """Whether a single client is connected: nobody can join its pass or wait for it then."""


Answer = Callable[[Any, Exchange, Arrays], None]
"""Answers one request, given the `ServedModel` that ran it: another one than it was sent to, where
that failed and the old model stood in.
"""


class Job(msgspec.Struct, gc=False):
    """A request that waits for its result. Without an `answer` of its own it gets a V2 answer;
    one may refuse by raising an `InputError`.
    """

    exchange: Exchange
    feed: Feed
    arrived_s: float
    refuse: Refuse
    answer: Answer | None = None
    read_s: float = 0.0
    deadline_s: float | None = None


Mirror = Callable[[Arrays, Arrays, float], None]
"""Sees the inputs, the outputs and the run time of a pass that was answered."""

Fallback = Callable[[list[Job], Exception], None]
"""Takes over the requests of a pass that failed."""

Outcome = tuple[dict[str, Array] | Exception, float, float]
"""What a pass gave or raised, when it began, when it ended."""

AnswerAll = Callable[[list[Job], Arrays], None]
"""Answers the requests of a pass, given the rows of all of them, in their order."""


class PassQueue:
    """Runs the requests for one model."""

    def __init__(
        self,
        servable: Servable,
        plan: Plan,
        *,
        forms: tuple[InputForm, ...],
        answer: AnswerAll,
        resources: Resources,
        concurrency: int | None = None,
    ) -> None:
        contract = servable.model.contract
        self.tally = Tally()
        self.watch = Watch(
            servable.name,
            contract,
            drift=servable.drift,
            call_later=resources.call_later,
            background=resources.loader.background,
        )
        self.plan = plan
        self.mirror: Mirror | None = None
        self.fallback: Fallback | None = None
        self.joins = plan.max_rows > 1 and joins_rows(contract)
        self._name = servable.name
        self._predict = servable.model.predict_checked
        self.check = compile_checks(contract)
        self._forms = forms
        self._answer = answer
        self._resources = resources
        self._timer = resources.timer
        self._waiting: deque[Job] = deque()
        workers = resources.workers.count
        self._at_once = min(workers, concurrency or workers)
        self._is_limited = self._at_once < workers
        self._passes = 0
        self._running = 0
        self._held = 0
        self._is_scheduled = False
        self._failed_passes = 0
        self._log_again_s = -math.inf
        self._on_idle: Callable[[], None] | None = None

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    @property
    def in_flight(self) -> int:
        """Requests that wait or run, or will soon."""
        return len(self._waiting) + self._running + self._held

    def hold(self) -> None:
        """A request will come here once its pictures are decoded: do not become idle until then."""
        self._held += 1

    def release(self) -> None:
        """It came, or never will."""
        self._held -= 1
        self._notify_idle()

    def expected_wait_s(self) -> float:
        """How long a newcomer would wait for its pass."""
        if not self._waiting and self._passes < self._at_once:
            return 0.0
        workers = 1 if self.plan.is_inline else self._at_once
        return self.in_flight * (self.plan.row_s if self.joins else self.plan.single_s) / workers

    def rows_like(self, feed: Feed) -> int:
        """How many rows of the size that was tried a request is like."""
        plan = self.plan
        return plan.rows_like(feed.rows, feed.shapes) if plan.row_values else feed.rows

    def expected_s(self, feed: Feed) -> float:
        """How long a request's own pass will take."""
        return self.plan.expected_s(self.rows_like(feed))

    def add(self, job: Job) -> None:
        """Let a request wait for its pass."""
        job.read_s = self._timer()
        self._waiting.append(job)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._resources.call_soon(self._run_waiting)

    def fail(self, job: Job, refusal: RefusalError) -> None:
        """Answer without a result, and count why."""
        self.tally.failed[refusal.reason] += 1
        job.refuse(job.exchange, refusal)

    def when_idle(self, act: Callable[[], None]) -> None:
        """Act once, when no request waits or runs any more."""
        self._on_idle = act
        self._notify_idle()

    def end(self) -> None:
        """Nobody will ask any more: let go of who knows this queue in turn. Two that hold each
        other stay until the collector comes by, and it seldom does in a process that only serves.
        """
        self._answer, self.mirror, self.fallback = _refuse_all, None, None

    def _run_waiting(self) -> None:
        """Run what waits: here, or as far as workers are free."""
        self._is_scheduled = False
        while self._waiting:
            is_inline = self._runs_here(self._waiting[0].feed)
            if not is_inline and self._passes >= self._most_passes():
                return
            jobs = self._take()
            if jobs:
                self._start(jobs, is_inline=is_inline)
        self._notify_idle()

    def _most_passes(self) -> int:
        """How many passes the workers may hold: one more than they run, so that none of them waits
        for the event loop between two. A request that must meet a deadline, or one that others
        could still join, stays here until a worker is free, as all do of a model that may not take
        every worker.
        """
        is_bound = self.joins or self._is_limited or self._waiting[0].deadline_s is not None
        return self._at_once + (not is_bound)

    def _runs_here(self, feed: Feed) -> bool:
        """Whether the next pass runs in the event loop."""
        rows = self.rows_like(feed)
        if self.plan.runs_inline(rows):
            return True
        is_alone = len(self._waiting) == 1 and not self._passes and self._resources.is_alone()
        return is_alone and self.plan.runs_alone(rows)

    def _take(self) -> list[Job]:
        """The next request and those that can share its pass."""
        waiting = self._waiting
        jobs = [waiting.popleft()]
        if self.joins and waiting:
            shapes = jobs[0].feed.shapes
            rows = self.rows_like(jobs[0].feed)
            while waiting and _are_even(shapes):
                feed = waiting[0].feed
                rows += self.rows_like(feed)
                if rows > self.plan.max_rows or not _same_rows(feed.shapes, shapes):
                    break
                jobs.append(waiting.popleft())
        for job in jobs:
            if job.exchange.is_closed or job.deadline_s is not None:
                return [job for job in jobs if self._is_wanted(job)]
        return jobs

    def _is_wanted(self, job: Job) -> bool:
        if job.exchange.is_closed:
            self.tally.failed["peer_left"] += 1
            return False
        if job.deadline_s is not None and self._timer() > job.deadline_s:
            self.fail(job, RefusalError(504, "the request's timeout is over", reason="timeout"))
            return False
        return True

    def _start(self, jobs: list[Job], *, is_inline: bool) -> None:
        jobs, arrays = self._checked(jobs)
        if not jobs:
            return
        if is_inline:
            self._finish(jobs, arrays, self._outcome(arrays))
            return
        self._passes += 1
        self._running += len(jobs)
        done = partial(self._finish_pooled, jobs, arrays)
        self._resources.workers.submit(partial(self._outcome, arrays), done)

    def _checked(self, jobs: list[Job]) -> tuple[list[Job], dict[str, Array]]:
        """The requests whose values are in contract, as one pass; the others are refused."""
        arrays = self._joined(jobs)
        try:
            self.check(arrays)
        except InputError as error:
            if len(jobs) == 1:
                self.fail(jobs[0], refusal_of(error))
                return [], {}
        else:
            return jobs, arrays
        good = [job for job in jobs if self._checked([job])[0]]
        return good, self._joined(good) if good else {}

    def _joined(self, jobs: list[Job]) -> dict[str, Array]:
        if len(jobs) == 1:
            feed = jobs[0].feed
            return {
                form.name: form.array((content,), shape)
                for form, content, shape in zip(
                    self._forms, feed.contents, feed.shapes, strict=True
                )
            }
        rows = sum([job.feed.rows for job in jobs])
        shapes = jobs[0].feed.shapes
        return {
            form.name: form.array(
                [job.feed.contents[place] for job in jobs], (rows, *shapes[place][1:])
            )
            for place, form in enumerate(self._forms)
        }

    def _outcome(self, arrays: dict[str, Array]) -> Outcome:
        started_s = self._timer()
        try:
            outcome: dict[str, Array] | Exception = self._predict(arrays)
        except Exception as error:  # noqa: BLE001 - the top of a task; the event loop judges it
            outcome = error
        return outcome, started_s, self._timer()

    def _finish_pooled(
        self,
        jobs: list[Job],
        arrays: dict[str, Array],
        outcome: Outcome,
    ) -> None:
        self._passes -= 1
        self._running -= len(jobs)
        self._finish(jobs, arrays, outcome)
        self._run_waiting()

    def _finish(
        self,
        jobs: list[Job],
        arrays: dict[str, Array],
        outcome: Outcome,
    ) -> None:
        result, started_s, ended_s = outcome
        if not isinstance(result, Exception) and len(jobs) > 1:
            result = _with_all_rows(jobs, result)
        if isinstance(result, Exception):
            self._finish_failed(jobs, result)
            return
        self._answer(jobs, result)
        self._count(jobs, started_s, ended_s)
        if self.mirror is not None:
            self.mirror(arrays, result, ended_s - started_s)
        if self.watch.room > 0:
            self.watch.take(arrays, result)

    def _finish_failed(self, jobs: list[Job], error: Exception) -> None:
        if self.fallback is not None:
            self.fallback(jobs, error)
            return
        if len(jobs) > 1:  # one of them may be at fault: the others get a pass of their own
            for job in jobs:
                self._start([job], is_inline=self.plan.runs_inline(self.rows_like(job.feed)))
            return
        if isinstance(error, EdgewrightError):
            refusal = refusal_of(error)
        else:
            refusal = RefusalError(500, "the model failed", reason="internal")
        if refusal.status >= 500 and not isinstance(error, TransportError):
            # One that asks to try later is told by whoever brings the model back.
            self._log_failed(error)
        self.fail(jobs[0], refusal)

    def _log_failed(self, error: Exception) -> None:
        """At most once a second: requests may be made to fail, and logs fill disks."""
        self._failed_passes += 1
        if self._timer() < self._log_again_s:
            return
        self._log_again_s = self._timer() + 1.0
        unknown = None if isinstance(error, EdgewrightError) else error
        logger.error(
            "pass failed: model=%s failed=%d error=%s",
            *(self._name, self._failed_passes, error),
            exc_info=unknown,
        )

    def _count(self, jobs: list[Job], started_s: float, ended_s: float) -> None:
        run_s, written_s = ended_s - started_s, self._timer() - ended_s
        stages_s = [
            (job.read_s - job.arrived_s, started_s - job.read_s, run_s, written_s) for job in jobs
        ]
        rows = sum([job.feed.rows for job in jobs])
        self.tally.add_stages(stages_s, rows, self._resources.wall_s())

    def _notify_idle(self) -> None:
        if self._on_idle is not None and not self.in_flight:
            act, self._on_idle = self._on_idle, None
            act()


def _refuse_all(jobs: list[Job], _: Arrays) -> None:
    """Of a model that has ended."""
    for job in jobs:
        refusal = RefusalError(503, "the model was replaced", reason="replaced", retry_after_s=1)
        job.refuse(job.exchange, refusal)


def _with_all_rows(jobs: list[Job], outputs: dict[str, Array]) -> dict[str, Array] | Exception:
    """The outputs of a shared pass, if they are as many rows as were asked."""
    rows = sum([job.feed.rows for job in jobs])
    for name, array in outputs.items():
        if len(array) != rows:
            return DeviceError(f"output {name!r} has {len(array)} rows of {rows} that were asked")
    return outputs


def _are_even(shapes: tuple[tuple[int, ...], ...]) -> bool:
    """Whether every input has as many rows; a request whose inputs differ is refused, alone."""
    return len(shapes) == 1 or len({shape[0] for shape in shapes}) == 1


def _same_rows(shapes: tuple[tuple[int, ...], ...], others: tuple[tuple[int, ...], ...]) -> bool:
    """Whether two requests differ in their number of rows only."""
    return shapes == others or all(
        shape[1:] == other[1:] and shape[0] == shapes[0][0]
        for shape, other in zip(shapes, others, strict=True)
    )
