"""A listening socket, its connections, and the one timer that enforces their deadlines."""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from pathlib import Path

from edgewright._heap import trim_heap
from edgewright.clock import Clock
from edgewright.errors import ResourceError
from edgewright.transports._held import HeldBodies
from edgewright.transports._http1_connection import Connection
from edgewright.transports._http1_house import House, Known, Peer
from edgewright.transports._http1_tls import TlsDoor
from edgewright.transports.base import Application, Head, Limits, Prepare

_KEPT_HEADS = 1024
_DRAIN_STEP_S = 0.02
_BACKLOG = 1024
_HTTP2 = "h2"
_HANDSHAKES_LEAST = 256
"""So many may be under way even where there are fewer places."""
_CROWD = 512
"""So many peers leave memory behind that is worth giving back when most of them are gone."""


MakeHttp2 = Callable[[House], asyncio.Protocol]
"""Makes the connection of a peer that chose HTTP/2."""


class _Negotiated(asyncio.Protocol):
    """Gives its place to the protocol that TLS settled on."""

    def __init__(self, house: "Server", http2: MakeHttp2) -> None:
        self._house = house
        self._http2 = http2

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        tls = transport.get_extra_info("ssl_object")
        is_two = tls is not None and tls.selected_alpn_protocol() == _HTTP2
        chosen = self._http2(self._house) if is_two else Connection(self._house)
        transport.set_protocol(chosen)
        chosen.connection_made(transport)


