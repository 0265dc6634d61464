"""How streams of a gRPC server end, seen by a real client."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from edgewright.testing.tls import certificate

grpc = pytest.importorskip("grpc", reason="absent: grpcio (extra grpc)")
transport = pytest.importorskip("edgewright.transports.grpc")

pytestmark = pytest.mark.timeout(60)

Answer = Callable[[bytes], Awaitable[bytes]]


async def served(answer: Answer) -> tuple[Any, Any]:
    """A server whose stream answers each message, and a client's call to it."""

    async def act(requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        async for content in requests:
            yield await answer(content)

    server = transport.GrpcServer(
        "s.S", {}, {"Talk": act}, address=("127.0.0.1", 0), message_bytes=1000, calls=9
    )
    await server.start()
    channel = grpc.aio.insecure_channel(server.address.removeprefix("grpc://"))
    return server, channel.stream_stream("/s.S/Talk")()


def faults(caplog: Any) -> list[str]:
    """What went wrong in a call; not what the library says when its event loop ends."""
    return [one.message for one in caplog.records if one.name != "asyncio"]


async def echo(content: bytes) -> bytes:
    return content


def test_a_stream_that_waits_for_nothing_keeps_no_server_from_ending(caplog: Any) -> None:
    async def case() -> None:
        server, call = await served(echo)
        await call.write(b"a")
        assert await call.read() == b"a"
        began_s = time.monotonic()
        await server.close(drain_s=20)
        assert time.monotonic() - began_s < 5
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert caught.value.details() == "the server ends; ask again what was not answered"

    asyncio.run(case())
    assert not faults(caplog)


def test_a_message_under_way_is_answered_before_its_stream_ends(caplog: Any) -> None:
    async def case() -> None:
        begun = asyncio.Event()

        async def slowly(content: bytes) -> bytes:
            begun.set()
            await asyncio.sleep(1.5)
            return content

        server, call = await served(slowly)
        await call.write(b"a")
        await begun.wait()
        closing = asyncio.create_task(server.close(drain_s=20))
        assert await call.read() == b"a"
        with pytest.raises(grpc.aio.AioRpcError, match="the server ends"):
            await call.read()
        await closing

    asyncio.run(case())
    assert not faults(caplog)


def test_a_stream_that_never_rests_is_ended_between_two_messages() -> None:
    async def case() -> None:
        server, call = await served(echo)
        await call.write(b"a")
        await call.read()
        closing = asyncio.create_task(server.close(drain_s=0.4))
        asked = answered = 0
        with contextlib.suppress(grpc.aio.AioRpcError):  # a write's error, or the stream's status
            while True:
                await call.write(b"a")
                asked += 1
                answered += await call.read() == b"a"
        await closing
        assert await call.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL)
        assert asked - answered <= 1 < answered

    asyncio.run(case())


def test_a_renewed_certificate_is_shown_to_who_comes_then(tmp_path: Path) -> None:
    pems = []
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        pems.append(certificate(tmp_path / name)[0].read_bytes())
    held = [pems[0]]

    async def call(server: Any, believes: bytes) -> bytes:
        port = server.address.rpartition(":")[2]
        channel = grpc.aio.secure_channel(
            f"localhost:{port}", grpc.ssl_channel_credentials(believes)
        )
        async with channel:
            return bytes(await channel.unary_unary("/s.S/Echo")(b"a", timeout=10))

    async def case() -> None:
        async def act(content: bytes, _: Any) -> bytes:
            return content

        server = transport.GrpcServer(
            *("s.S", {"Echo": act}, {}),
            address=("127.0.0.1", 0),
            message_bytes=1000,
            calls=9,
            tls=lambda: transport.GrpcTls(cert=held[0], key=held[0]),
        )
        await server.start()
        assert await call(server, pems[0]) == b"a"
        held[0] = pems[1]
        assert await call(server, pems[1]) == b"a"
        with pytest.raises(grpc.aio.AioRpcError):
            await call(server, pems[0])
        await server.close()

    asyncio.run(case())
