"""HTTP/2 for the TLS port, beside HTTP/1.1, chosen by ALPN (extra http2).

The `h2` library keeps the protocol's state; this file turns streams into the exchanges that every
application knows, and holds a peer to the limits of an HTTP/1.1 connection: what it may leave here
in headers and bodies is the same, however many streams it spreads it over, and so is the time that
it may take for each. Who floods with resets, settings, pings or empty frames is sent away
(ENHANCE_YOUR_CALM). Answers wait for the windows that the peer grants, each stream's for its own.
"""

import asyncio
import contextlib
from typing import cast

import h2.events
import h2.exceptions
import orjson
from h2.errors import ErrorCodes

from edgewright.transports._http1_head import BadRequestError, head_of_fields
from edgewright.transports._http1_house import House
from edgewright.transports._http1_text import preamble
from edgewright.transports._http2_protocol import Parts, fields_of, list_bytes, new_protocol
from edgewright.transports._http2_stream import NO_HEAD, Stream
from edgewright.transports.base import Head

RESETS_MOST = 200
NOISE_MOST = 1000
"""Of frames that ask for nothing and answer nothing, between two ticks of the server's timer."""
_NEVER = float("inf")
_LINGER_S = 2.0
_PROGRESS_BYTES = 64 << 10
"""A peer that has taken so much more of an answer gets the time for the rest again."""
_QUIET = (
    h2.events.RemoteSettingsChanged,
    h2.events.PingReceived,
    h2.events.PingAckReceived,
    h2.events.SettingsAcknowledged,
    h2.events.PriorityUpdated,
    h2.events.TrailersReceived,
    h2.events.UnknownFrameReceived,
)