class Server:
    """Serves one application on one address; made by `start_server` and `start_application`."""

    def __init__(
        self,
        application: Application,
        *,
        limits: Limits,
        clock: Clock,
        prepare: Prepare | None = None,
        http2: MakeHttp2 | None = None,
        trim: Callable[[], object] = trim_heap,
    ) -> None:
        self.application = application
        self.limits = limits
        self.heads: dict[bytes, Known] = {}
        self.held = HeldBodies(max(limits.held_bytes, limits.body_bytes))
        self.refusals: dict[int, int] = {}
        self.is_closing = False
        self.address = ""
        self.now_s = clock.monotonic_s()
        self.idle_deadline_s = self.now_s + limits.idle_timeout_s
        self.date = b""
        self._prepare = prepare
        self._http2 = http2
        self._clock = clock
        self._connections: dict[Peer, None] = {}
        self._crowd = 0
        self._trim = trim
        self._listener: asyncio.Server | None = None
        self._tls: TlsDoor | None = None
        self._uds: Path | None = None
        self._timer: asyncio.TimerHandle | None = None
        shortest_s = min(limits.header_timeout_s, limits.body_timeout_s, limits.idle_timeout_s)
        self._tick_s = min(1.0, shortest_s / 4)

    @property
    def connections(self) -> int:
        """How many peers are connected."""
        return len(self._connections)

    def renew_tls(self, context: ssl.SSLContext) -> None:
        """Show another certificate to who comes from now on; without TLS there is none to show."""
        if self._tls is not None:
            self._tls.renew(self._with_protocols(context))

    def sweep(self) -> None:
        """Read the clock and cut off the peers whose time is up."""
        self.now_s = self._clock.monotonic_s()
        self.idle_deadline_s = self.now_s + self.limits.idle_timeout_s
        date = formatdate(self._clock.wall_s(), usegmt=True).encode()
        if date != self.date:
            self.date = date
        for connection in list(self._connections):
            connection.expire(self.now_s)
        self._watch_crowd()

    @property
    def handshakes(self) -> int:
        """How many peers have not finished their TLS handshake."""
        return 0 if self._tls is None else self._tls.handshakes

    def _watch_crowd(self) -> None:
        """Give memory back after a crowd has left, or those who never became peers."""
        peers = len(self._connections) + self.handshakes
        self._crowd = max(self._crowd, peers)
        if self._crowd >= _CROWD and peers < self._crowd // 4:
            self._crowd = peers
            self._connections = dict(self._connections)
            self._trim()

    async def close(self, drain_s: float = 5.0) -> None:
        """Listen no more, wait up to `drain_s` for answers on their way, then cut off."""
        self.is_closing = True
        if self._listener is not None:
            self._listener.close()
        if self._tls is not None:
            await self._tls.close()
        try:
            async with asyncio.timeout(drain_s):
                await self._drain()
        except TimeoutError:
            for connection in list(self._connections):
                connection.abort()
        if self._timer is not None:
            self._timer.cancel()
        if self._uds is not None:
            self._uds.unlink(missing_ok=True)
        await asyncio.sleep(0)

    async def _drain(self) -> None:
        while self._connections:
            self.sweep()
            for connection in list(self._connections):
                connection.close_if_idle(self.now_s)
            await asyncio.sleep(_DRAIN_STEP_S)

    # What connections call

    def admit(self, connection: Peer) -> bool:
        """Take a new peer; when all places are taken the one that was idle longest makes room."""
        if len(self._connections) >= self.limits.connections:
            idle = [other for other in self._connections if other.head is None]
            if not idle:
                return False
            victim = min(idle, key=lambda other: (other.served > 0, other.waits_since_s))
            victim.abort()
            del self._connections[victim]
        self._connections[connection] = None
        return True

    def forget(self, connection: Peer) -> None:
        """A peer has left."""
        self._connections.pop(connection, None)

    def keep_head(self, raw: bytes, head: Head) -> None:
        """Remember what these bytes mean, and forget the oldest when there are many."""
        if len(self.heads) >= _KEPT_HEADS:
            del self.heads[next(iter(self.heads))]
        take = self._prepare(head) if self._prepare is not None else None
        self.heads[raw] = Known(raw, head, take)

    def count_refusal(self, status: int) -> None:
        """A request was answered by the transport itself."""
        self.refusals[status] = self.refusals.get(status, 0) + 1

    # Starting

    async def listen(
        self,
        *,
        host: str | None,
        port: int | None,
        uds: Path | None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Take the address.

        Raises:
            ResourceError: it is in use, or not this process's to take.
        """
        where = str(uds) if uds is not None else f"{host or '127.0.0.1'}:{port or 0}"
        try:
            if uds is not None:
                await self._listen_uds(uds)
            elif tls is not None:
                await self._listen_tls(host or "127.0.0.1", port or 0, tls)
            else:
                await self._listen_tcp(host or "127.0.0.1", port or 0)
        except OSError as error:
            raise _listen_error(error, where) from error
        self._tick()

    async def _listen_uds(self, path: Path) -> None:
        _remove_stale_socket(path)
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_unix_server(
            lambda: Connection(self), path=str(path), backlog=_BACKLOG
        )
        self._uds = path
        self.address = f"unix:{path}"

    async def _listen_tcp(self, host: str, port: int) -> None:
        self._listener = await asyncio.get_running_loop().create_server(
            partial(Connection, self), host, port, backlog=_BACKLOG
        )
        self.address = f"http://{_shown(*self._listener.sockets[0].getsockname()[:2])}"

    async def _listen_tls(self, host: str, port: int, context: ssl.SSLContext) -> None:
        make: Callable[[], asyncio.Protocol] = partial(Connection, self)
        if self._http2 is not None:
            make = partial(_Negotiated, self, self._http2)
        self._tls = TlsDoor(
            self._with_protocols(context),
            make,
            most=max(_HANDSHAKES_LEAST, self.limits.connections),
            timeout_s=self.limits.header_timeout_s,
        )
        self.address = f"https://{_shown(*await self._tls.open(host, port, backlog=_BACKLOG))}"

    def _with_protocols(self, context: ssl.SSLContext) -> ssl.SSLContext:
        if self._http2 is not None:
            context.set_alpn_protocols([_HTTP2, "http/1.1"])
        return context

    def _tick(self) -> None:
        self.sweep()
        self._timer = asyncio.get_running_loop().call_later(self._tick_s, self._tick)


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _remove_stale_socket(path: Path) -> None:
    """A socket that nobody listens on is a leftover of a killed server."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
        else:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _listen_error(error: OSError, where: str) -> ResourceError:
    if error.errno == errno.EADDRINUSE:
        return ResourceError(
            f"listening on {where}: the address is in use",
            hint="stop the other server, or choose another (port 0 takes any free one)",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return ResourceError(
            f"listening on {where}: permission denied",
            hint="choose a port above 1023, or a folder that you may write to",
        )
    is_unknown = isinstance(error, socket.gaierror)  # its numbers are not the system's
    reason = os.strerror(error.errno) if error.errno and not is_unknown else error.strerror
    return ResourceError(f"listening on {where}: {reason or error}", hint="check the address")
