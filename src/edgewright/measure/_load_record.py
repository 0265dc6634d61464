"""What a load run writes down while it runs, kept in flat arrays so that a request costs little."""

import time
from array import array

import numpy as np

from edgewright.measure.load_result import ANSWERED, GIVEN_UP, PENDING, REFUSED, LoadResult

_NEVER = float("nan")
_KEPT_REFUSALS = 8
_KEPT_REFUSAL_BYTES = 1000


class Recorder:
    """One run's requests, answers and errors. Request i sends payload i modulo their number."""

    def __init__(self, *, payloads: int, keep_bytes: int) -> None:
        self.payloads = payloads
        self.scheduled_s = array("d")
        self.sent_s = array("d")
        self.done_s = array("d")
        self.lag_s = array("d")
        self.states = bytearray()
        self.errors: dict[str, int] = {}
        self.answers: list[dict[bytes, int]] = [{} for _ in range(payloads)]
        self.unkept = 0
        self.refusals: dict[str, bytes] = {}
        self.is_interrupted = False
        self.start_s = time.perf_counter()
        self.start_wall_s = time.time()
        self.end_s = _NEVER
        self.connections = 0
        self.reconnects = 0
        self._cpu_start_s = time.process_time()
        self._room_bytes = keep_bytes

    def begin(self) -> None:
        """The clock starts: connections are open, nothing was sent."""
        self._cpu_start_s = time.process_time()
        self.start_wall_s = time.time()
        self.start_s = time.perf_counter()

    def schedule(self, scheduled_s: float) -> int:
        """A new request, meant for this moment; returns its number."""
        self.scheduled_s.append(scheduled_s)
        self.sent_s.append(_NEVER)
        self.done_s.append(_NEVER)
        self.states.append(PENDING)
        return len(self.states) - 1

    def answer(self, index: int, done_s: float, body: bytes, *, payload: int | None = None) -> None:
        """A request was answered with success. Equal answers to one payload are kept once. Which
        payload it was is said where somebody else chose it.
        """
        self.done_s[index] = done_s
        self.states[index] = ANSWERED
        known = self.answers[index % self.payloads if payload is None else payload]
        if body in known:
            known[body] += 1
        elif self._room_bytes >= len(body):
            self._room_bytes -= len(body)
            known[body] = 1
        else:
            self.unkept += 1

    def refuse(self, index: int, done_s: float, reason: str, body: bytes = b"") -> None:
        """A request got an answer that is an error, or its connection was closed on it."""
        self._fail(index, done_s, reason, body)
        self.states[index] = REFUSED

    def give_up(self, index: int, now_s: float, reason: str) -> None:
        """A request was waited for long enough; the wait counts as its latency."""
        self._fail(index, now_s, reason, b"")
        self.states[index] = GIVEN_UP

    def _fail(self, index: int, done_s: float, reason: str, body: bytes) -> None:
        self.done_s[index] = done_s
        self.errors[reason] = self.errors.get(reason, 0) + 1
        if reason not in self.refusals and len(self.refusals) < _KEPT_REFUSALS:
            self.refusals[reason] = body[:_KEPT_REFUSAL_BYTES]

    def result(self) -> LoadResult:
        """The run so far, as a value."""
        cpu_s = time.process_time() - self._cpu_start_s
        end_s = self.end_s if self.end_s == self.end_s else time.perf_counter()
        return LoadResult(
            scheduled_s=np.array(self.scheduled_s) - self.start_s,
            sent_s=np.array(self.sent_s) - self.start_s,
            done_s=np.array(self.done_s) - self.start_s,
            lag_s=np.array(self.lag_s),
            states=np.frombuffer(bytes(self.states), dtype=np.uint8),
            errors=dict(self.errors),
            refusals=dict(self.refusals),
            answers=tuple(dict(known) for known in self.answers),
            unkept=self.unkept,
            wall_s=end_s - self.start_s,
            client_cpu_s=cpu_s,
            started_wall_s=self.start_wall_s,
            connections=self.connections,
            reconnects=self.reconnects,
            is_interrupted=self.is_interrupted,
        )
