"""HTTP/1.1 on asyncio and httptools: the server and the client that every room shares.

>>> import asyncio
>>> from edgewright.clock import SystemClock
>>> async def greet(request):
...     return Response(status=200, body=f"hello {request.query['name']}".encode())
>>> async def session():
...     server = await start_server(greet, clock=SystemClock())
...     async with Client(server.address) as client:
...         answer = await client.request("GET", "/?name=Ada")
...     await server.close()
...     return answer.status, answer.body
>>> asyncio.run(session())
(200, b'hello Ada')
"""

import ssl
from pathlib import Path

from edgewright.clock import Clock
from edgewright.transports._http1_client import Client
from edgewright.transports._http1_files import file_response
from edgewright.transports._http1_handler import application_of
from edgewright.transports._http1_server import MakeHttp2, Server
from edgewright.transports._http1_text import preamble
from edgewright.transports._reason import is_unknown_issuer
from edgewright.transports.base import (
    Application,
    Exchange,
    Frame,
    Handler,
    Head,
    Limits,
    Prepare,
    Request,
    Response,
    Take,
)

__all__ = [
    "Application",
    "Client",
    "Exchange",
    "Frame",
    "Handler",
    "Head",
    "Limits",
    "MakeHttp2",
    "Prepare",
    "Request",
    "Response",
    "Server",
    "Take",
    "file_response",
    "is_unknown_issuer",
    "preamble",
    "start_application",
    "start_server",
]


async def start_server(
    handler: Handler,
    *,
    host: str | None = None,
    port: int | None = None,
    uds: Path | None = None,
    limits: Limits | None = None,
    clock: Clock,
    tls: ssl.SSLContext | None = None,
) -> Server:
    """Serve with a handler that may wait, on loopback and a free port unless told otherwise.

    A handler is cancelled when its peer leaves. With `tls` the port speaks TLS only; what the peer
    proved is in `Request.client_certificate`.

    Raises:
        ResourceError: the address is in use, or not this process's to take.
    """
    return await start_application(
        application_of(handler),
        host=host,
        port=port,
        uds=uds,
        limits=limits,
        clock=clock,
        tls=tls,
    )


async def start_application(
    application: Application,
    *,
    host: str | None = None,
    port: int | None = None,
    uds: Path | None = None,
    limits: Limits | None = None,
    clock: Clock,
    tls: ssl.SSLContext | None = None,
    prepare: Prepare | None = None,
    http2: MakeHttp2 | None = None,
) -> Server:
    """Serve with an application that answers without tasks: the hot path of inference. With `http2`
    a TLS port offers HTTP/2 beside HTTP/1.1.

    Raises:
        ResourceError: the address is in use, or not this process's to take.
    """
    server = Server(
        application, limits=limits or Limits(), clock=clock, prepare=prepare, http2=http2
    )
    await server.listen(host=host, port=port, uds=uds, tls=tls)
    return server
