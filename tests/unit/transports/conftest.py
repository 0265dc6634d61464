import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from edgewright.testing import FakeClock
from edgewright.transports.base import Handler, Limits
from edgewright.transports.http1 import Server, start_server


class Raw:
    """A peer that sends bytes as it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, bytes, bytes]:
        """Status, headers and body of the next answer."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        if b"content-length: " not in head:
            return int(head.split()[1]), head, b""
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        return int(head.split()[1]), head, await self.reader.readexactly(length)

    async def rest(self) -> bytes:
        return await self.reader.read()


Connect = Callable[[], Awaitable[Raw]]
Serving = Callable[..., AbstractAsyncContextManager[tuple[Server, Connect]]]


@asynccontextmanager
async def _serving(
    handler: Handler, *, limits: Limits | None = None, clock: FakeClock | None = None
) -> AsyncIterator[tuple[Server, Connect]]:
    server = await start_server(handler, limits=limits, clock=clock or FakeClock())
    port = int(server.address.rsplit(":", 1)[1])
    writers = []

    async def connect() -> Raw:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        return Raw(reader, writer)

    try:
        yield server, connect
    finally:
        await server.close(drain_s=0)
        for writer in writers:
            writer.close()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[None, None, None]], None]:
    """Runs a case on each event loop that the server meets."""
    return asyncio.run if request.param == "asyncio" else uvloop.run


@pytest.fixture
def serving() -> Serving:
    """Starts a server on a free port, with a way to connect to it byte by byte."""
    return _serving


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    """A file of one MiB."""
    path = tmp_path / "payload"
    path.write_bytes(bytes(range(256)) * 4096)
    return path
