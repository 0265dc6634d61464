"""What every request of a busy client passes of its connection: in Python, and the reference for
the same in C (`native/`), which takes its place where that is installed.

Bytes that are a known head and its whole body go straight to whoever takes them; everything else is
left to the connection's careful ways.
"""

import asyncio
from typing import cast

from edgewright import _native
from edgewright.transports._http1_framing import HEAD_END, Framing
from edgewright.transports._http1_house import House, Known
from edgewright.transports.base import Frame, Head

NEVER_S = float("inf")
_LENGTH_COUNT = 4096
_LENGTHS = tuple(b"%d" % size for size in range(_LENGTH_COUNT))


class QuickConnection:
    """A connection's state, and its quick ways in and out."""

    __slots__ = (
        "_buffer",
        "_framing",
        "_house",
        "_is_blocked",
        "_is_ending",
        "_is_paused",
        "_is_pumping",
        "_known",
        "_transport",
        "deadline_s",
        "head",
        "is_closed",
        "served",
    )

    def __init__(self, house: House, framing: Framing) -> None:
        self._house = house
        self._framing = framing
        self._buffer = framing.buffer
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._known: Known | None = None
        self._is_pumping = False
        self._is_blocked = False
        self._is_paused = False
        self._is_ending = False
        self.head: Head | None = None
        self.served = 0
        self.is_closed = False
        self.deadline_s = NEVER_S

    def data_received(self, data: bytes) -> None:
        if (
            self.head is None
            and not self._buffer
            and self._framing.pending is None
            and not self._is_blocked
            and not self._is_ending
        ):
            known = self._known
            if known is None or len(data) != known.total_bytes or not data.startswith(known.raw):
                known = self._whole(data)
            if known is not None:
                self._known = known
                self.head = known.head
                self.deadline_s = NEVER_S
                known.take(self, data[known.raw_bytes :])  # type: ignore[arg-type, misc]  # a whole connection; see `_whole`
                return
        self._receive_with_care(data)

    def _whole(self, data: bytes) -> Known | None:
        """The head of these bytes, where they are one that has a taker, and its body."""
        known = self._house.heads.get(data[: data.find(HEAD_END) + 4])
        if known is None or known.take is None or len(data) != known.total_bytes:
            return None
        return known

    def reply_framed(self, frame: Frame, content: bytes) -> None:
        head, house, transport = self.head, self._house, self._transport
        if head is None or self.is_closed or transport.is_closing():
            return
        if not head.keeps_alive or house.is_closing or head.method == "HEAD":
            self._reply_with_care(head, frame.preamble, frame.body(content))
            return
        if frame.date is not house.date:
            frame.renew(house.date)
        size = frame.fixed_bytes + len(content)
        length = _LENGTHS[size] if size < _LENGTH_COUNT else b"%d" % size
        transport.write(
            b"".join((frame.preamble_and_date, length, frame.opening, content, frame.after))
        )
        self.head = None
        self.served += 1
        self.deadline_s = house.idle_deadline_s
        if self._buffer or self._is_paused:
            self._next()

    # What the connection adds

    def _receive_with_care(self, data: bytes) -> None:
        """Bytes that are not just one request whose head is known."""
        raise NotImplementedError

    def _reply_with_care(self, head: Head, preamble: bytes, body: bytes) -> None:
        """An answer without a body, or the connection's last one."""
        raise NotImplementedError

    def _next(self) -> None:
        """Go on with what has arrived meanwhile."""
        raise NotImplementedError


if _native.part is not None:
    QuickConnection = _native.part.QuickConnection  # type: ignore[misc]  # the same class in C
