"""What a load run writes down while it runs, kept in flat arrays so that a request costs little.

Of an answer that is like one before only its number is written: `kinds[i]` says which of the bodies
seen so far answered request i. Counting is left to the end.
"""

import time
from array import array

import numpy as np

from edgewright.measure.load_result import ANSWERED, GIVEN_UP, PENDING, REFUSED, LoadResult

_NEVER = float("nan")
_ROWS = 4096
_NO_TIMES = array("d", [_NEVER]) * _ROWS
_NO_KINDS = array("i", [PENDING]) * _ROWS
_UNKEPT = 1
_FIRST_KIND = 2
_KEPT_REFUSALS = 8
_KEPT_REFUSAL_BYTES = 1000
_WHOLE_LIMIT_BYTES = 64 << 10
_WHOLE_SHARE = 4


class Recorder:
    """One run's requests, answers and errors. Request i sends payload i modulo their number.

    `kinds` holds 0 for a request without an answer, what went wrong as a negative number, 1 for an
    answer that was not kept, and from 2 on the number of a body. `repeated` holds, for each
    payload, whole answers as they came off the wire with their kind: who gets the same bytes again
    need not read them. `count` is how many requests there are; the arrays are longer.
    """

    def __init__(self, *, payloads: int, keep_bytes: int) -> None:
        self.payloads = payloads
        self.count = 0
        self.scheduled_s = array("d")
        self.sent_s = array("d")
        self.done_s = array("d")
        self.lag_s = array("d")
        self.kinds = array("i")
        self.repeated: list[dict[bytes, int]] = [{} for _ in range(payloads)]
        self.errors: dict[str, int] = {}
        self.refusals: dict[str, bytes] = {}
        self.is_interrupted = False
        self.start_s = time.perf_counter()
        self.start_wall_s = time.time()
        self.end_s = _NEVER
        self.connections = 0
        self.reconnects = 0
        self._cpu_start_s = time.process_time()
        self._room_bytes = keep_bytes
        self._whole_room_bytes = keep_bytes // _WHOLE_SHARE
        self._known: list[dict[bytes, int]] = [{} for _ in range(payloads)]
        self._next_kind = _FIRST_KIND

    def begin(self) -> None:
        """The clock starts: connections are open, nothing was sent."""
        self._cpu_start_s = time.process_time()
        self.start_wall_s = time.time()
        self.start_s = time.perf_counter()

    def schedule(self, scheduled_s: float) -> int:
        """A new request, meant for this moment; returns its number."""
        index = self.count
        if index == len(self.kinds):
            self._grow()
        self.scheduled_s[index] = scheduled_s
        self.count = index + 1
        return index

    def answer(
        self,
        index: int,
        done_s: float,
        body: bytes,
        *,
        payload: int | None = None,
        whole: bytes = b"",
    ) -> None:
        """A request was answered with success. Equal answers to one payload are kept once. Which
        payload it was is said where somebody else chose it. `whole` is the answer with its head, if
        the same bytes may be taken for the same answer.
        """
        place = index % self.payloads if payload is None else payload
        kind = self._known[place].get(body) or self._kind_of(place, body)
        self.done_s[index] = done_s
        self.kinds[index] = kind
        if whole and len(whole) <= min(_WHOLE_LIMIT_BYTES, self._whole_room_bytes):
            self._whole_room_bytes -= len(whole)
            self.repeated[place][whole] = kind

    def refuse(self, index: int, done_s: float, reason: str, body: bytes = b"") -> None:
        """A request got an answer that is an error, or its connection was closed on it."""
        self._fail(index, done_s, reason, body)
        self.kinds[index] = -REFUSED

    def give_up(self, index: int, now_s: float, reason: str) -> None:
        """A request was waited for long enough; the wait counts as its latency."""
        self._fail(index, now_s, reason, b"")
        self.kinds[index] = -GIVEN_UP

    def _kind_of(self, place: int, body: bytes) -> int:
        """The number of a body that is new."""
        if self._room_bytes < len(body):
            return _UNKEPT
        self._room_bytes -= len(body)
        kind = self._known[place][body] = self._next_kind
        self._next_kind += 1
        return kind

    def _grow(self) -> None:
        for times in (self.scheduled_s, self.sent_s, self.done_s):
            times.extend(_NO_TIMES)
        self.kinds.extend(_NO_KINDS)

    def _fail(self, index: int, done_s: float, reason: str, body: bytes) -> None:
        self.done_s[index] = done_s
        self.errors[reason] = self.errors.get(reason, 0) + 1
        if reason not in self.refusals and len(self.refusals) < _KEPT_REFUSALS:
            self.refusals[reason] = body[:_KEPT_REFUSAL_BYTES]

    def result(self) -> LoadResult:
        """The run so far, as a value."""
        cpu_s = time.process_time() - self._cpu_start_s
        end_s = self.end_s if self.end_s == self.end_s else time.perf_counter()
        kinds = np.array(self.kinds)[: self.count]
        counts = np.bincount(kinds[kinds > 0], minlength=self._next_kind).tolist()
        return LoadResult(
            scheduled_s=np.array(self.scheduled_s)[: self.count] - self.start_s,
            sent_s=np.array(self.sent_s)[: self.count] - self.start_s,
            done_s=np.array(self.done_s)[: self.count] - self.start_s,
            lag_s=np.array(self.lag_s),
            states=np.where(kinds > 0, ANSWERED, -kinds).astype(np.uint8),
            errors=dict(self.errors),
            refusals=dict(self.refusals),
            answers=tuple(
                {body: counts[kind] for body, kind in known.items()} for known in self._known
            ),
            unkept=counts[_UNKEPT],
            wall_s=end_s - self.start_s,
            client_cpu_s=cpu_s,
            started_wall_s=self.start_wall_s,
            connections=self.connections,
            reconnects=self.reconnects,
            is_interrupted=self.is_interrupted,
        )
