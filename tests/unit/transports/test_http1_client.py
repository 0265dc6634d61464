import asyncio
import contextlib
import gc
import socket
from pathlib import Path
from typing import Any

import pytest

from edgewright.errors import InputError, TransportError
from edgewright.testing import FakeClock
from edgewright.transports.http1 import (
    Client,
    Limits,
    Request,
    Response,
    file_response,
    start_server,
)


async def echo(request: Request) -> Response:
    return Response(
        status=201, headers={"X-Peer": request.peer}, body=request.method.encode() + request.body
    )


async def canned(answer: bytes) -> tuple[asyncio.Server, str]:
    """A server that says the same to everybody and hangs up."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def test_connection_is_kept_between_requests(run: Any) -> None:
    async def case() -> None:
        server = await start_server(echo, clock=FakeClock())
        async with Client(server.address) as client:
            answers = [await client.request("POST", "/", body=b"x") for _ in range(3)]
            assert {(answer.status, answer.body) for answer in answers} == {(201, b"POSTx")}
            assert len({answer.headers["x-peer"] for answer in answers}) == 1
        await server.close(drain_s=0)

    run(case())


def test_connections_that_nobody_uses_are_let_go_of_after_a_while(run: Any) -> None:
    async def scenario() -> None:
        server = await start_server(echo, clock=FakeClock())
        client = Client(server.address, idle_s=0.05)
        await asyncio.gather(*(client.request("GET", "/") for _ in range(3)))
        async with asyncio.timeout(20):
            while server.connections:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert (await client.request("GET", "/")).status == 201
        await client.close()
        await server.close(drain_s=0)

    run(scenario())


def test_concurrent_requests_use_connections_of_their_own(run: Any) -> None:
    async def case() -> None:
        server = await start_server(echo, clock=FakeClock())
        async with Client(server.address) as client:
            answers = await asyncio.gather(*(client.request("GET", "/") for _ in range(5)))
            assert len({answer.headers["x-peer"] for answer in answers}) == 5
        await server.close(drain_s=0)

    run(case())


def test_head_answer_has_no_body_and_keeps_the_connection(run: Any) -> None:
    async def case() -> None:
        server = await start_server(echo, clock=FakeClock())
        async with Client(server.address) as client:
            answer = await client.request("HEAD", "/")
            assert (answer.body, answer.headers["content-length"]) == (b"", "4")
            assert (await client.request("GET", "/")).body == b"GET"
        await server.close(drain_s=0)

    run(case())


def test_request_is_repeated_on_a_new_connection_when_the_kept_one_is_gone(run: Any) -> None:
    async def case() -> None:
        first = await start_server(echo, clock=FakeClock())
        port = int(first.address.rsplit(":", 1)[1])
        async with Client(first.address) as client:
            await client.request("GET", "/")
            await first.close(drain_s=0)
            second = await start_server(echo, port=port, clock=FakeClock())
            assert (await client.request("POST", "/")).status == 201
            await second.close(drain_s=0)

    run(case())


def test_kept_connection_is_cut_when_its_request_is_cancelled(run: Any) -> None:
    left = asyncio.Event()

    async def slow(request: Request) -> Response:
        try:
            await asyncio.sleep(3600 if request.path == "/slow" else 0)
        finally:
            if request.path == "/slow":
                left.set()
        return Response(status=200)

    async def case() -> None:
        server = await start_server(slow, clock=FakeClock())
        async with Client(server.address) as client:
            await client.request("GET", "/")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.request("GET", "/slow"), timeout=0.05)
            await asyncio.wait_for(left.wait(), timeout=5)
        await server.close(drain_s=0)

    run(case())


async def listening(say: Any) -> tuple[asyncio.Server, str]:
    server = await asyncio.start_server(say, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


DONE = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok"


@pytest.mark.parametrize("invitation", [b"HTTP/1.1 100 Continue\r\n\r\n", b""])
def test_a_body_in_pieces_is_sent_once_it_is_wanted_or_nothing_was_said(
    run: Any, monkeypatch: pytest.MonkeyPatch, invitation: bytes
) -> None:
    monkeypatch.setattr("edgewright.transports._http1_client._INVITATION_S", 0.05)
    heads: list[bytes] = []

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(invitation)
        heads.append(await reader.readexactly(5))
        writer.write(DONE)
        writer.close()

    async def case() -> None:
        server, url = await listening(say)
        async with Client(url) as client:
            answer = await client.upload("POST", "/x", iter([b"ab", b"cde"]), size_bytes=5)
        assert (answer.status, answer.body, heads[1]) == (201, b"ok", b"abcde")
        assert b"\r\ncontent-length: 5\r\n" in heads[0]
        server.close()

    run(case())


def test_a_body_that_is_refused_by_its_head_is_not_sent(run: Any) -> None:
    def pieces() -> Any:
        pytest.fail("nobody wanted this")
        yield b""

    async def case() -> None:
        server, url = await canned(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
        async with Client(url) as client:
            answer = await client.upload("POST", "/x", pieces(), size_bytes=5)
        assert answer.status == 403
        server.close()

    run(case())


def test_who_hangs_up_in_the_middle_of_a_body_may_have_answered(run: Any) -> None:
    left = asyncio.Event()

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.readexactly(1)
        writer.write(DONE)
        await writer.drain()
        writer.write_eof()
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()
        left.set()

    async def case() -> None:
        server, url = await listening(say)
        pieces = (b"x" * 65536 for _ in range(64))
        async with Client(url) as client:
            answer = await client.upload("POST", "/x", pieces, size_bytes=64 << 16)
        assert answer.status == 201
        await asyncio.wait_for(left.wait(), timeout=5)
        server.close()

    run(case())


def test_silence_and_refusal_are_transport_errors(run: Any) -> None:
    async def silent(request: Request) -> Response:
        await asyncio.sleep(3600)
        return Response(status=200)

    async def case() -> None:
        server = await start_server(silent, clock=FakeClock())
        async with Client(server.address, timeout_s=0.05) as client:
            with pytest.raises(TransportError, match="no answer in time"):
                await client.request("GET", "/")
        await server.close(drain_s=0)
        async with Client(server.address) as client:
            with pytest.raises(TransportError, match="refused"):
                await client.request("GET", "/")

    run(case())


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b"", "closed early"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc", "closed early"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", "closed early"),
        (b"SSH-2.0-OpenSSH\r\n", "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n" + b"x" * 101, "larger than 100"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 3000, "headers larger"),
    ],
)
def test_answer_that_is_cut_short_wrong_or_too_large_is_a_transport_error(
    run: Any, answer: bytes, complaint: str
) -> None:
    async def case() -> None:
        server, address = await canned(answer)
        async with Client(address, limits=Limits(body_bytes=100, header_bytes=2000)) as client:
            with pytest.raises(TransportError, match=complaint):
                await client.request("GET", "/")
        server.close()

    run(case())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nabc",
    ],
)
def test_answer_is_read_in_every_framing(run: Any, answer: bytes) -> None:
    async def case() -> None:
        server, address = await canned(answer)
        async with Client(address) as client:
            got = await client.request("GET", "/")
            assert (got.status, got.body) == (200, b"abc")
        server.close()

    run(case())


@pytest.mark.parametrize("base", ["ftp://h", "h:1", "http://", "http://h:x", "http://h/path"])
def test_wrong_address_is_an_input_error(base: str) -> None:
    with pytest.raises(InputError, match="http://HOST:PORT"):
        Client(base)


@pytest.mark.parametrize(
    ("path", "headers"), [("no-slash", {}), ("/a b", {}), ("/\r\nX: y", {}), ("/", {"x": "a\r\nb"})]
)
def test_request_that_would_break_its_framing_is_an_input_error(
    run: Any, path: Any, headers: Any
) -> None:
    async def case() -> None:
        with pytest.raises(InputError):
            await Client("http://127.0.0.1:1").request("GET", path, headers=headers)

    run(case())


async def fetch(client: Client, path: str = "/", **options: int) -> bytes:
    return b"".join([chunk async for chunk in client.download(path, **options)])


def test_download_resumes_where_it_stopped(run: Any, payload: Path) -> None:
    content = payload.read_bytes()

    async def handler(request: Request) -> Response:
        return file_response(payload, request, etag="v1")

    async def case() -> None:
        server = await start_server(handler, clock=FakeClock())
        async with Client(server.address) as client:
            assert await fetch(client, limit_bytes=len(content)) == content
            for offset in (1, 300_000, len(content) - 1):
                rest = await fetch(client, offset=offset, limit_bytes=len(content) - offset)
                assert rest == content[offset:]
            with pytest.raises(TransportError, match="larger than"):
                await fetch(client, limit_bytes=len(content) - 1)
            with pytest.raises(InputError, match="status 416"):
                await fetch(client, offset=len(content), limit_bytes=1)
        await server.close(drain_s=0)

    run(case())


def test_download_skips_what_it_has_when_the_server_ignores_ranges(run: Any) -> None:
    async def handler(request: Request) -> Response:
        return Response(status=200, body=b"0123456789")

    async def case() -> None:
        server = await start_server(handler, clock=FakeClock())
        async with Client(server.address) as client:
            assert await fetch(client, offset=4, limit_bytes=6) == b"456789"
        await server.close(drain_s=0)

    run(case())


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (404, {}, InputError),
        (503, {}, TransportError),
        (429, {}, TransportError),
        (206, {"content-range": "bytes 0-9/10"}, TransportError),
    ],
)
def test_download_names_who_must_act_on_other_answers(
    run: Any, status: Any, headers: Any, error: Any
) -> None:
    async def handler(request: Request) -> Response:
        return Response(status=status, headers=headers, body=b"0123456789")

    async def case() -> None:
        server = await start_server(handler, clock=FakeClock())
        async with Client(server.address) as client:
            with pytest.raises(error):
                await fetch(client, offset=5, limit_bytes=100)
        await server.close(drain_s=0)

    run(case())


def test_download_that_is_cut_short_is_a_transport_error_after_its_bytes(run: Any) -> None:
    async def case() -> None:
        server, address = await canned(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
        async with Client(address) as client:
            chunks = client.download("/", limit_bytes=9)
            assert await anext(chunks) == b"abc"
            with pytest.raises(TransportError, match="closed early"):
                await anext(chunks)
        server.close()

    run(case())


def test_unreachable_port_is_a_transport_error(run: Any) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    async def case() -> None:
        with pytest.raises(TransportError, match="check that the server runs"):
            await Client(f"http://127.0.0.1:{port}").request("GET", "/")

    run(case())


def test_answers_that_were_read_hold_nothing_until_the_collector_comes(run: Any) -> None:
    async def case() -> None:
        server = await start_server(echo, clock=FakeClock())
        async with Client(server.address) as client:
            gc.collect()
            gc.disable()
            try:
                for _ in range(3):
                    await client.request("POST", "/", body=b"x")
                    await client.request("HEAD", "/")
                kinds = {type(thing).__name__ for thing in gc.get_objects()}
            finally:
                gc.enable()
        await server.close(drain_s=0)
        assert not kinds & {"_Answer", "HttpResponseParser"}

    run(case())
