"""One gRPC channel of the load generator. Needs the extra `grpc`.

A unary method is called with ready bytes and answers with bytes; every connection is a channel of
its own, so that so many connections are so many clients.
"""

import asyncio
from typing import Any

import grpc

from edgewright.measure._load_connection import Pool, Wire
from edgewright.measure.load import Connect
from edgewright.measure.load_target import LoadTarget

_CONNECT_S = 5.0
_SUCCESS = 200
_GONE = "UNAVAILABLE"
_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
]


def grpc_connect(method: str) -> Connect:
    """Opens channels on which requests call this method ("/package.Service/Method")."""

    async def connect(target: LoadTarget, pool: Pool) -> Wire:
        channel: Any = grpc.aio.insecure_channel(target.authority, options=_OPTIONS)
        try:
            async with asyncio.timeout(_CONNECT_S):
                await channel.channel_ready()
        except TimeoutError as error:
            await channel.close()
            raise OSError(None, f"no gRPC within {_CONNECT_S:g} s") from error
        return GrpcConnection(pool, channel, channel.unary_unary(method))

    return connect


class GrpcConnection:
    """A channel with at most one call on it."""

    def __init__(self, pool: Pool, channel: Any, call: Any) -> None:
        self.index: int | None = None
        self.sent_s = 0.0
        self._pool = pool
        self._channel = channel
        self._call = call
        self._task: asyncio.Task[None] | None = None
        self._reason = "call cancelled"
        self._closing: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        return self._closing is None

    def send(self, index: int, request: bytes, now_s: float) -> None:
        """Call the method."""
        self.index = index
        self.sent_s = now_s
        self._task = asyncio.create_task(self._ask(request), name="load call")

    def abort(self, reason: str) -> None:
        """Cancel the call; it is lost for this reason."""
        self._reason = reason
        index, self.index = self.index, None
        is_first = self._closing is None
        self.close()
        if is_first:
            self._pool.lost(self, index, reason)

    def close(self) -> None:
        """Let go of the channel."""
        if self._task is not None:
            self._task.cancel()
        if self._closing is None:
            self._closing = asyncio.create_task(self._channel.close(), name="load close")

    async def _ask(self, request: bytes) -> None:
        try:
            status: int | str = _SUCCESS
            body = await self._call(request)
        except grpc.aio.AioRpcError as error:
            status, body = error.code().name, (error.details() or "").encode()
            if status == _GONE:
                self.abort("status UNAVAILABLE")
                return
        index, self.index = self.index, None
        if index is not None:
            self._pool.answered(self, index, status, body)
