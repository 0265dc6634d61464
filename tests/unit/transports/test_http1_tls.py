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
