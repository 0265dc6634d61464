"""A TLS port. It accepts by itself: asyncio's servers tell of a peer only once its handshake is
over, so nobody could count those that never finish theirs, and each takes 50 KB.

Whoever comes when as many shake hands as may takes the place of the one that began first. A few
are accepted at a time, so that a crowd of honest peers, whose handshakes cost the server a
millisecond each, does not push itself out.
"""

import asyncio
import errno
import os
import ssl
from collections.abc import Callable
from functools import partial
from socket import socket

_AT_ONCE = 64
_PAUSE_S = 1.0
_SHORT_PAUSE_S = 0.01
_TOLD = frozenset(
    {
        "CERTIFICATE_VERIFY_FAILED",
        "NO_SHARED_CIPHER",
        "PEER_DID_NOT_RETURN_A_CERTIFICATE",
        "UNSUPPORTED_PROTOCOL",
    }
)
"""Failures of which a peer hears. To what is no TLS at all OpenSSL says nothing."""
_NOTHING_LEFT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Make = Callable[[], asyncio.Protocol]


class _Frank(ssl.SSLObject):
    """Tells its peer why a handshake failed. The alert lies ready by then, but event loops send
    what lies there only while a handshake goes on: so that one goes on, until the peer has heard.
    """

    _has_failed = False

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            if self._has_failed or error.reason not in _TOLD:
                raise
            self._has_failed = True
            raise ssl.SSLWantReadError from error


class TlsDoor:
    """Listens, and hands peers over once their handshake is done."""

    def __init__(self, context: ssl.SSLContext, make: Make, *, most: int, timeout_s: float) -> None:
        self.renew(context)
        self._make = make
        self._most = most
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._listening: list[socket] = []
        self._shaking: dict[asyncio.Task[None], None] = {}

    def renew(self, context: ssl.SSLContext) -> None:
        """Begin handshakes with this from now on."""
        context.sslobject_class = _Frank
        self._context = context

    @property
    def handshakes(self) -> int:
        """How many peers have not finished theirs."""
        return len(self._shaking)

    async def open(self, host: str, port: int, *, backlog: int) -> tuple[str, int]:
        """Take the address; returns where that is.

        Raises:
            OSError: it cannot be taken.
        """
        bound = await self._loop.create_server(asyncio.Protocol, host, port, start_serving=False)
        try:
            self._listening = [socket(fileno=os.dup(one.fileno())) for one in bound.sockets]
        finally:
            bound.close()
        for listening in self._listening:
            listening.setblocking(False)
            listening.listen(backlog)
            self._listen(listening)
        where = self._listening[0].getsockname()
        return where[0], where[1]

    async def close(self) -> None:
        """Listen no more; who has not finished its handshake has not asked anything."""
        for listening in self._listening:
            self._loop.remove_reader(listening)
            listening.close()
        self._listening = []
        shaking = tuple(self._shaking)
        for task in shaking:
            task.cancel()
        if shaking:
            await asyncio.wait(shaking)

    def _listen(self, listening: socket) -> None:
        if listening in self._listening:
            self._loop.add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                peer, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NOTHING_LEFT:
                    raise
                self._wait_for_room(listening)
                return
            self._begin(peer)

    def _wait_for_room(self, listening: socket) -> None:
        """Nothing is left to open a socket with: take that of the oldest handshake. Meanwhile the
        system keeps who comes waiting.
        """
        pause_s = _SHORT_PAUSE_S if self._shaking else _PAUSE_S
        self._let_go_of_oldest()
        self._loop.remove_reader(listening)
        self._loop.call_later(pause_s, self._listen, listening)

    def _begin(self, peer: socket) -> None:
        if len(self._shaking) >= self._most:
            self._let_go_of_oldest()
        peer.setblocking(False)
        task = self._loop.create_task(self._shake_hands(peer), name="tls handshake")
        self._shaking[task] = None
        task.add_done_callback(partial(self._is_over, peer))

    async def _shake_hands(self, peer: socket) -> None:
        await self._loop.connect_accepted_socket(
            self._make, peer, ssl=self._context, ssl_handshake_timeout=self._timeout_s
        )

    def _let_go_of_oldest(self) -> None:
        oldest = next(iter(self._shaking), None)
        if oldest is not None:
            del self._shaking[oldest]
            oldest.cancel()

    def _is_over(self, peer: socket, task: asyncio.Task[None]) -> None:
        self._shaking.pop(task, None)
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            peer.close()  # one that was let go of at once was never given to a transport
        if error is not None and not isinstance(error, OSError):
            self._loop.call_exception_handler({"message": "tls handshake", "exception": error})
