"""Handlers that wait (`async def`) on top of connections that do not."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import cast

from edgewright.errors import TransportError
from edgewright.transports._http1_connection import Connection
from edgewright.transports._http1_text import preamble, status_and_headers
from edgewright.transports.base import Application, Exchange, Handler, Head, Request, Response

logger = logging.getLogger(__name__)

_INTERNAL_ERROR = preamble(500)
_WITHOUT_BODY = frozenset({204, 304})


def application_of(handler: Handler) -> Application:
    """An application that gives every request a task of its own."""

    def application(exchange: Exchange, head: Head, body: bytes) -> None:
        connection = cast("Connection", exchange)
        request = Request(
            method=head.method,
            path=head.path,
            query=head.query,
            headers=head.headers,
            body=body,
            peer=connection.peer,
            client_certificate=connection.client_certificate,
        )
        name = f"http {head.method} {head.path}"
        connection.run(asyncio.create_task(_serve(handler, request, connection), name=name))

    return application


async def _serve(handler: Handler, request: Request, connection: Connection) -> None:
    try:
        response = await handler(request)
    except Exception:
        logger.exception("request failed: method=%s path=%s", request.method, request.path)
        connection.reply(_INTERNAL_ERROR, b'{"error":"internal error"}')
        return
    try:
        await _send(response, connection)
    except Exception:
        logger.exception("answer failed: method=%s path=%s", request.method, request.path)
        connection.abort()


async def _send(response: Response, connection: Connection) -> None:
    """Write an answer, stream and all; a stream that breaks its promise of length cuts the peer
    off.
    """
    head, stream = connection.head, response.stream
    if stream is None or head is None:
        connection.respond(response)
        return
    is_chunked = response.length is None and head.version == "1.1"
    ends = connection.ends_after_answer or (response.length is None and not is_chunked)
    headers = dict(response.headers)
    if response.length is not None:
        headers["content-length"] = str(response.length)
    if is_chunked:
        headers["transfer-encoding"] = "chunked"
    if ends:
        headers["connection"] = "close"
    connection.write(status_and_headers(response.status, headers) + b"\r\n")
    try:
        if head.method != "HEAD":
            await _send_stream(stream, response.length, connection, is_chunked=is_chunked)
    finally:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()
    connection.finish(ends=ends)


async def _send_stream(
    stream: AsyncIterator[bytes], length: int | None, connection: Connection, *, is_chunked: bool
) -> None:
    sent = 0
    async for chunk in stream:
        if not chunk:
            continue
        sent += len(chunk)
        connection.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if is_chunked else chunk)
        await connection.drained()
        if connection.is_closed:
            return
    if is_chunked:
        connection.write(b"0\r\n\r\n")
    elif length is not None and sent != length:
        raise TransportError(f"the stream gave {sent} bytes, {length} were promised")
