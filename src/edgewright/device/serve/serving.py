"""One model at work: reads V2 requests, admits them, hands them to its queue, writes answers."""

import logging
from collections.abc import Callable
from functools import lru_cache, partial

import msgspec
import orjson

from edgewright.device.serve.lane import Lane, Tools, find_shape
from edgewright.device.serve.passes import Job, PassQueue, Resources
from edgewright.device.serve.plan import Plan
from edgewright.device.serve.ports import Array, Arrays, Servable
from edgewright.device.serve.reading import Feed, Reader
from edgewright.device.serve.refusal import RefusalError, refusal_of
from edgewright.device.serve.row import Row, bind_row
from edgewright.device.serve.writing import Writer
from edgewright.errors import InputError
from edgewright.transports.http1 import Exchange, Frame, preamble
from edgewright.wire.v2 import BINARY_CONTENT, HEADER_LENGTH

logger = logging.getLogger(__name__)

_OK = preamble(200)
_MAX_LANES = 4
_LANE_TRIALS = 64


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests may wait for a model, for how long unless they say otherwise, and how many
    of its passes may run in worker threads at once (as many as there are, when None).
    """

    max_waiting: int = 512
    timeout_s: float | None = None
    concurrency: int | None = None


class ServedModel:
    """A model that passed its trial, under the name that clients use."""

    def __init__(
        self, servable: Servable, plan: Plan, *, admission: Admission, resources: Resources
    ) -> None:
        self.servable = servable
        self.name = servable.name
        self.version = servable.version
        self.contract = servable.model.contract
        self.reader = Reader(self.contract)
        self.queue = PassQueue(
            servable,
            plan,
            forms=self.reader.forms,
            answer=self._answer_all,
            resources=resources,
            concurrency=admission.concurrency,
        )
        self._writer = Writer(self.contract, name=self.name, version=self.version)
        self._admission = admission
        self._timer = resources.timer
        self._resources = resources
        self.lanes: list[Lane] = []
        self._rows: dict[tuple[int, ...], Row | None] = {}
        self._lane_trials = _LANE_TRIALS if self._may_have_lanes() else 0

    @property
    def waiting(self) -> int:
        """Requests that wait for a pass."""
        return self.queue.waiting + sum(map(len, self.lanes))

    @property
    def in_flight(self) -> int:
        """Requests that wait or run."""
        return self.queue.in_flight + sum(map(len, self.lanes))

    def retire(self, act: Callable[[], None]) -> None:
        """Act once, when everything that was taken is answered; nothing more may be asked."""
        for lane in self.lanes:
            lane.run()
        self.queue.when_idle(partial(self._end, act))

    def _end(self, act: Callable[[], None]) -> None:
        """Leave nothing that holds this model and is held by it; see `PassQueue.end`."""
        self.lanes, self._lane_trials = [], 0
        self._rows.clear()
        self.queue.end()
        act()

    def infer(self, exchange: Exchange, body: bytes, header_bytes: int | None) -> None:
        """Take a V2 request."""
        if header_bytes is None:
            for lane in self.lanes:
                if lane.take(exchange, body):
                    return
        self.infer_with_care(exchange, body, header_bytes)

    def infer_with_care(self, exchange: Exchange, body: bytes, header_bytes: int | None) -> None:
        """Take a V2 request that no lane has taken."""
        self._read(exchange, body, header_bytes, self._timer())

    def _read(
        self, exchange: Exchange, body: bytes, header_bytes: int | None, arrived_s: float
    ) -> None:
        try:
            feed = self.reader.read(body, header_bytes)
        except InputError as error:
            refusal = refusal_of(error)
            self.queue.tally.failed[refusal.reason] += 1
            refuse_as_v2(exchange, refusal)
            return
        if self._lane_trials and header_bytes is None:
            self._try_lane(body, feed)
        self.submit(Job(exchange, feed, arrived_s, refuse_as_v2))

    def _may_have_lanes(self) -> bool:
        """Whether requests run here, joined, and are answered by one output of numbers."""
        outputs = self.contract.outputs
        return (
            self.queue.plan.is_inline
            and self.queue.joins
            and self._admission.timeout_s is None
            and len(self.contract.inputs) == len(outputs) == 1
            and outputs[0].dtype != "string"
            and len(outputs[0].shape) > 1
            and all(isinstance(size, int) for size in outputs[0].shape[1:])
        )

    def _try_lane(self, body: bytes, feed: Feed) -> None:
        """The next request that looks like this one takes a lane, where that is safe."""
        self._lane_trials -= 1
        options = feed.id, feed.wanted, feed.timeout_s
        if feed.encoded or any(option is not None for option in options):
            return
        if not self.queue.plan.runs_inline(self.queue.rows_like(feed)):
            return
        form = self.reader.forms[0]
        shape = find_shape(body, form, feed.shapes[0])
        if shape is None:
            return
        before, after = self._writer.around_rows()
        lane = Lane(
            shape,
            form,
            frame=Frame(_OK, before, after),
            tools=self._tools(feed),
            queue=self.queue,
            row=self._row(feed.shapes[0]),
        )
        self.lanes = [lane, *self.lanes[: _MAX_LANES - 1]]

    def _row(self, shape: tuple[int, ...]) -> Row | None:
        if shape not in self._rows:
            self._rows[shape] = bind_row(self.servable.model, self.reader.forms[0], shape)
        return self._rows[shape]

    def _tools(self, feed: Feed) -> Tools:
        resources, plan = self._resources, self.queue.plan
        return Tools(
            max_rows=max(
                1, plan.max_rows // (self.queue.rows_like(feed) if plan.row_values else 1)
            ),
            check=self.queue.check,
            predict=self.servable.model.predict_checked,
            timer=resources.timer,
            wall_s=resources.wall_s,
            add_late=lambda exchange, body, arrived_s: self._read(exchange, body, None, arrived_s),
            schedule=resources.call_soon,
            is_alone=resources.is_alone,
        )

    def write(self, feed: Feed, outputs: Arrays) -> tuple[bytes, int | None]:
        """A V2 body, and its JSON part's length when tensors follow it in binary."""
        return self._writer.write(feed, outputs)

    def submit(self, job: Job) -> None:
        """Let a request wait for its pass, unless there is no point."""
        if job.feed.encoded:
            self._decode_first(job)
            return
        timeout_s = job.feed.timeout_s or self._admission.timeout_s
        if timeout_s is not None or self.queue.waiting >= self._admission.max_waiting:
            refusal = self._admit(job, timeout_s)
            if refusal is not None:
                self.queue.fail(job, refusal)
                return
        self.queue.add(job)

    def _decode_first(self, job: Job) -> None:
        """Let a request wait once its pictures are decoded."""

        def decoded(result: list[Array] | RefusalError) -> None:
            try:
                if isinstance(result, RefusalError):
                    raise result
                job.feed = self.reader.decoded(job.feed, result)
            except InputError as error:
                self.queue.fail(job, refusal_of(error))
            except RefusalError as refusal:
                self.queue.fail(job, refusal)
            else:
                self.submit(job)
            finally:
                self.queue.release()

        self.queue.hold()
        try:
            self._resources.pictures.decode(job.feed.encoded, decoded)
        except RefusalError as refusal:
            self.queue.fail(job, refusal)
            self.queue.release()

    def _admit(self, job: Job, timeout_s: float | None) -> RefusalError | None:
        """Sets the job's deadline, or says why it may not wait."""
        expected_s = self.queue.expected_wait_s()
        retry_after_s = max(1, round(expected_s))
        if self.queue.waiting >= self._admission.max_waiting:
            return RefusalError(
                429,
                f"{self.queue.waiting} requests wait for model {self.name!r} already",
                reason="queue_full",
                retry_after_s=retry_after_s,
            )
        if timeout_s is None:
            return None
        needed_s = expected_s + self.queue.expected_s(job.feed)
        if needed_s > timeout_s:
            return RefusalError(
                503,
                f"an answer would take about {needed_s * 1e3:.3g} ms, "
                f"the request's timeout is {timeout_s * 1e3:.3g} ms",
                reason="deadline",
                retry_after_s=retry_after_s,
            )
        job.deadline_s = job.arrived_s + timeout_s
        return None

    def _answer_all(self, jobs: list[Job], outputs: Arrays) -> None:
        if len(jobs) == 1:
            self._answer(jobs[0], outputs)
            return
        bodies = None
        if _are_plain(jobs):
            bodies = self._writer.write_rows([job.feed for job in jobs], outputs)
        if bodies is not None:
            for job, body in zip(jobs, bodies, strict=True):
                job.exchange.reply(_OK, body)
        else:
            first = 0
            for job in jobs:
                last = first + job.feed.rows
                self._answer(job, {name: array[first:last] for name, array in outputs.items()})
                first = last

    def _answer(self, job: Job, outputs: Arrays) -> None:
        try:
            if job.answer is not None:
                job.answer(self, job.exchange, outputs)
                return
            body, header_bytes = self._writer.write(job.feed, outputs)
        except InputError as error:
            self.queue.fail(job, refusal_of(error))
            return
        except Exception:  # the top of a task: nobody else's answer waits for this one's
            logger.exception("answer failed: model=%s", self.name)
            self.queue.fail(job, RefusalError(500, "internal error", reason="internal"))
            return
        if header_bytes is None:
            job.exchange.reply(_OK, body)
        else:
            job.exchange.reply(_ok_binary(header_bytes), body)


@lru_cache(maxsize=256)
def _ok_binary(header_bytes: int) -> bytes:
    fields = {HEADER_LENGTH: str(header_bytes)}
    return preamble(200, BINARY_CONTENT, **fields)


def _are_plain(jobs: list[Job]) -> bool:
    """Whether all are of one row and want every output as JSON."""
    for job in jobs:
        feed = job.feed
        if feed.rows != 1 or feed.wanted is not None or job.answer is not None:
            return False
    return True


def refuse_as_v2(exchange: Exchange, refusal: RefusalError) -> None:
    """The error body of the V2 protocol."""
    fields = {} if refusal.retry_after_s is None else {"retry_after": str(refusal.retry_after_s)}
    if refusal.status == 401:
        fields["www_authenticate"] = "Bearer"
    exchange.reply(preamble(refusal.status, **fields), orjson.dumps({"error": str(refusal)}))
