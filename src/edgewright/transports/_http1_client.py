"""The client's side of HTTP/1.1: kept connections, answers with limits, downloads that resume."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httptools

from edgewright.errors import InputError, TransportError
from edgewright.transports._http1_text import header_lines
from edgewright.transports._reason import hint_of, reason_of
from edgewright.transports.base import Limits, Response

_READ_BYTES = 256 << 10
_KEPT_CONNECTIONS = 8
_INVITATION_S = 2.0
_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})


class Client:
    """A client of one server, named by `base` ("http://host:port") or a Unix socket's path.

    Concurrent requests each use a connection of their own; idle ones are kept and used again, at
    most for `idle_s` where that is given.
    """

    def __init__(
        self,
        base: str = "",
        *,
        uds: Path | None = None,
        timeout_s: float = 30.0,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
        idle_s: float | None = None,
    ) -> None:
        self._uds = uds
        self._host, self._port, self._authority, self._tls = _parse_base(base, uds, tls)
        self._timeout_s = timeout_s
        self._limits = limits or Limits()
        self._idle: list[_Wire] = []
        self._idle_s = idle_s
        self._look: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float | None = None,
    ) -> Response:
        """One request and its whole answer; any status is an answer. `timeout_s` counts instead of
        the client's own.

        Raises:
            TransportError: refused, reset, not in time, truncated, or larger than the limits.
        """
        message = self._message(method, path, headers or {}, body)
        with _translated(self._where(method, path)):
            async with asyncio.timeout(timeout_s or self._timeout_s):
                wire, answer = await self._exchange(method, message)
                try:
                    chunks = [chunk async for chunk in answer.chunks(self._limits.body_bytes)]
                except BaseException:
                    wire.abort()
                    raise
        self._release(wire, answer)
        return Response(status=answer.status, headers=answer.headers, body=b"".join(chunks))

    async def download(
        self,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        offset: int = 0,
        limit_bytes: int,
    ) -> AsyncIterator[bytes]:
        """The bytes of a file from `offset` on, as they arrive; at most `limit_bytes` of them.

        The time limit holds for each read, not for the whole.

        Raises:
            InputError: the server refused (a 4xx): asking again will not help.
            TransportError: as `request`, and when the stream is cut short or too long.
        """
        wanted = {**(headers or {}), **({"range": f"bytes={offset}-"} if offset else {})}
        message = self._message("GET", path, wanted, b"")
        where = self._where("GET", path)
        with _translated(where):
            async with asyncio.timeout(self._timeout_s):
                wire, answer = await self._exchange("GET", message)
            try:
                to_skip = _bytes_to_skip(where, answer, offset)
                chunks = answer.chunks(limit_bytes + to_skip)
                while (chunk := await _next_chunk(chunks, self._timeout_s)) is not None:
                    kept = chunk[to_skip:]
                    to_skip -= len(chunk) - len(kept)
                    if kept:
                        yield kept
            except BaseException:
                wire.abort()
                raise
        self._release(wire, answer)

    async def upload(
        self,
        method: str,
        path: str,
        pieces: Iterable[bytes],
        *,
        size_bytes: int,
        headers: dict[str, str] | None = None,
        answer_s: float | None = None,
    ) -> Response:
        """A request whose body of `size_bytes` comes in pieces, and its answer, for which
        `answer_s` are allowed. A server that refuses by the head alone is not sent the body.

        The time limit holds for each piece, not for the whole.

        Raises:
            TransportError: as `request`.
        """
        announced = {"content-length": str(size_bytes), "expect": "100-continue"}
        head = self._message(method, path, {**(headers or {}), **announced}, b"")
        with _translated(self._where(method, path)):
            async with asyncio.timeout(self._timeout_s):
                wire = await self._connect()
            try:
                answer = await wire.offer(head, pieces, self._limits, timeout_s=self._timeout_s)
                async with asyncio.timeout(answer_s or self._timeout_s):
                    await answer.read_head(self._limits.header_bytes)
                    chunks = [chunk async for chunk in answer.chunks(self._limits.body_bytes)]
            finally:
                wire.abort()
        return Response(status=answer.status, headers=answer.headers, body=b"".join(chunks))

    async def close(self) -> None:
        """Let go of the kept connections."""
        if self._look:
            self._look.cancel()
        idle, self._idle = self._idle, []
        for wire in idle:
            await wire.close()

    def _message(self, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
        line = f"{method} {path} HTTP/1.1\r\n"
        if not path.startswith("/") or not line.isascii() or any(c <= " " for c in path + method):
            raise InputError(
                f"{method!r} {path!r} is not a request", hint="percent-encode the path"
            )
        fields = {"host": self._authority}
        if body or method in ("POST", "PUT", "PATCH"):
            fields["content-length"] = str(len(body))
        fields.update({name.lower(): value for name, value in headers.items()})
        return line.encode() + header_lines(fields) + b"\r\n" + body

    def _where(self, method: str, path: str) -> str:
        return f"{method} {self._uds or self._authority}{path}"

    async def _exchange(self, method: str, message: bytes) -> tuple["_Wire", "_Answer"]:
        """Send and read the head of the answer; a kept connection that the server has closed
        meanwhile is replaced once, where repeating is harmless.
        """
        while self._idle:
            wire = self._idle.pop()
            if wire.is_stale:
                wire.abort()
                continue
            try:
                return wire, await wire.ask(method, message, self._limits)
            except (OSError, EOFError):
                wire.abort()
                if method not in _REPEATABLE:
                    raise
            except BaseException:
                wire.abort()
                raise
        wire = await self._connect()
        try:
            return wire, await wire.ask(method, message, self._limits)
        except BaseException:
            wire.abort()
            raise

    async def _connect(self) -> "_Wire":
        if self._uds is not None:
            reader, writer = await asyncio.open_unix_connection(str(self._uds))
        else:
            reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        return _Wire(reader, writer)

    def _release(self, wire: "_Wire", answer: "_Answer") -> None:
        if not answer.keeps_alive or len(self._idle) >= _KEPT_CONNECTIONS:
            wire.abort()
            return
        loop = asyncio.get_running_loop()
        wire.idle_since_s = loop.time()
        self._idle.append(wire)
        if self._idle_s is not None and self._look is None:
            self._look = loop.call_later(self._idle_s, self._let_go, loop, self._idle_s)

    def _let_go(self, loop: asyncio.AbstractEventLoop, idle_s: float) -> None:
        """Close what was idle for too long; the one that was used last stands last."""
        before_s, self._look = loop.time() - idle_s, None
        while self._idle and self._idle[0].idle_since_s <= before_s:
            self._idle.pop(0).abort()
        if self._idle:
            next_s = self._idle[0].idle_since_s + idle_s
            self._look = loop.call_at(next_s, self._let_go, loop, idle_s)


class _Wire:
    """An open connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer
        self.idle_since_s = 0.0

    @property
    def is_stale(self) -> bool:
        return self.reader.at_eof() or self._writer.is_closing()

    async def ask(self, method: str, message: bytes, limits: Limits) -> "_Answer":
        """Send a request and read its answer's head. The answer may come before all is sent."""
        self._writer.write(message)
        answer = _Answer(self.reader, has_body=method != "HEAD")
        await answer.read_head(limits.header_bytes)
        return answer

    async def offer(
        self, head: bytes, pieces: Iterable[bytes], limits: Limits, *, timeout_s: float
    ) -> "_Answer":
        """Send a request's head, then its body unless the answer comes before. A server that says
        nothing to the head gets the body after a moment; one that hangs up while it is sent may
        have answered.
        """
        self._writer.write(head)
        answer = _Answer(self.reader, has_body=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_INVITATION_S):
                await answer.read_word(limits.header_bytes)
        if answer.status < 200:
            for piece in pieces:
                try:
                    async with asyncio.timeout(timeout_s):
                        self._writer.write(piece)
                        await self._writer.drain()
                except ConnectionError:
                    break
        return answer

    def abort(self) -> None:
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class _Answer:
    """One answer as it arrives; the parser's callbacks fill it."""

    def __init__(self, reader: asyncio.StreamReader, *, has_body: bool) -> None:
        self._reader = reader
        self._has_body = has_body
        self._parser: Any = httptools.HttpResponseParser(self)
        self._received: list[bytes] = []
        self._has_head = False
        self._is_complete = False
        self._messages = 0
        self._is_invited = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.keeps_alive = False

    def on_message_begin(self) -> None:
        self._messages += 1

    def on_header(self, raw_name: bytes, raw_value: bytes) -> None:
        if self._has_head:
            return  # a trailer
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip()
        self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:
            self._is_invited = True
            self.headers = {}
        else:
            self._has_head = True

    def on_body(self, chunk: bytes) -> None:
        self._received.append(chunk)

    def on_message_complete(self) -> None:
        if self._has_head:
            self._is_complete = True
            self.keeps_alive = self._messages == 1 and self._parser.should_keep_alive()
        else:
            self._messages -= 1  # an interim answer

    async def read_word(self, limit_bytes: int) -> None:
        """Wait for the server's first word to a head: to go on, or an answer already."""
        read = 0
        while not self._is_invited and not self._has_head and read <= limit_bytes:
            read += await self._feed()

    async def read_head(self, limit_bytes: int) -> None:
        read = 0
        while not self._has_head:
            if read > limit_bytes:
                raise _answer_error(f"headers larger than {limit_bytes} bytes")
            read += await self._feed()
        if not self._has_body:
            self._is_complete = True
            self._received.clear()
            self._let_go_of_parser()

    async def chunks(self, limit_bytes: int) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        total = 0
        while True:
            received, self._received = self._received, []
            for chunk in received:
                total += len(chunk)
                if total > limit_bytes:
                    raise _answer_error(f"a body larger than {limit_bytes} bytes")
                yield chunk
            if self._is_complete:
                return
            await self._feed()

    async def _feed(self) -> int:
        data = await self._reader.read(_READ_BYTES)
        if not data and self._has_head and self._ends_with_connection:
            self._is_complete = True
        elif not data:
            raise EOFError("the connection was closed early")
        else:
            self._parser.feed_data(data)
        if self._is_complete:
            self._let_go_of_parser()
        return len(data)

    def _let_go_of_parser(self) -> None:
        """It knows this answer's methods: two that hold each other would stay until the collector
        comes by.
        """
        self._parser = None

    @property
    def _ends_with_connection(self) -> bool:
        return "content-length" not in self.headers and "transfer-encoding" not in self.headers


