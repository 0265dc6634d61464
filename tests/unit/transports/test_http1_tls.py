import asyncio
import ssl
from pathlib import Path

import pytest

from edgewright.clock import SystemClock
from edgewright.errors import TransportError
from edgewright.testing.tls import certificate
from edgewright.transports.http1 import Client, Request, Response, start_server


async def tell(request: Request) -> Response:
    return Response(status=200, body=request.client_certificate, headers={"x-peer": request.peer})


@pytest.mark.parametrize("has_certificate", [False, True])
def test_a_handler_sees_the_certificate_that_the_peer_proved(
    tmp_path: Path, has_certificate: bool
) -> None:
    path, der = certificate(tmp_path)
    listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listening.load_cert_chain(path)
    listening.load_verify_locations(path)
    listening.verify_mode = ssl.CERT_OPTIONAL
    asking = ssl.create_default_context(cafile=str(path))
    if has_certificate:
        asking.load_cert_chain(path)

    async def story() -> tuple[str, bytes, list[Response]]:
        server = await start_server(tell, clock=SystemClock(), tls=listening)
        address = server.address.replace("127.0.0.1", "localhost")
        async with Client(address, tls=asking) as client:
            answers = [await client.request("GET", "/") for _ in range(3)]
            closing = await client.request("GET", "/", headers={"connection": "close"})
        async with Client(address.replace("https", "http"), timeout_s=5) as plain:
            with pytest.raises(TransportError):
                await plain.request("GET", "/")
        await server.close()
        return server.address, der if has_certificate else b"", [*answers, closing]

    address, expected, answers = asyncio.run(story())
    assert address.startswith("https://")
    assert [answer.body for answer in answers] == [expected] * 4


def test_who_comes_over_tls_is_counted_before_the_handshake_is_over(tmp_path: Path) -> None:
    path, _ = certificate(tmp_path)
    listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listening.load_cert_chain(path)
    came: list[object] = []

    async def story() -> None:
        server = await start_server(tell, clock=SystemClock(), tls=listening)
        _, writer = await asyncio.open_connection("127.0.0.1", int(server.address.split(":")[-1]))
        for _ in range(1000):
            if not server.newcomers:
                await asyncio.sleep(1e-3)
        came.append((server.newcomers, server.connections))
        writer.transport.abort()
        await server.close(drain_s=0)

    asyncio.run(story())
    assert came == [(1, 0)]