class Http2Connection(asyncio.Protocol):
    """One peer that speaks HTTP/2."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._limits = house.limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._protocol = new_protocol(house.limits.header_bytes)
        self._parts = Parts()
        self._streams: dict[int, Stream] = {}
        self._held_bytes = 0
        self._is_blocked = False
        self._is_ending = False
        self._will_flush = False
        self._tick_s = house.now_s
        self._resets = self._noise = self._requests = 0
        self._last_taken = 0
        self.served = 0
        self.is_closed = False
        self.deadline_s = _NEVER
        self._part_deadline_s = _NEVER
        self.peer = ""

    @property
    def head(self) -> Head | None:
        """A request that is with the application. One whose body has not come protects nobody from
        making room, nor does an answer that the peer does not take.
        """
        return next((one.head for one in self._streams.values() if one.is_asked), None)

    @property
    def waits_since_s(self) -> float:
        """Since when the server waits for more of it."""
        limits = self._limits
        if self._streams or self._is_blocked:
            streams_s = [stream.deadline_s for stream in self._streams.values()]
            return min([self.deadline_s, *streams_s]) - limits.body_timeout_s
        return self.deadline_s - (limits.idle_timeout_s if self.served else limits.header_timeout_s)

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        self.peer = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "unix"
        self.deadline_s = self._house.now_s + self._limits.header_timeout_s
        self._protocol.initiate_connection()
        if not self._house.admit(self):
            self._house.count_refusal(503)
            self._say_goodbye(ErrorCodes.REFUSED_STREAM)
            return
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = self._is_ending = True
        for stream in self._streams.values():
            stream.is_closed = True
        self._streams.clear()
        self._house.held.forget(self)
        self._house.forget(self)
        # The library's object keeps a table of its own methods, so without the collector it and
        # its tables of headers would stay for each peer that ever came.
        vars(self._protocol).clear()

    def data_received(self, data: bytes) -> None:
        if self._is_ending:
            return
        try:
            events = self._protocol.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            status = 431 if isinstance(error, h2.exceptions.DenialOfServiceError) else 400
            self._house.count_refusal(status)
            self._end()
            return
        self._take_all(events)
        self._watch_parts(data)
        self._house.held.note(self, self._held_bytes)
        self._send_all()
        self._flush()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        """The peer does not read: listen to it no more until it does."""
        self._is_blocked = True
        self.deadline_s = self._house.now_s + self._limits.body_timeout_s
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._is_blocked = False
        self._set_deadline()
        self._transport.resume_reading()
        self._send_all()
        self._flush()

    # What streams call

    def answer(self, stream: Stream, preamble: bytes, body: bytes) -> None:
        """Begin a stream's answer; its end follows as the peer's windows allow."""
        if stream.is_closed or self._is_ending or stream.number not in self._streams:
            return
        is_head = stream.head.method == "HEAD"
        fields = [
            *fields_of(preamble),
            (b"date", self._house.date),
            (b"content-length", b"%d" % len(body)),
        ]
        stream.is_asked = False
        stream.answer = b"" if is_head else body
        try:
            self._protocol.send_headers(stream.number, fields, end_stream=not stream.answer)
        except h2.exceptions.ProtocolError:
            self._forget(stream)  # its end came with what is being taken now
            return
        if stream.answer:
            stream.deadline_s = self._house.now_s + self._limits.body_timeout_s
            self._send(stream)
        else:
            self._finish(stream)
        if not self._will_flush:
            self._will_flush = True
            self._loop.call_soon(self._flush)

    # What the server calls

    def abort(self) -> None:
        """Cut the peer off."""
        self._is_ending = True
        self._transport.abort()

    def make_room(self) -> None:
        """Refuse bodies that have come in part."""
        for stream in [one for one in self._streams.values() if one.body]:
            self._refuse(stream, BadRequestError(503, "too many bodies come in parts; try again"))
        self._flush()

    def close_if_idle(self, now_s: float) -> None:
        """Close, unless a request waits for its answer."""
        if not self._streams and not self._is_ending:
            self._say_goodbye(ErrorCodes.NO_ERROR)

    def expire(self, now_s: float) -> None:
        """Act on deadlines that have passed."""
        if self.is_closed:
            return
        if now_s >= self.deadline_s:
            if self._is_ending or self._is_blocked:
                self._transport.abort()
            elif not self._streams:
                self._say_goodbye(ErrorCodes.NO_ERROR)
            return
        if now_s >= self._part_deadline_s and not self._is_ending:
            self._house.count_refusal(408)
            self._say_goodbye(ErrorCodes.NO_ERROR)
            return
        for stream in [one for one in self._streams.values() if now_s >= one.deadline_s]:
            self._expire_stream(stream)

    def _expire_stream(self, stream: Stream) -> None:
        if stream.answer:
            self._drop(stream, ErrorCodes.CANCEL)
        else:
            self._refuse(stream, BadRequestError(408, "the request's body did not arrive in time"))
        self._flush()

    def _watch_parts(self, data: bytes) -> None:
        """Give what has come in part its time: a frame, or headers that go on in other frames.
        Nothing is heard of it while it is not whole, so a peer could make it last for ever.
        """
        if self._parts.feed(data):
            self._part_deadline_s = _NEVER
        if self._part_deadline_s == _NEVER and self._parts.is_open:
            limits = self._limits
            allowed_s = limits.body_timeout_s if self._streams else limits.header_timeout_s
            self._part_deadline_s = self._house.now_s + allowed_s

    # Events

    def _take_all(self, events: list[h2.events.Event]) -> None:
        for event in events:
            if self._is_ending:
                return
            self._take(event)

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self._requests += 1
            self._begin(event)
        elif isinstance(event, h2.events.DataReceived):
            self._take_data(event)
        elif isinstance(event, h2.events.StreamEnded):
            stream = self._streams.get(event.stream_id or 0)
            if stream is not None:
                self._dispatch(stream)
        elif isinstance(event, h2.events.StreamReset):
            self._resets += 1
            self._forget(self._streams.get(event.stream_id or 0))
        elif isinstance(event, h2.events.ConnectionTerminated):
            self._end()
        elif isinstance(event, _QUIET):
            self._noise += 1
        elif isinstance(event, h2.events.WindowUpdated):
            self._noise += not any(stream.answer for stream in self._streams.values())
        self._keep_calm()

    def _keep_calm(self) -> None:
        """Send a peer away that keeps the server busy with nothing."""
        if self._tick_s != self._house.now_s:
            self._tick_s = self._house.now_s
            self._resets = self._noise = self._requests = 0
        elif self._resets > RESETS_MOST or self._noise > NOISE_MOST + 2 * self._requests:
            self._house.count_refusal(429)
            self._say_goodbye(ErrorCodes.ENHANCE_YOUR_CALM)

    def _begin(self, event: h2.events.RequestReceived) -> None:
        number = event.stream_id or 0
        if self._house.is_closing:
            return  # the goodbye tells that it was not taken: it may be asked elsewhere
        raw = [(bytes(name), bytes(value)) for name, value in event.headers or ()]
        limit = self._limits.header_bytes
        try:
            if list_bytes(raw) > limit:
                raise BadRequestError(431, f"the headers are larger than {limit} bytes")
            head = head_of_fields(raw)
        except BadRequestError as error:
            self._refuse(self._opened(number, NO_HEAD), error)
            return
        stream = self._opened(number, head)
        if head.content_length > self._limits.body_bytes:
            self._refuse(stream, BadRequestError(413, self._too_large()))
        elif event.stream_ended is None:
            stream.deadline_s = self._house.now_s + self._limits.body_timeout_s
            if head.expects_continue:
                with contextlib.suppress(h2.exceptions.ProtocolError):  # the peer has ended it
                    self._protocol.send_headers(number, [(b":status", b"100")])

    def _opened(self, number: int, head: Head) -> Stream:
        self._last_taken = number
        stream = self._streams[number] = Stream(self, number, head)
        self.deadline_s = _NEVER
        return stream

    def _take_data(self, event: h2.events.DataReceived) -> None:
        number = event.stream_id or 0
        if event.flow_controlled_length:
            self._protocol.acknowledge_received_data(event.flow_controlled_length, number)
        stream, data = self._streams.get(number), event.data or b""
        if not data and event.stream_ended is None:
            self._noise += 1
        if stream is None or stream.is_closed:
            return
        self._held_bytes += len(data)
        stream.body += data
        if self._held_bytes > self._limits.body_bytes:
            self._refuse(stream, BadRequestError(413, self._too_large()))

    def _dispatch(self, stream: Stream) -> None:
        stream.deadline_s = _NEVER
        stream.is_asked = True
        body = bytes(stream.body)
        self._let_go_of_body(stream)
        self._house.application(stream, stream.head, body)

    # Answers

    def _send_all(self) -> None:
        for stream in [one for one in self._streams.values() if one.answer]:
            self._send(stream)

    def _send(self, stream: Stream) -> None:
        """As much of an answer as the peer's windows allow now."""
        protocol, number, size = self._protocol, stream.number, len(stream.answer)
        while stream.sent < size and not self._is_blocked:
            window = protocol.local_flow_control_window(number)
            room = min(window, protocol.max_outbound_frame_size)
            if room <= 0:
                return
            end = min(size, stream.sent + room)
            protocol.send_data(number, stream.answer[stream.sent : end], end_stream=end == size)
            stream.sent = end
            if end - stream.renewed_at >= _PROGRESS_BYTES:
                stream.renewed_at = end
                stream.deadline_s = self._house.now_s + self._limits.body_timeout_s
        if stream.sent == size:
            self._finish(stream)

    def _finish(self, stream: Stream) -> None:
        self.served += 1
        self._forget(stream)

    def _refuse(self, stream: Stream, error: BadRequestError) -> None:
        """Answer with an error, and take no more of this request."""
        self._house.count_refusal(error.status)
        self._let_go_of_body(stream)
        self.answer(stream, preamble(error.status), orjson.dumps({"error": str(error)}))
        self._drop(stream, ErrorCodes.NO_ERROR)

    def _drop(self, stream: Stream, code: ErrorCodes) -> None:
        self._forget(stream)
        self._reset(stream.number, code)

    def _reset(self, number: int, code: ErrorCodes) -> None:
        with contextlib.suppress(h2.exceptions.ProtocolError):  # both sides had ended it
            self._protocol.reset_stream(number, code)

    def _forget(self, stream: Stream | None) -> None:
        if stream is None or self._streams.pop(stream.number, None) is None:
            return
        stream.is_closed = True
        self._let_go_of_body(stream)
        if not self._streams and not self._is_blocked:
            self._set_deadline()

    def _let_go_of_body(self, stream: Stream) -> None:
        self._held_bytes -= len(stream.body)
        stream.body = bytearray()
        if not self._held_bytes:
            self._house.held.forget(self)

    def _set_deadline(self) -> None:
        self.deadline_s = _NEVER if self._streams else self._house.idle_deadline_s

    # The end

    def _flush(self) -> None:
        self._will_flush = False
        if self.is_closed:
            return
        data = self._protocol.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def _say_goodbye(self, code: ErrorCodes) -> None:
        self._protocol.close_connection(code, last_stream_id=self._last_taken)
        self._end()

    def _end(self) -> None:
        """Send what is queued (a GOAWAY among it), and close."""
        if self._is_ending:
            return
        self._is_ending = True
        self._flush()
        for stream in self._streams.values():
            stream.is_closed = True
        self._streams.clear()
        self.deadline_s = self._house.now_s + _LINGER_S
        self._transport.close()

    def _too_large(self) -> str:
        return f"the bodies of this connection are larger than {self._limits.body_bytes} bytes"