def _answer_error(what: str) -> TransportError:
    return TransportError(f"the answer has {what}", hint="ask for less, or raise the limit")


async def _next_chunk(chunks: AsyncIterator[bytes], timeout_s: float) -> bytes | None:
    async with asyncio.timeout(timeout_s):
        return await anext(chunks, None)


def _bytes_to_skip(where: str, answer: _Answer, offset: int) -> int:
    """How many leading bytes of the answer lie before `offset`: a server may ignore ranges."""
    if answer.status == 200:
        return offset
    if 400 <= answer.status < 500 and answer.status not in (408, 425, 429):
        raise InputError(
            f"{where}: status {answer.status}", hint="check the address and the rights"
        )
    if answer.status != 206:
        raise TransportError(f"{where}: status {answer.status}", hint="try again later")
    content_range = answer.headers.get("content-range", "")
    if not content_range.startswith(f"bytes {offset}-"):
        raise TransportError(f"{where}: asked for bytes from {offset}, got {content_range!r}")
    return 0


@contextlib.contextmanager
def _translated(where: str) -> Iterator[None]:
    """Foreign errors of one exchange as `TransportError`."""
    try:
        yield
    except TimeoutError as error:
        raise TransportError(f"{where}: no answer in time", hint="try again later") from error
    except ConnectionRefusedError as error:
        raise TransportError(
            f"{where}: connection refused", hint="check that the server runs at this address"
        ) from error
    except (OSError, EOFError) as error:
        raise TransportError(f"{where}: {reason_of(error)}", hint=hint_of(error)) from error
    except httptools.HttpParserError as error:
        raise TransportError(f"{where}: the answer is not valid HTTP: {error}") from error


def _parse_base(
    base: str, uds: Path | None, tls: ssl.SSLContext | None
) -> tuple[str, int, str, ssl.SSLContext | None]:
    if uds is not None:
        return "", 0, "localhost", None
    try:
        parts = urlsplit(base)
        port = parts.port
    except ValueError as error:
        raise InputError(f"{base!r} is not an address: {error}", hint=_BASE_HINT) from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise InputError(f"{base!r} is not an address", hint=_BASE_HINT)
    if parts.scheme == "http":
        return parts.hostname, port or 80, parts.netloc, None
    return parts.hostname, port or 443, parts.netloc, tls or ssl.create_default_context()


_BASE_HINT = "write it as http://HOST:PORT"
