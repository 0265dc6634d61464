"""Load: closed loop (so many clients, each waits for its answer) and open loop (requests leave
when an arrival process says so, answered or not).

An open loop has no coordinated omission: latency counts from the scheduled moment, and a server
that stalls is charged for every request that should have left meanwhile. Requests are ready bytes,
answers come back as bytes; what they mean is the caller's. Every run is bounded in seconds, number
of requests, connections, and bytes kept. HTTP is spoken here, on TCP or a Unix socket; another
protocol is a `Connect` that is handed in (`measure.load_grpc`).

    >>> import asyncio
    >>> from edgewright.clock import SystemClock
    >>> from edgewright.transports.http1 import Response, start_server
    >>> async def session():
    ...     async def handler(request):
    ...         return Response(status=200, body=request.body)
    ...     server = await start_server(handler, clock=SystemClock())
    ...     target = LoadTarget.from_url(server.address)
    ...     requests = [encode_request("POST", "/echo", target=target, body=b"hi")]
    ...     result = await closed_loop(target, requests, LoadLimits(seconds=0.1), connections=2)
    ...     await server.close()
    ...     return result
    >>> result = asyncio.run(session())
    >>> result.answered > 0, result.failed, list(result.answers[0])
    (True, 0, [b'hi'])
"""

import time
from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgewright.measure._load_connection import Wire
from edgewright.measure._load_loop import Connect, Loop
from edgewright.measure._timer import Timer, make_timer
from edgewright.measure.load_result import LoadResult
from edgewright.measure.load_target import (
    LoadLimits,
    LoadTarget,
    encode_request,
    even_arrivals,
    poisson_arrivals,
)

__all__ = [
    "ClosedLoop",
    "Connect",
    "LoadLimits",
    "LoadResult",
    "LoadTarget",
    "OpenLoop",
    "closed_loop",
    "encode_request",
    "even_arrivals",
    "open_loop",
    "poisson_arrivals",
]


async def closed_loop(
    target: LoadTarget, requests: Sequence[bytes], limits: LoadLimits, *, connections: int = 1
) -> LoadResult:
    """As many clients as connections; each sends its next request when the last one was answered.

    Cancelled (Ctrl-C), it stops sending and raises; `ClosedLoop.result` keeps what was measured.

    Raises:
        TransportError: no connection could be made at all.
    """
    return await ClosedLoop(target, requests, limits, connections=connections).run()


async def open_loop(
    target: LoadTarget,
    requests: Sequence[bytes],
    limits: LoadLimits,
    *,
    arrivals_s: NDArray[np.float64],
    connections: int = 64,
) -> LoadResult:
    """Requests leave at `arrivals_s`; one that finds no free connection waits, and its wait counts.

    Raises:
        TransportError: no connection could be made at all.
    """
    loop = OpenLoop(target, requests, limits, arrivals_s=arrivals_s, connections=connections)
    return await loop.run()


class ClosedLoop(Loop):
    """Clients that wait for their answers; use `closed_loop`."""

    def _start(self) -> None:
        while self._idle:
            self._next(self._idle.pop(), time.perf_counter())

    def _next(self, connection: Wire, now_s: float) -> None:
        record = self._record
        if self._is_sending and record.count < self._limits.requests:
            index = record.schedule(now_s)
            record.sent_s[index] = now_s
            connection.send(index, self._requests[index % self._payloads], now_s)
        else:
            self._is_sending = False
            self._rest(connection)

    def _has_backlog(self) -> bool:
        return False

    def _stop(self) -> None:
        pass

    def _give_up_backlog(self, now_s: float) -> None:
        pass


class OpenLoop(Loop):
    """Requests that leave on their own schedule; use `open_loop`."""

    def __init__(
        self,
        target: LoadTarget,
        requests: Sequence[bytes],
        limits: LoadLimits,
        *,
        arrivals_s: NDArray[np.float64],
        connections: int,
        connect: Connect | None = None,
    ) -> None:
        super().__init__(target, requests, limits, connections=connections, connect=connect)
        kept = arrivals_s[arrivals_s < limits.seconds][: limits.requests]
        self._arrivals_s: list[float] = kept.tolist()
        self._backlog: deque[int] = deque()
        self._timer: Timer | None = None

    def _start(self) -> None:
        self._timer = make_timer(self._send_due)
        self._arrivals_s = [moment + self._record.start_s for moment in self._arrivals_s]
        self._send_due()

    def _send_due(self) -> None:
        """Everything whose moment has come leaves now, or waits for a connection."""
        arrivals_s, record, idle = self._arrivals_s, self._record, self._idle
        while record.count < len(arrivals_s):
            moment_s = arrivals_s[record.count]
            now_s = time.perf_counter()
            if now_s < moment_s:
                if self._timer is not None:
                    self._timer.arm(moment_s)
                return
            index = record.schedule(moment_s)
            if idle:
                record.lag_s.append(now_s - moment_s)
                self._send(idle.pop(), index, now_s)
            else:
                self._backlog.append(index)
        self._is_sending = False
        self._end_if_drained()

    def _next(self, connection: Wire, now_s: float) -> None:
        if self._backlog:
            self._send(connection, self._backlog.popleft(), now_s)
        else:
            self._rest(connection)

    def _send(self, connection: Wire, index: int, now_s: float) -> None:
        self._record.sent_s[index] = now_s
        connection.send(index, self._requests[index % self._payloads], now_s)

    def _has_backlog(self) -> bool:
        return bool(self._backlog)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def _give_up_backlog(self, now_s: float) -> None:
        while self._backlog:
            self._record.give_up(self._backlog.popleft(), now_s, "no answer by the end of the run")
