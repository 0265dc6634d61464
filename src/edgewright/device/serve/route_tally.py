"""Counts of EdgeInfer's routes, under the names that its dashboards ask for."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from edgewright.device.serve.ports import Timer
from edgewright.device.serve.tally import LATENCY_BOUNDS_S, Exposition, Histogram
from edgewright.transports import Response
from edgewright.transports.http1 import Exchange, Frame, Head


class RouteTally:
    """Requests by method, route and status. Routes are a fixed table, so the labels are bounded."""

    def __init__(self) -> None:
        self._counts = Counter[tuple[str, str, int]]()
        self._seconds: dict[tuple[str, str], Histogram] = {}

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._counts[method, route, status] += 1
        found = self._seconds.setdefault((method, route), Histogram(LATENCY_BOUNDS_S))
        found.add(np.array([seconds]))

    def render(self, stages: Mapping[str, int]) -> bytes:
        """The lines of a metrics page."""
        page = Exposition()
        page.head("edgeinfer_http_requests_total", "counter", "Requests of EdgeInfer's routes.")
        for (method, route, status), count in sorted(self._counts.items()):
            page.sample(
                "edgeinfer_http_requests_total",
                count,
                method=method,
                route=route,
                status=str(status),
            )
        name = "edgeinfer_http_request_duration_seconds"
        page.head(name, "histogram", "From a request to its answer.")
        for (method, route), seconds in sorted(self._seconds.items(), key=lambda each: each[0]):
            page.histogram(name, seconds, method=method, route=route)
        page.head("edgeinfer_sessions_total", "counter", "What happened to sessions.")
        for stage in ("start", "stream", "stop", "expired"):
            page.sample("edgeinfer_sessions_total", stages.get(stage, 0), stage=stage)
        return page.text()


class Counted:
    """An exchange whose answer is counted."""

    __slots__ = ("_arrived_s", "_exchange", "_head", "_tally", "_timer")

    def __init__(self, exchange: Exchange, head: Head, tally: RouteTally, timer: Timer) -> None:
        self._exchange = exchange
        self._head = head
        self._tally = tally
        self._timer = timer
        self._arrived_s = timer()

    @property
    def peer(self) -> str:
        return self._exchange.peer

    @property
    def is_closed(self) -> bool:
        return self._exchange.is_closed

    def reply(self, preamble: bytes, body: bytes) -> None:
        self._exchange.reply(preamble, body)
        self._count(int(preamble.split(b" ", 2)[1]))

    def reply_framed(self, frame: Frame, content: bytes) -> None:
        self._exchange.reply_framed(frame, content)
        self._count(int(frame.preamble.split(b" ", 2)[1]))

    def respond(self, response: Response) -> None:
        self._exchange.respond(response)
        self._count(response.status)

    def _count(self, status: int) -> None:
        route = "/" + self._head.path.strip("/")
        self._tally.add(self._head.method, route, status, self._timer() - self._arrived_s)
