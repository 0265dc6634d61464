"""gRPC on the event loop: methods are names and functions of bytes; what the bytes mean is not
known here. Needs the extra `grpc`.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

import grpc
import msgspec

from edgewright.errors import ResourceError

logger = logging.getLogger(__name__)

Unary = Callable[[bytes, "GrpcPeer"], Awaitable[bytes]]
"""Answers a message with a message, or raises `StatusError`."""

Streaming = Callable[[AsyncIterator[bytes], "GrpcPeer"], AsyncIterator[bytes]]

_KEEPALIVE_MS = 20_000
_IDLE_MS = 600_000
"""A connection without calls for so long is closed; clients open one again with their next call."""
_ENDING = "UNAVAILABLE", "the server ends; ask again what was not answered"
_DRAIN_STEP_S = 0.02
_QUIET_S = 0.1
"""A stream whose messages are answered and that brings none for so long is ended by a close."""
_LAST_WORDS_S = 1.0
"""One that goes on bringing messages is ended between two of them, after so long."""


class StatusError(Exception):
    """A call that ends with a status: `code` is one of gRPC's names ("NOT_FOUND")."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class GrpcTls(msgspec.Struct, frozen=True, kw_only=True):
    """PEM texts: whom the server shows itself as, and whose clients it demands, if any."""

    cert: bytes
    key: bytes
    client_ca: bytes | None = None

    def configuration(self) -> Any:
        """The same in gRPC's own form."""
        return grpc.ssl_server_certificate_configuration(
            [(self.key, self.cert)], root_certificates=self.client_ca
        )


class _Shown:
    """What peers are shown, asked for anew at each handshake, in a thread of gRPC's."""

    def __init__(self, tls: Callable[[], GrpcTls]) -> None:
        self._tls = tls
        self._last = tls()

    def credentials(self) -> Any:
        return grpc.dynamic_ssl_server_credentials(
            self._last.configuration(),
            self._newer,
            require_client_authentication=self._last.client_ca is not None,
        )

    def _newer(self) -> Any:
        """None where nothing has changed."""
        now = self._tls()
        if now == self._last:
            return None
        self._last = now
        return now.configuration()


class GrpcPeer:
    """Who calls. `about` is what a method says of the call, for those who watch it."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self.about = ""

    @property
    def address(self) -> str:
        """Where from, as HOST:PORT."""
        kind, _, rest = str(self._context.peer()).partition(":")
        return unquote(rest) if kind in ("ipv4", "ipv6") else kind

    @property
    def timeout_s(self) -> float | None:
        """How long the caller still waits."""
        remaining = self._context.time_remaining()
        return None if remaining is None else max(0.0, float(remaining))

    @property
    def metadata(self) -> Mapping[str, str]:
        """What came with the call, by lower-case name; binary values are left out."""
        pairs = self._context.invocation_metadata() or ()
        return {key: value for key, value in pairs if isinstance(value, str)}


class _Stream:
    """A stream of messages that can be ended between two of them: what was read is answered."""

    def __init__(self, context: Any) -> None:
        self.must_end = False
        self._context = context
        self._time = asyncio.get_running_loop().time
        self._waits_since_s: float | None = self._time()

    async def messages(self, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """What comes; the next one is asked for when the last one is answered."""
        async for content in requests:
            self._waits_since_s = None
            yield content
            if self.must_end:
                raise StatusError(*_ENDING)
            self._waits_since_s = self._time()

    async def end_if_quiet(self) -> None:
        """Say goodbye, unless a message is being answered or came a moment ago."""
        since_s = self._waits_since_s
        if since_s is None or self._time() - since_s < _QUIET_S:
            return
        self._waits_since_s = None
        with contextlib.suppress(grpc.aio.BaseError):  # it ends by itself just now
            await self._context.abort(getattr(grpc.StatusCode, _ENDING[0]), _ENDING[1])


class GrpcServer:
    """Serves the methods of one service on one address."""

    def __init__(
        self,
        service: str,
        unary: Mapping[str, Unary],
        streaming: Mapping[str, Streaming],
        *,
        address: tuple[str, int],
        message_bytes: int,
        calls: int,
        tls: Callable[[], GrpcTls] | None = None,
    ) -> None:
        self._streams: set[_Stream] = set()
        self._tls = tls
        self._host, self._port = address
        self._server: Any = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", message_bytes),
                ("grpc.max_send_message_length", message_bytes),
                ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
                ("grpc.max_connection_idle_ms", _IDLE_MS),
                ("grpc.so_reuseport", 0),
            ],
            maximum_concurrent_rpcs=calls,
        )
        handlers: dict[str, Any] = {
            name: grpc.unary_unary_rpc_method_handler(_unary(name, act))
            for name, act in unary.items()
        }
        for name, stream in streaming.items():
            handlers[name] = grpc.stream_stream_rpc_method_handler(self._streaming(name, stream))
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, handlers),)
        )
        self.address = ""

    async def start(self) -> None:
        """Listen.

        Raises:
            ResourceError: the address cannot be taken.
        """
        shown = f"[{self._host}]" if ":" in self._host else self._host
        try:
            bound = self._bind(f"{shown}:{self._port}")
        except RuntimeError as error:
            raise ResourceError(
                f"listening on {shown}:{self._port} for gRPC: the address cannot be taken",
                hint="stop the other server, or choose another (port 0 takes any free one)",
            ) from error
        await self._server.start()
        self.address = f"{'grpc' if self._tls is None else 'grpcs'}://{shown}:{bound}"

    def _bind(self, address: str) -> int:
        if self._tls is None:
            return int(self._server.add_insecure_port(address))
        return int(self._server.add_secure_port(address, _Shown(self._tls).credentials()))

    async def close(self, drain_s: float = 5.0) -> None:
        """Take no more calls, wait for those under way, then cut them off. Streams are ended
        between two messages, and told so: who waits for nothing keeps nobody waiting.
        """
        stopping = asyncio.ensure_future(self._server.stop(drain_s))
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + min(_LAST_WORDS_S, drain_s / 2)
        while not stopping.done():
            for stream in tuple(self._streams):
                stream.must_end = loop.time() >= ends_s
                await stream.end_if_quiet()
            await asyncio.wait({stopping}, timeout=_DRAIN_STEP_S)
        await stopping

    def _streaming(self, name: str, act: Streaming) -> Any:
        async def handle(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            stream = _Stream(context)
            self._streams.add(stream)
            try:
                async for answer in act(stream.messages(requests), GrpcPeer(context)):
                    yield answer
            except grpc.aio.AbortError:
                raise  # `close` has ended it
            except StatusError as error:
                await context.abort(getattr(grpc.StatusCode, error.code), str(error))
            except Exception:
                logger.exception("call failed: method=%s", name)
                await context.abort(grpc.StatusCode.INTERNAL, "internal error")
            finally:
                self._streams.discard(stream)

        return handle


def _unary(name: str, act: Unary) -> Any:
    async def handle(request: bytes, context: Any) -> bytes:
        try:
            return await act(request, GrpcPeer(context))
        except StatusError as error:
            await context.abort(getattr(grpc.StatusCode, error.code), str(error))
        except Exception:
            logger.exception("call failed: method=%s", name)
            await context.abort(grpc.StatusCode.INTERNAL, "internal error")
        raise AssertionError("abort raises")

    return handle
