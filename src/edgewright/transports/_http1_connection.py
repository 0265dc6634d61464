"""The server's side of one HTTP/1.1 connection: takes requests, writes answers in order.

A head that is byte for byte one seen before is not parsed again: clients of an inference server
repeat theirs, and `_http1_quick` takes what is one whole request with such a head. What is new, or
comes in parts, is read by `_http1_framing`.
"""

import asyncio
from typing import cast

import orjson

from edgewright.transports._http1_framing import HEAD_END, Framing
from edgewright.transports._http1_head import BadRequestError
from edgewright.transports._http1_house import House
from edgewright.transports._http1_quick import NEVER_S, QuickConnection
from edgewright.transports._http1_text import preamble, status_and_headers
from edgewright.transports.base import Head, Response

_HELD_BYTES = 64 << 10
_LINGER_S = 2.0
_RECENT_S = 1.0
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_WITHOUT_BODY = frozenset({204, 304})
_CLOSE = b"connection: close\r\n"


class Connection(QuickConnection, asyncio.Protocol):
    """One peer. At most one request is with the application at any time; the rest waits here."""

    __slots__ = ("_limits", "_task", "_writable", "client_certificate", "peer")

    def __init__(self, house: House) -> None:
        super().__init__(house, Framing(house.limits, house.keep_head))
        self._limits = house.limits
        self._task: asyncio.Task[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self.peer = ""
        self.client_certificate = b""

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        self.peer = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "unix"
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self.client_certificate = tls.getpeercert(binary_form=True) or b""
        # Clients open connections ahead of their requests: one that has said nothing yet is as
        # welcome as between two requests, and is the first to make room.
        self.deadline_s = self._house.idle_deadline_s
        if not self._house.admit(self):
            self._answer_error(BadRequestError(503, "too many connections; try again later"))
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self._buffer.clear()
        self._house.held.forget(self)
        self._house.forget(self)
        if self._task is not None:
            self._task.cancel()
        self._wake_writer()

    def _receive_with_care(self, data: bytes) -> None:
        if self._is_ending:
            return
        if not self._buffer and self._framing.pending is None:
            if self.head is None and not self._is_blocked:
                used = self._take_known(data)
                if used == len(data) or self._is_ending:
                    return
                data = data[used:]
            if self.head is None:
                self.deadline_s = self._house.now_s + self._limits.header_timeout_s
        self._buffer += data
        if self.head is not None or self._is_blocked:
            self._hold_back()
        elif not self._is_pumping:
            self._pump()

    def pause_writing(self) -> None:
        self._is_blocked = True

    def resume_writing(self) -> None:
        self._is_blocked = False
        self._wake_writer()
        if self.head is None and not self._is_ending:
            self._next()

    # What the application calls

    def reply(self, preamble: bytes, body: bytes) -> None:
        head, house = self.head, self._house
        if head is None or self.is_closed or self._transport.is_closing():
            return
        if head.method == "HEAD" or not head.keeps_alive or house.is_closing:
            self._reply_with_care(head, preamble, body)
            return
        self._transport.write(
            b"%bdate: %b\r\ncontent-length: %d\r\n\r\n%b" % (preamble, house.date, len(body), body)
        )
        self._ready_again()

    def _ready_again(self) -> None:
        self.head = None
        self.served += 1
        self.deadline_s = self._house.idle_deadline_s
        if self._buffer or self._is_paused:
            self._next()

    def _reply_with_care(self, head: Head, preamble: bytes, body: bytes) -> None:
        """An answer without a body, or the connection's last one."""
        headers = b"%bdate: %b\r\ncontent-length: %d\r\n" % (preamble, self._house.date, len(body))
        end = _CLOSE if self.ends_after_answer else b""
        self.write(headers + end + b"\r\n" + (b"" if head.method == "HEAD" else body))
        self.finish()

    def respond(self, response: Response) -> None:
        headers = status_and_headers(response.status, response.headers)
        if response.status not in _WITHOUT_BODY:
            self.reply(headers, response.body)
            return
        self.write(headers + (_CLOSE if self.ends_after_answer else b"") + b"\r\n")
        self.finish()

    # What a streaming answer needs

    @property
    def ends_after_answer(self) -> bool:
        """Whether this answer is the last one of the connection."""
        return self.head is None or not self.head.keeps_alive or self._house.is_closing

    def run(self, task: asyncio.Task[None]) -> None:
        """A task that answers; it is cancelled when the peer leaves."""
        self._task = task

    def write(self, data: bytes) -> None:
        """Part of an answer."""
        if not self.is_closed and not self._transport.is_closing():
            self._transport.write(data)

    async def drained(self) -> None:
        """Wait until the peer has read enough."""
        if self._is_blocked and not self.is_closed:
            self.deadline_s = self._house.now_s + self._limits.body_timeout_s
            self._writable = asyncio.get_running_loop().create_future()
            await self._writable
            self.deadline_s = NEVER_S

    def finish(self, *, ends: bool = False) -> None:
        """The answer is written; go on with the next request, or close."""
        if ends or self.ends_after_answer:
            self.head = None
            self.served += 1
            self._close()
            return
        self._ready_again()

    # What the server calls

    @property
    def waits_since_s(self) -> float:
        """Since when the server waits for more of it."""
        limits = self._limits
        if self._framing.pending is not None:
            return self.deadline_s - limits.body_timeout_s
        allowed_s = limits.header_timeout_s if self._buffer else limits.idle_timeout_s
        return self.deadline_s - allowed_s

    def abort(self) -> None:
        """Cut the peer off."""
        self._is_ending = True
        self._transport.abort()

    def make_room(self) -> None:
        """Refuse a body that has come in part."""
        self._refuse(BadRequestError(503, "too many bodies come in parts; try again later"))

    def close_if_idle(self, now_s: float) -> None:
        """Close, unless a request is on its way or likely to be."""
        is_between = self.head is None and self._framing.pending is None and not self._buffer
        idle_since_s = self.deadline_s - self._limits.idle_timeout_s
        if is_between and (not self.served or now_s - idle_since_s >= _RECENT_S):
            self._is_ending = True
            self._transport.close()

    def expire(self, now_s: float) -> None:
        """Act on a deadline that has passed."""
        if now_s < self.deadline_s or self.is_closed:
            return
        if self._is_ending or self._is_blocked or self.head is not None:
            self._transport.abort()
        elif self._framing.pending is None and not self._buffer:
            self._is_ending = True
            self._transport.close()
        else:
            part = "headers" if self._framing.pending is None else "body"
            self._refuse(BadRequestError(408, f"the request's {part} did not arrive in time"))

    # Framing

    def _take_known(self, data: bytes) -> int:
        """Dispatch leading whole requests whose heads are known; returns the bytes used."""
        used, size, heads = 0, len(data), self._house.heads
        self._is_pumping = True
        while used < size:
            body_at = data.find(HEAD_END, used) + 4
            known = heads.get(data[used:body_at]) if body_at > 3 else None
            if known is None or size - body_at < known.head.content_length:
                break
            used = body_at + known.head.content_length
            if known.take is None:
                self._dispatch(known.head, data[body_at:used])
            else:
                self._known = known
                self.head = known.head
                self.deadline_s = NEVER_S
                known.take(self, data[body_at:used])
            if self.head is not None or self._is_blocked or self._is_ending:
                break
        self._is_pumping = False
        return used

    def _pump(self) -> None:
        self._is_pumping = True
        try:
            while self.head is None and not self._is_blocked and not self._is_ending:
                awaited = self._framing.pending
                request = self._framing.next()
                if request is not None:
                    self._dispatch(*request)
                    continue
                if self._framing.pending is not awaited:
                    self._await_body()
                break
        except BadRequestError as error:
            self._refuse(error)
        finally:
            self._is_pumping = False
            self._house.held.note(self, self._framing.held_bytes)

    def _await_body(self) -> None:
        """A head is read whose body must follow."""
        head = self._framing.pending
        self.deadline_s = self._house.now_s + self._limits.body_timeout_s
        if head is not None and head.expects_continue and not self._buffer:
            self.write(_CONTINUE)

    def _dispatch(self, head: Head, body: bytes) -> None:
        self.head = head
        self.deadline_s = NEVER_S
        self._house.application(self, head, body)

    # Flow

    def _next(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
        if self._buffer and not self._is_pumping:
            if self._framing.pending is None:
                self.deadline_s = self._house.now_s + self._limits.header_timeout_s
            self._pump()

    def _hold_back(self) -> None:
        if len(self._buffer) > _HELD_BYTES and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def _wake_writer(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def _answer_error(self, error: BadRequestError) -> None:
        self._house.count_refusal(error.status)
        body = orjson.dumps({"error": str(error)})
        headers = preamble(error.status, connection="close", content_length=str(len(body)))
        self.write(headers + b"\r\n" + body)
        self._is_ending = True

    def _refuse(self, error: BadRequestError) -> None:
        """Answer with an error and listen no more."""
        self._framing.drop()
        self._house.held.forget(self)
        self._answer_error(error)
        self._close()

    def _close(self) -> None:
        """Half-close and linger: a reset would take the answer away from a peer that still
        sends.
        """
        self._is_ending = True
        self._buffer.clear()
        self.deadline_s = self._house.now_s + _LINGER_S
        if self.is_closed or self._transport.is_closing():
            return
        if not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
